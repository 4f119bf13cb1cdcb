"""Runs of a scenario in several worlds, in turns."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from firstk.harness.live.measured import with_measured_times
from firstk.harness.live.processes import Keeper
from firstk.harness.live.run import LiveScenario
from firstk.harness.live.worlds import LIVE, SIMULATED, InWorlds, Pair, WorldsCompared
from firstk.harness.run.simulate import Run, simulate
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
    A real run in which nothing happens for `quiet` seconds longer than in a simulation with the
    scenario's own times has stalled. Raises `LiveError`.
    """
    live = LiveScenario(reactor, keeper, scenario, limit)
    found = [InWorlds(strategy) for strategy in scenario.strategies]
    for number in range(scenario.runs):
        for one in found:
            doing(f"run {number + 1} of {scenario.runs} with {one.strategy}")
            expected = simulate(scenario, one.strategy, number)
            real = await live.play(one.strategy, number, quiet + _longest_pause(expected))
            simulated = with_measured_times(real).model_copy(update={"deadline": limit})
            runs = {SIMULATED: simulate(simulated, one.strategy, number), LIVE: real}
            one.pairs.append(Pair(runs))
    return WorldsCompared(scenario, [SIMULATED, LIVE], found)


def _longest_pause(run: Run) -> float:
    """Return the longest time in which nothing happened in a run that went on."""
    times = [0.0, *(event.time for event in run.trace.events)]
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)
