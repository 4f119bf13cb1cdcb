"""The examples work: the tests of each one pass."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.harness.making import ROOT, needs_tahoe

pytest_plugins = ["pytester"]


@needs_tahoe
@pytest.mark.slow  # it starts twelve nodes, and each makes keys
def test_tahoe_nodes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example with whole nodes of Tahoe-LAFS, started by `tahoe run`, works."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    shutil.copytree(ROOT / "examples" / "tahoe-nodes", pytester.path / "tahoe-nodes")

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=pytester.path / "tahoe-nodes",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr
