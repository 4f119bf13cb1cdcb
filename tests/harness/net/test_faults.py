"""Frozen, dead and restarted hosts, and cut links: what the other hosts see, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import LoopingCall, cooperate

from firstk.harness.net.connection import BUFFER
from firstk.harness.net.host import Host
from firstk.harness.net.network import Network
from tests.harness.net.programs import (
    EXACT,
    RTT,
    Echo,
    Recorder,
    connect,
    get,
    listen,
    serve,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def net() -> Network:
    """Return a network without hosts."""
    return Network(rtt=RTT)


@pytest.fixture
def client(net: Network) -> Host:
    """Return its client."""
    return net.host("client")


@pytest.fixture
def server(net: Network) -> Host:
    """Return its server."""
    return net.host("server")


def _connected(net: Network, kind: type[Recorder] = Echo) -> tuple[Recorder, Recorder]:
    """Return both ends of a connection, at a time of 1 s."""
    listening = listen(net.host("server"), kind=kind)
    here, _ = connect(net.host("client"), "server")
    net.advance(1)
    return here, listening.made[0]


def _write(host: Host, protocol: Recorder, data: bytes) -> None:
    assert protocol.transport is not None
    host.run(protocol.transport.write, data)


def test_frozen_and_thawed(net: Network, client: Host, server: Host) -> None:
    """A frozen server's kernel accepts data; the server answers when it is thawed."""
    here, there = _connected(net)
    server.freeze()
    _write(client, here, b"anybody there?")
    net.advance(100)
    heard = here.data
    server.thaw()
    net.advance(1)

    assert heard == b""
    assert here.data == b"anybody there?"
    assert there.heard == pytest.approx([101], abs=EXACT)
    assert here.heard == pytest.approx([101 + RTT / 2], abs=EXACT)


def test_frozen_backlog(net: Network, client: Host, server: Host) -> None:
    """A frozen server's kernel connects up to backlog + 1 clients; the others time out."""
    listen(server, backlog=50)
    server.freeze()
    made = [connect(client, "server", timeout=30)[1] for _ in range(60)]
    net.advance(40)
    timed_out = [one for one in made if isinstance(one.value, error.TimeoutError)]

    assert len(made) - len(timed_out) == 51
    assert [one.at for one in timed_out] == pytest.approx([30] * 9, abs=EXACT)


def test_frozen_tls(net: Network, client: Host, server: Host) -> None:
    """With a frozen server, TLS never completes, although TCP connects."""
    pytest.importorskip("OpenSSL", reason="TLS needs pyOpenSSL")
    serve(server, tls=True)
    server.freeze()
    got = get(client, "https://server/")
    net.advance(20)

    assert got.at is None
    [waiting] = net.outstanding
    assert waiting.host == "server"
    assert waiting.received == pytest.approx(1.5 * RTT, abs=EXACT)


def test_frozen_pauses_the_writer(net: Network, client: Host, server: Host) -> None:
    """A writer to a frozen host is paused once the buffers of both kernels are full."""
    here, there = _connected(net, Recorder)
    server.freeze()

    class Producer:
        written = 0
        paused: float | None = None

        def resumeProducing(self) -> None:
            assert here.transport is not None
            here.transport.write(b"x" * 65536)
            self.written += 65536

        def pauseProducing(self) -> None:
            self.paused = net.now

        def stopProducing(self) -> None:
            pass

    producer = Producer()
    transport: Any = here.transport
    client.run(transport.registerProducer, producer, False)
    net.advance(100)
    written = producer.written
    server.thaw()
    net.advance(0.001)  # it reads what its kernel has, and no more is on its way yet
    read = len(there.data)

    assert 2 * BUFFER <= written <= 2 * BUFFER + 2 * 65536 * 2
    assert read == BUFFER


def test_frozen_timers(net: Network, server: Host) -> None:
    """Timers of a frozen host stop; a thaw fires the overdue ones in order."""
    fired: list[tuple[str, float]] = []

    def begin() -> None:
        for name, delay in (("late", 30), ("early", 2), ("never", 3), ("after", 60)):
            server.reactor.callLater(delay, lambda n=name: fired.append((n, net.now)))

    server.run(begin)
    [never] = [t for t in server.reactor.getDelayedCalls() if t.getTime() == 3]
    net.advance(1)
    server.freeze()
    net.advance(49)
    before = list(fired)
    never.cancel()
    server.thaw()
    net.advance(50)

    assert before == []
    assert fired == [("early", 50), ("late", 50), ("after", 60)]
    assert server.reactor.getDelayedCalls() == []


@pytest.mark.parametrize("how", ["reset", "delay"])
def test_overdue_timer_is_moved(net: Network, server: Host, how: str) -> None:
    """An overdue timer of a frozen host can still be moved."""
    fired: list[float] = []
    timer = server.run(server.reactor.callLater, 2, lambda: fired.append(net.now))
    server.freeze()
    net.advance(10)
    getattr(timer, how)(8)  # 8 s from now, or from 2 s
    server.thaw()
    net.advance(20)

    assert fired == pytest.approx([18 if how == "reset" else 10], abs=EXACT)


def test_thawed_and_frozen_at_once(net: Network, server: Host) -> None:
    """A thaw and a freeze at the same time change nothing."""
    fired: list[float] = []
    server.run(server.reactor.callLater, 2, lambda: fired.append(net.now))
    server.freeze()
    net.advance(10)
    server.thaw()
    server.freeze()
    net.advance(10)

    assert fired == []


def test_others_do_not_notice() -> None:
    """Freezing one host does not affect another, although they share Twisted's Cooperator."""

    def steps(freezes: bool) -> list[float]:
        net = Network()
        a, b = net.host("a"), net.host("b")
        done: list[float] = []

        def work(into: list[float], count: int) -> Iterator[None]:
            for _ in range(count):
                into.append(net.now)
                yield

        a.run(cooperate, work([], 100_000))
        b.run(cooperate, work(done, 900))
        looping = LoopingCall(lambda: done.append(net.now))
        looping.clock = b.reactor
        b.run(looping.start, 0.125)
        net.advance(0.001)
        if freezes:
            a.freeze()
        net.advance(2)
        return done

    alone = steps(freezes=False)

    assert len(alone) == 917
    assert steps(freezes=True) == alone


def test_partition(net: Network, client: Host, server: Host) -> None:
    """A partition loses and reorders nothing: the data arrives after it heals, in order."""
    here, there = _connected(net)
    net.partition("client", "server")
    for number in range(100):
        _write(client, here, b"%3d " % number)
        net.advance(1)
    before = there.data
    net.heal()
    net.advance(130)

    assert before == b""
    assert there.data == b"".join(b"%3d " % number for number in range(100))
    assert here.data == there.data


def test_one_way(net: Network, client: Host, server: Host) -> None:
    """A one-way partition lets requests through, and loses the answers."""
    here, there = _connected(net)
    net.partition(server, client, one_way=True)
    _write(client, here, b"hello")
    net.advance(10)
    there_data, here_data = there.data, here.data
    net.heal("client", "server")
    net.advance(130)

    assert (there_data, here_data) == (b"hello", b"")
    assert here.data == b"hello"


def test_partition_forever(net: Network, client: Host, server: Host) -> None:
    """A permanent partition ends the connection as Linux does: after a quarter of an hour."""
    here, _ = _connected(net)
    net.partition(client, server)
    _write(client, here, b"hello")
    net.advance(3600)

    assert here.lost is not None
    when, why = here.lost
    assert isinstance(why, error.TimeoutError | ConnectionLost)
    assert when == pytest.approx(925.6, abs=1)  # Linux: 924.6 s


def test_kill(net: Network, client: Host, server: Host) -> None:
    """The kernel of a killed process closes its connections in order, and refuses new ones."""
    here, _ = _connected(net)
    server.kill()
    _, again = connect(client, "server")
    net.advance(1)

    assert here.lost is not None
    assert here.lost[0] == pytest.approx(1 + RTT / 2, abs=EXACT)
    assert isinstance(here.lost[1], ConnectionDone)
    assert again.at == pytest.approx(1 + RTT, abs=EXACT)
    with pytest.raises(RuntimeError, match="host server is killed"):
        server.run(print)


def test_kill_with_unread_data(net: Network, client: Host, server: Host) -> None:
    """The kernel resets a connection whose data the process had not read."""
    here, _ = _connected(net)
    server.freeze()
    _write(client, here, b"unread")
    net.advance(1)
    server.kill()
    net.advance(1)

    assert here.lost is not None
    assert isinstance(here.lost[1], ConnectionLost)


def test_power_off(net: Network, client: Host, server: Host) -> None:
    """A host that is off sends nothing; after a restart, it resets unknown connections."""
    here, _ = _connected(net)
    server.power_off()
    _write(client, here, b"hello")
    net.advance(10)
    lost_before = here.lost
    server.start()
    net.advance(60)

    assert lost_before is None
    assert here.lost is not None
    assert isinstance(here.lost[1], ConnectionLost)


def test_restarted_client(net: Network, client: Host, server: Host) -> None:
    """A restarted client can use a port that the server believes to be connected."""
    _connected(net)
    client.power_off()
    net.advance(1)
    client.start()
    here, made = connect(client, "server")
    net.advance(5)

    assert made.value is here


def test_restarted_server(net: Network, client: Host, server: Host) -> None:
    """A killed server can be started again, and serves again."""
    serve(server)
    server.kill()
    refused = get(client, "http://server/")
    net.advance(1)
    server.start()
    serve(server)
    got = get(client, "http://server/")
    net.advance(1)

    assert isinstance(refused.value, Exception)
    assert got.value == b"hello"


def test_stopped_reactor(net: Network, client: Host, server: Host) -> None:
    """A program that stops its reactor has exited: shutdown triggers run, connections close."""
    here, _ = _connected(net)
    triggered: list[float] = []
    server.run(
        server.reactor.addSystemEventTrigger,
        "before",
        "shutdown",
        lambda: triggered.append(net.now),
    )
    server.run(server.reactor.callLater, 1, server.reactor.stop)
    net.advance(5)

    assert triggered == pytest.approx([2], abs=EXACT)
    assert server.state == "exited"
    assert here.lost is not None


def test_reset(net: Network, client: Host, server: Host) -> None:
    """A reset ends all connections, or only those with one host, at once."""
    here, there = _connected(net)
    server.reset("client")
    net.advance(1)

    assert here.lost is not None
    assert here.lost[0] == pytest.approx(1 + RTT / 2, abs=EXACT)
    assert isinstance(here.lost[1], ConnectionLost)
    assert there.lost is not None


def test_loss_is_delay(net: Network, client: Host, server: Host) -> None:
    """Lost packets are retransmitted: all data arrives in order, some of it late."""
    here, there = _connected(net)
    net.link(client, server, loss=0.3)
    for number in range(50):
        _write(client, here, b"%2d " % number)
        net.advance(0.01)
    net.advance(60)

    assert here.data == there.data == b"".join(b"%2d " % number for number in range(50))
    assert max(here.heard) > 1.5 + RTT + EXACT


def test_at(net: Network, client: Host, server: Host) -> None:
    """A fault can begin and end at given times."""
    here, _ = _connected(net)
    net.at(2, server.freeze)
    net.at(5, server.thaw)
    net.advance(2)
    _write(client, here, b"hello")
    net.advance(10)

    assert here.heard == pytest.approx([5 + RTT / 2], abs=EXACT)
