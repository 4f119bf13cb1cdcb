"""Estimates from runs of many downloads each, pooled over all downloads of all runs.

Downloads of one run meet at the servers and are not independent of one another; runs are. What
is asked of the downloads is therefore the mean, over the runs, of a share of the downloads of a
run. As all runs have equally many downloads, that is the share of all downloads. The intervals
hold however the downloads of a run depend on one another, and whatever a rare bad run does.

A run that crashed, None here, has no result: none of its downloads started or succeeded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import inf
from operator import attrgetter

import numpy as np

from firstk.harness.run.workload_result import WorkloadResult
from firstk.harness.stats.betting import Evidence
from firstk.harness.stats.estimates import CONFIDENCE, Interval, NotEnough, least_runs, mean_share
from firstk.harness.stats.histogram import Histogram, least

#: The results of the runs of a workload; None for a run that crashed.
Loads = Sequence[WorkloadResult | None]


def share(loads: Loads, of: Callable[[WorkloadResult], float]) -> Interval:
    """Return a share of all downloads, of which `of` returns that of a run."""
    return mean_share([0.0 if load is None else of(load) for load in loads])


def busy(loads: Loads) -> Interval | None:
    """Return the utilisation of the busiest resource, on average over the runs.

    None if nothing has a limit.
    """
    parts = [load.utilisation for load in loads if load is not None]
    known = [min(1.0, part) for part in parts if part is not None]
    return mean_share(known) if known else None


def shares_before(loads: Loads, limit: float) -> tuple[list[float], list[float]]:
    """Return which share of each run's downloads start before `limit`: at least, and at most.

    They differ by what shares a bin of the run's histogram with `limit`.
    """
    both = [(0.0, 0.0) if load is None else _shares_before(load.ttfb, limit) for load in loads]
    return [sure for sure, _ in both], [most for _, most in both]


def _shares_before(times: Histogram, limit: float) -> tuple[float, float]:
    sure, most = times.before(limit)
    return sure / times.count, most / times.count


def quantile(
    loads: Loads, q: float, of: Callable[[WorkloadResult], Histogram] = attrgetter("ttfb")
) -> Interval | NotEnough:
    """Return the time by which a part `q` of all downloads have their first byte.

    `of` returns which of a run's times are meant, where they are others. The estimate is the
    greatest time in the first bin of the histograms by which so many have, all together; infinity
    is never. The ends are at the outer edges of their bins.
    """
    runs = len(loads)
    bins = _Bins([None if load is None else of(load) for load in loads])
    end = len(bins.places)  # of the place behind all bins, where never is
    middle = bins.greatest(bisect_left(range(end), runs * q - 1e-9, key=bins.mass))
    if runs < (needed := least_runs(q)):
        return NotEnough(middle, runs, needed)

    def shown(place: int) -> bool | None:
        return Evidence.of(bins.shares(place)).is_over(q, CONFIDENCE)

    low = bisect_left(range(end), True, key=lambda place: shown(place) is not False)
    high = bisect_left(range(end), True, key=lambda place: shown(place) is True)
    return Interval(middle, bins.least(low), bins.greatest(high))


class _Bins:
    """The bins of the histograms of all runs, in their order; each is named by its index."""

    def __init__(self, runs: Sequence[Histogram | None]) -> None:
        rows = sorted(
            (place, run, count, greatest)
            for run, times in enumerate(runs)
            if times is not None
            for place, (count, greatest) in times.bins.items()
        )
        self._totals = np.array([1 if times is None else times.count for times in runs])
        place, run, count, greatest = zip(*rows, strict=True) if rows else [()] * 4
        self._run = np.array(run, dtype=int)
        self._count = np.array(count, dtype=float)
        self._greatest = np.array(greatest, dtype=float)
        self._mass = np.cumsum(self._count / self._totals[self._run])
        #: The number of each bin, and where the rows of it begin.
        self.places, begins = np.unique(np.array(place, dtype=int), return_index=True)
        self._begins = [*begins.tolist(), len(rows)]

    def mass(self, index: int) -> float:
        """Return the sum of the shares of all runs that are done by the end of a bin."""
        return float(self._mass[self._begins[index + 1] - 1])

    def shares(self, index: int) -> list[float]:
        """Return which share of each run's downloads are done by the end of a bin."""
        end = self._begins[index + 1]
        counts = np.bincount(self._run[:end], self._count[:end], minlength=len(self._totals))
        shares: list[float] = (counts / self._totals).tolist()
        return shares

    def least(self, index: int) -> float:
        """Return the least time that may have fallen into a bin."""
        if index == len(self.places):
            return inf
        begin, end = self._begins[index : index + 2]
        if end - begin == 1 and self._count[begin] == 1:
            return float(self._greatest[begin])
        return least(int(self.places[index]))

    def greatest(self, index: int) -> float:
        """Return the greatest time that fell into a bin."""
        if index == len(self.places):
            return inf
        begin, end = self._begins[index : index + 2]
        return float(self._greatest[begin:end].max())
