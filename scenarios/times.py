"""The start and end times of faults and pauses, which may repeat."""

from __future__ import annotations

from math import floor, inf


def spell_at(
    time: float, start: float, end: float, every: float | None = None, until: float = inf
) -> tuple[float, float]:
    """Return the start and end of the first occurrence that ends after `time`.

    The first occurrence lasts from `start` to `end`. With `every`, it repeats with this period, in
    seconds, until `until`. Both times are infinity if there are no more occurrences.

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
    for number in range(guess - 1, guess + 3):  # `guess` may have been rounded
        if end + number * every > time:
            return start + number * every, end + number * every
    return inf, inf  # so late that adjacent floats differ by more than the duration
