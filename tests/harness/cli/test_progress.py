"""Progress is shown on a terminal, and nowhere else."""

from __future__ import annotations

import pytest
from rich.progress import MofNCompleteColumn

from firstk.harness.cli.progress import bar, doing, each


def work() -> list[int]:
    """Do some work with each kind of progress display."""
    with bar(MofNCompleteColumn()) as shown:
        task = shown.add_task("", total=7)
        shown.advance(task)
    with doing("reading") as tell:
        tell("drawing")
    return list(each([1, 2, 3], "simulating"))


def test_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal, progress is shown on standard error."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")

    assert work() == [1, 2, 3]
    out, err = capsys.readouterr()
    assert out == ""
    for words in ("1/7", "drawing", "simulating"):
        assert words in err


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, nothing is shown, and the work is the same."""
    assert work() == [1, 2, 3]
    assert capsys.readouterr() == ("", "")
