"""The table of published numbers shows each with its verdict, and the reasons below it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from rich.console import Console

from firstk.harness.reproduce.comparison import Reproduced
from firstk.harness.reproduce.numbers import load_papers, published_numbers
from firstk.reports.tables.reproduce import as_csv, as_json, reasons, summary, table

NUMBERS = {one.id: one for one in published_numbers(load_papers())}

AGREES = Reproduced(NUMBERS["pbs-2012/ssd-r-1"], 1000, 0.65491, 0.661, 0.648, 0.671, "agrees", None)
SAME_CASE = replace(AGREES, published=NUMBERS["pbs-2012/ssd-r-1-3"])
EXPLAINED = Reproduced(
    NUMBERS["bailis-2012/hedge-latency"], 1000, 16.712, 16.3, 15.0, None, "explained", "a slip"
)
UNDECIDED = Reproduced(
    NUMBERS["storj-2018/2-of-4"], 10, 0.9963, 1.0, None, None, "undecided", "too few runs"
)
DIFFERS = replace(UNDECIDED, low=0.5, high=0.7, ours=0.6, verdict="differs", reason=None)
ALL = [AGREES, SAME_CASE, EXPLAINED, UNDECIDED, DIFFERS]


def lines(*found: Reproduced) -> list[str]:
    """Return the lines of the table, each with single spaces."""
    console = Console(width=300, file=io.StringIO())
    console.print(table(found))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_rows() -> None:
    """Exact values have one digit more than the published ones, and ours have an interval."""
    found = lines(*ALL)

    assert (
        "pbs-2012/ssd-r-1 LNKD-SSD: read 1 of 3 0.66 ms 0.655 ms 0.661 (0.648 to 0.671) ms agrees"
    ) in found
    assert "pbs-2012/ssd-r-1-3 0.65 ms 0.655 ms 0.661 (0.648 to 0.671) ms agrees" in found
    assert any(line.endswith("11.0 ms 16.71 ms 16.3 (15 to never) ms explained") for line in found)
    assert any(line.endswith("~ 1 undecided") for line in found)


def test_reasons() -> None:
    """Each number that does not simply agree has its reason; equal reasons are merged."""
    other = replace(EXPLAINED, published=NUMBERS["bailis-2012/1-of-1"])

    assert reasons([*ALL, other]) == [
        "bailis-2012/hedge-latency, bailis-2012/1-of-1: explained: a slip",
        "storj-2018/2-of-4: differs: no reason is known",
    ]


def test_summary() -> None:
    """The summary counts the verdicts."""
    assert summary(ALL) == ("5 numbers from 3 sources: 2 agree, 1 explained, 1 differ, 1 undecided")


def test_formats() -> None:
    """JSON and CSV have the same rows; unknown values are null or empty."""
    rows = json.loads(as_json(ALL))
    cells = list(csv.DictReader(io.StringIO(as_csv(ALL))))

    assert [row["id"] for row in rows] == [row["id"] for row in cells]
    assert (rows[2]["published"], rows[2]["printed"], rows[2]["high"]) == (11.0, "11.0", None)
    assert (cells[2]["published"], cells[2]["printed"], cells[2]["high"]) == ("11.0", "11.0", "")
