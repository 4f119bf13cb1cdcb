"""The capacity of queues whose capacity is known, and of simulated grids."""

from __future__ import annotations

from math import inf, log
from pathlib import Path

import pytest

from firstk.harness.capacity.capacity import find_capacity
from firstk.harness.capacity.runs import (
    LOOKS,
    CapacityError,
    jobs_at,
    lengths,
    make_here,
    measure_alone,
)
from firstk.harness.capacity.steady import judge, stability
from firstk.scenarios.condition import parse_condition
from firstk.scenarios.load import load_scenario
from firstk.scenarios.model import Scenario
from tests.harness.capacity.queues import queue

TEXT = """\
name = "queue"
strategies = ["first-k"]
stop = "located"

[file]
size = 100
k = {k}
n = {n}

[grid]
servers = {n}
rtt = {{ law = "constant", value = 0.0 }}
service = {{ law = "exponential", mean = 0.01 }}
concurrency = {places}

[workload]
arrivals = {{ {arrivals} }}
downloads = 10
cancel = true
"""


def grid(folder: Path, **changes: object) -> Scenario:
    """Return a grid of n servers, each of which works on some requests at a time."""
    given = {"k": 1, "n": 1, "places": 1, "arrivals": 'kind = "poisson", rate = 1'}
    path = folder / "queue.toml"
    path.write_text(TEXT.format(**(given | changes)), encoding="utf-8")
    return load_scenario(path)


@pytest.mark.parametrize("places", [1, 3])
def test_queue(tmp_path: Path, places: int) -> None:
    """M/M/c saturates at c times the rate of one place, and the answer contains that rate."""
    found = find_capacity(grid(tmp_path), "first-k", [], queue(places, 0.01))

    assert found.low < places / 0.01 < found.high
    assert found.high / found.low < 1.25
    at = found.at(found.low)
    assert at is not None
    assert at.busy.low < found.low * 0.01 / places < at.busy.high


def test_target(tmp_path: Path) -> None:
    """The response time of M/M/1 is exponential: p90 < t up to the rate mu - ln 10 / t."""
    target = [parse_condition("p90 <= 50 ms")]
    found = find_capacity(grid(tmp_path), "first-k", target, queue(1, 0.01))

    assert found.low < 100 - log(10) / 0.05 < found.high
    assert found.high < 80
    missed = found.at(found.high)
    assert missed is not None
    assert missed.missed == ["misses p90 < 0.05 s"]


def test_busy(tmp_path: Path) -> None:
    """The utilisation of M/M/1 is the ratio of the rates."""
    target = [parse_condition("busy <= 50%")]
    found = find_capacity(grid(tmp_path), "first-k", target, queue(1, 0.01))

    assert found.low < 50 < found.high


def test_equal_seeds(tmp_path: Path) -> None:
    """The answer depends only on the scenario."""
    scenario = grid(tmp_path)
    first, second = (find_capacity(scenario, "first-k", [], queue(1, 0.01)) for _ in range(2))

    assert first == second


def test_long_runs_for_many_in_progress(tmp_path: Path) -> None:
    """The more downloads are in progress, the longer are the shortest runs."""
    alone = measure_alone(grid(tmp_path), "first-k", queue(1, 0.01))

    assert lengths(1e4 / alone.seconds, alone)[0] > lengths(100 / alone.seconds, alone)[0] > 100


def test_nothing_limited(tmp_path: Path) -> None:
    """A grid whose servers work on all requests at once cannot saturate."""
    scenario = grid(tmp_path)
    free = scenario.model_copy(
        update={"grid": scenario.grid.model_copy(update={"service": None, "concurrency": None})}
    )

    with pytest.raises(CapacityError, match="nothing in it has a limit"):
        find_capacity(free, "first-k", [], make_here)


def test_closed_clients(tmp_path: Path) -> None:
    """Closed clients have no rate to search."""
    scenario = grid(tmp_path, arrivals='kind = "closed", clients = 3')

    with pytest.raises(CapacityError, match="have no rate to search"):
        find_capacity(scenario, "first-k", [], make_here)


@pytest.mark.slow
@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3)])
def test_simulated_grid(tmp_path: Path, k: int, n: int) -> None:
    """A purging fork-join grid of exponential servers saturates at n / k times their rate."""
    found = find_capacity(grid(tmp_path, k=k, n=n), "first-k", [], make_here)

    assert found.low < n / k / 0.01 < found.high < inf
    assert found.high / found.low < 1.25


def test_overloaded(tmp_path: Path) -> None:
    """A run with far too high a rate ends early, which is enough to show that it saturates."""
    scenario = grid(tmp_path)
    jobs = jobs_at(300.0, 1000, scenario, "first-k", timed=False)

    assert make_here(jobs[:2]) == [None, None]
    assert judge(stability(jobs[0].scenario), [None, None], LOOKS).met is False
