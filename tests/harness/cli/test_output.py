"""What was not as expected is told, and what cannot be written is found out in time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.command_line import firstk, unmet


@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.usefixtures("no_pictures")
def test_unmet(command: str, tmp_path: Path) -> None:
    """An expectation that is not met is told, with how to see it again; the status is 1."""
    path = unmet(tmp_path)
    options = ["--out", str(tmp_path)] if command == "compare" else []
    result = firstk(command, path, *options)

    assert result.exit_code == 1
    assert (
        f"not as expected: firstk run {path} --strategy first-k --seed 7:"
        " expected outcome 'stalled', got 'ok'\n"
    ) == result.stderr
    assert "first-k" in result.stdout


def test_unmet_json(tmp_path: Path) -> None:
    """The results are printed all the same, and nothing but them."""
    result = firstk("run", unmet(tmp_path), "--format", "json")

    assert result.exit_code == 1
    assert len(json.loads(result.stdout)) == 2


def test_many_unmet(tmp_path: Path) -> None:
    """Of very many the first are told, and how many more there are."""
    result = firstk("run", unmet(tmp_path), "--runs", "50")

    assert result.exit_code == 1
    assert result.stderr.count("not as expected: firstk run") == 20
    assert "and 30 more are not as expected" in result.stderr


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_unwritable_out(below: str, tmp_path: Path) -> None:
    """A folder that cannot be written is found out before the work is done."""
    (tmp_path / "file").write_text("in the way")
    result = firstk("compare", "one-hung", "--out", f"{tmp_path}/file{below}")

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{tmp_path}/file" in result.stderr
    assert "Traceback" not in result.stderr


def test_unwritable_trace(tmp_path: Path) -> None:
    """So it is with a trace, and before any work is done."""
    (tmp_path / "file").write_text("in the way")
    result = firstk("run", "one-hung", "--trace", tmp_path / "file" / "t", "--format", "json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"cannot write {tmp_path}/file/t: Not a directory" in result.stderr
