"""Cases for pictures and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from firstk.harness.run.result import Result
from firstk.harness.run.workload import simulate_workload
from firstk.reports.model.cases import Case, case_of, case_of_load
from firstk.reports.model.workload import WorkloadSummary
from tests.reports.samples import STALLED, made, scenario, summary, took


def results(*times: float | None) -> list[Result]:
    """Return results with these times to first byte; None is a stall."""
    return [STALLED if time is None else took(time) for time in times]


def spread(first: float, count: int, never: int = 0) -> list[Result]:
    """Return `count` results, each a little later than the one before, and `never` stalls."""
    return results(*(first * (1 + i / count) for i in range(count)), *[None] * never)


def case(strategies: Mapping[str, Sequence[Result]], **values: Any) -> Case:
    """Return a case; with values of axes, it is a point of an experiment."""
    summaries = [summary(*of, strategy=name) for name, of in strategies.items()]
    runs = max(map(len, strategies.values()))
    found = case_of(made(summaries, runs=runs))
    words = ", ".join(f"{axis} = {value}" for axis, value in values.items())
    return replace(found, values=values, name=words or found.name, compared=None)


_QUEUEING = {
    "servers": 10,
    "rtt": {"law": "constant", "value": 0.05},
    "service": {"law": "constant", "value": 0.005},
    "concurrency": 1,
}


def loaded(rate: float, **strategies: float) -> Case:
    """Return a case of a workload at a load, given each strategy's utilisation."""
    arrivals = {"kind": "poisson", "rate": 20.0}
    workload = {"arrivals": arrivals, "downloads": 5}
    one = scenario(workload=workload, grid=_QUEUEING)
    result = simulate_workload(one, "first-k")
    summaries = [
        WorkloadSummary([replace(result, strategy=name, utilisation=of)])
        for name, of in strategies.items()
    ]
    return replace(case_of_load(one, summaries), values={"workload.arrivals.rate": rate})
