"""The cases of a report: a scenario that was run, or a point of a sweep, with its strategies.

Runs of scenarios and rows of a store are converted to the same form, so that every table, picture
and sentence of a report is made in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firstk.harness.run.bound import Bound
from firstk.harness.run.comparison import Compared, replay
from firstk.harness.run.sample import Sample
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.run.workload_result import WorkloadResult
from firstk.harness.sweep.rows import first_row
from firstk.harness.sweep.store import Store
from firstk.reports.model.axis_names import axis_name
from firstk.reports.model.workload import WorkloadSummary
from firstk.scenarios.experiment import label
from firstk.scenarios.hashing import scenario_hash
from firstk.scenarios.load import NoPositions, ScenarioError, validated
from firstk.scenarios.model import Scenario
from firstk.scenarios.seeds import seed_range
from firstk.scenarios.text import shell_word


@dataclass(frozen=True)
class Case:
    """A scenario, or a point of an experiment, with the runs of each strategy.

    `values` are those of the axes. `tables` are the tables of the scenario's file. `compared` is
    the comparison by `firstk compare`; it is None at a point. `replay` returns the command that
    repeats a run of a strategy.
    """

    name: str
    description: str
    values: Mapping[str, Any]
    tables: Mapping[str, Any]
    seed: int
    strategies: Sequence[StrategyRuns]
    replay: Callable[[str, int], str]
    scenario: Scenario | None
    compared: Compared | None = None

    @property
    def runs(self) -> int:
        """The number of runs of each strategy."""
        return max((one.runs for one in self.strategies), default=0)

    @property
    def made_of(self) -> str:
        """The small print below its pictures."""
        counts = {one.runs for one in self.strategies} or {0}
        least, most = min(counts), max(counts)
        if least < most:
            runs = f"{least} to {most} runs of a strategy, from seed {self.seed}"
        else:
            seeds = f"seed{'s' * (most != 1)} {seed_range(self.seed, most)}"
            runs = f"{seeds}; {most} run{'s' * (most != 1)} of each strategy"
        downloads = ""
        loads = (load for one in self.strategies for load in one.loads)
        if self.has_workload and (load := next(loads, None)) is not None:
            downloads = f" with {load.downloads} downloads in each"
        return f"{self.name}; {runs}{downloads}; virtual time"

    @property
    def has_workload(self) -> bool:
        """Whether each run consists of many downloads."""
        return "workload" in self.tables

    @property
    def asks(self) -> bool:
        """Whether it has a first byte to wait for, in any run."""
        return any(set(one.outcomes) != {"ok"} or one.distribution.came for one in self.strategies)


def case_of(compared: Compared) -> Case:
    """Return the case for a scenario that was run."""
    return _scenario_case(compared.scenario, compared.strategies, compared)


def case_of_load(scenario: Scenario, summaries: Sequence[WorkloadSummary]) -> Case:
    """Return the case for a scenario with a workload that was run."""
    of_strategy = []
    first: Sequence[Sample] | None = None
    for summary in summaries:
        samples = [_load_sample(result) for result in summary.results]
        of_strategy.append(StrategyRuns(summary.strategy, samples, first))
        first = first or samples
    return _scenario_case(scenario, of_strategy, None)


def _scenario_case(
    scenario: Scenario, of_strategy: Sequence[StrategyRuns], compared: Compared | None
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


def _load_sample(load: WorkloadResult) -> Sample:
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


#: Returns the bounds of the first runs of a scenario, at most this many.
Bounds = Callable[[Scenario, int], Sequence[Bound]]


def cases_of(store: Store, bounds: Bounds) -> list[Case]:
    """Return a case for each point of a store, without strategies that have no runs yet."""
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
            StrategyRuns(strategy, of, first if of is not first else None, limits)
            for strategy, of in samples.items()
            if of
        ]
        at = dict(zip(about.axes, values, strict=True))
        words = ", ".join(f"{axis_name(key, scenario)} = {label(v)}" for key, v in at.items())
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
    """Return cases ordered by their values on an axis, if those are numbers."""
    values = [case.values[axis] for case in cases]
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return list(cases)
    return sorted(cases, key=lambda case: float(case.values[axis]))


def _scenario(store: Store, tables: Mapping[str, Any], expected_hash: str) -> Scenario | None:
    """Return the scenario of a point; None if files that it needs are missing or have changed."""
    try:
        found = validated(Scenario, str(store.path), NoPositions(dict(tables)), store.path.parent)
    except ScenarioError:
        return None
    return found if scenario_hash(found) == expected_hash else None


def _replayed(
    name: str, strategies: Sequence[str], points: int, point: int
) -> Callable[[str, int], str]:
    """Return a function that returns the command that repeats a row of a store."""

    def command(strategy: str, run: int) -> str:
        row = first_row(points, len(strategies), point, run) + strategies.index(strategy)
        return f"firstk run --from {shell_word(name)} {row}"

    return command
