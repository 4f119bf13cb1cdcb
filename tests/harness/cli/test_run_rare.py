"""`firstk run --rare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.command_line import firstk
from tests.harness.rare.test_rare import scenario


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a scenario whose servers hang with a probability."""
    monkeypatch.chdir(tmp_path)
    scenario(tmp_path)


def test_sentence() -> None:
    """The estimate is a sentence, followed by its basis."""
    ran = firstk("run", "rare.toml", "--rare", "hangs", "--runs", "60")

    assert ran.exit_code == 0
    assert ran.stdout.startswith("first-k hangs once in ")
    assert "Basis: " in ran.stdout
    assert "never with fewer than 3 of the random selections" in ran.stdout


def test_json() -> None:
    """JSON has the interval, and equal commands print equal bytes."""
    command = ("run", "rare.toml", "--rare", "ttfb > 0.5 s", "--runs", "60", "--format", "json")
    first, second = firstk(*command), firstk(*command)
    (told,) = json.loads(first.stdout)

    assert first.stdout == second.stdout
    assert told["event"] == "ttfb > 0.5 s"
    assert 0 <= told["low"] <= told["estimate"] <= told["high"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rare", "often"), 'should be "hangs"'),
        (("--rare", "hangs", "--runs", "9"), "needs 50 --runs or more, not 9"),
        (("--rare", "hangs", "--format", "csv"), "--format json"),
        (("--rare", "hangs", "--trace", "t.json"), "at none of them alone"),
    ],
)
def test_refused(options: tuple[str, ...], message: str) -> None:
    """Wrong events and conflicting options are refused, with the reason."""
    ran = firstk("run", "rare.toml", *options)

    assert ran.exit_code == 2
    assert message in ran.stderr


def test_nothing_random(tmp_path: Path) -> None:
    """A scenario without randomness is refused; the error names its file."""
    scenario(tmp_path, "{ probability = 0.02 }", "{ count = 1 }")
    ran = firstk("run", "rare.toml", "--rare", "hangs")

    assert ran.exit_code == 2
    assert ran.stderr.startswith("rare.toml: leaves nothing to chance")
