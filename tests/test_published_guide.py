"""The guide to published numbers shows what `firstk reproduce` prints.

`python -m tests.test_published_guide FILE` replaces its tables, where FILE is the JSON of a run.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from firstk.harness.reproduce.numbers import Number, Paper, load_papers
from tests.harness.command_line import firstk
from tests.harness.experiments import Here
from tests.harness.making import ROOT
from tests.harness.reproduce.cases import exact_of

_GUIDE = ROOT / "docs" / "published.md"
_TEXT = _GUIDE.read_text(encoding="utf-8")
_HEADING = "## All numbers\n"

CASES = [(paper, number) for paper in load_papers() for number in paper.numbers]


def beginning(number: Number, exact: float) -> str:
    """Return the beginning of a case's row: the part that needs no simulation."""
    unit = f" {number.unit}".rstrip()
    digits = max(len(printed.partition(".")[2]) for printed in number.published)
    right = f"{exact:.{min(16, digits + 1)}f}{unit}"
    printed = ", ".join(number.published) + unit
    return f"| {number.case} | {number.where} | {printed} | {right} |"


@pytest.mark.parametrize(("paper", "number"), CASES, ids=lambda one: one.id)
def test_shown(paper: Paper, number: Number) -> None:
    """Each case is in the guide with its digits and its exact value."""
    assert beginning(number, exact_of(f"{paper.id}/{number.id}")) in _TEXT


def test_nothing_else() -> None:
    """The guide has as many rows as there are cases, and each misprint is explained."""
    rows = [line for line in _TEXT.partition(_HEADING)[2].splitlines() if line.startswith("| ")]
    heads = 2 * len(load_papers())
    explained = sum(number.misprint is not None for _, number in CASES)

    assert len(rows) - heads == len(CASES)
    assert sum(row.endswith("| explained |") for row in rows) == explained
    assert sum(row.endswith("| agrees |") for row in rows) == len(CASES) - explained


def test_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each command of the guide works, here with few runs and numbers."""

    def here(count: int | None) -> Callable[[], Here]:
        return Here

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("firstk.harness.cli.reproduce.processes", here)
    monkeypatch.setattr("firstk.harness.cli.sweep.processes", here)
    shown = re.findall(r"^    firstk (.*)$", _TEXT, re.MULTILINE)
    few = {
        "reproduce": "reproduce aktas-2017/3-of-10-after-1 --runs 9",
        "reproduce bailis-2012 storj-2018/4-of-8": "reproduce storj-2018/4-of-8 --runs 9",
        "sweep published/pbs-wan": "list",
    }

    assert shown == list(few)
    for command in few.values():
        result = firstk(*shlex.split(command))
        assert (result.exit_code, result.stderr) == (0, "")
    assert "published/pbs-wan" in result.stdout


def _tables(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the tables for the rows of a run."""
    found = {row["id"]: row for row in rows}
    for paper, of in groupby(CASES, key=lambda case: case[0]):
        yield f"\n### {paper.id}\n\n{paper.title}. Read in: {paper.source}. Sure: {paper.sure}.\n"
        yield "| case | where | published | exact | ours | verdict |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for _, number in of:
            row = found[f"{paper.id}/{number.id}"]
            unit = f" {number.unit}".rstrip()
            high = "never" if row["high"] is None else f"{row['high']:.4g}"
            ours = f"{row['ours']:.4g} ({row['low']:.4g} to {high}){unit}"
            ids = [f"{row['id']}-{place}" for place in range(2, len(number.published) + 1)]
            verdicts = [row["verdict"], *(found[other]["verdict"] for other in ids)]
            said = ", ".join(dict.fromkeys(verdicts))
            yield f"{beginning(number, row['exact'])} {ours} | {said} |"


if __name__ == "__main__":
    kept = _TEXT.partition("\n### ")[0].rstrip()
    made = "\n".join(_tables(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    _GUIDE.write_text(f"{kept}\n{made}\n", encoding="utf-8")
