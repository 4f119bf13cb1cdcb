"""A comparison knows what was not as expected, and how each row is run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstk.harness.run.comparison import replay
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.scenarios.load import load_scenario
from tests.reports.samples import FAILED, OK, STALLED, compared, made, scenario, summary


def unmet(*summaries: StrategyRuns, **expect: Any) -> list[str]:
    """Return what is not as it is expected."""
    return made(summaries, expect={name.replace("_", "-"): e for name, e in expect.items()}).unmet


def test_replay() -> None:
    """A replay names the scenario as a command line does, the strategy and the seed."""
    assert replay(scenario(), "first-k", 17) == "firstk run t --strategy first-k --seed 17"


def test_replay_of_a_file(tmp_path: Path) -> None:
    """One that was read from a file is called by that."""
    path = tmp_path / "elsewhere.toml"
    path.write_text(
        'name = "t"\nfile = {size = 1, k = 1, n = 1}\n'
        'grid = {servers = 1, rtt = {law = "constant", value = 1}}\n'
    )

    assert f"firstk run {path} --strategy first-k --seed 0" == replay(
        load_scenario(path), "first-k", 0
    )


def test_met() -> None:
    """Nothing is told of what is as expected, or of which nothing is expected."""
    assert unmet(summary(OK), first_k={"outcome": "ok", "ttfb": 0.25}) == []
    assert unmet(summary(STALLED), wait_for_all={"outcome": "ok"}) == []
    assert unmet(summary(STALLED)) == []


def test_unmet() -> None:
    """Each run that is not as expected is told, with its seed and each of its reasons."""
    told = unmet(summary(OK, STALLED, FAILED), first_k={"outcome": "ok", "ttfb_max": 1.0})
    prefix = "firstk run t --strategy first-k --seed"

    assert [
        f"{prefix} 1: expected outcome 'ok', got 'stalled'",
        f"{prefix} 1: expected a first byte, but none came",
    ] == told[:2]
    assert told[2].startswith(f"{prefix} 2: expected outcome 'ok', got 'failed' (NotEnoughSh")
    assert len(told) == 4


def test_each_strategy_by_itself() -> None:
    """A strategy is held against what is expected of it, and of no other."""
    told = unmet(
        summary(STALLED, strategy="wait-for-all"),
        summary(STALLED, strategy="first-k"),
        wait_for_all={"outcome": "stalled"},
        first_k={"outcome": "ok"},
    )

    assert told == [
        "firstk run t --strategy first-k --seed 0: expected outcome 'ok', got 'stalled'"
    ]


def test_real_runs() -> None:
    """What real runs come to is as expected."""
    expect = {"first-k": {"ttfb": 0.25}, "wait-for-all": {"ttfb_max": 0.24}}
    one = compared(scenario(expect=expect))

    assert len(one.unmet) == 1
    assert one.unmet[0].startswith("firstk run t --strategy wait-for-all --seed 0: expected 0.24")
