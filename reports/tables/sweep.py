"""What a sweep resulted in: a row for each point and strategy, made of the store alone.

A run that never has its first block, because it stalled, failed, crashed or was cut off, is
later than any that does. No quantile leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.harness.run import pooled
from firstk.harness.stats.estimates import (
    Interval,
    NotEnough,
    in_words,
    median_difference,
    percent,
    probability,
    quantile,
)
from firstk.harness.stats.figures import rounded
from firstk.harness.sweep.store import CRASHED, NO_NUMBERS, OVERLOADED, OneRun, Sample, Store
from firstk.reports.tables.rows import TableRow
from firstk.scenarios.experiment import Experiment, Precision, label

Estimate = Interval | NotEnough

#: The quantiles of the time to first block, by their names.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

#: What the columns of the table mean.
LEGEND = """\
ok: the probability that a download ends well
p50, p90, p99: the time within which 50, 90, 99 % of the downloads have their first block; \
one that never has it counts as later than all others. With a workload: of all downloads of all \
runs
against {first}: the median, over pairs of runs with one seed, of how much later the first \
block comes than with {first}; less than 0 is sooner. With a workload: of how much later the \
run's median is
requests, bytes: of a whole download, means over all downloads
under way, busy: with a workload, the number of downloads in progress, and the utilisation of \
the busiest resource; means over the runs
In parentheses: 95 % confidence intervals, which hold however often one looks and whenever one \
stops; ~ marks estimates from too few runs for one. Means of requests, bytes and downloads \
under way have none: the values have no upper limit, so none is valid for every distribution.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one strategy resulted in at one point. Times are in seconds.

    `against` is the median difference to the first strategy, None for that one itself;
    `requests` and `bytes` are None where no run has any: all crashed or were `overloaded`. Where a
    run has many downloads, `under_way` is how many there are at a time, and `busy` how much is in
    use of what is busiest.
    """

    point: int
    values: Mapping[str, Any]
    strategy: str
    runs: int
    ok: Estimate
    quantiles: Mapping[str, Estimate]
    against: Estimate | None
    requests: float | None
    bytes: float | None
    wrong: int
    crashed: int
    overloaded: int = 0
    under_way: float | None = None
    busy: float | None = None


def cells(experiment: Experiment, store: Store, runs: Sequence[int]) -> Iterator[Cell]:
    """Yield what came of each point, which has so many runs, and each strategy."""
    for number, point in enumerate(experiment.points):
        first: Sequence[Sample] | None = None
        for strategy in experiment.strategies:
            loads = point.scenario.workload is not None
            samples = store.samples(number, strategy, runs[number])
            yield cell(number, point.values, strategy, samples, first, loads=loads)
            first = first or samples


def cell(
    point: int,
    values: Mapping[str, Any],
    strategy: str,
    samples: Sequence[OneRun],
    first: Sequence[OneRun] | None,
    *,
    loads: bool,
) -> Cell:
    """Return what came of runs, of many downloads each if `loads` says so; there is one at least.

    `first` are the same runs of the first strategy, None for that one itself.
    """
    make = partial(
        Cell,
        point=point,
        values=values,
        strategy=strategy,
        runs=len(samples),
        quantiles={name: quantile_of(samples, q) for name, q in QUANTILES.items()},
        wrong=sum(sample.content_ok is False for sample in samples),
        crashed=sum(sample.outcome == CRASHED for sample in samples),
        overloaded=sum(sample.outcome == OVERLOADED for sample in samples),
    )
    if not loads:
        there = [sample for sample in samples if sample.outcome not in NO_NUMBERS]
        times = [sample.ttfb for sample in samples]
        return make(
            ok=probability(sum(sample.outcome == "ok" for sample in samples), len(samples)),
            against=median_difference([s.ttfb for s in first], times) if first else None,
            requests=_mean([(s.queries or 0) + (s.reads or 0) for s in there]),
            bytes=_mean([s.bytes_received or 0 for s in there]),
        )
    loads_of = [sample.load for sample in samples if sample.load is not None]
    medians = [_median(sample) for sample in samples]
    return make(
        ok=pooled.share([sample.load for sample in samples], lambda load: load.part_ok),
        against=median_difference(map(_median, first), medians) if first else None,
        requests=_mean([load.requests for load in loads_of]),
        bytes=_mean([load.bytes_received for load in loads_of]),
        under_way=_mean([n for load in loads_of if (n := load.in_system) is not None]),
        busy=_mean([load.utilisation for load in loads_of if load.utilisation is not None]),
    )


def _median(sample: OneRun) -> float | None:
    """Return the median of the times to first block in a run of many downloads."""
    return None if sample.load is None else sample.load.ttfb.quantile(0.5)


def _mean(numbers: Sequence[float]) -> float | None:
    return fmean(numbers) if numbers else None


def enough(precision: Precision) -> Callable[[Mapping[str, Sequence[Sample]]], bool]:
    """Return what tells whether the runs of each strategy of a point are enough.

    They are if the interval of the quantile is narrow enough for all of them, or it is known to
    be infinite since the grid cannot carry the load.
    """

    def is_enough(samples: Mapping[str, Sequence[Sample]]) -> bool:
        return all(
            any(sample.outcome == OVERLOADED for sample in of_one)
            or quantile_of(of_one, precision.quantile).relative_half_width <= precision.relative
            for of_one in samples.values()
        )

    return is_enough


def quantile_of(samples: Sequence[OneRun], q: float) -> Estimate:
    """Return a quantile of the times to first block: of all downloads of all runs."""
    if any(sample.load for sample in samples):
        return pooled.quantile([sample.load for sample in samples], q)
    return quantile([sample.ttfb for sample in samples], q)


def rows(found: Sequence[Cell]) -> list[TableRow]:
    """Return a row for each cell; what is for reading has no column that says nothing."""
    against = f"against {found[0].strategy}"
    loads = any(cell.under_way is not None for cell in found)
    says = {
        against: any(cell.against for cell in found),
        "under way": loads,
        "busy": loads,
        "crashed": any(cell.crashed for cell in found),
        "overloaded": any(cell.overloaded for cell in found),
    }
    made = []
    for cell in found:
        words = _words(cell, against)
        shown = {name: word for name, word in words.items() if says.get(name, True)}
        made.append(TableRow(cell.point, cell.values, shown, _numbers(cell)))
    return made


#: Where a table has the intervals, from the widest table to the narrowest.
Intervals = Literal["beside", "below", "nowhere"]

#: What the narrowest table leaves out beside the intervals.
LEFT_OUT = ("runs", "p90", "bytes")


def table(of: Sequence[TableRow], axes: Sequence[str], intervals: Intervals = "beside") -> Table:
    """Return the table for reading, its intervals beside or below the estimates, or without."""
    shown = list(of[0].words)
    if intervals == "nowhere":
        empty = {"-", ""}
        shown = [n for n in shown if n not in LEFT_OUT and {row.words[n] for row in of} - empty]
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in axes:
        # A key folds at its dots where room is short.
        head = name if intervals == "beside" else name.replace(".", ".\n")
        made.add_column(head, overflow="fold", min_width=9)
    for name in shown:
        made.add_column(name if intervals == "beside" else name.replace(" ", "\n"), no_wrap=True)
    before = None
    for row in of:
        values = [label(value) if row.point != before else "" for value in row.values.values()]
        before = row.point
        last = row.words["strategy"] == of[-1].words["strategy"]
        words = (_placed(row.words[name], intervals) for name in shown)
        made.add_row(*map(Text, (*values, *words)), end_section=last)
    return made


def _placed(words: str, intervals: Intervals) -> str:
    """Return an estimate with its interval, in parentheses, where it should be."""
    if intervals == "beside":
        return words
    return words.replace(" (", "\n(") if intervals == "below" else words.partition(" (")[0]


def _words(cell: Cell, against: str) -> dict[str, str]:
    """Return what stands in a row for reading; `against` is the name of one of its columns."""
    return {
        "strategy": cell.strategy,
        "runs": str(cell.runs),
        "ok": in_words(cell.ok, percent),
        **{name: in_words(estimate) for name, estimate in cell.quantiles.items()},
        against: "" if cell.against is None else in_words(cell.against),
        "requests": "-" if cell.requests is None else f"{cell.requests:.1f}",
        "bytes": "-" if cell.bytes is None else f"{cell.bytes:.0f}",
        "under way": "-" if cell.under_way is None else f"{cell.under_way:.3g}",
        "busy": "-" if cell.busy is None else percent(cell.busy),
        "crashed": str(cell.crashed),
        "overloaded": str(cell.overloaded),
    }


def _numbers(cell: Cell) -> dict[str, str | int | float | None]:
    """Return what stands in a row for programs: of an estimate three, its value and its ends."""
    row: dict[str, str | int | float | None] = {"strategy": cell.strategy, "runs": cell.runs}
    estimates = {"ok": cell.ok, **cell.quantiles, "against_first": cell.against}
    for name, estimate in estimates.items():
        low, high = (
            (estimate.low, estimate.high) if isinstance(estimate, Interval) else (None, None)
        )
        row |= {
            name: None if estimate is None else rounded(estimate.estimate),
            f"{name}_low": rounded(low),
            f"{name}_high": rounded(high),
        }
    return row | {
        "requests": rounded(cell.requests),
        "bytes": rounded(cell.bytes),
        "wrong_bytes": cell.wrong,
        "crashed": cell.crashed,
        "overloaded": cell.overloaded,
        "under_way": rounded(cell.under_way),
        "busy": rounded(cell.busy),
    }
