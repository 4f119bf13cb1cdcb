"""Scenarios in several worlds, without real servers."""

from __future__ import annotations

from dataclasses import replace

from firstk.harness.live.worlds import LIVE, SIMULATED, InWorlds, Pair, WorldsCompared
from firstk.harness.run.finish import Run
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario


def later(run: Run, seconds: float | None) -> Run:
    """Return a run whose first byte came `seconds` later; None is a stall."""
    ttfb = run.result.ttfb
    if seconds is None or ttfb is None:
        changes = {"outcome": "stalled", "ttfb": None, "finished": None}
        return replace(run, result=replace(run.result, **changes))  # type: ignore[arg-type]
    return replace(run, result=replace(run.result, ttfb=ttfb + seconds))


def in_worlds(scenario: Scenario, **delays: list[float | None]) -> WorldsCompared:
    """Return a comparison, given the delay of each run of a strategy on real servers.

    In the names of strategies `_` stands for `-`.
    """
    found = []
    for name, later_by in delays.items():
        strategy = name.replace("_", "-")
        pairs = []
        for number, seconds in enumerate(later_by):
            run = simulate(scenario, strategy, number)
            pairs.append(Pair({SIMULATED: run, LIVE: later(run, seconds)}))
        found.append(InWorlds(strategy, pairs))
    runs = max(map(len, delays.values()))
    strategies = [one.strategy for one in found]
    whole = scenario.with_runs(strategies=strategies, runs=runs)
    return WorldsCompared(whole, [SIMULATED, LIVE], found)
