"""Simulated servers answer as their links and faults determine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from firstk.downloader.interfaces import IBucket, IStorageServer
from firstk.downloader.layout import HEADER_SIZE, header_size, parse_header
from firstk.harness.grid.connection import Client, Connections
from firstk.harness.grid.link import Link
from firstk.harness.grid.trace import Trace
from firstk.harness.kernel.rng import stream
from firstk.scenarios.faults import Corrupt, Fault
from firstk.scenarios.model import UnopenedShare
from tests.harness.grid.bench import INDEX, LAW, LOST, SHARE, SHARES, WRONG, Bench
from tests.harness.making import constant, exponential

# A good server


def test_query() -> None:
    """A server answers a query after a round trip, with the buckets of its shares."""
    assert Bench().query().query(2).run() == [(0.5, [4, 7]), (2.5, [4, 7])]


def test_bucket() -> None:
    """A bucket reads its own share."""
    bench = Bench()
    read: list[bytes] = []

    def ask(buckets: Mapping[int, IBucket]) -> None:
        for bucket in buckets.values():
            assert verifyObject(IBucket, bucket)
            bucket.read(10, 20).addCallback(read.append)

    bench.connection.get_buckets(INDEX).addCallback(ask)
    bench.run()

    assert read == [SHARES[1][4][10:30], SHARES[1][7][10:30]]
    assert bench.reactor.seconds() == 1


def test_interface() -> None:
    """A simulated server provides the storage server's interface, and has a name."""
    server = Bench().connection

    assert verifyObject(IStorageServer, server)
    assert server.name == "s0"


def test_wrong_storage_index() -> None:
    """A server has no shares of any other file."""
    assert Bench().query(index=bytes(16)).run() == [(0.5, [])]


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 10), (len(SHARE) - 5, 10), (len(SHARE), 10), (9999, 1), (5, 0)]
)
def test_read(offset: int, length: int) -> None:
    """A read is shorter at the end of the share, and empty past it."""
    bench = Bench().read(1, offset, length)

    assert [(1.5, SHARE[offset : offset + length])] == bench.run()
    assert not bench.trace.exchanges[0].corrupt


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1)])
def test_impossible_read(offset: int, length: int) -> None:
    """A negative offset or length is refused at once."""
    with pytest.raises(ValueError, match="is impossible"):
        Bench().connection.read(INDEX, 4, offset, length)


def test_overlapping_requests() -> None:
    """Requests do not wait for one another."""
    bench = Bench().query(0).read(0.25, 0, 1).query(0.25).read(0.125, 1, 1)

    assert bench.run() == [(0.5, [4, 7]), (0.625, SHARE[1:2]), (0.75, SHARE[:1]), (0.75, [4, 7])]


def test_trace() -> None:
    """Every request is in the trace, with its times and its answer."""
    bench = Bench().query().read(1, 2, 3)
    bench.run()

    assert bench.trace.lines == [
        "0 sent 0 s0 get_buckets ",
        "0.5 answered 0 s0 get_buckets 4,7",
        "1 sent 1 s0 read 4 2 3 ",
        "1.5 answered 1 s0 read 4 2 3 3 bytes",
    ]
    assert [(exchange.sent, exchange.ended, exchange.ok) for exchange in bench.trace.exchanges] == [
        (0, 0.5, True),
        (1, 1.5, True),
    ]
    assert bench.trace.totals().bytes_received == 3


# Times


def test_answers_take_the_times_of_the_link() -> None:
    """Answers take the times that the link draws, so they may arrive out of order."""
    link = Link(LAW.validate_python(exponential()), "request", 0, "s0")
    times = [link.round_trip() for _ in range(5)]
    answers = Bench(law=exponential()).query().query().query().query().query().run()

    assert sorted(times) == [time for time, _ in answers]
    assert sorted(times) != times


# Faults


def test_every_kind_is_tested() -> None:
    """The tests cover every kind of fault."""
    kinds = {get_args(kind.model_fields["kind"].annotation)[0] for kind in fault_classes()}

    assert kinds == {"hung", "slow", "broken", "empty", "read-error", "disconnect", "flaky"} | {
        "corrupt",
        "truncated",
        *("trickle", "stall", "throttled"),  # in test_stream.py
    }


def fault_classes() -> Sequence[type[Any]]:
    """Return the classes of all faults."""
    union: Any = get_args(Fault)[0]
    return get_args(union)


def test_hung() -> None:
    """A hung server answers nothing, and no event is left."""
    bench = Bench({"kind": "hung"}).query().read(1)

    assert bench.run() == []
    assert bench.reactor.seconds() == 1
    assert [exchange.ended for exchange in bench.trace.exchanges] == [None, None]


@pytest.mark.parametrize(
    ("on", "answers"),
    [
        (["get_buckets"], [(1.5, SHARE[:1])]),
        (["read"], [(0.5, [4, 7])]),
        (["read", "get_buckets"], []),
    ],
)
def test_hung_on(on: list[str], answers: list[Any]) -> None:
    """A server may hang on one kind of request, and answer the other."""
    assert answers == Bench({"kind": "hung", "on": on}).query().read(1, 0, 1).run()


def test_hung_with_end() -> None:
    """Requests that a server held are answered half a round trip after the hang ends."""
    bench = Bench({"kind": "hung", "end": 5}).query().read(2, 0, 1).read(3, 1, 1).query(6)

    assert bench.run() == [(5.25, [4, 7]), (5.25, SHARE[:1]), (5.25, SHARE[1:2]), (6.5, [4, 7])]


@pytest.mark.parametrize(
    ("at", "answered"),
    [
        (0.625, 1.125),  # arrives before it hangs, and is answered while it does
        (0.75, 5.25),  # arrives as it begins to hang
        (4.625, 5.25),  # arrives while it hangs, and leaves when that is over
        (4.75, 5.25),  # arrives as that is over
        (4.875, 5.375),
    ],
)
def test_hung_decides_on_arrival(at: float, answered: float) -> None:
    """A request is held if the server hangs when it arrives, half a round trip after sending."""
    assert [(answered, [4, 7])] == Bench({"kind": "hung", "start": 1, "end": 5}).query(at).run()


@pytest.mark.parametrize(
    "windows",
    [[(0, 5), (5, 9)], [(5, 9), (0, 5)], [(0, 9), (3, 5)], [(3, 5), (0, 4), (4, 9)]],
    ids=["in order", "the other way", "one in another", "overlapping"],
)
def test_hung_twice(windows: list[tuple[float, float]]) -> None:
    """If a server hangs again as soon as it recovers, it answers after the last hang."""
    faults = [{"kind": "hung", "start": start, "end": end} for start, end in windows]

    assert Bench(*faults).query(1).run() == [(9.25, [4, 7])]


def test_hung_with_a_pause() -> None:
    """Between two hangs, a server answers what it held in the first."""
    faults = [{"kind": "hung", "end": 5}, {"kind": "hung", "start": 5.125, "end": 9}]

    assert Bench(*faults).query(1).query(5).run() == [(5.25, [4, 7]), (9.25, [4, 7])]


def test_hung_for_ever_at_last() -> None:
    """A server that hangs forever after it recovered answers nothing."""
    faults = [{"kind": "hung", "end": 5}, {"kind": "hung", "start": 5}]

    assert Bench(*faults).query(1).run() == []


def test_hung_on_one_kind_at_a_time() -> None:
    """Hangs on queries and on reads are independent, each with its own end."""
    faults = [
        {"kind": "hung", "on": ["get_buckets"], "end": 5},
        {"kind": "hung", "on": ["read"], "end": 9},
    ]

    assert Bench(*faults).query().read(0, 0, 1).run() == [(5.25, [4, 7]), (9.25, SHARE[:1])]


@pytest.mark.parametrize(
    ("keys", "rtt"),
    [
        ({"factor": 4}, 2.0),
        ({"factor": 0.5}, 0.25),
        ({"extra": 3}, 3.5),
        ({"factor": 4, "extra": 3}, 5.0),
    ],
)
def test_slow(keys: dict[str, float], rtt: float) -> None:
    """A slow server multiplies its round-trip times, and then adds to them."""
    bench = Bench({"kind": "slow", **keys}).query(1).read(10, 0, 1)

    assert [(1 + rtt, [4, 7]), (10 + rtt, SHARE[:1])] == bench.run()


@pytest.mark.parametrize(("at", "rtt"), [(0.75, 0.5), (1, 2.0), (4.75, 2.0), (5, 0.5)])
def test_slow_for_a_time(at: float, rtt: float) -> None:
    """A request is slow if the server is slow when it is sent."""
    fault = {"kind": "slow", "factor": 4, "start": 1, "end": 5}

    assert [(at + rtt, [4, 7])] == Bench(fault).query(at).run()


def test_slow_twice() -> None:
    """Several slow faults apply one after another."""
    faults = [{"kind": "slow", "extra": 1}, {"kind": "slow", "factor": 2}]

    assert Bench(*faults).query().run() == [(3.0, [4, 7])]


def test_slow_and_drawn() -> None:
    """A slow server multiplies the same times that it would draw otherwise."""
    slow = Bench({"kind": "slow", "factor": 4}, law=exponential()).query().query().run()

    assert [
        (4 * time, answer) for time, answer in Bench(law=exponential()).query().query().run()
    ] == slow


def test_broken() -> None:
    """A broken server fails every request, after a round trip."""
    bench = Bench({"kind": "broken"}).query().read(1)
    message = "the server is broken"

    assert [(0.5, message), (1.5, message)] == bench.run()
    assert [exchange.ok for exchange in bench.trace.exchanges] == [False, False]
    assert f"0.5 failed 0 s0 get_buckets {message}" == bench.trace.lines[1]


def test_empty() -> None:
    """An empty server answers that it has no shares; reads are unaffected."""
    assert Bench({"kind": "empty"}).query().read(1, 0, 1).run() == [(0.5, []), (1.5, SHARE[:1])]


def test_read_error() -> None:
    """A server with read errors answers queries, and fails every read."""
    bench = Bench({"kind": "read-error"}).query().read(1)

    assert bench.run() == [(0.5, [4, 7]), (1.5, "the share cannot be read")]


def test_disconnect() -> None:
    """A lost connection fails all outstanding requests, and later ones."""
    bench = Bench({"kind": "disconnect", "start": 1}).query(0.25).query(0.75).read(0.875).query(2)

    assert bench.run() == [(0.75, [4, 7]), (1, LOST), (1, LOST), (2, LOST)]
    assert f"1 failed 2 s0 read 4 0 9999 {ConnectionLost()}" == bench.trace.lines[-3]
    assert bench.trace.totals().bytes_received == 0


@pytest.mark.parametrize(
    ("at", "answer"),
    [
        (0.25, (0.75, [4, 7])),
        (0.5, (1, LOST)),  # the answer would come as the connection is lost
        (0.75, (1, LOST)),
        (1, (1, LOST)),
        (4.75, (4.75, LOST)),
        (5, (5.5, [4, 7])),
    ],
)
def test_disconnect_for_a_time(at: float, answer: tuple[float, Any]) -> None:
    """A server whose connection is back answers the requests from then on."""
    assert [answer] == Bench({"kind": "disconnect", "start": 1, "end": 5}).query(at).run()


def test_disconnect_at_once_is_an_event_of_its_own() -> None:
    """A request without a connection fails at the same time, but not inside the call."""
    bench = Bench({"kind": "disconnect"})
    deferred = bench.connection.get_buckets(INDEX)
    fired = deferred.called
    failure: list[Failure] = []
    deferred.addErrback(failure.append)
    bench.run()

    assert (fired, deferred.called) == (False, True)
    assert (ConnectionLost, 0) == (failure[0].type, bench.reactor.seconds())


@pytest.mark.parametrize("end", [None, 2, 50])
def test_disconnect_while_it_hangs(end: float | None) -> None:
    """A lost connection also fails a request that a hung server holds."""
    bench = Bench({"kind": "hung", "end": end}, {"kind": "disconnect", "start": 1.5}).query()

    assert bench.run() == [(1.5, LOST)]
    assert bench.reactor.seconds() == 1.5


def test_disconnect_of_nothing() -> None:
    """A connection that is lost with nothing outstanding does not move the clock."""
    bench = Bench({"kind": "disconnect", "start": 1000}).query()

    assert bench.run() == [(0.5, [4, 7])]
    assert bench.reactor.seconds() == 0.5


def test_disconnect_at_the_very_time() -> None:
    """Requests fail exactly at the start of the fault, whenever they were sent."""
    bench = Bench({"kind": "hung"}, {"kind": "disconnect", "start": 0.9})
    for at in (0.06, 0.07, 0.18):  # the sum of this and what is left of 0.9 is not 0.9
        bench.query(at)

    assert [time for time, _ in bench.run()] == [0.9, 0.9, 0.9]


def test_disconnect_twice() -> None:
    """A request fails at the first of two connection losses."""
    faults = [{"kind": "disconnect", "start": start, "end": start + 1} for start in (3, 1)]
    bench = Bench({"kind": "hung"}, *faults).query(0).query(1.5).query(2).query(4)

    assert bench.run() == [(1, LOST), (1.5, LOST), (3, LOST)]


def flaky(*probabilities: float, seed: int = 0, requests: int = 200, **keys: Any) -> list[bool]:
    """Return which of some requests, one per second, a server with flaky faults fails."""
    faults = [{"kind": "flaky", "probability": p, **keys} for p in probabilities]
    bench = Bench(*faults, seed=seed)
    for at in range(requests):
        bench.query(at)
    return [answer == "the server is flaky" for _, answer in bench.run()]


def test_flaky() -> None:
    """A flaky server fails requests at random, with the given probability."""
    failed = flaky(0.25)

    assert 25 < sum(failed) < 75  # 50 expected, deviation 6
    assert failed != flaky(0.25, seed=1)
    assert failed == flaky(0.25)


@pytest.mark.parametrize(("probability", "failed"), [(0, 0), (1, 200)])
def test_flaky_never_and_always(probability: float, failed: int) -> None:
    """With probability 0 nothing fails, and with 1 everything."""
    assert failed == sum(flaky(probability))


def test_flaky_grows() -> None:
    """With a greater probability, the same requests fail, and more."""
    few, many = flaky(0.2), flaky(0.6)

    assert few != many
    assert all(other for one, other in zip(few, many, strict=True) if one)


def test_flaky_twice() -> None:
    """Two flaky faults draw independently."""
    one, both = flaky(0.5), flaky(0.5, 0.5)

    assert all(two for first, two in zip(one, both, strict=True) if first)
    assert 125 < sum(both) < 175  # 150 expected, deviation 6


def test_flaky_for_a_time() -> None:
    """A flaky fault's start and end change no draws: the same requests fail, only fewer."""
    always, sometimes = flaky(0.5), flaky(0.5, start=50, end=100)

    assert [False] * 50 + always[50:100] + [False] * 100 == sometimes


def test_flaky_fails_after_a_round_trip() -> None:
    """A flaky failure takes as long as an answer."""
    bench = Bench({"kind": "flaky", "probability": 1}).query().read(1)

    assert bench.run() == [(0.5, "the server is flaky"), (1.5, "the server is flaky")]


@pytest.mark.parametrize("length", [0, 1, 100, len(SHARE) - 1, len(SHARE), 99999])
def test_truncated(length: int) -> None:
    """A truncated share ends at its length, wherever a read begins."""
    bench = Bench({"kind": "truncated", "length": length}).query()
    offsets = [0, 50, 99, 100, 101, len(SHARE) - 1]
    for i, offset in enumerate(offsets):
        bench.read(1 + i, offset, 60)
    (_, buckets), *reads = bench.run()

    assert buckets == [4, 7]
    assert [SHARE[:length][offset : offset + 60] for offset in offsets] == [d for _, d in reads]


def test_corrupt_answer() -> None:
    """An answer is marked as corrupt only if a fault has changed it."""
    bench = Bench({"kind": "truncated", "length": 100}).read(0, 0, 100).read(1, 1, 100)
    bench.run()

    assert [exchange.corrupt for exchange in bench.trace.exchanges] == [False, True]
    assert bench.trace.lines[-1] == "1.5 answered 1 s0 read 4 1 100 99 bytes, spoiled"


def spans(version: int) -> dict[str, tuple[int, int]]:
    """Return where each part of the share lies according to its header."""
    share = SHARES[version][4]
    header = parse_header(share[:HEADER_SIZE])
    return {
        "header": (0, header_size(version)),
        "block": (header.data, header.plaintext_hashes),
        "crypttext-hashes": (header.crypttext_hashes, header.block_hashes),
        "block-hashes": (header.block_hashes, header.share_hashes),
        "share-hashes": (header.share_hashes, header.uri_extension),
        "ueb": (header.uri_extension, len(share)),
    }


PARTS = get_args(Corrupt.model_fields["part"].annotation)


def test_parts() -> None:
    """The share in these tests has every part that can be corrupt."""
    for version in (1, 2):
        assert set(PARTS) == spans(version).keys()
        assert all(begin < end for begin, end in spans(version).values())


@settings(deadline=None)
@given(
    st.sampled_from(PARTS),
    st.sampled_from([1, 2]),
    st.integers(0, len(SHARES[2][4]) + 10),
    st.integers(0, len(SHARES[2][4]) + 10),
)
def test_corrupt(part: str, version: int, offset: int, length: int) -> None:
    """Exactly the bytes of the corrupt part are wrong, wherever a read begins."""
    share = SHARES[version][4]
    begin, end = spans(version)[part]
    bench = Bench({"kind": "corrupt", "part": part}, version=version)
    ((_, data),) = bench.read(0, offset, length).run()
    right = share[offset : offset + length]

    assert len(right) == len(data)
    assert [begin <= offset + i < end for i in range(len(right))] == [
        one != other for one, other in zip(right, data, strict=True)
    ]
    assert (right != data) == bench.trace.exchanges[0].corrupt


def test_corrupt_is_the_same_each_time() -> None:
    """Repeated reads of a corrupt share are consistent."""
    bench = Bench({"kind": "corrupt", "part": "block"}).read(0).read(1).read(2, 40, 20)
    (_, one), (_, two), (_, inside) = bench.run()

    assert one == two
    assert one[40:60] == inside


def test_corrupt_what_is_no_share() -> None:
    """If a share has no header, every byte is corrupt."""
    fault = Corrupt(kind="corrupt", part="ueb")
    altered = fault.alter(b"abc", 0, b"abc")

    assert [one != other for one, other in zip(b"abc", altered, strict=True)] == [True] * 3


def test_corrupt_for_a_time() -> None:
    """A share is read correctly after the fault ends."""
    fault = {"kind": "corrupt", "part": "header", "start": 1, "end": 2}
    bench = Bench(fault)
    for at in (0.5, 0.75, 1.625, 1.75):
        bench.read(at, 0, 1)

    assert [answer for _, answer in bench.run()] == [SHARE[:1], b"\1", b"\1", SHARE[:1]]


@pytest.mark.parametrize(
    ("fault", "while_it_lasts"),
    [
        ({"kind": "broken"}, ["the server is broken"] * 2),
        ({"kind": "empty"}, [[], SHARE[:1]]),
        ({"kind": "read-error"}, [[4, 7], "the share cannot be read"]),
        ({"kind": "truncated", "length": 0}, [[4, 7], b""]),
        ({"kind": "corrupt", "part": "header"}, [[4, 7], b"\1"]),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_for_a_time(fault: dict[str, Any], while_it_lasts: list[Any]) -> None:
    """A fault applies to requests that arrive from its start until its end."""
    bench = Bench(fault | {"start": 1, "end": 5})
    times = [0.625, 0.75, 4.625, 4.75]
    for at in times:
        bench.query(at).read(at, 0, 1)
    good = [[4, 7], SHARE[:1]]

    answers = [answer for _, answer in bench.run()]
    assert good + while_it_lasts + while_it_lasts + good == answers
    assert [at + 0.5 for at in times for _ in good] == [time for time, _ in bench.answers]


def test_recovers_and_breaks() -> None:
    """A held request meets the faults at the time when the hang ends."""
    faults = [{"kind": "hung", "end": 5}, {"kind": "broken", "start": 5, "end": 6}]

    assert Bench(*faults).query(1).run() == [(5.25, "the server is broken")]


def test_breaks_while_it_hangs() -> None:
    """A fault that begins and ends during a hang has no effect."""
    faults = [{"kind": "hung", "end": 5}, {"kind": "broken", "start": 0, "end": 4}]

    assert Bench(*faults).query(1).run() == [(5.25, [4, 7])]


def test_several_at_once() -> None:
    """Faults of different kinds apply together."""
    faults: list[dict[str, Any]] = [
        {"kind": "slow", "factor": 4},
        {"kind": "corrupt", "part": "header"},
        {"kind": "truncated", "length": 10},
        {"kind": "hung", "end": 3, "on": ["get_buckets"]},
    ]
    bench = Bench(*faults).query().read(0, 8, 10)

    assert [(2.0, bytes(byte ^ 1 for byte in SHARE[8:10])), (4.0, [4, 7])] == bench.run()


def test_many_at_once() -> None:
    """A server is slow, then hangs on reads, loses its connection, and comes back corrupt."""
    faults: list[dict[str, Any]] = [
        {"kind": "slow", "factor": 2, "end": 1},
        {"kind": "hung", "on": ["read"], "start": 1, "end": 6},
        {"kind": "disconnect", "start": 3, "end": 4},
        {"kind": "corrupt", "part": "header", "start": 5},
        {"kind": "flaky", "probability": 1, "start": 7},
    ]
    bench = Bench(*faults)
    for at in (0, 1, 3.5, 4, 6, 7):
        bench.query(at).read(at, 0, 1)
    wrong = b"\1"

    assert [
        (1.0, [4, 7]),
        (1.0, SHARE[:1]),
        (1.5, [4, 7]),
        (3, LOST),
        (3.5, LOST),
        (3.5, LOST),
        (4.5, [4, 7]),
        (6.25, wrong),
        (6.5, [4, 7]),
        (6.5, wrong),
        (7.5, "the server is flaky"),
        (7.5, "the server is flaky"),
    ] == bench.run()


def test_first_failure_counts() -> None:
    """Of two failures the first is reported, and a failure takes precedence over other faults."""
    faults = [{"kind": "empty"}, {"kind": "read-error"}, {"kind": "broken"}]
    bench = Bench(*faults).query().read(1)

    assert bench.run() == [(0.5, "the server is broken"), (1.5, "the share cannot be read")]


def test_two_corrupt_parts() -> None:
    """Two parts may be corrupt at once."""
    faults = [{"kind": "corrupt", "part": part} for part in ("header", "ueb")]
    ((_, data),) = Bench(*faults).read().run()
    wrong = {i for i, byte in enumerate(data) if byte != SHARE[i]}

    assert {i for part in ("header", "ueb") for i in range(*spans(1)[part])} == wrong


def test_corrupt_twice() -> None:
    """A part that is corrupt twice is still corrupt."""
    fault = {"kind": "corrupt", "part": "block"}
    ((_, data),) = Bench(fault, fault | {"start": 0.25}).read().run()

    assert data != SHARE


def test_faults_stay_with_their_server() -> None:
    """A corrupt server does not change the stored share itself."""
    before = {number: bytes(share) for number, share in SHARES[1].items()}
    Bench({"kind": "corrupt", "part": "block"}).read().run()

    assert before == SHARES[1]


# Service times, and the bytes of answers

#: The service time of these servers: a second for each request.
SECOND = constant(1.0)


@pytest.mark.parametrize(
    ("concurrency", "times"),
    [(1, [1.5, 2.5, 3.5]), (2, [1.5, 1.5, 2.5]), (3, [1.5, 1.5, 1.5]), (None, [1.5, 1.5, 1.5])],
)
def test_service(concurrency: int | None, times: list[float]) -> None:
    """A server works on `concurrency` requests at once, and the others wait their turn."""
    bench = Bench(service=SECOND, concurrency=concurrency).query().read(0, 0, 1).query()

    assert times == [time for time, _ in bench.run()]
    assert [answer for _, answer in bench.answers] == [[4, 7], SHARE[:1], [4, 7]]


def test_concurrency_without_service() -> None:
    """With no service time, no request waits."""
    assert Bench(concurrency=1).query().query().query().run() == [(0.5, [4, 7])] * 3


def test_service_of_failures() -> None:
    """A request that fails takes service time too."""
    bench = Bench({"kind": "read-error"}, service=SECOND, concurrency=1).read().query()

    assert bench.run() == [(1.5, "the share cannot be read"), (2.5, [4, 7])]


def test_service_is_drawn() -> None:
    """Each request draws its own service time, from the server's own stream."""

    def times(seed: int, law: dict[str, Any] | None) -> list[float]:
        bench = Bench(service=exponential(), law=law, seed=seed)
        for _ in range(5):
            bench.query()
        return sorted(time for time, _ in bench.run())

    instant, slow = times(0, constant(0)), times(0, constant(4))

    assert len(set(instant)) == 5
    assert [time + 4 for time in instant] == pytest.approx(slow)
    assert instant != times(1, constant(0))


@pytest.mark.parametrize("draws", [constant(1.0), exponential()])
def test_queue(draws: dict[str, Any]) -> None:
    """The waiting times follow Lindley's recursion, request after request."""
    random, times = Random(928), LAW.validate_python(draws)
    arrivals = list(accumulate(random.expovariate(0.6) for _ in range(300)))
    works = [times.sample(draw) for draw in [stream(0, "s0", "service")] for _ in arrivals]
    bench = Bench(law=constant(0), service=draws, concurrency=1)
    expected, free = [], 0.0
    for arrival, work in zip(arrivals, works, strict=True):
        bench.query(arrival)
        free = max(free, arrival) + work
        expected.append(free)

    assert expected == pytest.approx([time for time, _ in bench.run()])


def test_mean_wait() -> None:
    """At half load, with a service time of a second, the mean wait is half a second."""
    random, bench = Random(928), Bench(law=constant(0), service=SECOND, concurrency=1)
    arrivals = list(accumulate(random.expovariate(0.5) for _ in range(5000)))
    for arrival in arrivals:
        bench.query(arrival)
    waits = [time - 1 - arrival for arrival, (time, _) in zip(arrivals, bench.run(), strict=True)]

    assert pytest.approx(sum(waits) / len(waits), rel=0.1) == 0.5  # Pollaczek and Khinchine


def test_held_requests_are_served_as_they_arrived() -> None:
    """After a hang, held requests are served in the order of their arrival."""
    faults: list[dict[str, Any]] = [
        {"kind": "hung", "start": 1, "end": 5},
        {"kind": "slow", "factor": 8, "end": 1},  # what is sent first arrives last
    ]
    bench = Bench(*faults, service=SECOND, concurrency=1)
    bench.query(0.75).read(1.5, 0, 1).read(2, 1, 1)

    assert bench.run() == [(6.25, SHARE[:1]), (7.25, SHARE[1:2]), (10, [4, 7])]


def test_hang_while_requests_wait() -> None:
    """A server that begins to hang finishes accepted requests, and holds later ones."""
    hang = {"kind": "hung", "start": 0.5, "end": 9}
    bench = Bench(hang, service=SECOND, concurrency=1).query().query().query(1)

    assert bench.run() == [(1.5, [4, 7]), (2.5, [4, 7]), (10.25, [4, 7])]


def test_faults_of_the_time_of_taking_up() -> None:
    """A fault that begins while a request waits or is served does not affect it."""
    fault = {"kind": "broken", "start": 0.5}
    bench = Bench(fault, service=SECOND, concurrency=1).query().query().query(0.25)

    assert bench.run() == [(1.5, [4, 7]), (2.5, [4, 7]), (3.5, "the server is broken")]


def test_bandwidth() -> None:
    """The bytes of an answer take time; an answer to a query has no bytes."""
    bench = Bench(bandwidth=64).read(0, 0, 32).query(0).read(10, 0, 128).read(20, 0, 0)

    assert bench.run() == [
        (0.5, [4, 7]),
        (1.0, SHARE[:32]),
        (12.5, SHARE[:128]),
        (20.5, b""),
    ]


def test_bandwidth_is_shared() -> None:
    """Answers wait for the uplink in the order in which they were served."""
    bench = Bench(bandwidth=64, service=constant(0.25)).read(0, 0, 64).read(0, 0, 128)

    assert bench.run() == [(1.75, SHARE[:64]), (3.75, SHARE[:128])]


def test_failures_have_no_bytes() -> None:
    """A failure has no bytes, and so takes no time on the uplink."""
    assert Bench({"kind": "broken"}, bandwidth=1).read().run() == [(0.5, "the server is broken")]


def test_bytes_that_are_there() -> None:
    """Only the bytes that are sent count: a truncated share takes less time."""
    fault = {"kind": "truncated", "length": 32}

    assert Bench(fault, bandwidth=64).read().run() == [(1.0, SHARE[:32])]


@pytest.mark.parametrize(
    ("start", "answers", "over"),
    [
        (0.125, [(0.125, LOST)] * 2, 0.125),  # on the way to the server
        (0.25, [(0.25, LOST)] * 2, 0.25),
        (0.75, [(0.75, LOST)] * 2, 1.25),  # while it works on one, and the other waits
        (1.75, [(1.75, LOST)] * 2, 2.25),  # while the bytes are on their way
        (2.25, [(2.25, LOST)] * 2, 2.25),  # on the way back
        (2.75, [(2.5, SHARE[:64]), (2.75, LOST)], 3.25),
        (99, [(2.5, SHARE[:64]), (3.5, SHARE[:64])], 3.5),
    ],
)
def test_disconnect_while_it_works(start: float, answers: Any, over: float) -> None:
    """A lost connection fails a request wherever it is."""
    fault = {"kind": "disconnect", "start": start}
    bench = Bench(fault, service=SECOND, concurrency=1, bandwidth=64)

    assert answers == bench.read(0, 0, 64).read(0, 0, 64).run()
    assert over == bench.reactor.seconds()
    assert 64 * sum(answer != LOST for _, answer in answers) == bench.trace.totals().bytes_received


def test_back_after_a_disconnect() -> None:
    """Requests of a lost connection are dropped, and delay nothing."""
    fault = {"kind": "disconnect", "start": 0.5, "end": 1}
    bench = Bench(fault, service=SECOND, concurrency=1, bandwidth=64)
    for _ in range(3):
        bench.read(0, 0, 640)

    assert bench.query(1.25).run() == [(0.5, LOST)] * 3 + [(2.75, [4, 7])]


def test_slow_and_busy() -> None:
    """A slow server has slow round trips; its service time and bandwidth stay the same."""
    bench = Bench({"kind": "slow", "factor": 4}, service=SECOND, bandwidth=64).read(0, 0, 64)

    assert bench.run() == [(4.0, SHARE[:64])]


def test_connections() -> None:
    """Connections are a sequence in the servers' order."""
    servers = [Bench(name=f"s{i}").server for i in range(4)]
    trace = Trace()
    connections = Connections(servers, Client(trace))

    assert len(connections) == 4
    assert [connection.name for connection in connections] == ["s0", "s1", "s2", "s3"]
    assert (connections[1].name, connections[-1].name) == ("s1", "s3")
    assert [connection.name for connection in connections[::-2]] == ["s3", "s1"]
    with pytest.raises(IndexError):
        connections[4]
    connections[2].get_buckets(INDEX)

    assert list(map(str, trace.exchanges)) == ["0 s2 get_buckets"]


# Some requests only, and some shares


@pytest.mark.parametrize(
    ("fault", "query", "read"),
    [
        ({"kind": "slow", "extra": 1.0, "on": ["read"]}, 0.5, 1.5),
        ({"kind": "slow", "extra": 1.0, "on": ["get_buckets"]}, 1.5, 0.5),
        ({"kind": "hung", "end": 2.0, "on": ["get_buckets"]}, 2.25, 0.5),
    ],
)
def test_on_times(fault: dict[str, Any], query: float, read: float) -> None:
    """A fault affects only the requests in its `on`."""
    bench = Bench(fault).query().read()
    bench.run()
    ended = {exchange.operation: exchange.ended for exchange in bench.trace.exchanges}

    assert {"get_buckets": query, "read": read} == ended


@pytest.mark.parametrize("kind", ["broken", "disconnect", "flaky"])
@pytest.mark.parametrize("on", ["get_buckets", "read"])
def test_on_failures(kind: str, on: str) -> None:
    """A server fails only the requests that its fault is about."""
    keys = {"probability": 1.0} if kind == "flaky" else {}
    bench = Bench({"kind": kind, "on": [on], **keys}).query().read()
    bench.run()

    assert [on] == [e.operation for e in bench.trace.exchanges if not e.ok]
    assert {0} == bench.server.met_faults()


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ({"kind": "corrupt", "part": "header"}, SHARES[1][7][:9].translate(WRONG)),
        ({"kind": "truncated", "length": 3}, SHARES[1][7][:3]),
        ({"kind": "broken"}, "the server is broken"),
        ({"kind": "read-error"}, "the share cannot be read"),
        ({"kind": "disconnect"}, LOST),
    ],
)
def test_one_bad_share(fault: dict[str, Any], wrong: object) -> None:
    """One share of a server may be bad, and another good."""
    bench = Bench({**fault, "shares": [7]}).query().read(1, 0, 9, 7).read(1, 0, 9, 4)

    assert {(0.5, str([4, 7])), *((t, str(a)) for t, a in bench.run()[1:])} == {
        (0.5, "[4, 7]"),
        (1.0 if wrong == LOST else 1.5, str(wrong)),
        (1.5, str(SHARE[:9])),
    }
    assert {0} == bench.server.met_faults()


def test_concealed_share() -> None:
    """A server may hide one of its shares, and show another."""
    bench = Bench({"kind": "empty", "shares": [4]}).query()

    assert bench.run() == [(0.5, [7])]
    assert {0} == bench.server.met_faults()


def test_unmet_shares() -> None:
    """A fault of a share that is never read meets no request."""
    bench = Bench({"kind": "corrupt", "part": "header", "shares": [7]}).query().read()
    bench.run()

    assert set() == bench.server.met_faults()


def test_unopened_share() -> None:
    """A share file that cannot be opened fails queries, as in Tahoe-LAFS."""
    bench = Bench().query(1)
    bench.shares[4] = UnopenedShare.because("share 4: it has no container")

    assert bench.run() == [(1.5, "share 4: it has no container")]
