"""Rows about the points of an experiment, in formats for others: CSV, JSON, Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any

from firstk.scenarios.experiment import label


@dataclass(frozen=True, slots=True)
class TableRow:
    """The row of one strategy at one point, by column.

    `values` are those of the axes. `words` are for people, and `numbers` for programs: all rows
    of a table have the same columns of each.
    """

    point: int
    values: Mapping[str, Any]
    words: Mapping[str, str]
    numbers: Mapping[str, str | int | float | None]


def as_csv(rows: Sequence[TableRow], axes: Sequence[str]) -> str:
    """Return CSV with a header: `inf` is never or infinite, and an empty cell is unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["point", *axes, *rows[0].numbers])
    for row in rows:
        values = (v if isinstance(v, int | float) else label(v) for v in row.values.values())
        writer.writerow([row.point, *values, *row.numbers.values()])
    return text.getvalue()


def as_json(rows: Sequence[TableRow]) -> str:
    """Return a JSON list, one object per row: "inf" is never or infinite, and null is unknown."""
    objects = [
        {"point": row.point, "values": row.values}
        | {
            name: str(number) if isinstance(number, float) and isinf(number) else number
            for name, number in row.numbers.items()
        }
        for row in rows
    ]
    return json.dumps(objects, indent=1) + "\n"


def as_markdown(rows: Sequence[TableRow], axes: Sequence[str]) -> str:
    """Return the words as a Markdown table, with all values of the axes in every row."""
    heading = [*axes, *rows[0].words]
    return markdown([heading, *([*map(label, r.values.values()), *r.words.values()] for r in rows)])


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of words as a Markdown table, the first as the heading."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    escaped = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {line} |\n" for line in escaped)
