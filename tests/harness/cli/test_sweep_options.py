"""Progress of sweeps and plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstk.harness.cli.sweep_options import resumable, sweep_progress
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Progress


def test_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal, the progress shows the count, the remaining time and what went wrong."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    clock = iter([100.0, 110.0])
    monkeypatch.setattr("firstk.harness.cli.sweep_options.monotonic", lambda: next(clock))
    with sweep_progress() as tell:
        tell(Progress(done=60, kept=50, total=3660, crashed=2, replaced=3))
    shown = capsys.readouterr().err

    assert "60/3660" in shown
    assert "about 1:00:00 left, 3 workers replaced, 2 runs crashed" in shown


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, nothing is shown."""
    with sweep_progress() as tell:
        tell(Progress(done=1, total=2))

    assert capsys.readouterr() == ("", "")


def test_resumable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control-C prints what is kept, and is raised again."""
    with (
        Store(tmp_path / "s", write=True) as store,
        pytest.raises(KeyboardInterrupt),
        resumable(store),
    ):
        raise KeyboardInterrupt

    kept = f"0 runs are kept in {tmp_path / 's'}; run the same command again to resume\n"
    assert ("", kept) == capsys.readouterr()
