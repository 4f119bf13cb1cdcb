"""Servers that fail together: on one machine, in one rack, repeatedly, or in turn."""

from __future__ import annotations

from math import comb
from typing import Any

import pytest
from scipy.stats import binomtest

from firstk.harness.grid.build import server_specs
from firstk.harness.run.bound import bound
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.testing.simgrid import SimGrid
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, scenario

#: Four racks of three servers; 4 of 12 shares restore the file, so two racks must be left.
RACKS = {"file": {"k": 4, "n": 12}, "grid": {"servers": 12, "groups": {"rack": 3}}}
P = 0.3
LOST = P**4 + comb(4, 3) * P**3 * (1 - P)


def lost(select: dict[str, Any], **grid: Any) -> Scenario:
    """Return a scenario in which these servers are broken."""
    entry = {"select": {"probability": P, **select}, "fault": {"kind": "broken"}}
    return scenario(entry, **RACKS)


def broken(made: Scenario, seed: int) -> list[int]:
    """Return the numbers of the servers that are broken in the run of this seed."""
    plans = server_specs(made, seed, dict.fromkeys(range(12), b""))
    return [i for i, plan in enumerate(plans) if plan.faults]


@pytest.mark.parametrize("group", ["rack", 3])
def test_correlated(group: str | int) -> None:
    """A file is lost as often as the racks of its shares are: with the exact probability."""
    made, runs = lost({"group": group}), 2000
    failures = sum(len(broken(made, seed)) > 8 for seed in range(runs))

    assert binomtest(failures, runs, LOST).pvalue > 0.01
    assert all(len(broken(made, seed)) % 3 == 0 for seed in range(50))


def test_independent() -> None:
    """With independent servers of the same probability, it is lost far less often."""
    made, runs = lost({}), 1000
    failures = sum(len(broken(made, seed)) > 8 for seed in range(runs))
    exact = sum(comb(12, m) * P**m * (1 - P) ** (12 - m) for m in range(9, 13))

    assert binomtest(failures, runs, exact).pvalue > 0.01
    assert exact < LOST / 20


def test_downloads_fail_with_their_racks() -> None:
    """A download fails exactly in the runs in which too few racks are left."""
    made = lost({"group": "rack"})
    outcomes = {run: simulate(made, "first-k", run).result.outcome for run in range(30)}

    assert {"ok", "failed"} == set(outcomes.values())
    assert all((o == "failed") == (len(broken(made, run)) > 8) for run, o in outcomes.items())


def test_count_of_groups() -> None:
    """`count` counts groups: all servers of two racks are selected."""
    made = scenario({"select": {"count": 2, "group": "rack"}, "fault": {"kind": "broken"}}, **RACKS)
    chosen = [broken(made, seed) for seed in range(40)]

    assert all(len(one) == 6 and one[0] % 3 == 0 for one in chosen)
    assert len({tuple(one) for one in chosen}) == comb(4, 2)


@pytest.mark.parametrize(("groups", "time"), [(None, 1.0), ({"machine": 2}, 2.0)])
def test_one_uplink(groups: dict[str, int] | None, time: float) -> None:
    """Two reads of 1 MB at 1 MB/s take 2 s from one machine, and 1 s from two."""
    with SimGrid(
        servers=2, k=1, n=2, size=1_000_000, rtt=0.0, bandwidth=1e6, groups=groups
    ) as grid:

        async def both(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
            index = grid.file.cap.storage_index
            buckets = [next(iter((await s.get_buckets(index)).values())) for s in servers]
            begun = reactor.seconds()
            for one in [bucket.read(0, 1_000_000) for bucket in buckets]:
                await one
            took.append(reactor.seconds() - begun)
            consumer.write(grid.file.plaintext)

        took: list[float] = []
        assert grid.download(both).outcome == "ok"

    assert took == [pytest.approx(time, abs=1e-6)]


@pytest.mark.parametrize(("machine", "located"), [({}, 1.5), ({"machine": "a"}, 2.5)])
def test_one_queue(machine: dict[str, str], located: float) -> None:
    """The servers of one machine share one queue."""
    made = scenario(
        {"select": "0-1", "service": constant(1.0), "concurrency": 1, **machine},
        file={"k": 2, "n": 2},
        grid={"servers": 2},
        stop="located",
    )

    assert simulate(made, "first-k").result.located == located


def test_utilisation_of_a_machine() -> None:
    """A workload counts a machine's queue once: two servers keep it twice as busy."""
    entry = {"select": "0-1", "service": constant(0.1), "concurrency": 1}
    keys: dict[str, Any] = {
        "file": {"k": 2, "n": 2},
        "grid": {"servers": 2, "rtt": constant(0.0)},
        "stop": "located",
        "workload": {"arrivals": {"kind": "fixed", "rate": 2.0}, "downloads": 40, "warmup": 0},
    }
    apart = simulate_workload(scenario(entry, **keys), "first-k")
    together = simulate_workload(scenario({**entry, "machine": "a"}, **keys), "first-k")

    assert apart.utilisation is not None
    assert together.utilisation is not None
    assert together.utilisation == pytest.approx(2 * apart.utilisation, rel=0.03)


def test_hung_again_and_again() -> None:
    """A request that arrives in any of the hangs is answered at its end."""
    with SimGrid(servers=1, k=1, n=1, rtt=0.5) as grid:
        grid.servers.fault("hung", start=1.0, end=2.0, every=10.0)
        grid.advance_to(21.0)
        result = grid.download("first-k")  # arrives at 21.25

    assert result.located == pytest.approx(22.25 - 21.0)


def test_held_for_ever_by_turns() -> None:
    """Two alternating hangs hold a request forever, and the run ends."""
    faults = [
        {"kind": "hung", "end": 1.0, "every": 2.0},
        {"kind": "hung", "start": 1.0, "end": 2.0, "every": 2.0},
    ]
    made = scenario({"select": "all", "fault": faults}, file={"k": 1, "n": 1}, grid={"servers": 1})
    least = bound(made).ttfb

    assert simulate(made, "first-k").result.outcome == "stalled"
    assert least is None or least > 5


def test_rolling() -> None:
    """A rolling fault cuts off one server after another, or one rack after another."""
    fault = {"kind": "disconnect", "start": 1.0, "end": 2.0, "rolling": 2.5}
    one_by_one = scenario({"select": "2-4", "fault": fault}, **RACKS)
    by_rack = scenario({"select": {"probability": 1.0, "group": "rack"}, "fault": fault}, **RACKS)

    def starts(made: Scenario) -> list[float]:
        plans = server_specs(made, 0, dict.fromkeys(range(12), b""))
        return [plan.faults[0].start for plan in plans if plan.faults]

    assert starts(one_by_one) == [1.0, 3.5, 6.0]
    assert starts(by_rack) == [1.0] * 3 + [3.5] * 3 + [6.0] * 3 + [8.5] * 3


def test_rolling_in_a_grid() -> None:
    """In a test, a rolling fault follows the order in which the servers were selected."""
    with SimGrid(servers=3, k=1, n=3, rtt=1.0) as grid:
        grid.servers[::-1].fault("hung", end=1.0, rolling=2.0)
        grid.advance_to(4.2)
        running = grid.start("first-k")  # its query arrives at s0 at 4.7, at the end of its hang
        running.finish()
        answered = {e.server: e.ended for e in grid.runs[0].trace.exchanges[:3]}

    assert answered == {"s0": 5.5, "s1": pytest.approx(5.2), "s2": pytest.approx(5.2)}


def test_groups_of_a_grid() -> None:
    """A test selects the servers of a rack or a machine, or several in a row."""
    with SimGrid(servers=5, n=5, groups={"rack": ["0,4"], "machine": 2}) as grid:
        assert [one.names for one in grid.servers.groups("rack")] == [
            *(["s0", "s4"], ["s1"], ["s2"], ["s3"])
        ]
        assert [one.names for one in grid.servers[1:].groups("machine")] == [
            *(["s1"], ["s2", "s3"], ["s4"])
        ]
        assert [one.names for one in grid.servers.groups(3)] == [["s0", "s1", "s2"], ["s3", "s4"]]
        with pytest.raises(ValueError, match="no groups are called 'row'"):
            grid.servers.groups("row")


def test_bound_waits_for_a_gap() -> None:
    """The bound sends each request so that it arrives in the next gap between two faults."""
    fault = {"kind": "broken", "end": 1.0, "every": 2.0}
    made = scenario(
        {"select": "all", "fault": fault},
        file={"k": 1, "n": 1},
        grid={"servers": 1, "rtt": constant(1.5)},
    )

    # The query arrives at 1 and is answered at 1.75; the read arrives at 3, in the next gap.
    assert bound(made).ttfb == pytest.approx(3.75)


@pytest.mark.parametrize("kind", ["broken", "disconnect", "hung", "empty"])
@pytest.mark.parametrize("seed", range(2))
def test_nobody_undercuts_the_bound(kind: str, seed: int) -> None:
    """No strategy beats the bound, whatever fault recurs."""
    fault = {"kind": kind, "start": 0.3, "end": 0.9, "every": 1.1, "rolling": 0.25}
    made = scenario(
        {"select": "0-8", "fault": fault, "bandwidth": 5000.0},
        grid={"rtt": {"law": "uniform", "low": 0.1, "high": 0.4}},
        seed=seed,
    )
    least = bound(made).ttfb
    assert least is not None
    for strategy in ("wait-for-all", "first-k", "windowed", "hedged"):
        ttfb = simulate(made, strategy).result.ttfb
        assert ttfb is None or ttfb >= least - 1e-9
