"""The commands of the guide to real servers."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from firstk.downloader.http import parse_servers
from tests.harness.command_line import process
from tests.harness.making import ROOT, needs_live

_GUIDE = (ROOT / "docs" / "live.md").read_text("utf-8")


@needs_live
@pytest.mark.slow
def test_live(tmp_path: Path) -> None:
    """The scenario of the guide has the same outcomes in both worlds, and its pictures."""
    command, *_ = re.findall(r"^    firstk (live .*)$", _GUIDE, re.MULTILINE)
    ran = process(*shlex.split(command), "--runs", "2", cwd=tmp_path, capture_output=True)

    assert ran.returncode in (0, 1), ran.stderr
    assert "near" in ran.stdout
    assert [line for line in ran.stderr.splitlines() if "in the simulation, " in line] == []
    assert len(list((tmp_path / "pictures").iterdir())) == 4


def test_servers() -> None:
    """The list of servers in the guide can be parsed."""
    (text,) = re.findall(r"```text\n(# the grid.*?)```", _GUIDE, re.DOTALL)

    assert list(parse_servers(text)) == ["alice", "192.0.2.7:34400"]
