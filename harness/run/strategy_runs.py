"""Figures for the runs of one strategy in one scenario, or at one point of a sweep.

Results of runs and rows of a store meet here, so that every table, picture and sentence has its
figures from one place.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING

from firstk.harness.run.bound import Bound
from firstk.harness.run.result import Result
from firstk.harness.run.sample import OneRun
from firstk.harness.run.summary import BoundRatios, verdict
from firstk.harness.run.workload_result import WorkloadResult
from firstk.harness.stats import figures
from firstk.harness.stats.figures import rank, ratio_to_bound
from firstk.harness.stats.formats import multiple
from firstk.harness.stats.histogram import Histogram

# To load what makes estimates takes as long as many runs do: only what shows them does.
if TYPE_CHECKING:
    from firstk.harness.run.cells import Cell, Estimate

#: The strategy that the others are compared with, if it is among them.
BASELINE = "wait-for-all"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution of times: by `times[i]`, `counts[i]` of `count` downloads were done.

    Times are sorted. Downloads that were never done count, and have no time. Downloads of one run
    of a workload are not `independent` of one another.
    """

    times: Sequence[float]
    counts: Sequence[int]
    count: int
    independent: bool = True

    @classmethod
    def of(cls, times: Sequence[float]) -> Distribution:
        """Return how times are spread; infinity is never."""
        ordered = sorted(time for time in times if time < inf)
        return cls(ordered, range(1, len(ordered) + 1), len(times))

    @classmethod
    def of_histograms(cls, histograms: Sequence[Histogram]) -> Distribution:
        """Return how the times of some runs of a workload are spread, all together."""
        whole = Histogram()
        for histogram in histograms:
            whole.merge(histogram)
        bins = [whole.bins[place] for place in sorted(whole.bins)]
        counts = list(accumulate(count for count, _ in bins))
        return cls([greatest for _, greatest in bins], counts, whole.count, independent=False)

    @property
    def came(self) -> int:
        """The number of downloads that were done."""
        return self.counts[-1] if self.counts else 0

    def quantile(self, q: float) -> float:
        """Return the time by which a part `q` of all were done; infinity is never."""
        place = bisect_left(self.counts, rank(q, self.count))
        return self.times[place] if place < len(self.times) else inf


@dataclass(frozen=True)
class StrategyRuns:
    """The runs of one strategy in one case, in their order, and the figures made of them.

    A run is a `Result`, or a `Sample` where it is a row of a store or has a workload. `first` are
    the runs of the first strategy, None for that one itself. `bounds` are the bounds of runs 0, 1
    and so on, as many as were worked out.
    """

    strategy: str
    samples: Sequence[OneRun]
    first: Sequence[OneRun] | None = None
    bounds: Sequence[Bound] = ()

    @property
    def runs(self) -> int:
        """The number of runs."""
        return len(self.samples)

    @cached_property
    def results(self) -> list[Result]:
        """The runs that are known whole: not those of a store, nor of a workload."""
        return [run for run in self.samples if isinstance(run, Result)]

    @property
    def single(self) -> Result | None:
        """The result where there is but one run and it is known whole."""
        return self.results[0] if self.runs == 1 and self.results else None

    @cached_property
    def loads(self) -> list[WorkloadResult]:
        """The results of runs with a workload; empty where a run is one download."""
        return [sample.load for sample in self.samples if sample.load is not None]

    @cached_property
    def cell(self) -> Cell:
        """The estimates that the table of a sweep has too."""
        return self._cell(self.samples, None)

    @cached_property
    def against(self) -> Estimate | None:
        """How much later it starts than the first strategy, in the runs that both have."""
        first = {sample.run: sample for sample in self.first or ()}
        both = [sample for sample in self.samples if sample.run in first]
        return self._cell(both, [first[s.run] for s in both]).against if both else None

    def _cell(self, samples: Sequence[OneRun], first: Sequence[OneRun] | None) -> Cell:
        from firstk.harness.run.cells import cell

        return cell(0, {}, self.strategy, samples, first, loads=bool(self.loads))

    def quantile(self, q: float) -> Estimate:
        """Return a quantile of the time to first byte, with its interval."""
        from firstk.harness.run.cells import quantile_of

        return quantile_of(self.samples, q)

    @cached_property
    def started(self) -> Estimate:
        """The probability that the first byte ever comes."""
        from firstk.harness.run import pooled
        from firstk.harness.stats.estimates import probability

        if self.loads:
            loads = [sample.load for sample in self.samples]
            return pooled.share(loads, lambda load: 1 - load.ttfb.never / load.ttfb.count)
        return probability(sum(s.ttfb is not None for s in self.samples), self.runs)

    @cached_property
    def requests(self) -> float | None:
        """The mean of the requests of a whole download; None if all runs crashed."""
        return self.cell.requests

    @cached_property
    def bytes(self) -> float | None:
        """The mean of the bytes of share data that it received; None if all runs crashed."""
        return self.cell.bytes

    @cached_property
    def saved(self) -> float | None:
        """The mean of the bytes that were never sent, since the download had cancelled their read.

        None if no request was cancelled, or the runs are not known whole.
        """
        if not any(result.cancelled for result in self.results):
            return None
        return sum(result.bytes_saved for result in self.results) / len(self.results)

    @cached_property
    def under_way(self) -> float | None:
        """The number of downloads in progress, with a workload: the mean over the runs."""
        return self.cell.under_way

    @cached_property
    def busy(self) -> Estimate | None:
        """The utilisation of the busiest resource of a workload; None if nothing has a limit."""
        from firstk.harness.run import pooled

        return pooled.busy(self.loads)

    @cached_property
    def ratios(self) -> list[float]:
        """The times to first byte over the bound, run by run, where the bound is known.

        Infinity is never. Left out are only the runs in which no strategy could have any.
        """
        known = (sample for sample in self.samples if sample.run < len(self.bounds))
        ratios = (ratio_to_bound(s.ttfb, self.bounds[s.run].ttfb) for s in known)
        return [ratio for ratio in ratios if ratio is not None]

    @cached_property
    def times(self) -> list[float]:
        """The times to first byte of the runs that had one, sorted, in seconds."""
        return sorted(run.ttfb for run in self.samples if run.ttfb is not None)

    @property
    def typical(self) -> float | None:
        """The median time to first byte; None unless every run had one."""
        return figures.quantile(self.times, 0.5) if len(self.times) == self.runs else None

    @property
    def never_started(self) -> bool:
        """Whether no run had a first byte."""
        return not self.times

    @property
    def over_ttfb(self) -> BoundRatios:
        """The times to first byte over the bound."""
        return BoundRatios(sorted(self.ratios), self.runs)

    @property
    def over_requests(self) -> BoundRatios:
        """The requests of the successful downloads, over the fewest possible."""
        return self._over(lambda run: run.requests, lambda bound: bound.requests)

    @property
    def over_bytes(self) -> BoundRatios:
        """The bytes that they received, over the fewest possible."""
        return self._over(lambda run: run.bytes_received, lambda bound: bound.bytes)

    def _over(
        self, took: Callable[[Result], int], least: Callable[[Bound], int | None]
    ) -> BoundRatios:
        both = zip(self.results, self.bounds, strict=True)
        return BoundRatios.of((took(r) if r.outcome == "ok" else None, least(b)) for r, b in both)

    @property
    def verdict(self) -> str:
        """A description of the results, the time to first byte first."""
        return verdict(self.results)

    def over_bound(self, q: float) -> Estimate | None:
        """Return a quantile of the ratio to the bound; None where no run has one."""
        from firstk.harness.stats.estimates import quantile

        return quantile(self.ratios, q) if self.ratios else None

    @cached_property
    def distribution(self) -> Distribution:
        """The distribution of the times to first byte."""
        if self.loads:
            return Distribution.of_histograms([load.ttfb for load in self.loads])
        return Distribution.of([inf if s.ttfb is None else s.ttfb for s in self.samples])

    @cached_property
    def outcomes(self) -> Counter[str]:
        """The number of downloads with each outcome."""
        found: Counter[str] = Counter()
        for sample in self.samples:
            if sample.load is not None:
                found.update(sample.load.outcomes)
            else:
                found[sample.outcome] += 1
        return found

    @property
    def slowest(self) -> int:
        """The number of the run with the latest first byte; one that has none counts as latest."""
        return max(self.samples, key=lambda sample: (_latest(sample), -sample.run)).run


def _latest(sample: OneRun) -> tuple[bool, float]:
    if sample.load is not None:
        found = sample.load.ttfb.quantile(0.99)
        return sample.load.outcome != "ok", inf if found is None else found
    return sample.outcome != "ok", inf if sample.ttfb is None else sample.ttfb


def ratio(one: StrategyRuns, baseline: StrategyRuns) -> str:
    """Return the speed-up over the baseline: the ratio of the times to first byte."""
    if one is baseline:
        return ""
    if baseline.never_started and one.typical is not None:
        return "∞"
    if baseline.typical is None or one.typical is None:
        return "-"
    return multiple(baseline.typical / one.typical) if one.typical else "-"


def baseline_of(summaries: Sequence[StrategyRuns]) -> StrategyRuns:
    """Return the summary that the others are compared with: wait-for-all, or the first."""
    return next((s for s in summaries if s.strategy == BASELINE), summaries[0])
