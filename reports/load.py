"""What loads on a grid came to: tables for reading, and JSON and CSV for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.histogram import Histogram
from harness.load_result import TIMES, LoadResult
from harness.result import Outcome
from reports.statistics import Interval, NotEnough, mean_or_never, percent
from reports.summary import seconds
from scenarios.workload import tells

#: The quantiles that are told.
QUANTILES = (0.5, 0.9, 0.99, 0.999)

OUTCOMES: tuple[Outcome, ...] = ("ok", "failed", "stalled", "deadline")

#: What the columns of the table mean.
LEGEND = """\
Times to first block are quantiles of all downloads that count, from the start of each; one that
never has it is later than all others. A quantile is told where ten downloads lie beyond it. Of
several runs each number is the mean, and in brackets its 95 % interval, from run to run.
busy: how much of what is busiest is in use - places to work, an uplink, the client's downlink
"""

#: A number of a load; None where there is none.
Measure = Callable[[LoadResult], float | None]


@dataclass(frozen=True)
class LoadSummary:
    """The runs of one strategy with one workload, in their order."""

    results: Sequence[LoadResult]

    @property
    def strategy(self) -> str:
        """The strategy."""
        return self.results[0].strategy

    def estimate(self, measure: Measure) -> Interval | NotEnough | None:
        """Return the mean of a number over the runs; None if some run has no such number.

        Runs are independent of one another, downloads in one run are not: the interval is that
        of the mean of so many runs. Where a run has infinity all of it is infinite.
        """
        values = [measure(result) for result in self.results]
        found = [value for value in values if value is not None]
        return mean_or_never(found) if len(found) == len(values) else None


def quantile(q: float, times: str = "ttfb") -> Measure:
    """Return what measures a quantile of the times, in seconds; infinity is never."""

    def measure(result: LoadResult) -> float | None:
        return told_quantile(getattr(result, times), q)

    return measure


def told_quantile(times: Histogram, q: float) -> float | None:
    """Return a quantile, if there are enough downloads to tell of it."""
    return times.quantile(q) if tells(times.count, q) else None


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
        cells = [
            summary.strategy,
            str(sum(result.downloads for result in summary.results)),
            _told(summary.estimate(lambda result: result.part_ok), percent),
            *(_told(summary.estimate(quantile(q)), seconds) for q in QUANTILES),
            _told(summary.estimate(lambda result: result.requests), _number),
            _told(summary.estimate(lambda result: result.bytes_received), _number),
            _told(summary.estimate(lambda result: result.in_system), _number),
            _told(summary.estimate(lambda result: result.utilisation), percent),
        ]
        table.add_row(*map(Text, cells))
    return table


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
    quantiles = {_name(q): told_quantile(times, q) for q in QUANTILES}
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


def _told(estimate: Interval | NotEnough | None, say: Callable[[float], str]) -> str:
    if estimate is None:
        return "-"
    if isinstance(estimate, NotEnough):  # of one run
        return "-" if estimate.estimate is None else say(estimate.estimate)
    return estimate.words(say)


def _number(number: float) -> str:
    return f"{number:.3g}" if number < 1000 else f"{number:.0f}"
