"""The clairvoyant bound: no strategy is earlier, and one that knew every draw could attain it.

`test_bound_oracle` looks for the earliest of all downloads by brute force.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from firstk.downloader.strategy import STRATEGIES
from firstk.harness.grid.build import make_servers
from firstk.harness.grid.connection import Client, Connection
from firstk.harness.grid.files import file_of
from firstk.harness.grid.link import Link
from firstk.harness.grid.trace import Trace
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.harness.run.bound import Bound, bound
from firstk.harness.run.bound_needs import ueb_of
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, exponential, hung, scenario
from tests.marks import few

#: The bound of 10 servers with a round trip of half a second, in seconds.
TWO_ROUND_TRIPS = 1.0

NONE = Bound(None, None, None)

#: The sizes of a header, and of a share hash chain of ten shares, in bytes.
HEADER = 36
CHAIN = 5 * 34


def ttfb(*servers: dict[str, Any], **changes: Any) -> float | None:
    """Return the earliest first byte of a scenario with these `[[servers]]`."""
    return bound(scenario(*servers, **changes)).ttfb


def ttfb_of(of: Scenario) -> float | None:
    """Return the earliest first byte of a scenario."""
    return bound(of).ttfb


def needed(of: Scenario, blocks: int) -> int:
    """Return how many bytes are needed for this many bytes of blocks, of three of ten shares."""
    return 3 * HEADER + 2 * CHAIN + len(ueb_of(file_of(of)).pack()) + blocks


def fault(select: str, kind: str, **keys: Any) -> dict[str, Any]:
    """Return an entry that gives servers a fault."""
    return {"select": select, "fault": {"kind": kind, **keys}}


# No strategy is earlier than the bound

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


@settings(deadline=None, max_examples=40)
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
    """No strategy has its first byte earlier than the bound, or with fewer requests or bytes."""
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


# A download that knew every draw attains the bound


def first_reads(of: Scenario) -> list[float]:
    """Return when the blocks arrive, if each server's share is read until a read succeeds.

    Sorted; what is read is the header and the block that follows it.
    """
    reactor, file, found = SimReactor(), file_of(of), list[float]()
    block = len(file.plaintext or b"") // of.file.k

    def read(buckets: Any, tries: int = 20) -> None:
        def failed(_: object) -> None:
            if tries:
                read(buckets, tries - 1)

        reading: Deferred[bytes] = buckets[next(iter(buckets))].read(0, HEADER + block)
        reading.addCallbacks(lambda _: found.append(reactor.seconds()), failed)

    for server in make_servers(of, of.seed, file, reactor):
        asked = Connection(server, Client(Trace())).get_buckets(file.cap.storage_index)
        asked.addCallbacks(read, lambda _: None)
    reactor.run()
    return sorted(found)


@pytest.mark.parametrize("seed", few(3, range(10)))
@pytest.mark.parametrize("per", ["request", "server"])
@pytest.mark.parametrize("grid", [{}, {"service": exponential(0.5)}], ids=["", "service"])
def test_attained(grid: dict[str, Any], per: str, seed: int) -> None:
    """The bound is the time of the K-th block of a download with the same draws."""
    made = scenario(
        fault("1-2", "slow", factor=3),
        fault("3", "hung", start=0.2, end=2),
        fault("4-6", "broken", start=1),
        {"select": "8", "rtt": constant(0.5), "service": constant(0.25)},
        file={"size": 54},
        grid={"rtt": exponential(), "rtt_per": per, **grid},
        seed=seed,
    )

    assert first_reads(made)[2] == pytest.approx(bound(made).ttfb)


@pytest.mark.parametrize("rtt", [0.0625, 0.1, 1 / 3, 1e-9, 12345.678])
def test_constant(rtt: float) -> None:
    """On a good grid, the bound is exactly two round trips."""
    assert 2 * rtt == ttfb(grid={"rtt": constant(rtt)})


def test_runs() -> None:
    """Each run has its own bound, that of its seed."""
    made = scenario(grid={"rtt": exponential()}, runs=3)

    assert len({bound(made, run).ttfb for run in range(3)}) == 3
    assert bound(scenario(grid={"rtt": exponential()}, seed=2)) == bound(made, 2)


def test_disturbs_nothing() -> None:
    """Computing the bound does not change a run."""
    made = scenario(fault("3-9", "flaky", probability=0.5), grid={"rtt": exponential()})
    before = simulate(made, "first-k").result
    bound(made)

    assert before == simulate(made, "first-k").result


# What a server must provide


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
        ("truncated", {"length": 50}),  # in the block
    ],
)
def test_bad_shares(kind: str, keys: dict[str, Any]) -> None:
    """A server with such a fault gives no block; the other two servers are too few."""
    assert ttfb(fault("3-9", kind, **keys)) == TWO_ROUND_TRIPS
    assert bound(scenario(fault("2-9", kind, **keys))) == NONE


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("corrupt", {"part": "ueb"}),
        ("truncated", {"length": 400}),  # in the UEB
    ],
)
def test_bad_uebs(kind: str, keys: dict[str, Any]) -> None:
    """One good UEB is enough."""
    assert ttfb(fault("1-9", kind, **keys)) == TWO_ROUND_TRIPS
    assert ttfb(fault("0", "read-error"), fault("2-9", kind, **keys)) == TWO_ROUND_TRIPS
    assert bound(scenario(fault("all", kind, **keys))) == NONE


def test_late_ueb() -> None:
    """The bound waits for the only good UEB."""
    slow = {"select": "0", "fault": {"kind": "slow", "factor": 4}}

    assert ttfb(fault("1-9", "corrupt", part="ueb"), slow) == 4.0


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
        ("corrupt", {"part": "block"}, 9.25),  # the read is taken up at 9
        ("truncated", {"length": 0}, 9.25),
    ],
)
def test_for_a_time(kind: str, keys: dict[str, Any], time: float) -> None:
    """The bound waits for the end of a fault if that is the earliest way."""
    assert time == ttfb(fault("2-9", kind, **{"end": 9, **keys}))


def test_copies() -> None:
    """Only distinct share numbers count, each from the server that has it first."""
    copies = {"select": "all", "shares": [0]}
    others = [{"select": str(number), "shares": [number]} for number in (1, 2)]
    late = {"select": "1", "rtt": constant(2)}

    assert bound(scenario(copies, others[0])) == NONE
    assert ttfb(copies, *others) == TWO_ROUND_TRIPS
    assert ttfb(copies, *others, late) == 4.0
    assert ttfb(copies, *others, late, {"select": "5", "shares": [1]}) == TWO_ROUND_TRIPS


@pytest.mark.parametrize("seed", range(5))
def test_several_shares_on_a_server(seed: int) -> None:
    """If a server has several shares, any of its first reads may be the ones that count."""
    made = scenario(grid={"servers": 1, "rtt": exponential()}, file={"n": 2, "k": 2}, seed=seed)
    link = Link(made.grid.rtt, "request", seed, "s0")
    query = link.round_trip()
    # Two reads of each share may be under way, and a fifth when one of them is answered.
    first = sorted(query + link.round_trip() for _ in range(4))
    fifth = first[0] + link.round_trip()

    assert sorted([*first, fifth])[1] == pytest.approx(bound(made).ttfb)


@pytest.mark.parametrize(("rtt", "end"), [(0.79, 6.87), (0.77, 3.28), (0.36, 0.92), (0.1, 0.23)])
def test_arrival_to_the_last_bit(rtt: float, end: float) -> None:
    """A read can arrive exactly at the end of a fault, whatever the round trip is."""
    made = scenario(fault("all", "read-error", end=end), grid={"rtt": constant(rtt)})

    assert end + rtt / 2 == pytest.approx(bound(made).ttfb)


# Which hashes are needed


@pytest.mark.parametrize("part", ["block-hashes", "crypttext-hashes"])
def test_hashes_of_one_segment(part: str) -> None:
    """With one segment, only the root hashes are needed, and other places have them too."""
    assert ttfb(fault("all", "corrupt", part=part)) == TWO_ROUND_TRIPS


def test_hashes_of_several_segments() -> None:
    """Each share needs its own block hashes; the crypttext hashes of any share will do."""
    file = {"segment_size": 30}
    blocks, crypttext = (
        fault(select, "corrupt", part=part)
        for select, part in (("3-9", "block-hashes"), ("1-9", "crypttext-hashes"))
    )
    others = fault("0", "slow", factor=4)

    assert ttfb(blocks, file=file) == TWO_ROUND_TRIPS
    assert bound(scenario(blocks | {"select": "2-9"}, file=file)) == NONE
    assert ttfb(crypttext, file=file) == TWO_ROUND_TRIPS
    assert ttfb(crypttext, others | {"fault": [others["fault"]]}, file=file) == 4.0
    assert bound(scenario(crypttext | {"select": "all"}, file=file)) == NONE


def test_hashes_of_a_copy() -> None:
    """A share's block hashes may come from a copy of it whose block is corrupt."""
    block_hashes = fault("2", "corrupt", part="block-hashes")
    copy = {"select": "3", "shares": [2]} | fault("3", "corrupt", part="block")
    alone = {"select": "4-9", "shares": []}
    file = {"segment_size": 30, "n": 3}

    assert bound(scenario(alone, block_hashes, file=file)) == NONE
    assert ttfb(alone, block_hashes, copy, file=file) == TWO_ROUND_TRIPS


def test_chain_of_a_sibling() -> None:
    """A share's root hash is also in the chain of its sibling: 0 and 1, 2 and 3."""
    chain = fault("0,2", "corrupt", part="share-hashes")
    lost = fault("3-9", "broken")
    late = {"select": "3", "fault": {"kind": "slow", "factor": 4}}

    assert bound(scenario(chain, lost)) == NONE  # the root hash of 2 is nowhere
    assert bound(scenario(chain | {"select": "0,1"}, lost)) == NONE
    assert ttfb(chain, lost, late) == 4.0
    assert ttfb(chain, lost | {"select": "3-8"}) == TWO_ROUND_TRIPS  # 0, 1 and 9


def test_no_chain_of_one_share() -> None:
    """The root hash of the only share is in the UEB."""
    chain = fault("all", "corrupt", part="share-hashes")

    assert ttfb(chain, file={"k": 1, "n": 1}) == TWO_ROUND_TRIPS
    assert bound(scenario(chain, file={"k": 1, "n": 2})) == NONE


# Reading again


def test_flaky_reads() -> None:
    """A failed read is sent again; a failed query is not."""
    made = scenario(
        fault("0", "flaky", probability=0.7, start=0.4),  # the query arrives before
        fault("1", "empty"),
        file={"k": 1, "n": 2},
        grid={"servers": 2},
        seed=4,
    )
    chances = stream(4, "s0", "fault 0")
    draws = [chances.random() for _ in range(20)][1:]
    first = next(read for read, draw in enumerate(draws) if draw >= 0.7)

    # The share has two parts. When the first read has failed, two draws are used up in each
    # round trip: one may be that of a read for the other part.
    assert first > 1
    assert 0.5 + 0.5 * ((first + 1) // 2 + 1) == ttfb_of(made)


def test_flaky_for_ever() -> None:
    """If every read fails, there is no first byte; if a few succeed, there is one."""
    first = {"kind": "flaky", "start": 0.4}

    assert bound(scenario({"select": "all", "fault": first | {"probability": 1}})) == NONE
    rare = bound(scenario({"select": "all", "fault": first | {"probability": 1 - 1e-6}}))
    assert rare.ttfb is not None
    assert rare.ttfb > TWO_ROUND_TRIPS


# Bandwidth


def test_uplink() -> None:
    """A header and a block take their size divided by the server's bandwidth."""
    slow = ttfb(file={"size": 2400}, grid={"bandwidth": 100})

    assert pytest.approx(slow) == TWO_ROUND_TRIPS + (HEADER + 800) / 100


def test_one_uplink() -> None:
    """An uplink that all K shares use carries everything that is needed."""
    made = scenario(file={"size": 2400}, grid={"servers": 1, "bandwidth": 100})

    assert bound(made).ttfb == pytest.approx(TWO_ROUND_TRIPS + needed(made, 2400) / 100)


def test_two_uplinks() -> None:
    """The best choice is one share from the slower server, and two from the faster one."""
    faster = {"select": "0", "bandwidth": 1000.0}
    made = scenario(faster, file={"size": 90_000, "n": 4}, grid={"servers": 2, "bandwidth": 400.0})
    one = HEADER + 30_000
    least = bound(made).ttfb
    assert least is not None

    # The faster one gives the UEB, and no more than the chains of its two shares.
    begin = TWO_ROUND_TRIPS + one / 400
    assert begin <= least <= begin + (2 * CHAIN + needed(made, 0)) / 400


def test_uplink_and_downlink() -> None:
    """A piece passes the downlink after the uplink."""
    grid = {"bandwidth": 100, "client_bandwidth": 1e6}
    both = ttfb(file={"size": 2400}, grid=grid)

    assert pytest.approx(both) == TWO_ROUND_TRIPS + (HEADER + 800) * (1 / 100 + 1 / 1e6)


def test_downlink() -> None:
    """The client's downlink carries everything that is needed."""
    made = scenario(file={"size": 2400}, grid={"client_bandwidth": 100})

    assert bound(made).ttfb == pytest.approx(TWO_ROUND_TRIPS + needed(made, 2400) / 100)


def test_lost_on_the_way() -> None:
    """A block that takes longer than the connection lasts never arrives."""
    lost = fault("all", "disconnect", start=9)
    grid = {"bandwidth": 100}

    assert bound(scenario(lost, file={"size": 2400}, grid=grid)) == NONE
    assert bound(scenario(lost, file={"size": 2100}, grid=grid)) != NONE


@pytest.mark.parametrize(
    "refusal",
    [
        {"kind": "broken", "end": 0.05},
        {"kind": "flaky", "probability": 0.5},
        {"kind": "hung", "end": 0.5, "fails_after": 0.2},
    ],
    ids=lambda refusal: refusal["kind"],
)
def test_refused_query(refusal: dict[str, Any]) -> None:
    """A query whose connection is refused uses up draws, and is sent again with others."""
    made = scenario(
        {"select": "1", "fault": refusal | {"on": ["connect"]}},
        file={"size": 1, "k": 2, "n": 2},
        grid={"servers": 2, "rtt": exponential(15)},
    )

    for run in range(40):
        found = simulate(made, "hedged", run).result.ttfb
        least = bound(made, run).ttfb

        assert least is not None
        assert found is None or found >= least


def test_queue() -> None:
    """A server that works on two requests at once needs three turns for five shares."""
    made = scenario(file={"k": 5}, grid={"servers": 1, "service": constant(3), "concurrency": 2})

    assert ttfb_of(made) == TWO_ROUND_TRIPS + 3 + 3 * 3


def test_queues() -> None:
    """Shares are taken from the servers that can give them first."""
    made = scenario(
        {"select": "0", "service": constant(1)},
        file={"n": 6, "k": 4},
        grid={"servers": 2, "service": constant(2.5), "concurrency": 1},
    )

    # One answers the query at 1.5, and reads at 3, 4, 5; the other at 3, and at 6.
    assert ttfb_of(made) == 6


def test_service() -> None:
    """A server spends service time on the query and on the read."""
    assert ttfb(grid={"service": constant(3)}) == TWO_ROUND_TRIPS + 6


def test_range() -> None:
    """The first segment of the range counts, and the last segment may be shorter."""
    file = {"size": 6000 + 2400, "segment_size": 3000}

    # The block does not lie beside the header but in the first segment.
    assert ttfb(file=file, grid={"bandwidth": 1}) == TWO_ROUND_TRIPS + HEADER + 1000 + 64
    second = ttfb(file=file | {"offset": 5999}, grid={"bandwidth": 1})
    assert second == TWO_ROUND_TRIPS + HEADER + 1000 + 64
    third = ttfb(file=file | {"offset": 6000}, grid={"bandwidth": 1})
    assert third == TWO_ROUND_TRIPS + HEADER + 800 + 32


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
    """K shares are read, and the servers with the most shares are queried."""
    assert requests == bound(scenario(grid=servers)).requests


def test_requests_to_good_shares() -> None:
    """Only good shares count."""
    two_each = fault("0-2", "read-error")

    assert bound(scenario(two_each, file={"n": 9}, grid={"servers": 6})).requests == 3 + 3


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
    """The bytes are headers, blocks, needed hashes, two chains and one UEB."""
    made = scenario(file={"size": 150, "segment_size": 30, **asked})

    # The block hashes of three shares, and the crypttext hashes.
    assert needed(made, 3 * blocks) + 4 * 32 * hashes == bound(made).bytes


def test_chains() -> None:
    """Of three shares, two are siblings if possible; a single share needs no chain."""
    apart = scenario({"select": "1,3,5,7,9", "fault": {"kind": "broken"}})

    assert needed(apart, 57) + CHAIN == bound(apart).bytes
    alone = scenario(file={"k": 1, "n": 1})
    assert HEADER + 56 + len(ueb_of(file_of(alone)).pack()) == bound(alone).bytes


def test_bytes_of_the_first_block() -> None:
    """If a run stops at the first block, only the first segment counts."""
    file = {"size": 150, "segment_size": 30}
    one = bound(scenario(file=file | {"length": 1}))

    assert one.bytes == bound(scenario(file=file, stop="first-block")).bytes


def test_nothing_asked_for() -> None:
    """If no byte is requested, there is no first byte, and it costs nothing."""
    assert Bound(None, 0, 0) == bound(scenario(file={"length": 0}))
    assert Bound(None, 0, 0) == bound(scenario(file={"offset": 56}))


def test_hung_servers() -> None:
    """Hung servers do not matter as long as enough others remain."""
    assert ttfb(hung("0-6")) == TWO_ROUND_TRIPS
    assert bound(scenario(hung("0-7"))) == NONE


def test_block_with_a_later_request() -> None:
    """A block may come with the second request of a round, if that one is faster."""
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
