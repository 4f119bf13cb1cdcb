"""Sweeps and plans tell how far they are."""

from __future__ import annotations

import pytest

from harness.cli_sweeping import telling
from harness.sweep import Progress


def test_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal it is told how far it is, how long it will take, and what has gone wrong."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    clock = iter([100.0, 110.0])
    monkeypatch.setattr("harness.cli_sweeping.monotonic", lambda: next(clock))
    with telling() as tell:
        tell(Progress(done=60, kept=50, total=3660, crashed=2, replaced=3))
    shown = capsys.readouterr().err

    assert "60/3660" in shown
    assert "about 1:00:00 left, 3 workers replaced, 2 runs crashed" in shown


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal nothing is shown."""
    with telling() as tell:
        tell(Progress(done=1, total=2))

    assert ("", "") == capsys.readouterr()
