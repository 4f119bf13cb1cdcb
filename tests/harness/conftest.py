"""What holds for the tests of `harness`: there is no terminal but where a test wants one."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing in the environment make a terminal of what is none."""
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: the test is about something else."""
    monkeypatch.setattr("firstk.reports.plots.latency.draw", lambda compared, path, version: [path])
    monkeypatch.setattr("firstk.reports.plots.timeline.draw", lambda one, path, version: [path])
