"""Redundancy that a scenario describes: delays, subsets of the servers, tied queries."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest

from firstk.harness.run.bound import bound
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.testing.simgrid import SimGrid
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, exponential, hung, scenario

# Delays


def queries(
    *servers: dict[str, Any], strategy: str = "first-k,delay=0.3", **grid: Any
) -> list[Any]:
    """Return when each server was queried, and when K shares were known."""
    run = simulate(scenario(*servers, stop="located", grid=grid), strategy)
    sent = [(e.server, e.sent) for e in run.trace.exchanges if e.operation == "get_buckets"]
    return [*sent, run.result.located]


def test_first_only_k() -> None:
    """If K servers answer within the delay, no other is queried."""
    assert queries(rtt=constant(0.25)) == [("s0", 0.0), ("s1", 0.0), ("s2", 0.0), 0.25]


def test_all_after_the_delay() -> None:
    """Otherwise, all others are queried after the delay, and the first K answers count."""
    found = queries({"select": "0", "rtt": constant(9.0)}, rtt=constant(0.5))

    assert found[:3] == [("s0", 0.0), ("s1", 0.0), ("s2", 0.0)]
    assert found[3:-1] == [(f"s{i}", 0.3) for i in range(3, 10)]
    assert found[-1] == 0.8


def test_nothing_outstanding() -> None:
    """If the first servers have answered and are not enough, the others are queried at once."""
    empty = {"select": "0-2", "fault": {"kind": "empty"}}

    assert queries(empty, rtt=constant(0.125))[3:] == [
        *[(f"s{i}", 0.125) for i in range(3, 10)],
        0.25,
    ]


def test_delay_after_a_start() -> None:
    """The delay counts from the start of the download, in a test's grid."""
    with SimGrid(k=1, n=2, rtt=1.0) as grid:
        grid.advance(10.0)
        grid.servers[0].hang()
        result = grid.download("first-k,delay=0.25")

    assert (result.outcome, result.located) == ("ok", 1.25)


def test_routing_in_a_test() -> None:
    """A test's grid accepts `subset` and `tied`, as a scenario file does."""
    with SimGrid(k=1, n=4, servers=4, rtt=1.0, subset=2) as grid:
        assert grid.download("wait-for-all").queries == 2
    with SimGrid(k=1, n=2, servers=2, rtt=1.0, tied=True, service=constant(1.0)) as grid:
        grid.start("wait-for-all")
        grid.advance(1.25)
        assert [e.server for e in grid.outstanding] == ["s0"]  # s1 has said that it will not


# Subsets


def servers_of(of: Scenario, run: int = 0) -> list[str]:
    """Return the servers that a run queried, in order."""
    exchanges = simulate(of, "wait-for-all", run).trace.exchanges
    return [e.server for e in exchanges if e.operation == "get_buckets"]


def test_subset() -> None:
    """Each run gets `subset` servers, in random order, by its seed."""
    of = scenario(stop="located", grid={"subset": 4}, runs=300)
    runs = [servers_of(of, run) for run in range(300)]

    assert {len(set(run)) for run in runs} == {4}
    assert servers_of(of, 7) == runs[7]
    # Each of ten servers is in 4 of 10 runs, and first in 1 of 10: 120 and 30 of these.
    for i in range(10):
        assert 84 <= sum(f"s{i}" in run for run in runs) <= 156
        assert 10 <= sum(run[0] == f"s{i}" for run in runs) <= 51


def test_subset_of_each_download() -> None:
    """In a workload, each download gets its own servers."""
    workload = {"arrivals": {"kind": "fixed", "rate": 0.1}, "downloads": 40, "warmup": 0}
    of = scenario(hung("0"), grid={"subset": 1}, file={"k": 1}, stop="located", workload=workload)
    outcomes = simulate_workload(of, "first-k").outcomes

    assert set(outcomes) == {"ok", "stalled"}
    assert 0 < outcomes["stalled"] < 20


def test_bound_of_a_subset() -> None:
    """The bound is that of the servers that the run gets."""
    of = scenario(
        {"select": "0-4", "rtt": constant(8.0)},
        grid={"subset": 1},
        file={"k": 1},
        runs=20,
    )
    bounds = {servers_of(of, run)[0]: bound(of, run).ttfb for run in range(20)}

    assert {time for server, time in bounds.items() if server < "s5"} == {16.0}
    assert {time for server, time in bounds.items() if server >= "s5"} == {1.0}


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"subset": 11}, "subset.*should be 10 .servers. or less"),
        ({"subset": 0}, "greater than or equal to 1"),
        ({"subset": 2, "order": "permuted"}, "order.*contradicts `subset`"),
        ({"tied": True}, "tied.*needs a `service`"),
        ({"subset": 2, "transport": "tahoe-https"}, "grid.subset.*is impossible"),
        (
            {"tied": True, "service": constant(1.0), "transport": "tahoe-https"},
            "grid.tied.*is impossible",
        ),
    ],
)
def test_refused(grid: dict[str, Any], words: str) -> None:
    """Keys that contradict a subset or tied queries are refused, with the reason."""
    with pytest.raises(ValueError, match=f"(?s){words}"):
        scenario(grid=grid)


# Tied queries

QUEUES: dict[str, Any] = {"service": constant(1.0), "concurrency": 1, "tied": True}


def test_others_are_withdrawn() -> None:
    """When one server has begun, the other queries are withdrawn, and take no service time."""
    of = scenario(stop="located", file={"k": 1, "n": 2}, grid={"servers": 2, **QUEUES})
    run = simulate(of, "wait-for-all")
    first, second = run.trace.exchanges

    assert (first.ok, first.ended) == (True, 1.5)
    assert (second.ok, second.ended) == (False, 0.5)
    assert "withdrawn" in str(second.error)
    assert run.result.located == 1.5


def test_a_hung_server_does_not_hear() -> None:
    """A hung server does not withdraw a query, and answers it when the hang ends."""
    of = scenario(
        hung("0", end=5.0), stop="located", file={"k": 1, "n": 2}, grid={"servers": 2, **QUEUES}
    )
    slow, quick = simulate(of, "wait-for-all").trace.exchanges

    assert (quick.ok, quick.ended) == (True, 1.5)
    assert (slow.ok, slow.ended) == (True, 6.25)


def test_lost_connection() -> None:
    """A withdrawn query fails by a lost connection, if that comes first."""
    lost = {"select": "1", "fault": {"kind": "disconnect", "start": 0.3}}
    of = scenario(lost, stop="located", file={"k": 1, "n": 2}, grid={"servers": 2, **QUEUES})
    _, second = simulate(of, "wait-for-all").trace.exchanges

    assert (second.ok, second.ended) == (False, 0.3)
    assert "withdrawn" not in str(second.error)


def test_reads_are_not_tied() -> None:
    """With tied queries, reads are unaffected, and the bytes are right."""
    of = scenario(grid={**QUEUES, "service": constant(0.01)})
    result = simulate(of, "first-k-late").result

    assert (result.outcome, result.content_ok) == ("ok", True)


def mean(runs: int, rate: float, **grid: Any) -> float:
    """Return the mean time to the first of two answers, with exponential service times."""
    of = scenario(
        stop="located",
        file={"k": 1, "n": 2},
        grid={
            "servers": 2,
            "rtt": constant(0.0),
            "service": exponential(),
            "concurrency": 1,
            **grid,
        },
        workload={"arrivals": {"kind": "poisson", "rate": rate}, "downloads": 400, "cancel": True},
        runs=runs,
    )
    means = [simulate_workload(of, "first-k", run).located.mean for run in range(runs)]
    return fmean(time for time in means if time is not None)


@pytest.mark.slow
def test_tied_queries_are_one_queue() -> None:
    """Tied queries to all servers make one queue: M/M/2, with the mean 1 / (1 - rho^2)."""
    assert mean(60, 1.0, tied=True) == pytest.approx(4 / 3, rel=0.04)


@pytest.mark.slow
def test_one_of_two() -> None:
    """With a subset of one, each server is M/M/1, with the mean 1 / (1 - rho)."""
    assert mean(60, 1.0, subset=1) == pytest.approx(2.0, rel=0.06)
