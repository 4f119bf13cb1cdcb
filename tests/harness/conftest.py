"""Fixtures for the tests of `harness`: by default, there is no terminal."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove environment variables that make firstk treat its output as a terminal."""
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, because the test is about something else."""
    monkeypatch.setattr("firstk.reports.plots.latency.draw", lambda compared, path, version: [path])
    monkeypatch.setattr("firstk.reports.plots.timeline.draw", lambda one, path, version: [path])
