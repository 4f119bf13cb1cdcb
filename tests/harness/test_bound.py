"""The clairvoyant bound: no strategy is earlier, and one that knew every draw is as early."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from downloader.strategy import STRATEGIES
from harness.bound import Bound, bound
from harness.files import file_of
from harness.grid import make_servers
from harness.link import Link
from harness.reactor import SimReactor
from harness.server import Client, Connection
from harness.simulate import simulate
from harness.trace import Trace
from scenarios.model import Scenario
from tests.harness.making import constant, exponential, hung, scenario

#: Grids of 10 servers half a second away reach this bound, in seconds.
TWO_ROUND_TRIPS = 1.0

NONE = Bound(None, None, None)


def ttfb(*servers: dict[str, Any], **changes: Any) -> float | None:
    """Return the earliest first block of a scenario with these `[[servers]]`."""
    return bound(scenario(*servers, **changes)).ttfb


def fault(select: str, kind: str, **keys: Any) -> dict[str, Any]:
    """Return an entry that gives servers a fault."""
    return {"select": select, "fault": {"kind": kind, **keys}}


# No strategy is earlier

times = st.floats(0.001, 3)
laws = st.one_of(
    times.map(constant),
    times.map(exponential),
    st.tuples(times, times).map(
        lambda t: {"law": "uniform", "low": min(t), "high": max(t)},
    ),
    st.tuples(times, times).map(
        lambda t: {"law": "shifted-exponential", "shift": t[0], "mean": t[1]}
    ),
    st.tuples(times, st.floats(0, 2)).map(
        lambda t: {"law": "lognormal", "median": t[0], "sigma": t[1]}
    ),
    st.tuples(times, st.floats(0.5, 3)).map(
        lambda t: {"law": "pareto", "alpha": t[1], "scale": t[0]}
    ),
    st.tuples(times, times).map(
        lambda t: {"law": "mixture", "weights": [2, 1], "laws": [constant(t[0]), exponential(t[1])]}
    ),
)
windows: Any = st.one_of(
    st.just({}),
    st.tuples(times, times).map(lambda t: {"start": t[0], "end": sum(t)}),
    times.map(lambda time: {"end": time}),
    times.map(lambda time: {"start": time}),
)
kinds: Any = st.one_of(
    st.sampled_from(["hung", "broken", "empty", "read-error", "disconnect"]).map(
        lambda kind: {"kind": kind}
    ),
    st.sampled_from(["get_buckets", "read"]).map(lambda on: {"kind": "hung", "on": [on]}),
    st.tuples(st.floats(0.1, 5), times).map(
        lambda t: {"kind": "slow", "factor": t[0], "extra": t[1]}
    ),
    st.floats(0, 1).map(lambda p: {"kind": "flaky", "probability": p}),
    st.sampled_from(
        ["block", "ueb", "share-hashes", "block-hashes", "crypttext-hashes", "header"]
    ).map(lambda part: {"kind": "corrupt", "part": part}),
    st.integers(0, 1000).map(lambda length: {"kind": "truncated", "length": length}),
)
faults = st.tuples(kinds, windows).map(lambda t: t[0] | t[1])
entries = st.fixed_dictionaries(
    {"select": st.sets(st.integers(0, 5), min_size=1).map(lambda s: ",".join(map(str, sorted(s))))},
    optional={
        "fault": st.lists(faults, max_size=3),
        "shares": st.lists(st.integers(0, 5), max_size=3),
        "rtt": laws,
        "service": laws,
        "bandwidth": st.floats(10, 1e4),
    },
)
grids = st.fixed_dictionaries(
    {"servers": st.just(6), "rtt": laws, "rtt_per": st.sampled_from(["request", "server"])},
    optional={
        "service": laws,
        "concurrency": st.integers(1, 3),
        "bandwidth": st.floats(10, 1e4),
        "client_bandwidth": st.floats(10, 1e4),
    },
)
files = st.fixed_dictionaries(
    {"size": st.integers(60, 300), "segment_size": st.integers(30, 300), "k": st.integers(1, 3)},
    optional={"offset": st.integers(0, 59)},
)


@settings(deadline=None, max_examples=150)
@given(
    st.builds(
        lambda servers, **tables: scenario(*servers, deadline=1e6, **tables),
        servers=st.lists(entries, max_size=4),
        grid=grids,
        file=files.map(lambda keys: keys | {"n": 6}),
        seed=st.integers(0, 2**20),
        stop=st.sampled_from(["first-block", "complete"]),
    )
)
def test_no_strategy_is_earlier(made: Scenario) -> None:
    """Whatever the grid, no strategy has a first block earlier, or for less."""
    least = bound(made)
    for strategy in STRATEGIES:
        found = simulate(made, strategy).result
        if found.ttfb is not None:
            assert least.ttfb is not None
            assert least.ttfb <= found.ttfb * (1 + 1e-9)  # sums differ in the last bits
        if found.outcome == "ok":
            assert least.requests is not None
            assert least.requests <= found.requests
            assert least.bytes is not None
            assert least.bytes <= found.bytes_received


# One who knew every draw is as early


def first_reads(of: Scenario) -> list[float]:
    """Return when the blocks come, if each server's one share is read when it is known.

    Sorted; what is read is one block without anything else.
    """
    reactor, file, found = SimReactor(), file_of(of, of.seed), list[float]()
    block = len(file.plaintext or b"") // of.file.k

    def read(buckets: Any) -> None:
        reading: Deferred[bytes] = buckets[next(iter(buckets))].read(36, block)
        reading.addCallbacks(lambda _: found.append(reactor.seconds()), lambda _: None)

    for server in make_servers(of, of.seed, file, reactor):
        asked = Connection(server, Client(Trace())).get_buckets(file.cap.storage_index)
        asked.addCallbacks(read, lambda _: None)
    reactor.run()
    return sorted(found)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("per", ["request", "server"])
@pytest.mark.parametrize(
    "grid", [{}, {"service": exponential(0.5)}, {"bandwidth": 9}], ids=["", "service", "bandwidth"]
)
def test_attained(grid: dict[str, Any], per: str, seed: int) -> None:
    """It is when the K-th block comes to one who asks and reads once, with the same draws."""
    made = scenario(
        fault("1-2", "slow", factor=3),
        fault("3", "hung", start=0.2, end=2),
        fault("4-5", "flaky", probability=0.5),
        fault("6", "broken", start=1),
        {"select": "8", "rtt": constant(0.5), "service": constant(0.25), "bandwidth": 18},
        file={"size": 54},
        grid={"rtt": exponential(), "rtt_per": per, **grid},
        seed=seed,
    )

    least, attained = bound(made).ttfb, first_reads(made)[2]
    assert least is not None
    if "bandwidth" in grid and per == "request":
        # The block might come with a later and luckier request of the same round.
        assert least <= attained * (1 + 1e-9)
        return
    assert least == pytest.approx(attained)


@pytest.mark.parametrize("rtt", [0.0625, 0.1, 1 / 3, 1e-9, 12345.678])
def test_constant(rtt: float) -> None:
    """On a good grid it is two round trips, to the last bit."""
    assert 2 * rtt == ttfb(grid={"rtt": constant(rtt)})


def test_runs() -> None:
    """Each run has a bound of its own, that of its seed."""
    made = scenario(grid={"rtt": exponential()}, runs=3)

    assert 3 == len({bound(made, run).ttfb for run in range(3)})
    assert bound(scenario(grid={"rtt": exponential()}, seed=2)) == bound(made, 2)


def test_disturbs_nothing() -> None:
    """A run is the same after one has asked for its bound."""
    made = scenario(fault("3-9", "flaky", probability=0.5), grid={"rtt": exponential()})
    before = simulate(made, "first-k").result
    bound(made)

    assert before == simulate(made, "first-k").result


# What a server needs


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("hung", {}),
        ("hung", {"on": ["read"]}),
        ("broken", {}),
        ("empty", {}),
        ("read-error", {}),
        ("disconnect", {}),
        ("disconnect", {"start": 1.0}),
        ("flaky", {"probability": 1}),
        ("corrupt", {"part": "header"}),
        ("corrupt", {"part": "block"}),
        ("corrupt", {"part": "block-hashes"}),
        ("corrupt", {"part": "share-hashes"}),
        ("truncated", {"length": 60}),
    ],
)
def test_bad_shares(kind: str, keys: dict[str, Any]) -> None:
    """A server with such a fault gives no block: with two others there is no first block."""
    assert TWO_ROUND_TRIPS == ttfb(fault("3-9", kind, **keys))
    assert NONE == bound(scenario(fault("2-9", kind, **keys)))


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("corrupt", {"part": "ueb"}),
        ("truncated", {"length": 400}),  # in the UEB
    ],
)
def test_bad_uebs(kind: str, keys: dict[str, Any]) -> None:
    """One good UEB is enough."""
    assert TWO_ROUND_TRIPS == ttfb(fault("1-9", kind, **keys))
    assert TWO_ROUND_TRIPS == ttfb(fault("0", "read-error"), fault("2-9", kind, **keys))
    assert NONE == bound(scenario(fault("all", kind, **keys)))


def test_late_ueb() -> None:
    """The only good UEB is waited for."""
    slow = {"select": "0", "fault": {"kind": "slow", "factor": 4}}

    assert 4.0 == ttfb(fault("1-9", "corrupt", part="ueb"), slow)


@pytest.mark.parametrize(
    ("kind", "keys", "time"),
    [
        ("hung", {}, 9.25 + 0.5),  # the query is taken up at 9
        ("hung", {"on": ["read"]}, 9.25),
        ("hung", {"start": 0.5}, 9.25),
        ("broken", {}, 9.25 + 0.5),
        ("empty", {}, 9.25 + 0.5),
        ("read-error", {}, 9.25),
        ("broken", {"start": 0.5}, 9.25),
        ("disconnect", {}, 9 + 0.5 + 0.5),  # the query is sent at 9
        ("disconnect", {"start": 0.75}, 9.5),
        ("flaky", {"probability": 1}, 9.25 + 0.5),
        ("slow", {"extra": 30}, 9 + 0.5 + 0.5),
        ("slow", {"extra": 30, "start": 0.5}, 9.5),
        ("slow", {"extra": 3}, 3.5 + 3.5),  # not worth waiting
        ("corrupt", {"part": "block"}, 9),  # nothing is known of later reads
        ("truncated", {"length": 0}, 9),
    ],
)
def test_for_a_time(kind: str, keys: dict[str, Any], time: float) -> None:
    """One who knows when a fault is over waits for that, if it is worth it."""
    assert time == ttfb(fault("2-9", kind, **{"end": 9, **keys}))


def test_copies() -> None:
    """Distinct share numbers count, each from the server that has it first."""
    copies = {"select": "all", "shares": [0]}
    others = [{"select": str(number), "shares": [number]} for number in (1, 2)]
    late = {"select": "1", "rtt": constant(2)}

    assert NONE == bound(scenario(copies, others[0]))
    assert TWO_ROUND_TRIPS == ttfb(copies, *others)
    assert 4.0 == ttfb(copies, *others, late)
    assert TWO_ROUND_TRIPS == ttfb(copies, *others, late, {"select": "5", "shares": [1]})


@pytest.mark.parametrize("seed", range(5))
def test_several_shares_on_a_server(seed: int) -> None:
    """Where a server has several shares each is as early as the luckiest of its requests."""
    made = scenario(grid={"servers": 1, "rtt": exponential()}, file={"n": 2, "k": 2}, seed=seed)
    link = Link(made.grid.rtt, "request", seed, "s0")
    query, *reads = (link.round_trip() for _ in range(1 + 2 * 5))

    assert query + min(reads) == pytest.approx(bound(made).ttfb)


@pytest.mark.parametrize(("rtt", "end"), [(0.79, 6.87), (0.77, 3.28), (0.36, 0.92), (0.1, 0.23)])
def test_arrival_to_the_last_bit(rtt: float, end: float) -> None:
    """A read that is to arrive when a fault is over does so, whatever half a round trip is."""
    made = scenario(fault("all", "read-error", end=end), grid={"rtt": constant(rtt)})

    assert end + rtt / 2 == pytest.approx(bound(made).ttfb)


# Bytes on their way


def test_uplink() -> None:
    """A block takes its size divided by the bandwidth of the server."""
    assert TWO_ROUND_TRIPS + 2 == ttfb(file={"size": 54}, grid={"bandwidth": 9})


def test_downlink() -> None:
    """The client's downlink carries K blocks."""
    assert TWO_ROUND_TRIPS + 6 == ttfb(file={"size": 54}, grid={"client_bandwidth": 9})


def test_service() -> None:
    """A server works on the query and on the read."""
    assert TWO_ROUND_TRIPS + 6 == ttfb(grid={"service": constant(3)})


def test_range() -> None:
    """The first segment that is asked for counts, and the last one may be shorter."""
    file = {"size": 60 + 24, "segment_size": 30}

    assert TWO_ROUND_TRIPS + 10 == ttfb(file=file, grid={"bandwidth": 1})
    assert TWO_ROUND_TRIPS + 10 == ttfb(file=file | {"offset": 59}, grid={"bandwidth": 1})
    assert TWO_ROUND_TRIPS + 8 == ttfb(file=file | {"offset": 60}, grid={"bandwidth": 1})


# What it costs


@pytest.mark.parametrize(
    ("servers", "requests"),
    [
        ({"servers": 10}, 3 + 3),
        ({"servers": 5}, 3 + 2),  # two shares each
        ({"servers": 1}, 3 + 1),
    ],
)
def test_requests(servers: dict[str, Any], requests: int) -> None:
    """K shares are read, and those servers are asked that have the most of them."""
    assert requests == bound(scenario(grid=servers)).requests


def test_requests_to_good_shares() -> None:
    """Only good shares count."""
    two_each = fault("0-2", "read-error")

    assert 3 + 3 == bound(scenario(two_each, file={"n": 9}, grid={"servers": 6})).requests


@pytest.mark.parametrize(
    ("asked", "blocks", "hashes"),
    [
        ({}, 50, 0),
        ({"length": 1}, 10, 3),  # a tree over five leaves is three high
        ({"offset": 30, "length": 31}, 20, 3),
        ({"offset": 120}, 10, 1),  # beside it is padding, which is known
        ({"offset": 60}, 30, 1),
    ],
)
def test_bytes(asked: dict[str, Any], blocks: int, hashes: int) -> None:
    """Blocks, the hashes beside their way to the root, and one UEB must be read."""
    made = scenario(file={"size": 150, "segment_size": 30, **asked})
    ueb = bound(scenario(file={"size": 150, "segment_size": 150})).bytes
    assert ueb is not None
    more = bound(made).bytes
    assert more is not None

    # The UEBs differ in one digit of the segment size, twice.
    assert 3 * (blocks + 32 * hashes) == pytest.approx(more - (ueb - 150), abs=8)


def test_bytes_of_the_first_block() -> None:
    """Where a run stops at the first block the first segment counts alone."""
    file = {"size": 150, "segment_size": 30}
    one = bound(scenario(file=file | {"length": 1}))

    assert one.bytes == bound(scenario(file=file, stop="first-block")).bytes


def test_nothing_asked_for() -> None:
    """Where no byte is asked for there is no first block, and it costs nothing."""
    assert Bound(None, 0, 0) == bound(scenario(file={"length": 0}))
    assert Bound(None, 0, 0) == bound(scenario(file={"offset": 56}))


def test_hung_servers() -> None:
    """Hung servers do not matter as long as enough others are there."""
    assert TWO_ROUND_TRIPS == ttfb(hung("0-6"))
    assert NONE == bound(scenario(hung("0-7")))


def test_block_with_a_later_request() -> None:
    """A block may come with the second request of a round, if that is luckier than the first."""
    uniform = {"law": "uniform", "low": 0.05, "high": 2.0}
    made = scenario(
        {"select": {"count": 6}, "rtt": constant(2.0), "bandwidth": 1000.0},
        {"select": "0", "rtt": uniform},
        file={"size": 10620, "k": 2, "n": 7, "segment_size": 2124, "offset": 2124, "length": 849},
        grid={"servers": 7, "rtt": constant(0.25)},
        seed=297,
        strategies=["windowed"],
    )
    least, came = bound(made).ttfb, simulate(made, "windowed").result.ttfb

    assert least is not None
    assert came is not None
    assert least <= came
