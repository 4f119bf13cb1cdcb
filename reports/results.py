"""Results as they leave for other programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields

from harness.result import Result


def as_json(results: Sequence[Result]) -> str:
    """Return a JSON list, an object a run."""
    return json.dumps([asdict(result) for result in results], indent=1) + "\n"


def as_csv(results: Sequence[Result]) -> str:
    """Return CSV with a header, a row a run; share numbers are separated by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Result)]
    writer.writerow(names)
    for result in results:
        cells = [getattr(result, name) for name in names]
        writer.writerow(" ".join(map(str, c)) if isinstance(c, list) else c for c in cells)
    return text.getvalue()
