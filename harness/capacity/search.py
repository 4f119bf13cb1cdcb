"""The search for the greatest rate that meets criteria: doubling, then bisection.

The search knows nothing of grids: it calls `probe` with one rate after another. Its answer depends
only on what that returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, sqrt

#: The search ends once the ends of the answer differ by this ratio, or by less.
CLOSE = 1.06

#: The greatest number of times that the first rate is halved.
_MOST_HALVINGS = 12

#: Returns whether a rate meets the criteria; None if the runs do not show it.
Probe = Callable[[float], bool | None]


@dataclass(slots=True)
class Bracket:
    """The rates between which the criteria cease to be met.

    `low` is the greatest rate that is known to meet them, 0 if there is none. `high` is the
    smallest that is known to miss them, infinity if there is none. The runs at the `open_` rates
    between them do not show which.
    """

    low: float = 0.0
    high: float = inf
    open_: list[float] = field(default_factory=list)

    def add(self, rate: float, met: bool | None) -> None:
        """Add the verdict on a rate."""
        if met is None:
            self.open_.append(rate)
        elif met:
            self.low = max(self.low, rate)
        else:
            self.high = min(self.high, rate)

    def next(self) -> float | None:
        """Return the rate to probe next, in the middle of the wider gap; None if all are narrow."""
        between = [rate for rate in self.open_ if self.low < rate < self.high]
        ends = [self.low, *sorted(between), self.high]
        # Between the first and the last open rate, verdicts are not likely either.
        gaps = [(ends[0], ends[1]), (ends[-2], ends[-1])]
        low, high = max(gaps, key=lambda gap: gap[1] / gap[0])
        return nice(sqrt(low * high)) if high / low > CLOSE else None


def nice(rate: float) -> float:
    """Return a rate rounded to three digits, as an answer would name it.

    >>> nice(93.7421)
    93.7
    """
    return float(f"{rate:.3g}")


def search(probe: Probe, start: float, most: float) -> Bracket:
    """Return the bracket of the greatest rate at which `probe` returns True.

    Rates are probed from `start` on, and none over `most`.

    >>> search(lambda rate: rate < 95, start=40, most=1000)
    Bracket(low=91.1, high=95.1, open_=[])
    """
    found = Bracket()
    rate = start = min(most, nice(start))
    while (met := probe(rate)) is not False:
        found.add(rate, met)
        if rate == most:
            return found
        rate = min(most, nice(2 * rate))
    found.add(rate, False)
    rate = start
    for _ in range(_MOST_HALVINGS):
        if found.low:
            break
        rate = nice(rate / 2)
        found.add(rate, probe(rate))
    tried = {found.low, found.high}
    while found.low and (between := found.next()) is not None and between not in tried:
        tried.add(between)
        found.add(between, probe(between))
    return found
