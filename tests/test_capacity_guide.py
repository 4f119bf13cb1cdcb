"""docs/capacity.md tells the truth: its files are written, and its commands run in their order."""

from __future__ import annotations

import re
import shlex
import sqlite3
from pathlib import Path

import pytest

from firstk.scenarios.experiment import ExperimentTable, Precision, Span
from firstk.scenarios.plan import PlanTable, Search, Target
from tests.harness.command_line import firstk
from tests.harness.making import ROOT

_GUIDE = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")

_FILES = re.findall(r"```toml\n# ([\w.-]+)\n(.*?)```", _GUIDE, re.DOTALL)

#: The commands, but for those of a cluster, which tests of their own run.
_COMMANDS = [
    command
    for command in re.findall(r"^    firstk (.*)$", _GUIDE, re.MULTILINE)
    if "tcp://" not in command
]

#: The downloader that it takes as one's own.
_OWN = "from firstk.downloader import download\n"


def test_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it shows is what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in _FILES:
        Path(name).write_text(text)
    Path("mypackage").mkdir()
    Path("mypackage/fetch.py").write_text(_OWN)
    printed = {}
    for command in _COMMANDS:
        if ".parquet" in command:
            pytest.importorskip("pyarrow")
        ran = firstk(*shlex.split(command))
        # What was saved of a store is reported beside it.
        expected = "hung.sqlite: 2000 rows saved, 0 skipped\n" if "--salvage" in command else ""
        assert (0, expected) == (ran.exit_code, ran.stderr), command
        printed[command] = ran.stdout

    assert len(printed) >= 8
    tables = [text for command, text in printed.items() if "markdown" in command]
    lines = [line for text in tables for line in text.splitlines() if line]
    shown = [line for line in _GUIDE.splitlines() if line.startswith("| ")]
    assert shown == [line for line in lines if line.startswith("| ")]
    prose = " ".join(_GUIDE.replace("\n> ", " ").split())
    assert [line for line in lines if not line.startswith("| ") and line not in prose] == []
    code = re.search(r"```python\n(.*?)```", _GUIDE, re.DOTALL)
    assert code
    exec(code[1], {"sqlite3": sqlite3})  # noqa: S102 - it is what is to be tried


def test_keys() -> None:
    """It names every key of experiments and of plans."""
    keys = {
        field.alias or key
        for table in (ExperimentTable, Precision, Span, PlanTable, Search, Target)
        for key, field in table.model_fields.items()
    }

    assert set() == {key for key in keys if not re.search(rf"\b{key}\b", _GUIDE)}
