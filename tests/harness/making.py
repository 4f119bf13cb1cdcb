"""Helpers for the tests of `harness`: small scenarios, and other Python processes."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from firstk.scenarios.model import Scenario

ROOT = Path(__file__).parents[2]

#: Marks the tests of Tahoe-LAFS's own downloader.
needs_tahoe = pytest.mark.skipif(
    find_spec("allmydata") is None,
    reason="Tahoe-LAFS is not installed: pip install 'firstk[tahoe]', or nox -s tahoe",
)

#: Marks the tests that start real servers.
needs_live = pytest.mark.skipif(
    find_spec("allmydata") is None or not hasattr(os, "fork"),
    reason="real servers take a POSIX system and Tahoe-LAFS: nox -s live",
)


def scenario(*servers: dict[str, Any], **changes: Any) -> Scenario:
    """Return a scenario: ten good servers half a second away, and a file of 56 bytes.

    `servers` are its `[[servers]]`. In `changes`, `file` and `grid` change some keys of
    these tables; the others are keys of the scenario.
    """
    tables = {
        "name": "test",
        **changes,
        "file": {"size": 56, "k": 3, "n": 10} | changes.get("file", {}),
        "grid": {"servers": 10, "rtt": constant(0.5)} | changes.get("grid", {}),
        "servers": list(servers),
    }
    return Scenario.model_validate(tables)


def constant(value: float) -> dict[str, Any]:
    """Return the table of a constant latency law."""
    return {"law": "constant", "value": value}


def exponential(mean: float = 1.0) -> dict[str, Any]:
    """Return the table of an exponential latency law."""
    return {"law": "exponential", "mean": mean}


def hung(select: str, **keys: Any) -> dict[str, Any]:
    """Return an entry of `[[servers]]` that makes servers hang."""
    return {"select": select, "fault": {"kind": "hung", **keys}}


def run_python(code: str, **environment: str) -> str:
    """Run code in a new Python process in the project's folder, and return its output."""
    ran = subprocess.run(  # noqa: S603 - the code is a test's own
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
