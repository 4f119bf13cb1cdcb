"""A baseline keeps the results of runs, and reports errors in its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firstk.reports.tables.baseline import Baseline, BaselineError, BaselineRow
from tests.reports.samples import FAILED, OK, STALLED, made, summary

ROW = json.loads(BaselineRow.of(OK).model_dump_json())


def baseline() -> Baseline:
    """Return the baseline of three strategies, one with two runs."""
    return Baseline.of(
        [made([summary(OK, STALLED, strategy="hedged"), summary(FAILED, strategy="first-k")])]
    )


def keep(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    path = folder / "b.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_row() -> None:
    """A row has the key of its run, the result and the cost."""
    assert ROW == {
        "scenario": "t",
        "strategy": "first-k",
        "seed": 0,
        "outcome": "ok",
        "error": None,
        "content_ok": True,
        "ttfb": 0.25,
        "finished": 0.25,
        "requests": 21,
        "bytes": 4117,
    }


def test_round_trip(tmp_path: Path) -> None:
    """A written baseline is read back unchanged."""
    read = Baseline.read(keep(tmp_path, baseline().as_text()))

    assert sorted(baseline().rows, key=lambda row: row.key) == read.rows
    assert baseline().as_text() == read.as_text()


def test_readable_in_a_diff() -> None:
    """There is one line per row, sorted, whatever the order of the runs."""
    text = baseline().as_text()
    backwards = Baseline(rows=baseline().rows[::-1]).as_text()
    rows = [json.loads(line.rstrip(",")) for line in text.splitlines() if "scenario" in line]

    assert text == backwards
    assert {"baseline_version": 1, "rows": rows} == json.loads(text)
    assert [(row["strategy"], row["seed"]) for row in rows] == [
        ("first-k", 0),
        ("hedged", 0),
        ("hedged", 1),
    ]


def test_named_twice() -> None:
    """A scenario that is given twice is in the baseline once."""
    one = made([summary(OK)])

    assert Baseline.of([one]) == Baseline.of([one, one])


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ([], "should be an object"),
        ({"rows": [], "more": 1}, "more: "),
        ({"baseline_version": 2, "rows": []}, "baseline_version: Input should be 1, not 2"),
        ({"baseline_version": 1}, "rows: Field required"),
        ({"rows": [ROW | {"outcome": "good"}]}, "rows.0.outcome: .* not 'good'"),
        ({"rows": [ROW, ROW | {"seed": -1}]}, "rows.1.seed: .* not -1"),
        ({"rows": [ROW | {"ttfb": "0.1"}]}, "rows.0.ttfb: .* not '0.1'"),
        ({"rows": [ROW, ROW]}, "two rows are t, first-k, seed 0"),
    ],
)
def test_bad(content: Any, wrong: str, tmp_path: Path) -> None:
    """An invalid baseline is refused, with the place, the error and a hint."""
    path = keep(tmp_path, json.dumps(content))

    with pytest.raises(BaselineError, match=f"^{path}: .*{wrong}.*`--save` writes it anew$"):
        Baseline.read(path)


def test_no_json(tmp_path: Path) -> None:
    """A file that is not JSON is refused, with the line."""
    path = keep(tmp_path, '{\n "rows": [\n')

    with pytest.raises(BaselineError, match=f"^{path}: Invalid JSON: .* at line 3"):
        Baseline.read(path)
