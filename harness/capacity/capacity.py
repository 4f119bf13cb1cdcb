"""The capacity of a grid: the greatest rate of downloads that it carries within a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from firstk.harness.capacity.runs import (
    LOOKS,
    RUNS,
    Alone,
    MakeRuns,
    jobs_at,
    lengths,
    measure_alone,
)
from firstk.harness.capacity.search import search
from firstk.harness.capacity.steady import (
    Criterion,
    Finding,
    busy,
    criterion_of,
    judge,
    mean_of_runs,
    stability,
)
from firstk.harness.stats.estimates import Interval
from firstk.scenarios.condition import Condition
from firstk.scenarios.model import Scenario
from firstk.scenarios.workload import MAX_RATE


@dataclass(frozen=True, slots=True)
class Measured:
    """What the runs at one rate show: each criterion, and how busy the busiest resource is.

    `downloads` count in each of `runs` runs.
    """

    rate: float
    findings: Sequence[Finding]
    busy: Interval
    runs: int
    downloads: int

    @property
    def met(self) -> bool | None:
        """Whether all criteria are met; None if the runs do not show it."""
        met = [finding.met for finding in self.findings]
        return False if False in met else None if None in met else True

    @property
    def missed(self) -> list[str]:
        """The names of the criteria that are missed."""
        return [finding.criterion.name for finding in self.findings if finding.met is False]


@dataclass(frozen=True, slots=True)
class Capacity:
    """The capacity with one strategy, in downloads per second.

    It is between `low`, the greatest rate that is known to meet all criteria (0 if there is none),
    and `high`, the smallest that is known to miss one (infinity if there is none). `measured` are
    the rates that were tried, in ascending order. `alone` is what one client alone measured, or
    None if no search was made.
    """

    strategy: str
    low: float
    high: float
    alone: Alone | None
    measured: Sequence[Measured]

    def at(self, rate: float) -> Measured | None:
        """Return what was measured at a rate; None if it was not tried."""
        return next((one for one in self.measured if one.rate == rate), None)

    @property
    def is_found(self) -> bool:
        """Whether both ends are known."""
        return self.low > 0 and self.high < inf


def find_capacity(
    scenario: Scenario,
    strategy: str,
    conditions: Sequence[Condition],
    make_runs: MakeRuns,
) -> Capacity:
    """Return the capacity of a scenario's grid with a strategy.

    The rate replaces that of the scenario's workload; a scenario without one gets Poisson arrivals.
    That the grid carries the load is always required, and each of `conditions` in addition. The
    runs at each rate have the scenario's seeds, so equal arguments give equal results. Raises
    `CapacityError` if the scenario has no capacity that can be found.
    """
    alone = measure_alone(scenario, strategy, make_runs)
    times: Literal["ttfb", "located"] = "located" if scenario.stop == "located" else "ttfb"
    others = [criterion_of(condition, times) for condition in conditions]
    measured: list[Measured] = []

    def probe(rate: float) -> bool | None:
        found = _measure(rate, scenario, strategy, others, alone, make_runs)
        measured.append(found)
        return found.met

    found = search(probe, alone.rate / 2, MAX_RATE)
    measured.sort(key=lambda one: one.rate)
    return Capacity(strategy, found.low, found.high, alone, measured)


def _measure(
    rate: float,
    scenario: Scenario,
    strategy: str,
    others: Sequence[Criterion],
    alone: Alone,
    make_runs: MakeRuns,
) -> Measured:
    """Return what ever longer runs at a rate show, until they show a verdict."""
    for downloads in lengths(rate, alone):
        jobs = jobs_at(rate, downloads, scenario, strategy, timed=bool(others))
        loads = make_runs(jobs)
        criteria = [stability(jobs[0].scenario), *others]
        found = Measured(
            rate,
            [judge(one, loads, LOOKS) for one in criteria],
            mean_of_runs([busy(load) for load in loads]),
            RUNS,
            downloads,
        )
        if found.met is not None:
            break
    return found
