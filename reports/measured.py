"""What a report tells of: what each strategy came to in a scenario, or at a point of a sweep.

Runs of scenarios and rows of a store become the same thing here, so that every table, picture and
sentence of a report is made in one way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import inf
from typing import Any

from harness.bound import Bound
from harness.figures import rank, ratio_to_bound
from harness.histogram import Histogram
from harness.load_result import LoadResult
from harness.result import Result
from harness.store import Sample, Store, first_row
from reports import pooled
from reports.comparison import Compared, replay
from reports.load import LoadSummary
from reports.statistics import probability, quantile
from reports.sweep_table import Cell, Estimate, cell, quantile_of
from scenarios.experiment import label
from scenarios.identity import scenario_hash
from scenarios.load import NoLines, ScenarioError, validated
from scenarios.model import Scenario
from scenarios.seeds import seed_range
from scenarios.text import shell_word


@dataclass(frozen=True, slots=True)
class Distribution:
    """How times are spread: by `times[i]`, `counts[i]` of `count` downloads have come to it.

    Times are sorted. Those that never came to it count, and have no time. Downloads of one run
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
        """How many came to it."""
        return self.counts[-1] if self.counts else 0

    def quantile(self, q: float) -> float:
        """Return the time by which a part `q` of all came to it; infinity is never."""
        place = bisect_left(self.counts, rank(q, self.count))
        return self.times[place] if place < len(self.times) else inf


@dataclass(frozen=True)
class Measured:
    """The runs of one strategy in one case, in their order.

    `first` are the runs of the first strategy, None for that one itself. `bounds` are
    the bounds of runs 0, 1 and so on, as many as were worked out. `single` is
    the result where there is but one run and it is known whole.
    """

    strategy: str
    samples: Sequence[Sample]
    first: Sequence[Sample] | None = None
    bounds: Sequence[Bound] = ()
    single: Result | None = None

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.samples)

    @cached_property
    def loads(self) -> list[LoadResult]:
        """What many downloads came to, a run each; empty where a run is one download."""
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

    def _cell(self, samples: Sequence[Sample], first: Sequence[Sample] | None) -> Cell:
        return cell(0, {}, self.strategy, samples, first, loads=bool(self.loads))

    def quantile(self, q: float) -> Estimate:
        """Return a quantile of the time to first block, with its interval."""
        return quantile_of(self.samples, q)

    @cached_property
    def started(self) -> Estimate:
        """How probable it is that the first block ever comes."""
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
    def under_way(self) -> float | None:
        """How many downloads there are at a time, with a workload: the mean over the runs."""
        return self.cell.under_way

    @cached_property
    def busy(self) -> Estimate | None:
        """How much is in use of what is busiest, with a workload; None if nothing has a limit."""
        return pooled.busy(self.loads)

    @cached_property
    def ratios(self) -> list[float]:
        """The times to first block over the bound, run by run, where the bound is known.

        Infinity is never. Left out are only the runs in which no strategy could have any.
        """
        known = (sample for sample in self.samples if sample.run < len(self.bounds))
        ratios = (ratio_to_bound(s.ttfb, self.bounds[s.run].ttfb) for s in known)
        return [ratio for ratio in ratios if ratio is not None]

    def over_bound(self, q: float) -> Estimate | None:
        """Return a quantile of the ratio to the bound; None where no run has one."""
        return quantile(self.ratios, q) if self.ratios else None

    @cached_property
    def distribution(self) -> Distribution:
        """How the times to first block are spread."""
        if self.loads:
            return Distribution.of_histograms([load.ttfb for load in self.loads])
        return Distribution.of([inf if s.ttfb is None else s.ttfb for s in self.samples])

    @cached_property
    def outcomes(self) -> Counter[str]:
        """How many downloads ended how."""
        found: Counter[str] = Counter()
        for sample in self.samples:
            if sample.load is not None:
                found.update(sample.load.outcomes)
            else:
                found[sample.outcome] += 1
        return found

    @property
    def slowest(self) -> int:
        """The number of the run with the latest first block; one that never has it before all."""
        return max(self.samples, key=lambda sample: (_latest(sample), -sample.run)).run


def _latest(sample: Sample) -> tuple[bool, float]:
    if sample.load is not None:
        found = sample.load.ttfb.quantile(0.99)
        return sample.load.outcome != "ok", inf if found is None else found
    return sample.outcome != "ok", inf if sample.ttfb is None else sample.ttfb


@dataclass(frozen=True)
class Case:
    """A scenario, or a point of an experiment, and what each strategy came to there.

    `values` are those of the axes. `tables` are the scenario as its file has it. `compared` is
    what `firstk compare` shows of it, None at a point. `replay` tells the command that makes a
    run of a strategy again.
    """

    name: str
    description: str
    values: Mapping[str, Any]
    tables: Mapping[str, Any]
    seed: int
    strategies: Sequence[Measured]
    replay: Callable[[str, int], str]
    scenario: Scenario | None
    compared: Compared | None = None

    @property
    def runs(self) -> int:
        """How many runs of each strategy there are."""
        return max((one.runs for one in self.strategies), default=0)

    @property
    def made_of(self) -> str:
        """What stands in small print below its pictures."""
        seeds = f"seed{'s' * (self.runs != 1)} {seed_range(self.seed, self.runs)}"
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        downloads = ""
        loads = (load for one in self.strategies for load in one.loads)
        if self.has_workload and (load := next(loads, None)) is not None:
            downloads = f" with {load.downloads} downloads in each"
        return f"{self.name}; {seeds}; {runs} of each strategy{downloads}; virtual time"

    @property
    def has_workload(self) -> bool:
        """Whether a run is many downloads."""
        return "workload" in self.tables

    @property
    def asks(self) -> bool:
        """Whether it has a first block to wait for, in any run."""
        return any(set(one.outcomes) != {"ok"} or one.distribution.came for one in self.strategies)


def case_of(compared: Compared) -> Case:
    """Return the case of a scenario that was run."""
    scenario = compared.scenario
    of_strategy = []
    first: Sequence[Sample] | None = None
    for summary in compared.summaries:
        samples = [_sample(result) for result in summary.results]
        single = summary.results[0] if summary.runs == 1 else None
        of_strategy.append(Measured(summary.strategy, samples, first, summary.bounds, single))
        first = first or samples
    return _scenario_case(scenario, of_strategy, compared)


def case_of_load(scenario: Scenario, summaries: Sequence[LoadSummary]) -> Case:
    """Return the case of a scenario with a workload that was run."""
    of_strategy = []
    first: Sequence[Sample] | None = None
    for summary in summaries:
        samples = [_load_sample(result) for result in summary.results]
        of_strategy.append(Measured(summary.strategy, samples, first))
        first = first or samples
    return _scenario_case(scenario, of_strategy, None)


def _scenario_case(
    scenario: Scenario, of_strategy: Sequence[Measured], compared: Compared | None
) -> Case:
    return Case(
        scenario.name,
        scenario.description,
        {},
        scenario.model_dump(mode="json", exclude_unset=True),
        scenario.seed,
        of_strategy,
        lambda strategy, run: replay(scenario, strategy, scenario.seed_of(run)),
        scenario,
        compared,
    )


def _sample(result: Result) -> Sample:
    known: list[Any] = [getattr(result, name, None) for name in Sample._fields]
    return Sample(*known)


def _load_sample(load: LoadResult) -> Sample:
    return Sample(
        run=load.run,
        outcome=load.outcome,
        located=None,
        ttfb=None,
        queries=None,
        reads=None,
        bytes_received=None,
        content_ok=load.content_ok,
        load=load,
    )


#: Works out the bounds of the first runs of a scenario, so many or fewer.
Bounds = Callable[[Scenario, int], Sequence[Bound]]


def cases_of(store: Store, bounds: Bounds) -> list[Case]:
    """Return a case for each point of a store; strategies that have no runs yet are not in it."""
    about, points = store.about, store.all_points()
    found = []
    for point, (_, values, expected_hash, tables) in enumerate(points):
        scenario = _scenario(store, tables | {"seed": about.seed}, expected_hash)
        samples = {s: store.samples(point, s) for s in about.strategies}
        limits: Sequence[Bound] = ()
        if scenario is not None and "workload" not in tables:
            limits = bounds(scenario, max(map(len, samples.values())))
        first = samples[about.strategies[0]]
        of_strategy = [
            Measured(strategy, of, first if of is not first else None, limits)
            for strategy, of in samples.items()
            if of
        ]
        at = dict(zip(about.axes, values, strict=True))
        words = ", ".join(f"{key} = {label(value)}" for key, value in at.items())
        found.append(
            Case(
                words or about.name,
                about.description if not words else "",
                at,
                tables,
                about.seed,
                of_strategy,
                _replayed(store.path.name, about.strategies, len(points), point),
                scenario,
            )
        )
    return found


def in_order(cases: Sequence[Case], axis: str) -> list[Case]:
    """Return cases in the order of the values of an axis, if those are numbers."""
    values = [case.values[axis] for case in cases]
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return list(cases)
    return sorted(cases, key=lambda case: float(case.values[axis]))


def _scenario(store: Store, tables: Mapping[str, Any], expected_hash: str) -> Scenario | None:
    """Return the scenario of a point; None if files that it needs are gone, or have changed."""
    try:
        found = validated(Scenario, str(store.path), NoLines(dict(tables)), store.path.parent)
    except ScenarioError:
        return None
    return found if scenario_hash(found) == expected_hash else None


def _replayed(
    name: str, strategies: Sequence[str], points: int, point: int
) -> Callable[[str, int], str]:
    """Return what tells how to run a row of a store again, in the folder in which it lies."""

    def command(strategy: str, run: int) -> str:
        row = first_row(points, len(strategies), point, run) + strategies.index(strategy)
        return f"firstk run --from {shell_word(name)} {row}"

    return command
