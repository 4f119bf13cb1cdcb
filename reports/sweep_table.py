"""What a sweep came to: a row for each point and strategy, made of the store alone.

A run that never came to its first block, because it stalled, failed, crashed or was cut off, is
later than any that did. No quantile leaves it out.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from statistics import fmean
from typing import Any, Literal, get_args

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.store import CRASHED, Sample, Store
from reports.statistics import Interval, NotEnough, paired, percent, probability, quantile
from reports.summary import seconds
from scenarios.experiment import Experiment, Precision, label

Estimate = Interval | NotEnough

#: The quantiles of the time to first block, by their names.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

#: What the columns of the table mean.
LEGEND = """\
ok: how probable it is that the download ends well
p50, p90, p99: quantiles of the time to first block, by which 50, 90, 99 % of the runs have it; a
run that never has it is later than all others
against {first}: the median, over pairs of runs with one seed, of how much later the first block
comes than with {first}; less than 0 is sooner
requests, bytes: of the whole download, means over all runs
In parentheses: where the true value lies, with 95 % confidence; after ~ are too few runs to tell.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one strategy came to at one point. Times are in seconds.

    `against` is the median difference to the first strategy, None for that one itself;
    `requests` and `bytes` are None where all runs crashed.
    """

    point: int
    values: Mapping[str, Any]
    strategy: str
    runs: int
    ok: Interval
    quantiles: Mapping[str, Estimate]
    against: Estimate | None
    requests: float | None
    bytes: float | None
    wrong: int
    crashed: int


def cells(experiment: Experiment, store: Store, runs: Sequence[int]) -> Iterator[Cell]:
    """Yield what came of each point, which has so many runs, and each strategy."""
    for number, point in enumerate(experiment.points):
        first: list[float | None] | None = None
        for strategy in experiment.strategies:
            samples = store.samples(number, strategy, runs[number])
            times = [sample.ttfb for sample in samples]
            against = None if first is None else paired(first, times).median
            first = times if first is None else first
            yield _cell(number, point.values, strategy, samples, against)


def _cell(
    point: int,
    values: Mapping[str, Any],
    strategy: str,
    samples: Sequence[Sample],
    against: Estimate | None,
) -> Cell:
    there = [sample for sample in samples if sample.outcome != CRASHED]
    times = [sample.ttfb for sample in samples]
    return Cell(
        point=point,
        values=values,
        strategy=strategy,
        runs=len(samples),
        ok=probability(sum(sample.outcome == "ok" for sample in samples), len(samples)),
        quantiles={name: quantile(times, q) for name, q in QUANTILES.items()},
        against=against,
        requests=_mean([(s.queries or 0) + (s.reads or 0) for s in there]),
        bytes=_mean([s.bytes_received or 0 for s in there]),
        wrong=sum(sample.content_ok is False for sample in samples),
        crashed=len(samples) - len(there),
    )


def _mean(numbers: Sequence[int]) -> float | None:
    return fmean(numbers) if numbers else None


def enough(precision: Precision) -> Callable[[Mapping[str, Sequence[float]]], bool]:
    """Return what tells whether the times of each strategy of a point are enough.

    They are if the interval of the quantile is narrow enough for all of them.
    """

    def is_enough(times: Mapping[str, Sequence[float]]) -> bool:
        return all(
            quantile(of_one, precision.quantile).relative_half_width <= precision.relative
            for of_one in times.values()
        )

    return is_enough


#: Where a table has the intervals, from the widest table to the narrowest.
Intervals = Literal["beside", "below", "nowhere"]

#: What the narrowest table leaves out beside the intervals.
LEFT_OUT = "p90"


def table(found: Sequence[Cell], axes: Sequence[str], intervals: Intervals = "beside") -> Table:
    """Return the table for reading, its intervals beside or below the estimates, or without."""
    heading = _heading(found)
    shown = [i for i, name in enumerate(heading) if (name, intervals) != (LEFT_OUT, "nowhere")]
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in axes:
        made.add_column(name, overflow="fold", min_width=6)
    for i in shown:
        name = heading[i] if intervals == "beside" else heading[i].replace(" ", "\n")
        made.add_column(name, no_wrap=True)
    cells_before = None
    for cell in found:
        new = cell.point != cells_before
        cells_before = cell.point
        values = [label(value) if new else "" for value in cell.values.values()]
        last = cell.strategy == found[-1].strategy
        told = _words(cell, found)
        words = (_placed(told[i], intervals) for i in shown)
        made.add_row(*map(Text, (*values, *words)), end_section=last)
    return made


def _placed(words: str, intervals: Intervals) -> str:
    """Return an estimate with its interval, in parentheses, where it should be."""
    if intervals == "beside":
        return words
    return words.replace(" (", "\n(") if intervals == "below" else words.partition(" (")[0]


def fitting(
    found: Sequence[Cell], axes: Sequence[str], fits: Callable[[Table], bool]
) -> tuple[Table, Intervals]:
    """Return the first table that fits, or the narrowest, and where it has the intervals."""
    for intervals in get_args(Intervals):
        made = table(found, axes, intervals)
        if fits(made):
            break
    return made, intervals


def as_markdown(found: Sequence[Cell], axes: Sequence[str]) -> str:
    """Return the table as Markdown has it."""
    heading = [*axes, *_heading(found)]
    rows = [[*map(label, cell.values.values()), *_words(cell, found)] for cell in found]
    lines = [heading, ["---"] * len(heading), *rows]
    escaped = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {line} |\n" for line in escaped)


def _heading(found: Sequence[Cell]) -> list[str]:
    first = found[0].strategy
    others = [f"against {first}"] if any(cell.against for cell in found) else []
    return ["strategy", "runs", "ok", *QUANTILES, *others, "requests", "bytes"] + (
        ["crashed"] if any(cell.crashed for cell in found) else []
    )


def _words(cell: Cell, found: Sequence[Cell]) -> list[str]:
    """Return what stands in a row for reading, behind the axes' values."""
    words = [cell.strategy, str(cell.runs), cell.ok.words(percent)]
    words += [_said(estimate) for estimate in cell.quantiles.values()]
    if any(one.against for one in found):
        words.append("" if cell.against is None else _said(cell.against))
    words.append("-" if cell.requests is None else f"{cell.requests:.1f}")
    words.append("-" if cell.bytes is None else f"{cell.bytes:.0f}")
    if any(one.crashed for one in found):
        words.append(str(cell.crashed))
    return words


def _said(estimate: Estimate) -> str:
    if isinstance(estimate, Interval):
        return estimate.words(seconds)
    if estimate.estimate is None:
        return "-"
    # An interval of no width is told without its ends.
    return f"~ {Interval(*[estimate.estimate] * 3).words(seconds)}"


def as_csv(found: Sequence[Cell], axes: Sequence[str]) -> str:
    """Return CSV with a header: `inf` is never, and an empty cell is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(_numbers(found[0]))
    writer.writerow(["point", *axes, *names])
    for cell in found:
        values = (v if isinstance(v, int | float) else label(v) for v in cell.values.values())
        writer.writerow([cell.point, *values, *_numbers(cell).values()])
    return text.getvalue()


def as_json(found: Sequence[Cell]) -> str:
    """Return a JSON list, an object a row: "inf" is never, and null is not known."""
    rows = [
        {"point": cell.point, "values": cell.values}
        | {
            name: str(number) if isinstance(number, float) and isinf(number) else number
            for name, number in _numbers(cell).items()
        }
        for cell in found
    ]
    return json.dumps(rows, indent=1) + "\n"


def _numbers(cell: Cell) -> dict[str, str | int | float | None]:
    """Return what stands in a row, by column: of an estimate three, its value and its ends."""
    row: dict[str, str | int | float | None] = {"strategy": cell.strategy, "runs": cell.runs}
    estimates = {"ok": cell.ok, **cell.quantiles, "against_first": cell.against}
    for name, estimate in estimates.items():
        low, high = (
            (estimate.low, estimate.high) if isinstance(estimate, Interval) else (None, None)
        )
        row |= {
            name: None if estimate is None else _rounded(estimate.estimate),
            f"{name}_low": _rounded(low),
            f"{name}_high": _rounded(high),
        }
    return row | {
        "requests": _rounded(cell.requests),
        "bytes": _rounded(cell.bytes),
        "wrong_bytes": cell.wrong,
        "crashed": cell.crashed,
    }


def _rounded(number: float | None) -> float | None:
    """Return a number as all machines have it: they may differ in its last bits."""
    return None if number is None else float(f"{number:.9g}")
