"""Unmet expectations are reported, and unwritable paths are refused early."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.harness.command_line import firstk, process, unmet


@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.usefixtures("no_pictures")
def test_unmet(command: str, tmp_path: Path) -> None:
    """An unmet expectation is reported with its replay command; the status is 1."""
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
    """With `--format json`, standard output has the results and nothing else."""
    result = firstk("run", unmet(tmp_path), "--format", "json")

    assert result.exit_code == 1
    assert len(json.loads(result.stdout)) == 2


def test_many_unmet(tmp_path: Path) -> None:
    """Of many unmet expectations, the first are listed and the rest are counted."""
    result = firstk("run", unmet(tmp_path), "--runs", "50")

    assert result.exit_code == 1
    assert result.stderr.count("not as expected: firstk run") == 20
    assert "and 30 more are not as expected" in result.stderr


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_unwritable_out(below: str, tmp_path: Path) -> None:
    """An unwritable folder is refused before anything runs."""
    (tmp_path / "file").write_text("in the way")
    result = firstk("compare", "one-hung", "--out", f"{tmp_path}/file{below}")

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{tmp_path}/file" in result.stderr
    assert "Traceback" not in result.stderr


def test_unwritable_trace(tmp_path: Path) -> None:
    """An unwritable trace is refused before anything runs."""
    (tmp_path / "file").write_text("in the way")
    result = firstk("run", "one-hung", "--trace", tmp_path / "file" / "t", "--format", "json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"cannot write {tmp_path}/file/t: Not a directory" in result.stderr


_LOSES = """
from twisted.internet.defer import fail

from firstk.downloader import download


def lose(reactor, servers, cap, consumer):
    fail(ValueError("lost"))
    return download(reactor, servers, cap, consumer)
"""


def test_no_log(tmp_path: Path) -> None:
    """An error that a downloader loses is a failure of the run, and is printed only as such."""
    (tmp_path / "loses.py").write_text(_LOSES)
    options = "--downloader", "loses:lose"
    result = process("run", "one-hung", *options, cwd=tmp_path, stdout=PIPE, stderr=PIPE)

    assert "loses:lose, seed 0: ValueError: lost" in result.stdout
    assert "Unhandled error in Deferred" not in result.stderr
    assert "Traceback" not in result.stderr
