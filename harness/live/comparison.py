"""Runs of a scenario in several worlds, alternately."""

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
from firstk.harness.run.finish import Run
from firstk.harness.run.simulate import simulate
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
    """Run a scenario on real servers and in the simulation, alternately.

    A simulated run uses the round-trip times that were measured in the real run with its seed,
    because these grow with the number of servers that answer at once, and with the load of the
    machine. A real run has stalled if nothing happens for `quiet` seconds longer than in a
    simulation with the scenario's own times.

    With `transport = "tahoe-https"` there is a third world: the same servers on a simulated
    network. Its packets use the measured times of requests on established connections. The
    downloads in both worlds then have to set up their connections first. Raises `LiveError`.
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
    """Return the longest time without an event before the last event of a run."""
    times = [0.0, *(event.time for event in run.trace.events)]
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def _stalled(run: Run, pause: float) -> Run:
    """Return a simulated run by the criterion of live ones: a long silence is a stall.

    Tahoe-LAFS's client gives up a request only after 60 s, later than a live run is cut off.
    """
    last = max((event.time for event in run.trace.events), default=0.0)
    if run.result.outcome != "deadline" or run.scenario.deadline - last < pause:
        return run
    return replace(run, result=replace(run.result, outcome="stalled"))
