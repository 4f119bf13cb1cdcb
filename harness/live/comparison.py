"""Runs of a scenario in several worlds, in turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from firstk.harness.live.measured import with_measured_times
from firstk.harness.live.processes import Keeper
from firstk.harness.live.run import LiveScenario
from firstk.harness.live.worlds import LIVE, SIMULATED, InWorlds, Pair, WorldsCompared
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario


async def compare_worlds(
    reactor: Any,
    keeper: Keeper,
    scenario: Scenario,
    limit: float,
    quiet: float,
    doing: Callable[[str], None] = lambda what: None,
) -> WorldsCompared:
    """Run a scenario on real servers and simulated, in turns.

    A simulated run has the round-trip times that were measured in the real one with its seed: the
    more servers answer at once, the longer each takes, and so it does when the machine is busy.
    Raises `LiveError`.
    """
    live = LiveScenario(reactor, keeper, scenario, limit, quiet)
    found = [InWorlds(strategy) for strategy in scenario.strategies]
    for number in range(scenario.runs):
        for one in found:
            doing(f"run {number + 1} of {scenario.runs} with {one.strategy}")
            real = await live.play(one.strategy, number)
            simulated = with_measured_times(real).model_copy(update={"deadline": limit})
            runs = {SIMULATED: simulate(simulated, one.strategy, number), LIVE: real}
            one.pairs.append(Pair(runs))
    return WorldsCompared(scenario, [SIMULATED, LIVE], found)
