"""docs/python.md is correct: its tests pass, and it covers the whole interface."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from firstk.harness.testing.simgrid import RunningDownload, ServerGroup, SimGrid

_ROOT = Path(__file__).parent.parent
_GUIDE = (_ROOT / "docs" / "python.md").read_text(encoding="utf-8")

pytest_plugins = ["pytester"]


def test_guide(pytester: pytest.Pytester) -> None:
    """Each of its examples is a test that passes."""
    blocks = re.findall(r"```python\n(.*?)```", _GUIDE, re.DOTALL)
    pytester.makepyfile("\n\n".join(blocks))

    outcomes = pytester.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes()

    assert {"passed": len(re.findall(r"^def test_", _GUIDE, re.MULTILINE))} == outcomes
    assert outcomes["passed"] >= 4


@pytest.mark.parametrize("kind", [SimGrid, ServerGroup, RunningDownload])
def test_names(kind: type) -> None:
    """The guide mentions every method and attribute for users."""
    names = [name for name in vars(kind) if not name.startswith("_")]
    rest = {"names", "runs", "reactor", "scenario", "file", "close"}  # for rare uses

    assert names
    assert [n for n in names if n not in rest and not re.search(rf"\.{n}\b", _GUIDE)] == []


def test_links() -> None:
    """The targets of its links exist."""
    links = re.findall(r"\]\(([\w.]+)[^)]*\)", _GUIDE)

    assert links
    assert [link for link in links if not (_ROOT / "docs" / link).exists()] == []
