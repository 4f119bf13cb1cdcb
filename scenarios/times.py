"""Times at which something comes, lasts and goes, perhaps again and again."""

from __future__ import annotations

from math import floor, inf


def spell_at(
    time: float, start: float, end: float, every: float | None = None, until: float = inf
) -> tuple[float, float]:
    """Return when it begins and is over: the first time that it is not over at `time`.

    It lasts from `start` to `end`, and with `every` as long again and again, each time so many
    seconds later; after `until` never. Both times are infinity if it does not come any more.

    >>> spell_at(13.5, 1.0, 2.0, every=10.0)
    (21.0, 22.0)
    """
    begin, over = start, end
    if every is not None and end <= time < inf:
        begin, over = _repetition(time, start, end, every)
    over = min(over, until)
    return (begin, over) if begin < over and time < over else (inf, inf)


def _repetition(time: float, start: float, end: float, every: float) -> tuple[float, float]:
    guess = floor((time - start) / every)
    for number in range(guess - 1, guess + 3):  # it may have been rounded
        if end + number * every > time:
            return start + number * every, end + number * every
    return inf, inf  # so late that times differ by more than it lasts
