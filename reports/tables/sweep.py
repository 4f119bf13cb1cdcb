"""The results of a sweep: a row for each point and strategy, from the store alone.

A run without a first byte, because it stalled, failed, crashed or was cut off, counts as later
than any other. No quantile leaves it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.harness.run.cells import Cell
from firstk.harness.stats.estimates import Interval, difference_in_words, in_words
from firstk.harness.stats.figures import rounded
from firstk.harness.stats.formats import percent
from firstk.reports.tables.rows import TableRow
from firstk.scenarios.experiment import label

#: The meaning of the table's columns.
LEGEND = """\
ok: the probability that a download succeeds
p50, p90, p99: the time within which 50, 90, 99 % of the downloads have their first byte; \
one that never has it counts as later than all others. With a workload: of all downloads of all \
runs
vs {first}: the median, over pairs of runs with one seed, of how much later the first \
byte comes than with {first}; less than 0 is sooner. With a workload: of how much later the \
run's median is
requests, bytes: of a whole download, means over all downloads
saved: bytes that were never sent, since the request was cancelled; means over all downloads
under way, busy: with a workload, the number of downloads in progress, and the utilisation of \
the busiest resource; means over the runs
In parentheses: 95 % confidence intervals, which hold however often you look and whenever you \
stop; ~ marks estimates from too few runs for one. Means of requests, bytes and downloads \
under way have none: the values have no upper limit, so none is valid for every distribution.
"""


def rows(found: Sequence[Cell]) -> list[TableRow]:
    """Return a row for each cell; the words leave out columns that say nothing."""
    against = f"vs {found[0].strategy}"
    loads = any(cell.under_way is not None for cell in found)
    says = {
        against: any(cell.against for cell in found),
        "saved": any(cell.saved is not None for cell in found),
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


#: The places of the intervals, from the widest table to the narrowest.
Intervals = Literal["beside", "below", "nowhere"]

#: The columns that the narrowest table leaves out, besides the intervals.
LEFT_OUT = ("runs", "p90", "bytes", "saved")


def table(of: Sequence[TableRow], axes: Sequence[str], intervals: Intervals = "beside") -> Table:
    """Return the table, with intervals next to or below the estimates, or without them."""
    shown = list(of[0].words)
    if intervals == "nowhere":
        empty = {"-", ""}
        shown = [n for n in shown if n not in LEFT_OUT and {row.words[n] for row in of} - empty]
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in axes:
        # A key can be folded at its dots.
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
    """Return an estimate with its interval in parentheses, placed as requested."""
    if intervals == "beside":
        return words
    return words.replace(" (", "\n(") if intervals == "below" else words.partition(" (")[0]


def _words(cell: Cell, against: str) -> dict[str, str]:
    """Return the cells of a row as text; `against` is the name of one of its columns."""
    return {
        "strategy": cell.strategy,
        "runs": str(cell.runs),
        "ok": in_words(cell.ok, percent),
        **{name: in_words(estimate) for name, estimate in cell.quantiles.items()},
        against: "" if cell.against is None else difference_in_words(cell.against),
        "requests": "-" if cell.requests is None else f"{cell.requests:.1f}",
        "bytes": "-" if cell.bytes is None else f"{cell.bytes:.0f}",
        "saved": "-" if cell.saved is None else f"{cell.saved:.0f}",
        "under way": "-" if cell.under_way is None else f"{cell.under_way:.3g}",
        "busy": "-" if cell.busy is None else percent(cell.busy),
        "crashed": str(cell.crashed),
        "overloaded": str(cell.overloaded),
    }


def _numbers(cell: Cell) -> dict[str, str | int | float | None]:
    """Return the cells of a row for programs; an estimate has a value and two ends."""
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
        "bytes_saved": rounded(cell.saved),
        "busy": rounded(cell.busy),
    }
