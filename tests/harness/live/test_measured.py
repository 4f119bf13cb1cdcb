"""Simulations with the times of a run on real servers."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from firstk.harness.live.measured import MeasuredTimes, Outstanding, times_of, with_times
from firstk.harness.run.finish import Run
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, hung, scenario


def _again(run: Run) -> Scenario:
    """Return the scenario of a run with the times that its requests took."""
    return with_times(run.scenario, run.result.run, times_of(run))


def _slower(run: Run, query: float, read: float) -> Run:
    """Return a run whose requests took these times."""
    for exchange in run.trace.exchanges:
        if exchange.ended is not None:
            took = query if exchange.operation == "get_buckets" else read
            exchange.ended = exchange.sent + took
    return run


def test_same_times() -> None:
    """A simulation with the measured times of a simulated run gives the same result."""
    one = scenario(grid={"rtt": constant(0.05)})
    run = simulate(one, "first-k")
    again = simulate(_again(run), "first-k")

    assert again.result.ttfb == pytest.approx(run.result.ttfb)


def test_queries_and_reads() -> None:
    """Queries and reads have separate times."""
    one = scenario(grid={"rtt": constant(0.05)})
    run = _slower(simulate(one, "first-k"), query=0.2, read=0.1)
    again = simulate(_again(run), "first-k")

    assert round(again.result.ttfb or 0, 6) == 0.6  # a query, and four reads in series


def test_servers_apart() -> None:
    """Each server has its own times, so that the same servers answer first."""
    law = {"law": "lognormal", "median": 0.05, "sigma": 1.0}
    for seed in range(5):
        run = simulate(scenario(seed=seed, grid={"rtt": law}), "first-k")
        again = simulate(_again(run), "first-k")

        assert again.result.located == run.result.located
        assert again.result.shares_used == run.result.shares_used


def test_laws_apart() -> None:
    """A server that hung gets the times of servers with the same law."""
    far = {"select": "5-9", "rtt": constant(1.0)}
    one = scenario(far, hung("0,9", end=2.0), grid={"rtt": constant(0.05)})
    run = simulate(one, "wait-for-all")
    again = simulate(_again(run), "wait-for-all")

    assert again.result.located == run.result.located == pytest.approx(2.5)


def test_faults_are_not_doubled() -> None:
    """A fault's delay is not part of the measured times: the simulation has that fault too."""
    slow = {"select": "0-1", "fault": {"kind": "slow", "extra": 0.5}}
    run = simulate(scenario(slow, hung("9"), grid={"rtt": constant(0.05)}), "first-k-late")
    again = simulate(_again(run), "first-k-late")

    assert again.result.ttfb == pytest.approx(run.result.ttfb)
    assert again.result.outcome == run.result.outcome


def test_nothing_measured() -> None:
    """If nothing was answered, the scenario's own times are kept."""
    run = simulate(scenario(hung("all")), "first-k")
    again = _again(run)

    assert again.servers == run.scenario.servers


def test_order() -> None:
    """The n-th request gets the n-th time; without one, it gets a random one."""
    law = MeasuredTimes([1.0], [2.0, None, 3.0])
    random = Random(0)
    drawn = [law.sample(random) for _ in range(20)]

    assert (drawn[:2], drawn[3]) == ([1.0, 2.0], 3.0)
    assert {drawn[2], *drawn[4:]} == {2.0, 3.0}
    assert replace(law).sample(random) == 1.0


def test_outstanding() -> None:
    """A request that was given up takes longer than its wait; no other request gets its time."""
    law = MeasuredTimes([1.0], [Outstanding(0.001), Outstanding(5.0), 2.0])
    drawn = [law.sample(Random(0)) for _ in range(9)]

    assert drawn == [1.0, 2.0, 10.0, *[2.0] * 6]
