"""Tables of workloads, and their results as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from math import inf
from operator import attrgetter
from statistics import fmean
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.harness.run import pooled
from firstk.harness.run.result import Outcome
from firstk.harness.run.workload_result import TIMES, WorkloadResult
from firstk.harness.stats.estimates import Interval, NotEnough, in_words
from firstk.harness.stats.formats import percent, seconds
from firstk.harness.stats.histogram import Histogram
from firstk.reports.model.workload import WorkloadSummary

#: The quantiles that are shown.
QUANTILES = (0.5, 0.9, 0.99, 0.999)

OUTCOMES: tuple[Outcome, ...] = ("ok", "failed", "stalled", "deadline")

#: The meaning of the table's columns.
LEGEND = """\
p50, p90, p99, p99.9: quantiles of the time to first byte of all downloads of all runs, each \
from its own start; one that never has it is later than all others. A quantile is shown where \
ten downloads lie beyond it. With stop = "located": of the time until K distinct shares are \
known
requests, bytes, under way: means; no interval for them is valid for every distribution
busy: the utilisation of the busiest resource: places to work, an uplink, the client's downlink
In parentheses, of several runs: 95 % confidence intervals, which hold however the downloads of \
one run depend on one another; ~ marks estimates from too few runs for one.
"""

#: A quantile of downloads is shown if at least this many of them are beyond it.
_BEYOND = 10


def _shows(downloads: int, q: float) -> bool:
    """Return whether a number of downloads is enough to show a quantile of their times."""
    return q <= 0.5 or downloads * (1 - q) >= _BEYOND - 1e-9


def load_tables(
    summaries: Sequence[WorkloadSummary], times: Literal["ttfb", "located"]
) -> list[Table]:
    """Return the table of workloads, a row for each strategy, with quantiles of these times.

    The second table is narrower: its headings have more lines.
    """
    before = "" if times == "ttfb" else "located "
    rows = [
        {
            "strategy": summary.strategy,
            "downloads": str(summary.downloads),
            "ok": _said(
                summary, pooled.share(summary.results, lambda load: load.success_fraction), percent
            ),
            **{before + _name(q): _quantile(summary, q, times) for q in QUANTILES},
            "requests": _number(summary.mean(lambda result: result.requests)),
            "bytes": _number(summary.mean(lambda result: result.bytes_received)),
            "under way": _under_way(summary),
            "busy": _said(summary, pooled.busy(summary.results), percent),
        }
        for summary in summaries
    ]
    names = [name for name in rows[0] if any(row[name] != "-" for row in rows)]
    return [_table(rows, names, between) for between in (" ", "\n")]


def _table(rows: Sequence[dict[str, str]], names: Sequence[str], between: str) -> Table:
    """Return a table with these columns; `between` separates the words of a heading."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        justify: Literal["left", "right"] = "left" if name == "strategy" else "right"
        table.add_column(name.replace(" ", between), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[name]) for name in names))
    return table


def _under_way(summary: WorkloadSummary) -> str:
    known = [result.in_system for result in summary.results if result.in_system is not None]
    return _number(fmean(known)) if known else "-"


def _quantile(summary: WorkloadSummary, q: float, times: str) -> str:
    found = None
    if _shows(summary.downloads, q):
        found = pooled.quantile(summary.results, q, attrgetter(times))
    return _said(summary, found, seconds)


def _said(
    summary: WorkloadSummary, estimate: Interval | NotEnough | None, say: Callable[[float], str]
) -> str:
    """Return an estimate as text; a single run is an example, and has no interval."""
    if estimate is not None and estimate.estimate is not None and len(summary.results) == 1:
        return say(estimate.estimate)
    return in_words(estimate, say)


def problems(summaries: Sequence[WorkloadSummary]) -> Iterator[str]:
    """Yield a sentence for each way in which downloads did not succeed."""
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
        messages = [result.message for result in summary.results if result.message]
        if messages:
            yield f"{summary.strategy}: the first: {messages[0].partition(chr(10))[0]}"


_WORDS = {
    "failed": "failed",
    "stalled": "stalled forever",
    "deadline": "were still busy at the deadline",
}


def as_json(summaries: Sequence[WorkloadSummary]) -> str:
    """Return a JSON list with an object per run."""
    rows = [row(result) for summary in summaries for result in summary.results]
    return json.dumps(rows, indent=1) + "\n"


def as_csv(summaries: Sequence[WorkloadSummary]) -> str:
    """Return CSV with a header and a row per run."""
    rows = [_flat(row(result)) for summary in summaries for result in summary.results]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def row(result: WorkloadResult) -> dict[str, Any]:
    """Return the numbers of a run by name; a time that never came is None."""
    found: dict[str, Any] = {
        name: getattr(result, name) for name in ("scenario", "strategy", "run", "seed", "downloads")
    }
    found |= {"outcomes": {outcome: result.outcomes.get(outcome, 0) for outcome in OUTCOMES}}
    found |= {name: _numbers(getattr(result, name)) for name in TIMES}
    rest = (
        *("requests", "bytes_received", "span", "in_system", "piled_up", "utilisation"),
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
