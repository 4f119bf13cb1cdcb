"""Counts of many times in little memory: quantiles to within 0.2 %, and exact means.

The bins divide each power of two evenly, as those of HdrHistogram do (Gil Tene,
https://hdrhistogram.org), so that they are the same on every machine, and hold the greatest
value that fell into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import frexp, inf, ldexp
from typing import Any, Self

from firstk.harness.stats.figures import rank

#: So many bins are there for each power of two.
_BINS = 512

#: The number of the bin of times of 0.
_ZERO = -(2**30)


def least(place: int) -> float:
    """Return the least time that falls into the bin with a number."""
    if place == _ZERO:
        return 0.0
    exponent, step = divmod(place, _BINS)
    return ldexp(1 + step / _BINS, exponent - 1)


class Histogram:
    """Times in seconds, and how many there never were.

    `bins` has for the number of each bin how many fell into it, and the greatest of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self.never = 0
        self._sum = 0.0
        self._lost = 0.0  # what `_sum` has lost in rounding, after Kahan
        self.bins: dict[int, tuple[int, float]] = {}

    def add(self, time: float | None) -> None:
        """Count one more; None if it never was."""
        self.count += 1
        if time is None:
            self.never += 1
            return
        fraction, exponent = frexp(time)
        place = exponent * _BINS + int((2 * fraction - 1) * _BINS) if time else _ZERO
        count, greatest = self.bins.get(place, (0, 0.0))
        self.bins[place] = (count + 1, max(greatest, time))
        self._take(time)

    def _take(self, time: float) -> None:
        added = time - self._lost
        total = self._sum + added
        self._lost = (total - self._sum) - added
        self._sum = total

    def merge(self, other: Histogram) -> None:
        """Count what another one has counted."""
        self.count += other.count
        self.never += other.never
        self._take(other._sum)
        for place, (count, greatest) in other.bins.items():
            own, own_greatest = self.bins.get(place, (0, 0.0))
            self.bins[place] = own + count, max(greatest, own_greatest)

    def to_json(self) -> dict[str, Any]:
        """Return it in a form that JSON has."""
        bins = [[place, *self.bins[place]] for place in sorted(self.bins)]
        return {"never": self.never, "sum": self._sum, "bins": bins}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_json` was made from."""
        histogram = cls()
        histogram.bins = {place: (count, greatest) for place, count, greatest in data["bins"]}
        histogram.never = data["never"]
        histogram._sum = data["sum"]
        histogram.count = histogram.never + sum(count for count, _ in histogram.bins.values())
        return histogram

    @property
    def mean(self) -> float | None:
        """The mean of those that there were; None if there was none."""
        return self._sum / (self.count - self.never) if self.count > self.never else None

    def before(self, limit: float) -> tuple[int, int]:
        """Return how many are less than `limit`: how many at least, and how many at most.

        They differ where a bin holds times on either side of it.
        """
        sure = maybe = 0
        for place, (count, greatest) in self.bins.items():
            if greatest < limit:
                sure += count
            elif least(place) < limit:
                maybe += count - 1  # the greatest is not
        return sure, sure + maybe

    def quantile(self, q: float) -> float | None:
        """Return the time that a share `q` of all does not exceed.

        It is infinity where that many there never were, and None if nothing was counted.
        """
        if not self.count:
            return None
        needed = rank(q, self.count)
        below = 0
        for place in sorted(self.bins):
            count, greatest = self.bins[place]
            below += count
            if below >= needed:
                return greatest
        return inf
