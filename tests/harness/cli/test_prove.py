"""`firstk prove` prints what it covered, and writes what it found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.harness.command_line import firstk, words

ONE = ["prove", "--servers", "2", "--k", "1", "--orders", "one"]


def test_sentence(tmp_path: Path) -> None:
    """A proof is one sentence that states exactly what was covered; exit status 0."""
    ran = firstk("prove", "--servers", "2", "--k", "1", "-s", "hedged", "--out", tmp_path)

    assert (ran.exit_code, list(tmp_path.iterdir())) == (0, [])
    assert re.fullmatch(
        r"25 placements x 2 orders, 0 violations: no placement of {good, hung, hung-read, broken,"
        r" corrupt} on 2 servers, K = 1, stops hedged, nor any of [1-9]\d+ late answers",
        words(ran.stdout),
    )


def test_json(tmp_path: Path) -> None:
    """JSON has an object per strategy; a counterexample makes exit status 1."""
    ran = firstk(*ONE, "-s", "hedged", "-s", "wait-for-all", "--format", "json", "--out", tmp_path)
    hedged, waiting = json.loads(ran.stdout)
    (file,) = tmp_path.glob("*.toml")

    assert ran.exit_code == 1
    assert (hedged["subject"], hedged["not_ok"], hedged["counterexample"]) == ("hedged", 0, None)
    assert (waiting["placements"], waiting["orders"], waiting["violations"]) == (25, 1, 0)
    assert (waiting["not_ok"], waiting["counterexample"]) == (3, str(file))


def test_replay(tmp_path: Path) -> None:
    """A counterexample is a scenario file, and `firstk run` reproduces it."""
    ran = firstk(*ONE, "-s", "windowed", "--out", tmp_path)
    (file,) = tmp_path.glob("*.toml")

    assert (ran.exit_code, firstk("run", file).exit_code) == (1, 1)
    assert f"stops windowed; the smallest counterexample: {file}" in ran.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--k", "5"], "should be 4 (--servers) or less"),
        (["--faults", "good,hang"], "no kind of server is called 'hang'"),
        (["--servers", "12"], "name fewer servers or faults, or --orders one"),
        (["--orders", "some"], "'some' is not one of 'all', 'one'"),
        (["-s", "hegded"], "did you mean 'hedged'"),
        (["--downloader", "nowhere"], "should be MODULE:CALLABLE"),
    ],
)
def test_usage(args: list[str], said: str) -> None:
    """Arguments that cannot be proven are refused, with a hint."""
    ran = firstk("prove", *args)

    assert ran.exit_code == 2
    assert said in words(ran.stderr)
