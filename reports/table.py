"""Tables for reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from downloader.strategy import STRATEGIES
from harness.result import Result
from reports.comparison import Compared, replay
from reports.summary import Summary, baseline_of, ratio


def comparison_table(compared: Iterable[Compared], with_replay: bool) -> Table:
    """Return the table of a comparison, a row a strategy; `with_replay`, a wide one."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("scenario", overflow="fold", min_width=10)
    table.add_column("strategy", no_wrap=True, min_width=max(map(len, STRATEGIES)))
    table.add_column("time to first block", min_width=20)
    table.add_column("sooner by", justify="right", no_wrap=True)
    table.add_column("seed", justify="right", no_wrap=True)
    if with_replay:
        table.add_column("replay", no_wrap=True)
    for one in compared:
        baseline = baseline_of(one.summaries)
        for i, summary in enumerate(one.summaries):
            seed = summary.results[0].seed
            cells = [
                Text(one.scenario.name if i == 0 else ""),
                Text(summary.strategy),
                _styled(summary),
                Text(ratio(summary, baseline)),
                Text(str(seed) if summary.runs == 1 else f"{seed} to {seed + summary.runs - 1}"),
            ]
            if with_replay:
                cells.append(Text(replay(one.scenario, summary.strategy, seed)))
            table.add_row(*cells, end_section=i == len(one.summaries) - 1)
    return table


def _styled(summary: Summary) -> Text:
    style = "" if all(r.outcome == "ok" for r in summary.results) else "bold"
    return Text(summary.verdict, style=style)


#: The columns of the table of runs, with what stands in them.
_RUN_COLUMNS = ("strategy", "run", "seed", "outcome", "located", "ttfb", "finished")


def runs_table(results: Sequence[Result]) -> Table:
    """Return a table of single runs, a row each."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in (*_RUN_COLUMNS, "requests", "bytes"):
        table.add_column(column, justify="left" if column in ("strategy", "outcome") else "right")
    for result in results:
        cells = [getattr(result, column) for column in _RUN_COLUMNS]
        cells += [result.requests, result.bytes_received]
        table.add_row(*(Text(_cell(cell)) for cell in cells))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "never"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
