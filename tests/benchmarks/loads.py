"""Loads: the time of a download among many, with few servers and with very many."""

from __future__ import annotations

from collections.abc import Iterator

from firstk.harness.run.workload import simulate_workload
from firstk.scenarios.load import from_tables
from firstk.scenarios.model import Scenario
from tests.benchmarks.measure import Figure, seconds

_MANY = 10_000


def figures(rounds: int) -> Iterator[Figure]:
    """Yield the time of a download of a load, and of a query, in microseconds, and their growth."""
    few = [_each(10, "windowed", 500) for _ in range(rounds)]
    many = [_each(_MANY, "windowed", 500) for _ in range(rounds)]
    yield Figure(
        "a load's download, 10 servers",
        [1e6 * each for each in few],
        500,
        at_least=False,
        note="microseconds of CPU time each, so that a million take 500 s",
    )
    yield Figure(
        f"a load's download, {_MANY:,} servers",
        [large / small for small, large in zip(few, many, strict=True)],
        1.5,
        at_least=False,
        note="windowed: time over that at 10 servers",
    )
    yield Figure(
        f"a query, {_MANY:,} servers",
        [1e6 * _each(_MANY, "first-k", 3) / _MANY for _ in range(min(rounds, 3))],
        30,
        at_least=False,
        note="first-k, which queries all: microseconds of CPU time each",
    )


def _load(servers: int, downloads: int) -> Scenario:
    return from_tables(
        {
            "name": "bench",
            "stop": "first-block",
            "file": {"size": 1_000, "k": 3, "n": 10},
            "grid": {"servers": servers, "rtt": {"law": "exponential", "mean": 0.05}},
            "workload": {
                "arrivals": {"kind": "poisson", "rate": 20.0},
                "downloads": downloads,
                "warmup": 0,
            },
        }
    )


def _each(servers: int, strategy: str, downloads: int) -> float:
    """Return the CPU time of each further download of a load, in seconds, without the set-up."""

    def taken(count: int) -> float:
        of = _load(servers, count)
        return seconds(lambda: simulate_workload(of, strategy, keep_loaded=False))

    return (taken(1 + downloads) - taken(1)) / downloads
