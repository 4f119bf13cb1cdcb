"""The runs of one strategy with one workload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from firstk.harness.run.workload_result import WorkloadResult


@dataclass(frozen=True)
class WorkloadSummary:
    """The runs of one strategy with one workload, in order."""

    results: Sequence[WorkloadResult]

    @property
    def strategy(self) -> str:
        """The strategy."""
        return self.results[0].strategy

    @property
    def downloads(self) -> int:
        """The number of downloads that count, in all runs."""
        return sum(result.downloads for result in self.results)

    def mean(self, of: Callable[[WorkloadResult], float]) -> float:
        """Return the mean of a number over the runs."""
        return fmean(map(of, self.results))
