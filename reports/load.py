"""What loads on a grid resulted in: tables for reading, and JSON and CSV for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.histogram import Histogram
from harness.load_result import TIMES, LoadResult
from harness.result import Outcome
from reports import pooled
from reports.statistics import Interval, NotEnough, percent
from reports.summary import seconds
from reports.sweep_table import said

#: The quantiles that are told.
QUANTILES = (0.5, 0.9, 0.99, 0.999)

OUTCOMES: tuple[Outcome, ...] = ("ok", "failed", "stalled", "deadline")

#: What the columns of the table mean.
LEGEND = """\
Times to first block are quantiles of all downloads of all runs, from the start of each; one that
never has it is later than all others. A quantile is shown where ten downloads lie beyond it.
requests, bytes, under way: means, which have no interval that holds for every distribution
busy: how much of what is busiest is in use - places to work, an uplink, the client's downlink
Of several runs, in parentheses: where the true value lies, with 95 % confidence, however the
downloads of one run depend on one another; after ~ are too few runs to tell.
"""

#: A quantile of downloads is shown where so many of them lie beyond it.
_BEYOND = 10


@dataclass(frozen=True)
class LoadSummary:
    """The runs of one strategy with one workload, in their order."""

    results: Sequence[LoadResult]

    @property
    def strategy(self) -> str:
        """The strategy."""
        return self.results[0].strategy

    @property
    def downloads(self) -> int:
        """How many downloads count, in all runs."""
        return sum(result.downloads for result in self.results)

    def mean(self, of: Callable[[LoadResult], float]) -> float:
        """Return the mean of a number over the runs."""
        return fmean(map(of, self.results))


def _shows(downloads: int, q: float) -> bool:
    """Tell whether so many downloads are enough to show a quantile of their times."""
    return q <= 0.5 or downloads * (1 - q) >= _BEYOND - 1e-9


def load_table(summaries: Sequence[LoadSummary]) -> Table:
    """Return the table of loads, a row a strategy."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("strategy", no_wrap=True)
    table.add_column("downloads", justify="right", no_wrap=True)
    table.add_column("ok", justify="right")
    for q in QUANTILES:
        table.add_column(_name(q), justify="right")
    for name in ("requests", "bytes", "under way", "busy"):
        table.add_column(name, justify="right")
    for summary in summaries:
        ok = pooled.share(summary.results, lambda load: load.part_ok)
        cells = [
            summary.strategy,
            str(summary.downloads),
            _said(summary, ok, percent),
            *(_quantile(summary, q) for q in QUANTILES),
            _number(summary.mean(lambda result: result.requests)),
            _number(summary.mean(lambda result: result.bytes_received)),
            _number(summary.mean(lambda result: result.in_system)),
            _said(summary, pooled.busy(summary.results), percent),
        ]
        table.add_row(*map(Text, cells))
    return table


def _quantile(summary: LoadSummary, q: float) -> str:
    found = pooled.quantile(summary.results, q) if _shows(summary.downloads, q) else None
    return _said(summary, found, seconds)


def _said(
    summary: LoadSummary, estimate: Interval | NotEnough | None, say: Callable[[float], str]
) -> str:
    """Return an estimate for reading; one run is an example, and has no interval."""
    if estimate is None or estimate.estimate is None:
        return "-"
    if len(summary.results) == 1:
        return Interval(*[estimate.estimate] * 3).words(say)
    return said(estimate, say)


def problems(summaries: Sequence[LoadSummary]) -> Iterator[str]:
    """Yield how many downloads did not end well, and why, in words."""
    for summary in summaries:
        for outcome in OUTCOMES[1:]:
            count = sum(result.outcomes.get(outcome, 0) for result in summary.results)
            if count:
                yield f"{summary.strategy}: {count} downloads {_WORDS[outcome]}"
        errors: dict[str, int] = {}
        for result in summary.results:
            for error, count in result.errors.items():
                errors[error] = errors.get(error, 0) + count
        for error, count in sorted(errors.items()):
            yield f"{summary.strategy}: {error} {count} times"
        told = [result.message for result in summary.results if result.message]
        if told:
            yield f"{summary.strategy}: the first: {told[0].partition(chr(10))[0]}"


_WORDS = {
    "failed": "failed",
    "stalled": "stalled for ever",
    "deadline": "were still busy at the deadline",
}


def as_json(summaries: Sequence[LoadSummary]) -> str:
    """Return a JSON list, an object a run."""
    rows = [row(result) for summary in summaries for result in summary.results]
    return json.dumps(rows, indent=1) + "\n"


def as_csv(summaries: Sequence[LoadSummary]) -> str:
    """Return CSV with a header, a row a run."""
    rows = [_flat(row(result)) for summary in summaries for result in summary.results]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def row(result: LoadResult) -> dict[str, Any]:
    """Return the numbers of a run, by their names; a time that never came is None."""
    found: dict[str, Any] = {
        name: getattr(result, name) for name in ("scenario", "strategy", "run", "seed", "downloads")
    }
    found |= {"outcomes": {outcome: result.outcomes.get(outcome, 0) for outcome in OUTCOMES}}
    found |= {name: _numbers(getattr(result, name)) for name in TIMES}
    rest = (
        *("requests", "bytes_received", "span", "in_system", "utilisation"),
        *("content_ok", "errors", "message", "strays", "digest"),
    )
    return found | {name: getattr(result, name) for name in rest}


def _numbers(times: Histogram) -> dict[str, Any]:
    quantiles = {_name(q): times.quantile(q) if _shows(times.count, q) else None for q in QUANTILES}
    shown = {name: None if value == inf else value for name, value in quantiles.items()}
    return {"mean": times.mean, **shown, "never": times.never}


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in found.items():
        if key == "errors":
            flat[key] = " ".join(f"{name}={count}" for name, count in value.items())
        elif isinstance(value, dict):
            flat |= {f"{key}_{name}": of for name, of in value.items()}
        else:
            flat[key] = value
    return flat


def _name(q: float) -> str:
    return f"p{100 * q:.10g}"


def _number(number: float) -> str:
    return f"{number:.3g}" if number < 1000 else f"{number:.0f}"
