"""The capacities that a sweep over the rate of arrivals shows, from the runs in its store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from firstk.harness.capacity.capacity import Capacity, Measured
from firstk.harness.capacity.steady import busy, judge, mean_of_runs, stability
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.reports.model.cases import Case

#: The axis whose values are rates.
RATE = "workload.arrivals.rate"


def capacities(cases: Sequence[Case], axes: Sequence[str]) -> list[Capacity]:
    """Return the capacity of each strategy, if the one axis of a sweep is the rate of arrivals.

    A rate is judged as in a search (see `firstk.harness.capacity`), but by the runs that there are.
    The list is empty for another sweep, and if there is only one run of each.
    """
    if list(axes) != [RATE]:
        return []
    of_each: dict[str, list[Measured]] = {}
    for case in sorted(cases, key=lambda case: float(case.values[RATE])):
        for one in case.strategies:
            of_each.setdefault(one.strategy, []).extend(_measured(case, one))
    return [_capacity(strategy, found) for strategy, found in of_each.items() if found]


def _measured(case: Case, one: StrategyRuns) -> Iterator[Measured]:
    loads = [sample.load for sample in one.samples]
    if len(loads) > 1 and case.scenario is not None:
        yield Measured(
            float(case.values[RATE]),
            [judge(stability(case.scenario), loads, 1)],
            mean_of_runs([busy(load) for load in loads]),
            len(loads),
            max((load.downloads for load in loads if load is not None), default=0),
        )


def _capacity(strategy: str, found: Sequence[Measured]) -> Capacity:
    high = min((one.rate for one in found if one.met is False), default=inf)
    low = max((one.rate for one in found if one.met and one.rate < high), default=0.0)
    return Capacity(strategy, low, high, None, found)
