"""Runs of a scenario in several worlds, in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from firstk.harness.live.measured import times_of, with_times
from firstk.harness.live.processes import Keeper
from firstk.harness.live.run import LiveScenario
from firstk.harness.live.worlds import (
    LIVE,
    NETWORK,
    SIMULATED,
    InWorlds,
    Pair,
    WorldsCompared,
)
from firstk.harness.run.simulate import Run, simulate
from firstk.scenarios.model import Scenario
from firstk.scenarios.transport import OBJECTS


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
    scenario's own times has stalled.

    With `transport = "tahoe-https"` there is a third world: the same servers on a simulated
    network. Its packets take the times of requests on connections that are there already. The
    downloads make theirs first then, in both. Raises `LiveError`.
    """
    live = LiveScenario(reactor, keeper, scenario, limit)
    objects = scenario.with_transport(OBJECTS)
    worlds = [SIMULATED, LIVE] if live.is_warm else [SIMULATED, NETWORK, LIVE]
    found = [InWorlds(strategy) for strategy in scenario.strategies]
    for number in range(scenario.runs):
        for one in found:
            doing(f"run {number + 1} of {scenario.runs} with {one.strategy}")
            pause = quiet + _longest_pause(simulate(objects, one.strategy, number))
            link_times = {} if live.is_warm else await live.round_trips(number)
            real = await live.play(one.strategy, number, pause)
            simulated = {SIMULATED: with_times(objects, number, times_of(real))}
            if not live.is_warm:
                simulated[NETWORK] = with_times(scenario, number, link_times)
            runs = {LIVE: real}
            for world, given in simulated.items():
                cut = given.model_copy(update={"deadline": limit})
                runs[world] = _stalled(simulate(cut, one.strategy, number), pause)
            one.pairs.append(Pair(runs))
    return WorldsCompared(scenario, worlds, found)


def _longest_pause(run: Run) -> float:
    """Return the longest time in which nothing happened in a run that went on."""
    times = [0.0, *(event.time for event in run.trace.events)]
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def _stalled(run: Run, pause: float) -> Run:
    """Return a simulated run by the measure of a live one: a long silence is a stall.

    Tahoe-LAFS's client would give up a request after 60 s, which is later than a run is cut off.
    """
    last = max((event.time for event in run.trace.events), default=0.0)
    if run.result.outcome != "deadline" or run.scenario.deadline - last < pause:
        return run
    return replace(run, result=replace(run.result, outcome="stalled"))
