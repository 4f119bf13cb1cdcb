"""Results for other programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

from firstk.harness.run.result import Result
from firstk.harness.run.strategy_runs import StrategyRuns

#: The columns of the bound of a run, next to its result.
_BOUND = ("bound", "minimum_requests", "minimum_bytes")


def as_json(summaries: Sequence[StrategyRuns]) -> str:
    """Return a JSON list with an object per run."""
    return json.dumps(list(_rows(summaries)), indent=1) + "\n"


def as_csv(summaries: Sequence[StrategyRuns]) -> str:
    """Return CSV with a header, one row per run; share numbers are separated by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(field.name for field in fields(Result)), *_BOUND])
    for row in _rows(summaries):
        cells = row.values()
        writer.writerow(" ".join(map(str, c)) if isinstance(c, list) else c for c in cells)
    return text.getvalue()


def _rows(summaries: Sequence[StrategyRuns]) -> Iterator[dict[str, Any]]:
    for summary in summaries:
        for result, bound in zip(summary.results, summary.bounds, strict=True):
            least = (bound.ttfb, bound.requests, bound.bytes)
            yield asdict(result) | dict(zip(_BOUND, least, strict=True))
