"""`firstk mutate` reports which scenarios would notice a weaker fault or downloader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.command_line import firstk

TEXT = """\
name = "hung"
strategies = ["wait-for-all", "first-k"]
[file]
size = 100
k = 1
n = 2
[grid]
servers = 2
rtt = { law = "constant", value = 0.1 }
[[servers]]
select = "1"
fault = { kind = "hung" }
"""

EXPECT = """
[expect.wait-for-all]
outcome = "stalled"
[expect.first-k]
ttfb_max = 0.5
"""


def mutated(folder: Path, text: str, *more: str) -> tuple[int, dict[str, Any]]:
    """Return the exit status, and the result for one scenario."""
    file = folder / "hung.toml"
    file.write_text(text)
    ran = firstk("mutate", str(file), "--format", "json", *more)
    (row,) = json.loads(ran.stdout)
    return ran.exit_code, row


def test_noticed(tmp_path: Path) -> None:
    """Removing a hang is noticed, since one strategy is expected to stall."""
    status, row = mutated(tmp_path, TEXT + EXPECT)
    unnoticed = [one["mutant"] for one in row["unnoticed"]]

    assert status == 0
    assert row["noticed"] > 0
    assert "[[servers]] 1, hung: left out" not in unnoticed
    assert "[[servers]] 1, hung: answers reads" in unnoticed  # none is ever sent
    assert "first-k: locating_ends = 'all-answered' in place of 'k-distinct'" not in unnoticed


def test_fewer_expectations(tmp_path: Path) -> None:
    """The score falls with each deleted expectation; without any, nothing is noticed."""
    _, whole = mutated(tmp_path, TEXT + EXPECT)
    _, half = mutated(tmp_path, TEXT + EXPECT.partition("[expect.first-k]")[0])
    status, none = mutated(tmp_path, TEXT)

    assert whole["noticed"] > half["noticed"] > none["noticed"] == 0
    assert status == 1


def test_wrong_already(tmp_path: Path) -> None:
    """A scenario that does not meet its expectations is reported, and not mutated."""
    status, row = mutated(tmp_path, TEXT + EXPECT.replace("0.5", "0.01"))

    assert status == 1
    assert row["mutants"] == 0
    assert row["wrong"].startswith("first-k: expected 0.01 s or less")


def test_downloader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameters of another downloader are its policies: their defaults are mutated."""
    (tmp_path / "patient.py").write_text(
        "from firstk import download\n"
        "def fetch(reactor, servers, cap, consumer, *, hedge=True):\n"
        "    strategy = 'hedged' if hedge else 'wait-for-all'\n"
        "    return download(reactor, servers, cap, consumer, strategy=strategy)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    expect = '[expect.downloader]\noutcome = "ok"\n'
    _, row = mutated(tmp_path, TEXT + expect, "--downloader", "patient:fetch")
    _, hung = mutated(tmp_path, TEXT + "shares = []\n" + expect, "--downloader", "patient:fetch")
    unnoticed = [one["mutant"] for one in row["unnoticed"]]

    assert "patient:fetch: hedge = False in place of True" not in unnoticed
    assert row["mutants"] == hung["mutants"] > 1


def test_table(tmp_path: Path) -> None:
    """The table shows what went unnoticed and why, and which scenarios would notice nothing."""
    (tmp_path / "hung.toml").write_text(TEXT)
    ran = firstk("mutate", str(tmp_path / "hung.toml"), "three-good-seven-hung")

    assert ran.exit_code == 1
    assert "hung.toml: expects nothing of what runs" in ran.stdout
    assert "[[servers]] 1, hung: answers reads: nothing happens otherwise" in ran.stdout
    assert ran.stdout.endswith(f"These would never notice anything: {tmp_path / 'hung.toml'}\n")
