"""One-round: the first block comes with the answers to the queries, if servers allow that."""

from typing import Any

import pytest

from firstk.harness.run.bound import bound
from firstk.harness.run.simulate import simulate
from tests.harness.making import constant, hung, scenario
from tests.marks import few

LOGNORMAL = {"law": "lognormal", "median": 0.05, "sigma": 0.7}


def grid(**more: Any) -> dict[str, Any]:
    """Return a grid of ten servers that read in the round trip of a query."""
    return {"servers": 10, "rtt": constant(0.05), "reading_queries": True} | more


def test_one_round_trip() -> None:
    """On a good grid, the first block takes one round trip, and no additional byte."""
    one = scenario(file={"size": 40_000, "k": 3, "n": 10}, grid=grid())
    hedged, result = simulate(one, "hedged").result, simulate(one, "one-round").result

    assert (hedged.ttfb, hedged.queries, hedged.reads) == (0.1, 10, 3)
    assert (result.ttfb, result.queries, result.reads) == (0.05, 10, 0)
    assert result.content_ok
    assert result.bytes_received == hedged.bytes_received
    assert (bound(one).ttfb, bound(one).requests) == (0.05, 3)


def test_servers_that_cannot() -> None:
    """If servers do not read with queries, one-round is the same as hedged."""
    one = scenario(file={"size": 40_000, "k": 3, "n": 10}, grid=grid(reading_queries=False))

    assert simulate(one, "one-round").result.digest == simulate(one, "hedged").result.digest
    assert (bound(one).ttfb, bound(one).requests) == (0.1, 6)


@pytest.mark.parametrize(
    ("servers", "requests"),
    [
        ([{"select": "0", "shares": [0, 1, 2]}, {"select": "1-9", "shares": []}], 3),
        ([hung("1-9", on=["read"], shares=[0])], 5),
        ([hung("all", on=["read"], shares=[0])], 6),
    ],
    ids=["one server", "one that reads", "none that reads"],
)
def test_fewest_requests(servers: list[dict[str, Any]], requests: int) -> None:
    """The bound has K reads and the queries; a server that reads with its query saves one."""
    one = scenario(*servers, file={"size": 400, "k": 3, "n": 10}, grid=grid())

    assert bound(one).requests == requests <= simulate(one, "one-round").result.requests


@pytest.mark.parametrize(
    ("faults", "most"),
    [
        ([{"select": "0-1", "fault": {"kind": "hung"}}], 0.12),
        ([{"select": "0-1", "fault": {"kind": "hung", "on": ["read"]}}], 0.17),
        ([{"select": "0", "fault": {"kind": "corrupt", "part": "block"}}], 0.15),
        ([{"select": "0-2", "shares": []}], 0.11),
    ],
    ids=["hung", "hung on reads", "corrupt", "without shares"],
)
def test_bad_servers(faults: list[dict[str, Any]], most: float) -> None:
    """Servers that hang, lie or are empty cost at most about one more round trip."""
    one = scenario(file={"size": 40_000, "k": 3, "n": 10}, grid=grid(), servers=faults)
    result = simulate(one, "one-round").result

    assert (result.outcome, result.content_ok) == ("ok", True)
    assert result.ttfb is not None
    assert result.ttfb <= most


def test_reads_after_the_query() -> None:
    """A read that is sent after the answer may be earlier than a later query that reads."""
    law = {"law": "quantiles", "table": [[0.0, 0.0], [0.5, 0.05], [1.0, 0.5]]}
    stalls = {"kind": "stall", "after_bytes": 1000, "end": 1.0, "every": 2.0}
    servers = [{"select": "1", "fault": stalls}, hung("0,2-9", on=["read"])]
    file = {"size": 200_100, "k": 1, "n": 10}
    one = scenario(*servers, file=file, grid=grid(rtt=law))
    least = bound(one).ttfb
    took = simulate(one, "hedged").result.ttfb

    assert least is not None
    assert took is not None
    assert least <= took


@pytest.mark.parametrize("size", [100, 40_000, 400_000])
def test_wrong_guess(size: int) -> None:
    """A file with another segmentation takes a second round."""
    file = {"size": size, "k": 3, "n": 10, "segment_size": 3000}
    result = simulate(scenario(file=file, grid=grid()), "one-round").result

    assert (result.outcome, result.content_ok) == ("ok", True)
    assert result.ttfb is not None
    assert result.ttfb <= 0.1


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"rtt_per": "server"},
        {"bandwidth": 125_000.0},
        {"client_bandwidth": 500_000.0},
        {"service": {"law": "exponential", "mean": 0.02}, "concurrency": 1},
    ],
    ids=["plain", "server", "uplinks", "downlink", "queues"],
)
@pytest.mark.parametrize(
    "servers",
    few(
        2,
        [
            [],
            [{"select": "all", "shares": [0, 1, 2, 3]}],
            [{"select": "0-4", "fault": {"kind": "hung", "on": ["read"], "end": 0.3}}],
            [{"select": "all", "fault": {"kind": "disconnect", "start": 0.03, "end": 0.5}}],
            [{"select": "all", "fault": {"kind": "flaky", "probability": 0.2}}],
        ],
    ),
    ids=["well", "several shares", "recovering", "disconnected", "flaky"],
)
def test_never_earlier_than_the_bound(more: dict[str, Any], servers: list[dict[str, Any]]) -> None:
    """Neither one-round nor hedged, which retries, beats the bound."""
    file = {"size": 40_000, "k": 3, "n": 10}
    for reading in (True, False):
        law = grid(rtt=LOGNORMAL, reading_queries=reading, **more)
        one = scenario(file=file, grid=law, servers=servers, stop="first-block", runs=8)
        for run in range(8):
            least = bound(one, run).ttfb
            for strategy in ("hedged", "one-round"):
                took = simulate(one, strategy, run).result.ttfb

                assert took is None or (least is not None and least <= took * (1 + 1e-9))


@pytest.mark.parametrize(
    ("fault", "ttfb", "least"),
    [
        ({"kind": "read-error", "end": 0.75}, 2.0, 1.25),
        ({"kind": "read-error", "start": 0.75}, 1.0, 1.0),
        ({"kind": "read-error", "start": 0.5}, None, None),
        ({"kind": "disconnect", "after_bytes": 0, "shares": [0]}, None, None),
    ],
    ids=["over", "not yet", "just then", "of the connection"],
)
def test_faults_when_taken_up(
    fault: dict[str, Any], ttfb: float | None, least: float | None
) -> None:
    """A query reads if no fault concerns reads when the server takes it up, after 0.5 s."""
    file = {"size": 1, "k": 1, "n": 1}
    one = scenario(
        {"select": "0", "fault": fault}, file=file, grid=grid(servers=1, rtt=constant(1.0))
    )

    assert (simulate(one, "one-round").result.ttfb, bound(one).ttfb) == (ttfb, least)
