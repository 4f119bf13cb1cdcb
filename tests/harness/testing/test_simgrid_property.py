"""A grid that is driven step by step gives the same result as its scenario file.

It must not matter whether a fault is in the file from the beginning, with its `start` and its
`end`, or comes and goes while the download is in progress.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.downloader import STRATEGIES
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.testing.simgrid import ServerGroup, SimGrid
from firstk.scenarios.load import from_tables
from firstk.scenarios.model import Scenario
from tests.marks import few

#: What may go wrong with a server, as a table without times.
FAULTS: list[dict[str, Any]] = [
    {"kind": "hung"},
    {"kind": "hung", "on": ["read"]},
    {"kind": "hung", "on": ["get_buckets"]},
    {"kind": "disconnect"},
    {"kind": "slow", "factor": 3.0},
    {"kind": "slow", "extra": 0.2},
    {"kind": "corrupt", "part": "block"},
    {"kind": "corrupt", "part": "ueb"},
    {"kind": "flaky", "probability": 0.5},
    {"kind": "broken"},
    {"kind": "truncated", "length": 100},
]


@dataclass
class Step:
    """An event at some servers: a fault, for some seconds or forever, or healing."""

    time: float
    servers: list[int]
    fault: dict[str, Any] | None
    lasts: float | None

    @property
    def end(self) -> float | None:
        """When the fault ends by itself."""
        return None if self.lasts is None else self.time + self.lasts


@dataclass
class Story:
    """A grid, and its events in order of time."""

    tables: dict[str, Any]
    steps: list[Step] = field(default_factory=list)

    def scenario(self) -> Scenario:
        """Return the scenario file of the story, in which each fault has its end."""
        faults: dict[int, list[dict[str, Any]]] = {}
        for step in self.steps:
            for server in step.servers:
                of = faults.setdefault(server, [])
                if step.fault is not None:
                    of.append({**step.fault, "start": step.time, "end": step.end or float("inf")})
                    continue
                for fault in of:
                    fault["end"] = min(step.time, fault["end"])
        for fault in (fault for of in faults.values() for fault in of):
            if fault["end"] == float("inf"):
                del fault["end"]
        entries = [{"select": str(server), "fault": of} for server, of in faults.items()]
        return from_tables({**self.tables, "servers": entries})

    def told(self, strategy: str) -> Result:
        """Return the result of running the story step by step."""
        grid = SimGrid.of(from_tables(self.tables))
        running = grid.start(strategy)
        for step in self.steps:
            grid.advance(step.time - grid.now)
            servers = grid.servers[",".join(map(str, step.servers))]
            if step.fault is None:
                servers.heal()
            else:
                servers.fault(**step.fault, end=step.end)
        return running.finish()


#: The times of round trips, and of a server's work.
LAWS: list[dict[str, Any]] = [
    {"law": "uniform", "low": 0.02, "high": 0.2},
    {"law": "exponential", "mean": 0.1},
    {"law": "lognormal", "median": 0.05, "sigma": 1.0},
    {"law": "constant", "value": 0.05},
]

#: Limits that make requests wait for one another.
QUEUES: dict[str, list[Any]] = {
    "service": LAWS,
    "concurrency": [1, 2],
    "bandwidth": [3000.0, 50_000.0],
    "client_bandwidth": [5000.0, 100_000.0],
}

#: Things happen at odd multiples of this many seconds: no sum of such times is rounded, and no
#: request ends just then, as constant round trips might at a round number.
PART = 2.0**-21


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Draw small grids with many events."""
    k = draw(st.integers(1, 3))
    file = {
        "k": k,
        "n": k + draw(st.integers(0, 3)),
        "size": draw(st.integers(1, 2000)),
        "segment_size": draw(st.sampled_from([300, 2000])),
    }
    servers = draw(st.integers(1, 6))
    grid = {"servers": servers, "rtt": draw(st.sampled_from(LAWS))}
    for key in draw(st.sets(st.sampled_from(sorted(QUEUES)))):
        grid[key] = draw(st.sampled_from(QUEUES[key]))
    # Of servers that are healed at the same moment, and share the client's line, any may be first.
    at_once = 1 if "client_bandwidth" in grid else servers
    steps = [
        Step(
            (2 * time + 1) * PART,
            sorted(draw(st.sets(st.integers(0, servers - 1), min_size=1, max_size=at_once))),
            draw(st.sampled_from([None, None, None, *FAULTS])),
            draw(st.sampled_from([None, None, 0.03125, 0.4375])),
        )
        for time in sorted(draw(st.sets(st.integers(0, 3 * 2**20), max_size=6)))
    ]
    return Story({"name": "t", "seed": draw(st.integers(0, 99)), "file": file, "grid": grid}, steps)


@pytest.mark.parametrize("strategy", few(1, reversed([*STRATEGIES])))
@settings(deadline=None, max_examples=60)
@given(story=stories())
def test_step_by_step(strategy: str, story: Story) -> None:
    """Faults that come and go step by step equal those of a scenario file."""
    expected = simulate(story.scenario(), strategy).result
    # Who looks on is still there when nothing has happened for long.
    last = max([step.time for step in story.steps], default=0.0)

    assert replace(expected, ended=max(expected.ended, last)) == story.told(strategy)


@pytest.mark.parametrize("limits", [{"concurrency": 1}, {"bandwidth": 3000.0}], ids=str)
def test_held_requests_are_taken_up_as_they_came(limits: dict[str, Any]) -> None:
    """Requests that a hung server held are queued in the order of their arrival."""
    for seed in range(10):
        grid = {"servers": 1, "rtt": LAWS[0], "service": {"law": "constant", "value": 0.1}}
        file = {"k": 3, "n": 3, "size": 500}
        tables = {"name": "t", "seed": seed, "file": file, "grid": grid | limits}
        hang = Step(PART, [0], {"kind": "hung", "on": ["read"]}, None)
        story = Story(tables, [hang, Step(1 + PART, [0], None, None)])

        assert simulate(story.scenario(), "first-k").result == story.told("first-k")


@pytest.mark.parametrize(
    "meddle", [lambda s: s.slow(2), lambda s: s.hang().heal(), lambda s: s.disconnect(start=9)]
)
def test_answers_keep_their_order(meddle: Callable[[ServerGroup], object]) -> None:
    """A change without effect does not put a query in progress behind the others."""
    grid = SimGrid(rtt=0.05)
    download = grid.start("first-k", stop="first-block")
    grid.advance(0.01)
    meddle(grid.servers[0])

    assert download.finish().shares_used == [0, 1, 2]
