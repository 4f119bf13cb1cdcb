"""Histograms of many times in little memory: quantiles to within 0.2 %, and exact means.

The bins divide each power of two evenly, like those of HdrHistogram (Gil Tene,
https://hdrhistogram.org), so they are the same on every machine. Each bin records its greatest
value.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import frexp, inf, ldexp
from typing import Any, Self

from firstk.harness.stats.figures import rank

#: The number of bins per power of two.
_BINS = 512

#: The number of the bin for times of 0.
_ZERO = -(2**30)


def least(place: int) -> float:
    """Return the least time in the bin with this number."""
    if place == _ZERO:
        return 0.0
    exponent, step = divmod(place, _BINS)
    return ldexp(1 + step / _BINS, exponent - 1)


class Histogram:
    """A histogram of times in seconds, with a count of those that were never.

    `bins` maps the number of each bin to its count and its greatest time.
    """

    def __init__(self) -> None:
        self.count = 0
        self.never = 0
        self._sum = 0.0
        self._lost = 0.0  # the rounding error of `_sum`, after Kahan
        self.bins: dict[int, tuple[int, float]] = {}

    def add(self, time: float | None) -> None:
        """Count one more time; None means never."""
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
        """Add the counts of another histogram."""
        self.count += other.count
        self.never += other.never
        self._take(other._sum)
        for place, (count, greatest) in other.bins.items():
            own, own_greatest = self.bins.get(place, (0, 0.0))
            self.bins[place] = own + count, max(greatest, own_greatest)

    def to_json(self) -> dict[str, Any]:
        """Return the histogram in a form that JSON can represent."""
        bins = [[place, *self.bins[place]] for place in sorted(self.bins)]
        return {"never": self.never, "sum": self._sum, "bins": bins}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the histogram that `to_json` was called on."""
        histogram = cls()
        histogram.bins = {place: (count, greatest) for place, count, greatest in data["bins"]}
        histogram.never = data["never"]
        histogram._sum = data["sum"]
        histogram.count = histogram.never + sum(count for count, _ in histogram.bins.values())
        return histogram

    @property
    def mean(self) -> float | None:
        """The mean of the finite times; None if there are none."""
        return self._sum / (self.count - self.never) if self.count > self.never else None

    def before(self, limit: float) -> tuple[int, int]:
        """Return the least and the greatest possible number of times that are less than `limit`.

        They differ if a bin has times on both sides of it.
        """
        sure = maybe = 0
        for place, (count, greatest) in self.bins.items():
            if greatest < limit:
                sure += count
            elif least(place) < limit:
                maybe += count - 1  # the greatest is not below the limit
        return sure, sure + maybe

    def quantile(self, q: float) -> float | None:
        """Return the quantile `q`: the time that this fraction of all times does not exceed.

        It is infinity if too many of the times are never, and None if nothing was counted.
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
