"""Rows are written as CSV, JSON and Markdown without loss."""

from __future__ import annotations

import csv
import io
import json
from math import inf

from firstk.reports.tables.rows import TableRow, as_csv, as_json, as_markdown, markdown

ROWS = [
    TableRow(
        point=0,
        values={"k": 3, "fault": {"kind": "hung"}},
        words={"strategy": "first-k", "ok": "100%"},
        numbers={"strategy": "first-k", "p50": 0.25, "p99": None},
    ),
    TableRow(
        point=1,
        values={"k": 5, "fault": {"kind": "slow"}},
        words={"strategy": "a|b", "ok": "-"},
        numbers={"strategy": "a|b", "p50": inf, "p99": -inf},
    ),
]


def test_csv() -> None:
    """Values that are not numbers are text; unknown ones are empty."""
    heading, *lines = csv.reader(io.StringIO(as_csv(ROWS, ["k", "fault"])))

    assert heading == ["point", "k", "fault", "strategy", "p50", "p99"]
    assert [*lines[0][:2], *lines[0][3:]] == ["0", "3", "first-k", "0.25", ""]
    assert "hung" in lines[0][2]
    assert lines[1][3:] == ["a|b", "inf", "-inf"]


def test_json() -> None:
    """Values are unchanged; numbers that JSON does not have are strings."""
    first, second = json.loads(as_json(ROWS))

    assert first == {
        "point": 0,
        "values": {"k": 3, "fault": {"kind": "hung"}},
        "strategy": "first-k",
        "p50": 0.25,
        "p99": None,
    }
    assert (second["p50"], second["p99"]) == ("inf", "-inf")


def test_markdown() -> None:
    """Text in a table does not break its cells."""
    heading, rule, *lines = as_markdown(ROWS, ["k", "fault"]).splitlines()

    assert heading == "| k | fault | strategy | ok |"
    assert rule == "| --- | --- | --- | --- |"
    assert lines[0].endswith(" | first-k | 100% |")
    assert lines[1].endswith(" | a\\|b | - |")
    assert markdown([["a"], ["x|y"]]) == "| a |\n| --- |\n| x\\|y |\n"
