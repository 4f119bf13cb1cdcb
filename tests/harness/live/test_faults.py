"""Which faults of a scenario a live grid can reproduce, and which it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from firstk.harness.grid.files import file_of
from firstk.harness.live.faults import kills, not_live, stops
from firstk.scenarios.load import from_tables


def problems(**entry: Any) -> list[str]:
    """Return why a live grid cannot run a scenario with this entry."""
    scenario = from_tables(
        {
            "name": "t",
            "file": {"size": 1000, "k": 3, "n": 10},
            "grid": {"servers": 10, "rtt": {"law": "constant", "value": 0.05}},
            "servers": [{"select": "3", **entry}],
        }
    )
    return list(not_live(scenario, file_of(scenario)))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"fault": {"kind": "trickle", "piece": 9, "every": 1.0}}, "has the fault 'trickle'"),
        ({"fault": {"kind": "hung", "after_requests": 2}}, "sets nothing off"),
        ({"fault": {"kind": "disconnect", "until": "reconnect"}}, "nor a reconnect"),
        ({"fault": {"kind": "broken", "on": ["connect"]}}, "sets nothing off"),
        ({"fault": {"kind": "hung", "fails_after": 9.0}}, "fails_after is impossible"),
        ({"connect": {"law": "constant", "value": 0.1}}, "no `connect`"),
    ],
)
def test_refused(entry: dict[str, Any], words: str) -> None:
    """Faults of connections and streams are only for simulated servers."""
    (problem,) = problems(**entry)

    assert problem.startswith("s3: ")
    assert words in problem


@pytest.mark.parametrize(("kind", "real"), [("hung", stops), ("disconnect", kills)])
def test_whole(kind: str, real: Any) -> None:
    """A hung server is stopped, and one that loses its connections forever is killed."""
    entry = {"select": "3", "fault": {"kind": kind}}
    scenario = from_tables(
        {
            "name": "t",
            "file": {"size": 1000, "k": 3, "n": 10},
            "grid": {"servers": 10, "rtt": {"law": "constant", "value": 0.05}},
            "servers": [entry],
        }
    )
    faults = scenario.servers[0].faults

    assert faults is not None
    assert real(faults[0])
    assert problems(fault={"kind": kind}) == []


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"subset": 3}, "it has a `subset`"),
        ({"tied": True, "service": {"law": "constant", "value": 0.1}}, "its queries are `tied`"),
    ],
)
def test_routing(grid: dict[str, Any], words: str) -> None:
    """A live download connects to all servers, and servers do not withdraw queries."""
    rtt = {"law": "constant", "value": 0.05}
    scenario = from_tables(
        {
            "name": "t",
            "file": {"size": 1000, "k": 3, "n": 10},
            "grid": {"servers": 10, "rtt": rtt, **grid},
        }
    )
    found = list(not_live(scenario, file_of(scenario)))

    assert [problem.startswith(words) for problem in found] == [True]
