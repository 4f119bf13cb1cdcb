"""Scenarios with an exact theory are recognised, and anything that would change it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firstk.harness.stats.theory import ForkJoin, Stage, covering, distinct
from firstk.harness.sweep.oracle import NoOracleError, refuse, theory_of
from firstk.scenarios.load import ScenarioError
from firstk.scenarios.model import Scenario
from tests.harness.experiments import experiment
from tests.harness.making import constant, exponential, hung, scenario
from tests.reference import first_of

LATE = {"kind": "hung", "start": 1.0}


def one(*servers: dict[str, Any], **changes: Any) -> Scenario:
    """Return a scenario of one download from ten servers with exponential round trips."""
    grid = {"rtt": exponential()} | changes.pop("grid", {})
    return scenario(*servers, grid=grid, **changes)


def drawn(select: dict[str, Any], **fault: Any) -> dict[str, Any]:
    """Return an entry of hung servers that are drawn by the seed."""
    return {"select": select, "fault": {"kind": "hung", **fault}}


def load(*servers: dict[str, Any], **changes: Any) -> Scenario:
    """Return a workload on ten servers that serve one request after another."""
    arrivals = {"kind": "poisson", "rate": 1.5}
    workload = {"arrivals": arrivals, "downloads": 10, "cancel": True}
    grid = {"rtt": constant(0.0), "service": exponential(2.0), "concurrency": 1}
    workload |= changes.pop("workload", {})
    grid |= changes.pop("grid", {})
    return scenario(*servers, grid=grid, workload=workload, **{"stop": "located", **changes})


def stage(of: Scenario, strategy: str = "first-k") -> Stage:
    """Return the theory of one download."""
    found = theory_of(of, strategy)
    assert isinstance(found, Stage)
    return found


@pytest.mark.parametrize("strategy", ["first-k", "first-k-late"])
def test_first_k(strategy: str) -> None:
    """First-K needs the K-th answer of all servers."""
    of = one()

    assert Stage(of.grid.rtt, first_of(3, 10)) == stage(of, strategy)


def test_wait_for_all() -> None:
    """Wait-for-all needs the last answer, even of servers without a share."""
    of = one(grid={"servers": 15})

    assert Stage(of.grid.rtt, first_of(15, 15)) == stage(of, "wait-for-all")


@pytest.mark.parametrize("per", ["request", "server"])
def test_each_server_is_asked_once(per: str) -> None:
    """How often a round trip is drawn does not matter: each server is queried once."""
    of = one(grid={"rtt_per": per})

    assert Stage(of.grid.rtt, first_of(3, 10)) == stage(of)


def test_hung_by_chance() -> None:
    """Servers may hang with a probability, or a fixed number of them."""
    likely = stage(one(drawn({"probability": 0.2})))
    some = stage(one(drawn({"count": 4})))

    assert (likely.probability, likely.hung) == (0.2, 0)
    assert (some.probability, some.hung) == (0.0, 4)


@pytest.mark.parametrize(
    "entry",
    [
        drawn({"count": 0}, start=1.0),
        drawn({"probability": 0.0}),
        hung("0-4", on=["read"]),
        drawn({"count": 9}, on=["read"]),
    ],
)
def test_no_harm(entry: dict[str, Any]) -> None:
    """An entry that selects no server, or hangs it later, changes nothing."""
    assert stage(one()) == stage(one(entry))


def test_hung_by_name() -> None:
    """Servers that hang by name do not count for first-K, and stall wait-for-all."""
    of = one(hung("0-3"))

    assert Stage(of.grid.rtt, first_of(3, 6)) == stage(of)
    assert stage(of, "wait-for-all").success == 0


def test_healed_by_name() -> None:
    """A later entry replaces the fault of an earlier one."""
    assert stage(one()) == stage(one(hung("0-3"), {"select": "0-3", "fault": []}))


def test_more_servers_than_shares() -> None:
    """Servers without a share answer too, but do not help."""
    of = one(grid={"servers": 15})

    assert Stage(of.grid.rtt, covering([(1, 1)] * 10 + [(5, 0)], 3)) == stage(of)


def test_several_shares_a_server() -> None:
    """Ten shares are on four servers: two hold three, and two hold two."""
    of = one(grid={"servers": 4}, file={"k": 5})

    assert pytest.approx(list(stage(of).enough)) == [0, 0, 5 / 6, 1, 1]


def test_duplicates() -> None:
    """Shares are placed as the scenario says."""
    of = one({"select": "0-7", "shares": [0]}, file={"n": 3})

    assert distinct([8, 1, 1], 3) != first_of(3, 10)
    twice = one(
        {"select": "0-7", "shares": [0]},
        {"select": "8", "shares": [1]},
        {"select": "9", "shares": [2]},
        file={"n": 3},
    )
    assert distinct([8, 1, 1], 3) == stage(twice).enough
    assert stage(of).success == 0  # the other shares are nowhere


def test_fork_join() -> None:
    """A workload is recognised, with its rates and the number of answers needed."""
    assert ForkJoin(10, 3, 1.5, 0.5) == theory_of(load(), "first-k")
    served = load(workload={"cancel": False, "arrivals": {"kind": "poisson", "rate": 0.4}})
    assert ForkJoin(10, 3, 0.4, 0.5, purging=False) == theory_of(served, "first-k")
    slow = load(workload={"arrivals": {"kind": "poisson", "rate": 0.2}})
    assert ForkJoin(10, 10, 0.2, 0.5) == theory_of(slow, "wait-for-all")


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (one(grid={"rtt": constant(1.0)}), "'constant' has no closed form"),
        (one(grid={"rtt": {"law": "uniform", "low": 1, "high": 1}}), "'uniform' has no closed"),
        (one(grid={"rtt": {"law": "lognormal", "median": 1, "sigma": 0}}), "'lognormal' has no"),
        (one(grid={"service": constant(1.0)}), "only `rtt` should take time"),
        (one(grid={"bandwidth": 1e6}), "only `rtt` should take time"),
        (one(grid={"client_bandwidth": 1e6}), "only `rtt` should take time"),
        (one({"select": "1", "service": constant(1.0)}), "only `rtt` should take time"),
        (one({"select": "1", "rtt": exponential(2.0)}), "the same `rtt`"),
        (one({"select": {"count": 1}, "rtt": exponential(2.0)}), "can only be hung"),
        (one({"select": {"count": 1}, "fault": []}), "can only be hung"),
        (one({"select": "1", "fault": {"kind": "broken"}}), "s1 has the fault 'broken'"),
        (one({"select": {"count": 1}, "fault": {"kind": "empty"}}), "has the fault 'empty'"),
        (one({"select": "1", "fault": LATE}), "s1 is hung for a time"),
        (one(drawn({"probability": 0.1}, end=9.0)), "is hung for a time"),
        (one(drawn({"probability": 0.1}, rolling=9.0)), "is hung for a time"),
        (one(drawn({"probability": 0.1}, after_requests=2)), "is hung for some requests"),
        (one(drawn({"probability": 0.1}, fails_after=2.0)), "is hung for some requests"),
        (one(drawn({"probability": 0.1}, shares=[1])), "is hung for some requests"),
        (one({"select": "1", "connect": constant(1.0)}), "no `connect`"),
        (one(drawn({"probability": 0.1, "group": 5})), "do not hang independently"),
        (one(drawn({"count": 1}), drawn({"count": 1})), "by the seed twice"),
        (one(drawn({"count": 1}), {"select": "1", "fault": []}), "follow on those of servers"),
        (one(hung("1"), drawn({"count": 1})), "may select servers that are hung already"),
        (one({"select": "0", "shares": [0, 1]}), "s0 and s1 hold some shares in common"),
    ],
)
def test_refused(of: Scenario, why: str) -> None:
    """Anything that changes the times of a download is refused, with the reason."""
    with pytest.raises(NoOracleError, match=why):
        theory_of(of, "first-k")


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (load(workload={"arrivals": {"kind": "fixed", "rate": 1.0}}), "poisson"),
        (load(workload={"files": {"count": 2}}), "one file"),
        (load(stop="complete"), 'stop = "located"'),
        (load(hung("1")), "no server should be hung"),
        (load(drawn({"count": 1})), "no server should be hung"),
        (load(grid={"rtt": constant(0.1)}), "take no time"),
        (load({"select": "1", "rtt": exponential()}), "take no time"),
        (load(grid={"bandwidth": 1e6}), "bandwidth"),
        (load(grid={"concurrency": 2}), "concurrency = 1"),
        (load(grid={"service": constant(1.0)}), "exponential, not constant"),
        (load({"select": "1", "service": exponential(1.0)}), "the same `service`"),
        (load(grid={"servers": 11}), "one share of its own"),
        (load({"select": "0", "shares": [1]}), "one share of its own"),
        (load({"select": "0", "shares": [0, 1]}), "one share of its own"),
        (load(workload={"arrivals": {"kind": "poisson", "rate": 2.0}}), "1.2 times what they"),
        (load(grid={"subset": 3}), "no `subset`"),
        (load(grid={"tied": True}), "no `tied`"),
    ],
)
def test_load_refused(of: Scenario, why: str) -> None:
    """Anything that changes the times of a workload is refused, with the reason."""
    with pytest.raises(NoOracleError, match=why):
        theory_of(of, "first-k")


@pytest.mark.parametrize("strategy", ["windowed", "hedged+1", "package.module:download"])
def test_other_strategies(strategy: str) -> None:
    """There is no theory of strategies that keep locating, nor of other downloaders."""
    with pytest.raises(NoOracleError, match=f"of {strategy.replace('+', '.')} it is not known"):
        theory_of(one(), strategy)


def test_delay() -> None:
    """There is no theory of first-k with a delay."""
    with pytest.raises(NoOracleError, match="no delay"):
        theory_of(one(), "first-k,delay=0.5")


def test_refuse(tmp_path: Path) -> None:
    """The error has the file, the point and the strategy."""
    refuse(experiment(tmp_path, strategies=("first-k",)), "e.toml")
    with pytest.raises(ScenarioError) as caught:
        refuse(experiment(tmp_path), "e.toml")

    told = "theory has no exact value for servers.0.select.count = 0: hedged: of hedged"
    assert str(caught.value).startswith(f"e.toml: oracle: {told}")
