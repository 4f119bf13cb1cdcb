"""The table of a scenario in several worlds."""

from __future__ import annotations

import json

from rich.console import Console

from firstk.reports.tables.live import as_json, table
from tests.harness.making import scenario
from tests.reports.worlds import in_worlds

_SCENARIO = scenario(grid={"rtt": {"law": "constant", "value": 0.05}})


def _text(**delays: list[float | None]) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table(in_worlds(_SCENARIO, **delays)))
    return " ".join(captured.get().split())


def test_times() -> None:
    """Each world has its median with an interval, and the difference is that of the medians."""
    text = _text(first_k=[0.05] * 10)

    assert "first-k 0.25 s 0.3 s +0.05 s (+20%) 0 of 10" in text


def test_few_runs() -> None:
    """Without enough runs for an interval, the median is marked."""
    assert "hedged ~ 0.1 s ~ 0.1 s +0 s (+0%) 2 of 2" in _text(hedged=[0.0, 0.0])


def test_stalls() -> None:
    """Runs with another outcome are counted."""
    text = _text(first_k=[None] * 10)

    assert "first-k 0.25 s 10 stalled ∞ 0 of 10" in text


def test_json() -> None:
    """As JSON each run has a row in each world."""
    rows = json.loads(as_json(in_worlds(_SCENARIO, first_k=[0.0, 0.5])))

    assert [(row["world"], row["run"]) for row in rows] == [
        ("simulated", 0),
        ("real servers", 0),
        ("simulated", 1),
        ("real servers", 1),
    ]
    assert rows[3]["ttfb"] == 0.75
