"""The table of `firstk compare` and `firstk run`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.downloader.strategy import STRATEGIES
from firstk.harness.run.bound import BOUND
from firstk.harness.run.comparison import Compared, replay
from firstk.harness.run.strategy_runs import StrategyRuns, baseline_of, ratio
from firstk.scenarios.seeds import seed_range

#: The columns of a comparison in addition to the results: everything that repeats a row, the seeds
#: of its runs, or nothing.
Extra = Literal["replay", "seed", "nothing"]

#: The meaning of the columns of a comparison.
LEGEND = f"""\
TTFB: time to first byte; with several runs the median and, in brackets, the range
speed-up: the TTFB of wait-for-all (or of the first strategy, if wait-for-all \
was not run) divided by this one's. With several runs, medians are compared; - if some runs had \
no first byte
over bound: the TTFB divided by {BOUND}. With several runs the median and, from \
100 runs on, the 99th percentile (p99)
requests, bytes: of the whole download, divided by the least that it can take; with several \
runs the mean
saved: bytes that were never sent, since the request was cancelled; with several runs the mean
In the columns over bound, requests and bytes, a run without a first byte, or without a good end, \
counts as ∞; runs in which no such download can succeed are left out, or shown as -.
"""


def comparison_table(compared: Iterable[Compared], extra: Extra) -> Table:
    """Return the table of a comparison, with a row per strategy."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("scenario", overflow="fold", min_width=10)
    table.add_column("strategy", no_wrap=True, min_width=max(map(len, STRATEGIES)))
    table.add_column("TTFB", min_width=15)
    gap = "\n" if extra == "nothing" else " "  # every character counts there
    table.add_column("speed-up" if gap == " " else "speed-\nup", justify="right", no_wrap=True)
    table.add_column(f"over{gap}bound", justify="right", min_width=6)
    table.add_column("requests", justify="right", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    compared = list(compared)
    saved = [one.saved for case in compared for one in case.strategies]
    cancels = extra != "nothing" and any(one is not None for one in saved)
    if cancels:
        table.add_column("saved", justify="right", no_wrap=True)
    if extra != "nothing":
        table.add_column("seed", justify="right", no_wrap=True)
    if extra == "replay":
        table.add_column("replay", no_wrap=True)
    for one in compared:
        baseline = baseline_of(one.strategies)
        for i, summary in enumerate(one.strategies):
            seed = summary.results[0].seed
            cells: list[str | Text] = [
                one.scenario.name if i == 0 else "",
                summary.strategy,
                _styled(summary),
                ratio(summary, baseline),
                str(summary.over_ttfb),
                summary.over_requests.mean,
                summary.over_bytes.mean,
            ]
            if cancels:
                cells.append("-" if summary.saved is None else f"{summary.saved:.0f}")
            if extra != "nothing":
                cells.append(seed_range(seed, summary.runs))
            if extra == "replay":
                cells.append(replay(one.scenario, summary.strategy, seed))
            rich = (Text(cell) if isinstance(cell, str) else cell for cell in cells)
            table.add_row(*rich, end_section=i == len(one.strategies) - 1)
    return table


def _styled(summary: StrategyRuns) -> Text:
    style = "" if all(r.outcome == "ok" for r in summary.results) else "bold"
    return Text(summary.verdict, style=style)


#: The columns of the table of runs, each with a function that returns its cell.
_RUN_COLUMNS = ("strategy", "run", "seed", "outcome", "located", "ttfb")

#: The columns that are times, in seconds.
_TIMES = ("located", "ttfb", "bound", "finished")


def runs_table(summaries: Sequence[StrategyRuns]) -> Table:
    """Return a table with a row per run."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    cancels = any(summary.saved is not None for summary in summaries)
    saved = ("cancelled", "bytes_saved") if cancels else ()
    for column in (*_RUN_COLUMNS, "bound", "finished", "requests", "bytes", *saved):
        head = f"{column}, s" if column in _TIMES else column.replace("_", " ")
        table.add_column(head, justify="left" if column in ("strategy", "outcome") else "right")
    for summary in summaries:
        for result, bound in zip(summary.results, summary.bounds, strict=True):
            cells = [getattr(result, column) for column in _RUN_COLUMNS]
            least = "-" if bound.ttfb is None and bound.requests is not None else bound.ttfb
            cells += [least, result.finished, result.requests, result.bytes_received]
            cells += [getattr(result, column) for column in saved]
            table.add_row(*(Text(_cell(cell)) for cell in cells))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "never"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
