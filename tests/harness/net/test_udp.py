"""Datagrams between hosts: UDP, which is unreliable."""

from __future__ import annotations

import pytest
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from twisted.names.client import Resolver
from twisted.names.common import ResolverBase
from twisted.names.dns import DNSDatagramProtocol, Record_A, RRHeader
from twisted.names.server import DNSServerFactory

from firstk.harness.net.datagram_socket import BUFFER
from firstk.harness.net.host import Host
from firstk.harness.net.network import Network
from tests.harness.net.programs import EXACT, RTT, outcome


class Datagrams(DatagramProtocol):
    """Keeps received datagrams, and may send them back."""

    def __init__(self, host: Host, echo: bool = False) -> None:
        self.host = host
        self.echo = echo
        self.got: list[tuple[bytes, str, float]] = []
        self.refused: list[float] = []

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.got.append((datagram, addr[0], self.host.reactor.seconds()))
        if self.echo:
            self.send(datagram, *addr)

    def connectionRefused(self) -> None:
        self.refused.append(self.host.reactor.seconds())

    def send(self, data: bytes, address: str, port: int = 53) -> None:
        """Send a datagram, as code of the host."""
        assert self.transport is not None
        self.host.run(self.transport.write, data, (address, port))


@pytest.fixture
def net() -> Network:
    """Return a network without hosts."""
    return Network(rtt=RTT)


@pytest.fixture
def client(net: Network) -> Datagrams:
    """Return a client's end, on some port."""
    return _listen(net.host("client"), 0)


@pytest.fixture
def server(net: Network) -> Datagrams:
    """Return a server's end on port 53, which sends back what it receives."""
    return _listen(net.host("server"), 53, echo=True)


def _listen(host: Host, port: int, echo: bool = False, interface: str = "") -> Datagrams:
    made = Datagrams(host, echo)
    host.run(host.reactor.listenUDP, port, made, interface, 65536)
    return made


def test_round_trip(net: Network, client: Datagrams, server: Datagrams) -> None:
    """A datagram and its answer take one round trip, and carry the sender's address."""
    client.send(b"hello", server.host.address)
    net.advance(1)
    [there], [here] = server.got, client.got

    assert there[:2] == (b"hello", client.host.address)
    assert there[2] == pytest.approx(RTT / 2, abs=EXACT)
    assert here[:2] == (b"hello", server.host.address)
    assert here[2] == pytest.approx(RTT, abs=EXACT)


def test_ipv6(net: Network) -> None:
    """The same with IPv6."""
    here = _listen(net.host("client"), 0, interface="::")
    there = _listen(net.host("server"), 53, echo=True, interface="::")
    here.send(b"hello", there.host.address6)
    net.advance(1)

    assert [got[:2] for got in here.got] == [(b"hello", there.host.address6)]


def test_refused(net: Network, client: Datagrams) -> None:
    """A connected socket learns of a closed port after a round trip; others do not."""
    server = net.host("server")
    connected = _listen(client.host, 0)
    assert connected.transport is not None
    client.host.run(connected.transport.connect, server.address, 53)
    client.host.run(connected.transport.write, b"hello")
    client.send(b"hello", server.address)
    net.advance(1)

    assert connected.refused == pytest.approx([RTT], abs=EXACT)
    assert client.refused == []


def test_connected_hears_its_peer_only(net: Network, client: Datagrams, server: Datagrams) -> None:
    """A connected port receives nothing from any other address."""
    assert client.transport is not None
    client.host.run(client.transport.connect, server.host.address, 53)
    port = client.transport.getHost().port
    other = _listen(net.host("other"), 0)
    other.send(b"from another", client.host.address, port)
    server.send(b"from the server", client.host.address, port)
    net.advance(1)

    assert [got[0] for got in client.got] == [b"from the server"]


def test_frozen(net: Network, client: Datagrams, server: Datagrams) -> None:
    """A frozen host's kernel keeps datagrams while its buffer has room, and drops the rest."""
    server.host.freeze()
    for number in range(10):
        client.send(bytes([number]) * 50_000, server.host.address)
    net.advance(5)
    server.host.thaw()
    net.advance(5)

    assert [got[0][0] for got in server.got] == list(range(BUFFER // 50_000))
    assert {round(got[2], 3) for got in server.got} == {5.0}


def test_lost(net: Network, client: Datagrams, server: Datagrams) -> None:
    """Datagrams are lost at random, in a partition, and to a host that is off."""
    net.link("client", "server", loss=0.5)
    for _ in range(100):
        client.send(b"perhaps", server.host.address)
    net.advance(1)
    received = len(server.got)
    net.partition("client", "server")
    client.send(b"never", server.host.address)
    net.heal()
    net.advance(1)

    assert 30 < received < 70
    assert len(server.got) == received


def test_overtaking(net: Network) -> None:
    """Datagrams can overtake one another if round-trip times vary."""
    net = Network(rtt={"law": "exponential", "mean": 1})
    client, server = _listen(net.host("client"), 0), _listen(net.host("server"), 53)
    for number in range(20):
        client.send(bytes([number]), server.host.address)
    net.advance(60)
    numbers = [got[0][0] for got in server.got]

    assert sorted(numbers) == list(range(20))
    assert numbers != sorted(numbers)


def test_mistakes(net: Network, client: Datagrams, server: Datagrams) -> None:
    """A port in use, and a datagram that is too long, are refused."""
    with pytest.raises(CannotListenError, match="Address already in use"):
        _listen(server.host, 53)
    with pytest.raises(MessageLengthError, match="too long"):
        client.send(bytes(65_508), server.host.address)


def test_twisted_names(net: Network) -> None:
    """Twisted's DNS server and client work: a query takes a round trip."""

    class Answers(ResolverBase):
        def _lookup(self, name: bytes, cls: int, type: int, timeout: object) -> object:
            from twisted.internet.defer import succeed

            answer = RRHeader(name, type, cls, 60, Record_A("10.9.8.7"), auth=True)
            return succeed(([answer], [], []))

    server, client = net.host("server"), net.host("client")
    factory = DNSServerFactory(clients=[Answers()])
    factory.noisy = False
    protocol = DNSDatagramProtocol(factory, reactor=server.reactor)
    server.run(server.reactor.listenUDP, 53, protocol)
    resolver = client.run(Resolver, servers=[(server.address, 53)], reactor=client.reactor)

    found = net.wait(client.run(resolver.lookupAddress, b"example.com"))
    took = net.now
    server.freeze()
    silent = outcome(client, client.run(resolver.lookupAddress, b"example.org", timeout=[2]))
    net.advance(10)

    assert found[0][0].payload.dottedQuad() == "10.9.8.7"
    assert took == pytest.approx(RTT, abs=EXACT)
    assert isinstance(silent.value, Exception)
    assert silent.at == pytest.approx(RTT + 2, abs=2 * EXACT)
