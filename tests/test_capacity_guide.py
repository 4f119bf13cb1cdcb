"""docs/capacity.md is correct: its files are written, and its commands run in order."""

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

#: The commands, except those of a cluster, which have their own tests.
_COMMANDS = [
    command
    for command in re.findall(r"^    firstk (.*)$", _GUIDE, re.MULTILINE)
    if "tcp://" not in command
]

#: The commands that take more than a second, and the lines in which they answer.
_LONG = ("run racks.toml",)
_ANSWER = re.compile(r"first-k hangs |  Basis: ")

#: The reader's own downloader.
_OWN = "from firstk.downloader import download\n"


@pytest.fixture
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to a folder that has the files of the guide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in _FILES:
        Path(name).write_text(text)
    Path("mypackage").mkdir()
    Path("mypackage/fetch.py").write_text(_OWN)


def printed(commands: list[str]) -> dict[str, str]:
    """Run commands in order; return the output of each."""
    found = {}
    for command in commands:
        if ".parquet" in command:
            pytest.importorskip("pyarrow")
        ran = firstk(*shlex.split(command))
        # Rows saved from a store are reported on standard error.
        expected = "hung.sqlite: 2000 rows saved, 0 skipped\n" if "--salvage" in command else ""
        assert (0, expected) == (ran.exit_code, ran.stderr), command
        found[command] = ran.stdout
    return found


def missing(commands: dict[str, str]) -> list[str]:
    """Return the lines of tables and sentences that the guide does not show."""
    tables = [text for command, text in commands.items() if "markdown" in command]
    prose = " ".join(_GUIDE.replace("\n> ", " ").split())
    shown = set(_GUIDE.splitlines())
    lines = [line for text in tables for line in text.splitlines() if line]
    return [one for one in lines if one not in (shown if one.startswith("| ") else prose)]


@pytest.mark.usefixtures("_folder")
def test_first_experiment() -> None:
    """The first sweep, and everything made from its store, prints what the guide shows."""
    found = printed([command for command in _COMMANDS if "hung." in command])

    assert len(found) >= 5
    assert missing(found) == []
    code = re.search(r"```python\n(.*?)```", _GUIDE, re.DOTALL)
    assert code
    exec(code[1], {"sqlite3": sqlite3})  # noqa: S102 - it is what is to be tried


@pytest.mark.usefixtures("_folder")
@pytest.mark.slow
def test_other_experiments() -> None:
    """The other sweeps print what the guide shows."""
    others = [c for c in _COMMANDS if "hung." not in c and not c.startswith(("plan ", *_LONG))]
    found = printed(others)

    assert len(found) >= 6
    assert missing(found) == []


@pytest.mark.slow
@pytest.mark.usefixtures("_folder")
def test_rare_events() -> None:
    """The estimates of rare events equal those in the guide."""
    found = printed([command for command in _COMMANDS if command.startswith(_LONG)])
    prose = " ".join(_GUIDE.replace("\n> ", " ").split())
    answers = [line for text in found.values() for line in text.splitlines() if _ANSWER.match(line)]

    assert len(answers) >= len(found) >= 1
    assert [line for line in answers if line.strip() not in prose] == []


@pytest.mark.usefixtures("_folder")
@pytest.mark.slow
def test_plan() -> None:
    """The plan prints what the guide shows."""
    found = printed([command for command in _COMMANDS if command.startswith("plan ")])

    assert len(found) == 1
    assert missing(found) == []


def test_every_table() -> None:
    """Every table in the guide has the heading of a table that a command prints."""
    headings = [
        line for line in _GUIDE.splitlines() if line.startswith("| ") and "strategy" in line
    ]

    assert len(headings) >= 3
    assert all("requests" in heading for heading in headings)


def test_keys() -> None:
    """The guide mentions every key of experiments and of plans."""
    keys = {
        field.alias or key
        for table in (ExperimentTable, Precision, Span, PlanTable, Search, Target)
        for key, field in table.model_fields.items()
    }

    assert set() == {key for key in keys if not re.search(rf"\b{key}\b", _GUIDE)}
