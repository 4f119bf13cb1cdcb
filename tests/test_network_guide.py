"""docs/network.md is correct: its files do what it says."""

from __future__ import annotations

import re

import pytest

from firstk.harness.net.host import Host
from firstk.harness.net.network import Network
from tests.harness.making import ROOT

_GUIDE = (ROOT / "docs" / "network.md").read_text(encoding="utf-8")

pytest_plugins = ["pytester"]

#: The files that it shows, in order, each with its path in the first line.
_FILES = re.findall(r"```python\n# ([\w.]+)\n(.*?)```", _GUIDE, re.DOTALL)

#: Names for authors of simulators, and names that are rarely useful.
_INTERNAL = {
    Network: {
        "env",
        "world",
        "processor",
        "known",
        "resolve",
        "send",
        "note",
        "simulated",
        "seed",
        "stalls",
        "between",
    },
    Host: {"arrives", "start_reactor", "stack", "address6", "since", "state"},
}


@pytest.mark.slow
def test_guide(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its test fails with the text that it shows, and passes with the corrected program."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    shown = re.findall(r"```text\n(.*?)```", _GUIDE, re.DOTALL)
    program, test, mended, other = _FILES
    for name, text in (program, test):
        (pytester.path / name).write_text(text)

    failing = pytester.runpytest_subprocess()
    (pytester.path / mended[0]).write_text(mended[1])
    (pytester.path / other[0]).write_text(other[1])
    passing = pytester.runpytest_subprocess()

    failing.assert_outcomes(failed=1)
    for text in shown:
        lines = [line.rstrip() for line in text.splitlines()]
        assert len(shown) == 2
        assert [line for line in lines if line not in failing.outlines] == []
    passing.assert_outcomes(passed=2)


@pytest.mark.parametrize("kind", [Network, Host])
def test_names(kind: type) -> None:
    """The guide mentions every method and attribute for users."""
    names = [n for n in vars(kind) if not n.startswith("_") and n not in _INTERNAL[kind]]

    assert names
    assert [name for name in names if not re.search(rf"\.{name}\b", _GUIDE)] == []


def test_links() -> None:
    """The targets of its links exist."""
    links = re.findall(r"\]\(([\w.]+)[^)]*\)", _GUIDE)

    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
