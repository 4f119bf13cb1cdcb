"""The table of a page: a row for each strategy of each case, with intervals and commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

from firstk.harness.run.cells import Estimate
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.run.summary import verdict
from firstk.harness.stats.estimates import in_words
from firstk.harness.stats.formats import multiple, percent, seconds
from firstk.reports.model.axis_names import axis_name
from firstk.reports.model.cases import Case
from firstk.reports.model.plan import PlanResult
from firstk.reports.page import findings
from firstk.reports.tables import plan as plan_table
from firstk.reports.tables.workload import QUANTILES
from firstk.scenarios.experiment import label


@dataclass(frozen=True, slots=True)
class Value:
    """A cell of a table: its text, the text of its interval, and its sort key."""

    words: str
    interval: str = ""
    key: str = ""
    command: bool = False


#: The heading of a table, and its rows.
Table = tuple[list[str], list[list[Value]]]


def of_cases(cases: Sequence[Case], axes: Sequence[str] | None, *, many: bool) -> Table:
    """Return the table of some cases, without columns that say nothing.

    `axes` are those of an experiment; None if the cases are scenarios. With `many` the numbers are
    estimates from many runs.
    """
    make = _estimates if many else _single
    rows = []
    for case in cases:
        first = [Value(case.name)]
        if axes is not None:
            first = [Value(label(case.values[axis]), key=_key(case.values[axis])) for axis in axes]
        for one in case.strategies:
            rows.append((first, make(case, one)))
    of = cases[0].scenario if cases else None
    heading = ["scenario"] if axes is None else [axis_name(axis, of) for axis in axes]
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    none = Value("-")  # for columns of other scenarios

    def says(name: str) -> bool:
        return any(row.get(name, none).words not in ("-", "") for _, row in rows)

    said = [name for name in names if says(name)]
    cells = [[*first, *(row.get(name, none) for name in said)] for first, row in rows]
    return [*heading, *said], cells


def of_plan(plan: PlanResult, cases: Sequence[Case]) -> Table:
    """Return the table of a plan, whose points are these cases."""
    heading, *rows = plan_table.table_rows(plan.plan, plan.candidates)
    cells = []
    for one, row in zip(plan.candidates, rows, strict=True):
        again = Value("-")
        if one.decision is not None:
            case = cases[one.candidate.point]
            again = Value(case.replay(one.candidate.strategy, 0), command=True)
        cells.append([*map(_value, row), again])
    return [*heading, "first run again"], cells


def _value(words: str) -> Value:
    number, _, interval = words.partition(" (")
    return Value(number, interval.removesuffix(")"))


def _key(value: object) -> str:
    return f"{value!r}" if isinstance(value, int | float) else ""


def _single(case: Case, one: StrategyRuns) -> dict[str, Value]:
    """Return the cells of a single run."""
    sample = one.samples[0]
    came = findings.one_came_to(one) if one.single is None else verdict([one.single])
    time = inf if sample.ttfb is None else sample.ttfb
    over = one.ratios[0] if one.ratios else None
    return {
        "strategy": Value(one.strategy),
        "time to first byte": Value(came, key=repr(time)),
        "over the bound": Value("-" if over is None else multiple(over), key=repr(over)),
        "requests": _mean(one.requests),
        "bytes": _mean(one.bytes),
        "bytes saved by cancelling": _mean(one.saved),
        "run it again": Value(case.replay(one.strategy, sample.run), command=True),
    }


def _estimates(case: Case, one: StrategyRuns) -> dict[str, Value]:
    """Return the cells of many runs: estimates, with their intervals."""
    outcomes = ", ".join(f"{name} {count}" for name, count in sorted(one.outcomes.items()))
    sure = one.runs > 1 or bool(one.loads)  # a single run is an example, not an estimate
    row = {
        "strategy": Value(one.strategy),
        "runs": Value(str(one.runs), key=str(one.runs)),
        "outcomes": Value(outcomes),
        "start": _estimate(one.started if sure else None, percent),
        "end well": _estimate(one.cell.ok if sure else None, percent),
    }
    for q in QUANTILES:
        enough = q == QUANTILES[0] or (1 - q) * one.distribution.count >= 1 - 1e-9
        row[f"p{100 * q:g}"] = _estimate(one.quantile(q)) if enough else Value("-")
    against = case.strategies[0].strategy
    none = "-" if one.against is None else "never in either"
    row[f"vs {against}"] = _estimate(one.against, none=none)
    row["over the bound"] = _estimate(one.over_bound(0.5), multiple)
    row["requests"] = _mean(one.requests)
    row["bytes"] = _mean(one.bytes)
    row["bytes saved by cancelling"] = _mean(one.saved)
    if one.loads:
        row["under way"] = _mean(one.under_way)
        row["busy"] = _estimate(one.busy, percent)
    row["first run again"] = Value(case.replay(one.strategy, one.samples[0].run), command=True)
    row["slowest run again"] = Value(case.replay(one.strategy, one.slowest), command=True)
    return row


def _estimate(
    estimate: Estimate | None, say: Callable[[float], str] = seconds, none: str = "-"
) -> Value:
    if estimate is None or estimate.estimate is None:
        return Value(none)
    return replace(_value(in_words(estimate, say)), key=repr(estimate.estimate))


def _mean(number: float | None) -> Value:
    return Value(findings.count(number), key="" if number is None else repr(number))
