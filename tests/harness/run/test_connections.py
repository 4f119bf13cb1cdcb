"""Downloaders on grids with connections: from scenario files to results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost

from firstk import SimGrid, parse_cap
from firstk.downloader import download
from firstk.downloader.cap import CHKCap
from firstk.downloader.interfaces import IProgressBucket, IReconnectingServer
from firstk.harness.run.bound import bound
from firstk.harness.run.events import Events, as_text
from firstk.harness.run.simulate import simulate
from firstk.harness.testing.timeline import text_timeline
from firstk.scenarios.load import from_tables, load_scenario

FILE = {"size": 40_000, "k": 3, "n": 10}


def scenario(*servers: dict[str, Any], **grid: Any) -> Any:
    """Return a scenario of ten servers with these entries."""
    rtt = {"law": "constant", "value": 0.05}
    return from_tables(
        {
            "name": "t",
            "file": FILE,
            "grid": {"servers": 10, "rtt": rtt, **grid},
            "servers": list(servers),
        }
    )


@pytest.mark.parametrize("strategy", ["wait-for-all", "first-k", "windowed", "hedged"])
def test_set_up_time(strategy: str) -> None:
    """Each server's connection is set up once, which delays a download by that time."""
    plain, later = scenario(), scenario(connect={"law": "constant", "value": 0.3})
    before, after = (simulate(one, strategy).result.ttfb for one in (plain, later))

    assert before is not None
    assert after == pytest.approx(before + 0.3)
    assert bound(later).ttfb == pytest.approx((bound(plain).ttfb or 0.0) + 0.3)


REPORTS = """
    name = "reports"
    [file]
    size = 40000
    k = 3
    n = 10
    [grid]
    servers = 10
    rtt = { law = "constant", value = 0.05 }
    [[servers]]
    select = "0"
    fault = { kind = "trickle", piece = 100, every = 1.0, start = 1.0 }
    [[servers]]
    select = "1"
    fault = [
        { kind = "disconnect", after_bytes = 5000 },
        { kind = "hung", on = ["connect"], fails_after = 60.0 },
        { kind = "corrupt", part = "block", shares = [1] },
    ]
    [[servers]]
    select = "2"
    connect = { law = "exponential", mean = 0.3 }
    fault = { kind = "hung", after_requests = 2, until = "reconnect" }
    [[servers]]
    select = "3"
    fault = { kind = "throttled", bandwidth = 1000, start = 1.0, end = 2.0, every = 10.0 }
    [[servers]]
    select = "4"
    fault = { kind = "stall", after_bytes = 40, fails_after = 5.0 }
"""


def test_scenario_file(tmp_path: Path) -> None:
    """All keys work in a scenario file, and hedged gets the file from the other servers."""
    (tmp_path / "t.toml").write_text(REPORTS)
    run = simulate(load_scenario(tmp_path / "t.toml"), "hedged")

    assert (run.result.outcome, run.result.content_ok) == ("ok", True)
    assert run.result.digest == simulate(run.scenario, "hedged").result.digest


def index_of(cap: str) -> bytes:
    """Return the storage index of a file."""
    parsed = parse_cap(cap)
    assert isinstance(parsed, CHKCap)
    return parsed.storage_index


async def reconnects(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
    """Set up new connections to all servers once a query takes longer than 2 s, and download."""
    index = index_of(cap)
    asked = servers[0].get_buckets(index)
    asked.addTimeout(2.0, reactor)
    try:
        await asked
    except Exception:
        for server in servers:
            assert IReconnectingServer.providedBy(server)
            await server.reconnect()
    await download(reactor, servers, cap, consumer, strategy="first-k")


def test_hangs_until_a_reconnect() -> None:
    """A downloader that reconnects gets the file from servers that hang until then."""
    with SimGrid(rtt=0.05) as grid:
        grid.servers.fault("hung", until="reconnect")
        assert grid.start("first-k").finish().outcome == "stalled"
    with SimGrid(rtt=0.05) as grid:
        grid.servers.fault("hung", until="reconnect")
        result = grid.download(reconnects)

        assert (result.outcome, result.cancelled) == ("ok", 1)
        assert result.ttfb == pytest.approx(2.25)
        assert grid.untriggered_faults() == []
        timeline = text_timeline(grid.runs[-1])
    assert "~ reconnected" in timeline
    assert "asked at 0, cancelled at 2; reconnected at 2, up at 2" in timeline


def test_events_of_a_reconnect(tmp_path: Path) -> None:
    """Cancelled requests and new connections are events, and survive a file."""
    hung = scenario({"select": "all", "fault": {"kind": "hung", "until": "reconnect"}})
    run = simulate(hung, reconnects)
    (tmp_path / "events.txt").write_text(as_text(run))
    words = [event.words for event in Events.read(tmp_path / "events.txt").events]

    assert words == [event.words for event in Events.of(run).events]
    assert words[1] == "the downloader cancels: s0 is asked for its shares"
    assert words[2:4] == ["the client reconnects to s0", "the connection to s0 is up"]


def test_nine_of_ten_are_cancelled() -> None:
    """A downloader that cancels nine of ten reads pays for one."""

    async def cancels(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        index = index_of(cap)
        (bucket,) = (await servers[0].get_buckets(index)).values()
        reads = [bucket.read(0, 10**6) for _ in range(10)]
        for read in reads[1:]:
            reactor.callLater(0.1, read.cancel)
            read.addErrback(lambda failure: None)
        await reads[0]
        took.append(reactor.seconds())
        await download(reactor, servers, cap, consumer, strategy="first-k")

    took: list[float] = []
    with SimGrid(servers=1, k=1, n=1, size=10**6, rtt=0.0, bandwidth=1e6) as grid:
        result = grid.download(cancels)

    assert took[0] == pytest.approx(1.1, abs=0.05)
    assert result.cancelled == 9
    assert result.bytes_saved == pytest.approx(9e6 - 9e4, rel=0.01)
    assert result.bytes_received > 2e6


@pytest.mark.parametrize(("patience", "outcome"), [(0.5, "failed"), (1.5, "ok")])
def test_a_timeout_that_means_no_byte_came(patience: float, outcome: str) -> None:
    """A downloader may time out on silence, however long the whole read takes."""

    async def patient(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        index = index_of(cap)
        (bucket,) = (await servers[0].get_buckets(index)).values()
        assert IProgressBucket.providedBy(bucket)
        timer = reactor.callLater(patience, lambda: read.cancel())
        read: Deferred[bytes] = bucket.read(0, 20_000, lambda arrived: timer.reset(patience))
        await read
        timer.cancel()
        await download(reactor, servers, cap, consumer, strategy="first-k")

    with SimGrid(servers=1, k=1, n=1, size=40_000, rtt=0.05) as grid:
        grid.servers.fault("trickle", piece=1000, every=1.0)
        result = grid.download(patient)

    assert result.outcome == outcome
    assert (result.finished or 0.0) > (0 if outcome == "failed" else 20)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "broken", "on": ["connect"]}, ConnectError),
        ({"kind": "disconnect"}, ConnectionLost),
    ],
)
def test_reconnect_that_fails(fault: dict[str, Any], error: type[Exception]) -> None:
    """A downloader gets the reason if it cannot reconnect."""
    found: list[Exception] = []

    async def tries(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        try:
            await servers[0].reconnect()
        except Exception as e:
            found.append(e)
        await download(reactor, servers[1:], cap, consumer, strategy="first-k")

    with SimGrid(connect={"law": "constant", "value": 0.3}) as grid:
        grid.servers[0].fault(**fault)
        assert grid.download(tries).outcome == "ok"
    assert [type(e) for e in found] == [error]


def test_bound_of_streams() -> None:
    """The bound waits for a trickling block, and knows that a stalled one never arrives."""
    trickle = {"kind": "trickle", "piece": 1000, "every": 0.5}
    slow = scenario({"select": "all", "fault": trickle})
    stalled = scenario({"select": "all", "fault": {"kind": "stall", "after_bytes": 100}})
    throttled = scenario({"select": "all", "fault": {"kind": "throttled", "bandwidth": 1000}})
    block = -(-40_000 // 3)

    # One for the query and one for the block, whose last piece comes some pieces later.
    assert bound(slow).ttfb == pytest.approx(0.1 + 0.5 * (block // 1000))
    assert bound(stalled).ttfb is None
    assert bound(throttled).ttfb == pytest.approx(0.1 + block / 1000, abs=1.0)
    for case in slow, throttled:
        for strategy in "first-k", "windowed", "hedged":
            found = simulate(case, strategy).result.ttfb
            assert found is None or found >= (bound(case).ttfb or 0.0) * (1 - 1e-9)


def test_counted_by_connection() -> None:
    """A fault that counts requests is reported if it met none."""
    with SimGrid() as grid:
        grid.servers[0].fault("hung", after_requests=1000)
        grid.download("hedged")

        assert grid.untriggered_faults() == [
            "hung (after_requests = 1000) on s0, from 0 s on, met no request"
        ]
