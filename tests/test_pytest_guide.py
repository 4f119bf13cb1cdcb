"""docs/pytest.md is correct: its files, written to an empty folder, do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_GUIDE = (_ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")

pytest_plugins = ["pytester"]

#: The files that it shows, in order, each with its path in the first line.
_FILES = re.findall(r"```\w+\n# ([\w/.-]+)\n(.*?)```", _GUIDE, re.DOTALL)


@pytest.mark.slow
def test_guide(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its project fails with the text that it shows; once corrected, it and its tests pass."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    shown = re.search(r"```text\n(.*?)```", _GUIDE, re.DOTALL)
    assert shown
    results = []
    for name, text in _FILES:
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if (pytester.path / "pyproject.toml").exists():  # from here on it says what pytest does
            results.append(pytester.runpytest_subprocess())

    defect, mended, own = results
    defect.assert_outcomes(failed=1)
    heading, *lines = shown[1].splitlines()
    said = [line for line in defect.outlines if line.strip("_ ") == heading.strip("_ ")]
    assert len(said) == 1
    start = defect.outlines.index(said[0]) + 1
    assert lines == defect.outlines[start : start + len(lines)]
    mended.assert_outcomes(passed=1)
    own.assert_outcomes(passed=4)


def test_options() -> None:
    """The guide mentions every option, ini key and property of the plugin."""
    plugin = (_ROOT / "firstk" / "harness" / "pytest_plugin.py").read_text(encoding="utf-8")
    names = re.findall(r'"(--firstk-\w+|firstk_\w+)"', plugin)
    names += re.findall(r'^            \("(\w+)", ', plugin, re.MULTILINE)

    assert {"--firstk-seed", "firstk_scenarios", "digest"} < set(names)
    shown = _GUIDE.replace("--firstk-downloader MODULE:CALLABLE", "--firstk-downloader`")
    told_by_their_options = {"firstk_seed", "firstk_runs", "firstk_isolation"}
    assert (
        set()
        == {name for name in names if not re.search(rf"`{name}[` ]", shown)} - told_by_their_options
    )


def test_links() -> None:
    """The targets of its links exist."""
    links = re.findall(r"\]\(([\w.]+)[^)]*\)", _GUIDE)

    assert links
    assert [link for link in links if not (_ROOT / "docs" / link).exists()] == []
