"""Connections: their set-up, what they carry before they break or hang, and reconnecting."""

from __future__ import annotations

from typing import Any

import pytest
from zope.interface.verify import verifyObject

from firstk.downloader.interfaces import IReconnectingServer
from firstk.harness.grid.connection import Client, Connection
from firstk.harness.grid.link import CHUNK
from firstk.harness.grid.trace import Trace
from tests.harness.grid.bench import CANCELLED, FAULT, INDEX, LOST, RTT, SHARE, Bench
from tests.harness.making import constant

LARGE = bytes(range(256)) * 400


def large(*faults: dict[str, Any], **keys: Any) -> Bench:
    """Return a bench whose server has a large share."""
    bench = Bench(*faults, **keys)
    bench.shares[4] = LARGE
    return bench


def ends(bench: Bench) -> list[tuple[float, object]]:
    """Return when the answers arrived, and the size of each, or the other result."""
    return [(t, len(a) if isinstance(a, bytes) else a) for t, a in bench.run()]


# Setting up


def test_set_up_once() -> None:
    """The first request waits for the connection, and later ones do not."""
    bench = Bench(connect=constant(0.25)).query().query(0.125).query(5)

    assert bench.run() == [(0.75, [4, 7]), (0.75, [4, 7]), (5.5, [4, 7])]


def test_each_client_for_itself() -> None:
    """Each client has its own connection."""
    bench = Bench(connect=constant(0.25)).query()
    other = Connection(bench.server, Client(Trace()))
    bench.reactor.callLater(
        3, lambda: other.get_buckets(INDEX).addCallback(list).addBoth(bench._keep)
    )

    assert bench.run() == [(0.75, [4, 7]), (3.75, [4, 7])]


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        ({"kind": "slow", "factor": 4.0}, [(1.5, [4, 7]), (3.5, [4, 7])]),
        ({"kind": "broken"}, [(0.25, "the server is broken"), (3.25, "the server is broken")]),
        ({"kind": "broken", "end": 1.0}, [(0.25, "the server is broken"), (3.75, [4, 7])]),
        ({"kind": "hung", "end": 9.0}, [(9.125 + RTT, [4, 7])] * 2),
        ({"kind": "hung"}, []),
        ({"kind": "hung", "fails_after": 2.0}, [(2.0, LOST), (5.0, LOST)]),
        (
            {"kind": "flaky", "probability": 1.0},
            [(0.25, "the server is flaky"), (3.25, "the server is flaky")],
        ),
        ({"kind": "disconnect", "start": 0.125, "end": 0.2}, [(0.125, LOST), (3.75, [4, 7])]),
        ({"kind": "disconnect", "start": 2.0, "end": 2.5}, [(0.75, [4, 7]), (3.75, [4, 7])]),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_set_up_with_faults(fault: dict[str, Any], answers: list[Any]) -> None:
    """A fault may affect only the set-up: it fails or delays all requests that wait for it."""
    bench = Bench({**fault, "on": ["connect"]}, connect=constant(0.25)).query().query(3)

    assert answers == bench.run()
    if fault["kind"] != "disconnect" or fault["start"] < 1:
        assert {0} == bench.server.met_faults()


def test_fails_once_a_connection() -> None:
    """A flaky set-up is drawn once per connection, and all waiting requests share the result."""
    flaky = {"kind": "flaky", "probability": 0.5, "on": ["connect"]}
    bench = Bench(flaky, connect=constant(0.25))
    for at in range(20):
        bench.query(at).query(at + 0.125)
    answers = [str(answer) for _, answer in bench.run()]

    assert answers[::2] == answers[1::2]
    failed = answers[::2].count("the server is flaky")
    assert 0 < failed < 20
    assert ["[4, 7]"] * (20 - failed) == answers[::2][failed:]  # once up it stays up


def test_set_up_again_after_a_loss() -> None:
    """A lost connection is set up again for the next request."""
    bench = Bench({"kind": "disconnect", "start": 1.0, "end": 2.0}, connect=constant(0.25))
    bench.query().query(0.75).query(1.5).query(3).query(5)

    assert bench.run() == [(0.75, [4, 7]), (1.0, LOST), (1.5, LOST), (3.75, [4, 7]), (5.5, [4, 7])]


def test_heals_while_connecting() -> None:
    """Healing a hang lets the set-up continue."""
    bench = Bench({"kind": "hung", "on": ["connect"]}, connect=constant(0.25)).query()
    bench.reactor.callLater(3.0, bench.server.heal)

    assert bench.run() == [(3.125 + RTT, [4, 7])]


# After some requests


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_hangs_after_requests(number: int) -> None:
    """A server answers `after_requests` requests of a connection, and holds the others."""
    bench = Bench({"kind": "hung", "after_requests": number})
    for at in (0.0, 0.0, 1.0):
        bench.query(at)

    assert [(0.5, [4, 7]), (0.5, [4, 7]), (1.5, [4, 7])][:number] == bench.run()
    assert 3 - min(3, number) == len(bench.server.outstanding)
    assert ({0} if number < 3 else set()) == bench.server.met_faults()


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_cut_after_requests(number: int) -> None:
    """A connection is lost after `after_requests` answers; the other requests fail."""
    bench = Bench({"kind": "disconnect", "after_requests": number})
    for at in (0.0, 0.0, 0.25, 1.0):
        bench.query(at)
    lost = {0: [0.0, 0.0, 0.25, 1.0], 1: [0.5, 0.5, 1.0], 2: [0.5, 1.0]}.get(number, [])
    right = [(0.5, [4, 7]), (0.5, [4, 7]), (0.75, [4, 7]), (1.5, [4, 7])]

    assert right[: 4 - len(lost)] + [(t, LOST) for t in lost] == bench.run()


def test_counts_what_it_concerns() -> None:
    """Only requests that the fault is about count, from its start on."""
    bench = Bench({"kind": "hung", "after_requests": 1, "on": ["read"], "start": 1.0})
    bench.read(0, 0, 1).query(1).read(2, 0, 2).query(3).read(4, 0, 3)

    assert ends(bench) == [(0.5, 1), (1.5, [4, 7]), (2.5, 2), (3.5, [4, 7])]


def test_hangs_after_requests_for_a_time() -> None:
    """When the hang ends, held requests are answered."""
    bench = Bench({"kind": "hung", "after_requests": 1, "end": 3.0}).query().query(1).query(4)

    assert bench.run() == [(0.5, [4, 7]), (3.25, [4, 7]), (4.5, [4, 7])]


# After some bytes


@pytest.mark.parametrize("bandwidth", [None, 1000.0])
def test_hangs_after_bytes(bandwidth: float | None) -> None:
    """A server stops in an answer after exactly `after_bytes`, and holds later requests."""
    fault = {"kind": "hung", "after_bytes": 1500, "end": 9.0}
    bench = large(fault, bandwidth=bandwidth).read(0, 0, 1000).read(2, 0, 1000).query(4)
    rest = 0.5 if bandwidth else 0.0
    first = 1.0 if bandwidth else 0.0

    assert ends(bench) == [(0.5 + first, 1000), (9.25, [4, 7]), (9.25 + rest, 1000)]
    assert [(2.5 + first / 2, 500)] == bench.progress


@pytest.mark.parametrize("bandwidth", [None, 1000.0])
def test_cut_after_bytes(bandwidth: float | None) -> None:
    """A connection is lost in the middle of an answer, when the last byte has arrived."""
    fault = {"kind": "disconnect", "after_bytes": 1500}
    bench = large(fault, bandwidth=bandwidth).read(0, 0, 1000).read(2, 0, 1000).query(4)
    first = 1.0 if bandwidth else 0.0

    assert ends(bench) == [(0.5 + first, 1000), (2.5 + first / 2, LOST), (4.0, LOST)]
    assert bench.trace.totals().bytes_received == 1500
    assert {0} == bench.server.met_faults()


def test_cut_after_bytes_of_two() -> None:
    """All answers of a connection count together, and all outstanding requests are lost."""
    fault = {"kind": "disconnect", "after_bytes": 3 * CHUNK}
    bench = large(fault, bandwidth=float(CHUNK)).read(0, 0, 5 * CHUNK).read(0, 0, 5 * CHUNK)

    assert ends(bench) == [(3.5, LOST)] * 2
    assert bench.trace.totals().bytes_received == 3 * CHUNK


def test_cancelled_bytes_do_not_count() -> None:
    """Bytes that are cancelled before they pass the link do not count."""
    fault = {"kind": "hung", "after_bytes": 2 * CHUNK}
    bench = large(fault, bandwidth=float(CHUNK), law=constant(0.0))
    bench.read(0, 0, 2 * CHUNK, cancel=1.5).read(0.25, 0, CHUNK)

    assert ends(bench) == [(1.5, CANCELLED), (2.5, CHUNK)]


# Held, and then failed


def test_fails_after() -> None:
    """With `fails_after`, each held request fails that long after it was sent."""
    bench = Bench({"kind": "hung", "start": 0.5, "end": 20.0, "fails_after": 4.0})
    bench.query().query(1).query(2).query(17).query(30)

    assert bench.run() == [
        *((0.5, [4, 7]), (5.0, LOST), (6.0, LOST)),
        *((20.25, [4, 7]), (30.5, [4, 7])),
    ]
    assert {0} == bench.server.met_faults()


def test_stall_fails_after() -> None:
    """A stalled answer fails that long after its request was sent."""
    stall = {"kind": "stall", "after_bytes": 70, "end": 9.0, "fails_after": 3.0}
    bench = large(stall).read(1, 0, 100).read(1, 0, 70).read(7, 0, 100)

    assert ends(bench) == [(1.5, 70), (4.0, LOST), (9.25, 100)]
    assert bench.trace.totals().bytes_received == 70 + 70 + 100


def test_cancelled_and_then_failed() -> None:
    """A stalled answer that fails before the server learns that it is cancelled stays cancelled."""
    stall = {"kind": "stall", "after_bytes": 70, "fails_after": 3.0}
    bench = large(stall).read(1, 0, 100, cancel=3.9)

    assert bench.run() == [(3.9, CANCELLED)]
    assert bench.reactor.errors == []


# Reconnecting


def test_interface() -> None:
    """A simulated server provides the reconnecting interface."""
    assert verifyObject(IReconnectingServer, Bench().connection)


@pytest.mark.parametrize(("connect", "up"), [(None, 2.0), (constant(0.25), 2.25)])
def test_reconnect(connect: dict[str, Any] | None, up: float) -> None:
    """A reconnect takes as long as a set-up; outstanding requests fail, and later ones work."""
    bench = Bench({"kind": "hung", "until": "reconnect"}, connect=connect)
    bench.query().query(1).reconnect(2).query(2).query(5)

    assert sorted(bench.run(), key=lambda answer: answer[0]) == [
        *((2.0, LOST), (2.0, LOST), (up, None)),
        *((up + 0.5, [4, 7]), (5.5, [4, 7])),
    ]
    assert {0} == bench.server.met_faults()
    assert "2 sent 2 s0 connect " in bench.trace.lines


def test_lost_until_a_reconnect() -> None:
    """A lost connection stays lost until the client reconnects."""
    bench = Bench({"kind": "disconnect", "start": 1.0, "until": "reconnect"})
    bench.query().query(2).reconnect(3).query(4)

    assert bench.run() == [(0.5, [4, 7]), (2.0, LOST), (3.0, None), (4.5, [4, 7])]


def test_too_early_to_help() -> None:
    """A connection that was set up before the fault begins is affected by it."""
    bench = Bench({"kind": "hung", "start": 2.0, "until": "reconnect"})
    bench.reconnect(1).query(3)

    assert bench.run() == [(1.0, None)]


def test_other_clients_hang_on() -> None:
    """A reconnect helps only the client that reconnects."""
    bench = Bench({"kind": "hung", "until": "reconnect"}).query().reconnect(1).query(2)
    other = Connection(bench.server, Client(Trace()))
    bench.reactor.callLater(3, lambda: other.get_buckets(INDEX).addBoth(bench._keep))

    assert bench.run() == [(1.0, LOST), (1.0, None), (2.5, [4, 7])]


def test_reconnect_fails() -> None:
    """A reconnect may fail, while the server loses its connections or refuses new ones."""
    refuses = {"kind": "broken", "on": ["connect"], "start": 5.0}
    bench = Bench({"kind": "disconnect", "start": 1.0, "end": 2.0}, refuses, connect=constant(0.5))
    bench.reconnect(1.5).reconnect(3).reconnect(6)

    assert bench.run() == [(1.5, LOST), (3.5, None), (6.5, "the server is broken")]


def test_each_connection_carries_so_much() -> None:
    """If a server cuts each connection after some bytes, a client can continue by reconnecting."""
    fault = {"kind": "disconnect", "after_bytes": 100, "until": "reconnect"}
    bench = large(fault).read(0, 0, 150).reconnect(1).read(1, 100, 50).read(2, 0, 99)

    assert ends(bench) == [(0.5, LOST), (1.0, None), (1.5, 50), (2.5, LOST)]
    assert bench.trace.totals().bytes_received == 100 + 50 + 50


def test_reconnect_drops_a_stream() -> None:
    """A reconnect ends answers in flight, and frees the link."""
    bench = large(bandwidth=float(CHUNK), law=constant(0.0)).read(0, 0, 5 * CHUNK)
    bench.reconnect(1.5).read(1.5, 0, CHUNK)

    assert ends(bench) == [(1.5, LOST), (1.5, None), (2.5, CHUNK)]


def test_cancelled_reconnect() -> None:
    """A reconnect that hangs can be cancelled, like any request."""
    bench = Bench({"kind": "hung", "on": ["connect"]}, connect=constant(0.5))
    bench.reactor.callLater(
        1, lambda: bench._cancel(3, bench.connection.reconnect().addBoth(bench._keep))
    )

    assert bench.run() == [(3.0, CANCELLED)]


def test_fault_added_to_a_connection() -> None:
    """A fault that is added later counts only what the connection carries from then on."""
    bench = Bench().query()
    fault = {"kind": "hung", "after_requests": 1}
    bench.reactor.callLater(1, lambda: bench.server.add_fault(FAULT.validate_python(fault)))
    bench.query(2).query(3)
    bench.reactor.callLater(9, bench.server.heal)

    assert bench.run() == [(0.5, [4, 7]), (2.5, [4, 7]), (9.25, [4, 7])]


def test_share_is_right() -> None:
    """A connection with limits carries the share's bytes unchanged."""
    bench = Bench({"kind": "hung", "after_bytes": 10, "end": 5.0}).read(0, 0, 9999)

    assert bench.run() == [(5.25, SHARE)]
