"""A comparison lists unmet expectations, and how to replay each row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstk.harness.run.comparison import replay
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.scenarios.load import load_scenario
from tests.reports.samples import FAILED, OK, STALLED, compared, made, scenario, summary


def unmet(*summaries: StrategyRuns, **expect: Any) -> list[str]:
    """Return the unmet expectations."""
    return made(summaries, expect={name.replace("_", "-"): e for name, e in expect.items()}).unmet


def test_replay() -> None:
    """A replay command has the scenario's name, the strategy and the seed."""
    assert replay(scenario(), "first-k", 17) == "firstk run t --strategy first-k --seed 17"


def test_replay_of_a_file(tmp_path: Path) -> None:
    """A scenario from a file is called by its path."""
    path = tmp_path / "elsewhere.toml"
    path.write_text(
        'name = "t"\nfile = {size = 1, k = 1, n = 1}\n'
        'grid = {servers = 1, rtt = {law = "constant", value = 1}}\n'
    )

    assert f"firstk run {path} --strategy first-k --seed 0" == replay(
        load_scenario(path), "first-k", 0
    )


def test_met() -> None:
    """Met expectations, and strategies without expectations, are not listed."""
    assert unmet(summary(OK), first_k={"outcome": "ok", "ttfb": 0.25}) == []
    assert unmet(summary(STALLED), wait_for_all={"outcome": "ok"}) == []
    assert unmet(summary(STALLED)) == []


def test_unmet() -> None:
    """Each run that does not meet its expectations is listed, with its seed and every reason."""
    told = unmet(summary(OK, STALLED, FAILED), first_k={"outcome": "ok", "ttfb_max": 1.0})
    prefix = "firstk run t --strategy first-k --seed"

    assert [
        f"{prefix} 1: expected outcome 'ok', got 'stalled'",
        f"{prefix} 1: expected a first byte, but none came",
    ] == told[:2]
    assert told[2].startswith(f"{prefix} 2: expected outcome 'ok', got 'failed' (NotEnoughSh")
    assert len(told) == 4


def test_each_strategy_by_itself() -> None:
    """Each strategy is compared only with its own expectations."""
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
    """Real runs are compared with their expectations."""
    expect = {"first-k": {"ttfb": 0.25}, "wait-for-all": {"ttfb_max": 0.24}}
    one = compared(scenario(expect=expect))

    assert len(one.unmet) == 1
    assert one.unmet[0].startswith("firstk run t --strategy wait-for-all --seed 0: expected 0.24")
