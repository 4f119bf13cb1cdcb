"""Output can be written in any encoding."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firstk.harness.cli.encoding import spelled
from tests.harness.command_line import process

#: One encoding stands for all in each run of the tests.
SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "encoding",
    ["cp1252", *(pytest.param(e, marks=SLOW) for e in ("latin-1", "ascii", "cp437", "utf-8"))],
)
def test_compare(encoding: str, tmp_path: Path) -> None:
    """A table with ∞ and × is printed in every encoding, with aligned columns."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = process(
        "compare", "one-hung", "--save", tmp_path / "b.json", env=environment, encoding=encoding,
        capture_output=True,
    )  # fmt: skip
    header, *rows = (line for line in done.stdout.splitlines() if "hung" in line or "over" in line)
    ratio = next(row for row in rows if "wait-for-all" in row)

    assert done.returncode == 0
    assert ratio[: header.index("over bound") + 10].endswith(("∞", "inf"))
    assert encoding == "utf-8" or "?" not in done.stdout


@pytest.mark.slow
def test_c_locale(tmp_path: Path) -> None:
    """It is also printed in the C locale."""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONIOENCODING"} | locale
    save = ("--save", tmp_path / "b.json")
    done = process("compare", "one-hung", *save, env=environment, capture_output=True)

    assert done.returncode == 0
    assert " inf " in done.stdout


def test_spelled() -> None:
    """A longer replacement uses up padding, and nothing else."""
    assert spelled("|     ∞ | 2 × |a∞|", "ascii") == "|   inf | 2 x |ainf|"
    assert spelled("|     ∞ |", "utf-8") == "|     ∞ |"
