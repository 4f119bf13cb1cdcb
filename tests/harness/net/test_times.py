"""Times of the first byte, to a tenth of a millisecond: the round trips of real protocols."""

from __future__ import annotations

import pytest
from twisted.internet import error
from twisted.web.client import HTTPConnectionPool

from firstk.harness.net.host import Host
from firstk.harness.net.network import Network
from tests.harness.net.programs import EXACT, RTT, Hello, connect, get, listen, serve

# Twisted uses functions that pyOpenSSL has deprecated, and warns about its own `readBody`.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def net() -> Network:
    """Return a network without hosts."""
    return Network(rtt=RTT)


def _hosts(net: Network) -> tuple[Host, Host]:
    return net.host("client"), net.host("server")


def test_connect(net: Network) -> None:
    """A connection takes one round trip; the server accepts it half of one later."""
    client, server = _hosts(net)
    listening = listen(server)
    _, made = connect(client, "server")
    net.advance(1)

    assert made.at == pytest.approx(RTT, abs=EXACT)
    assert listening.made[0].made_at == pytest.approx(1.5 * RTT, abs=EXACT)


def test_refused(net: Network) -> None:
    """A port without a listener refuses after one round trip."""
    client, _ = _hosts(net)
    _, made = connect(client, "server")
    net.advance(1)

    assert made.at == pytest.approx(RTT, abs=EXACT)
    assert isinstance(made.value, error.ConnectionRefusedError)


def test_nobody(net: Network) -> None:
    """A host that is off does not answer: the caller's own timeout ends the attempt."""
    client, server = _hosts(net)
    server.power_off()
    _, made = connect(client, "server", timeout=7)
    net.advance(10)

    assert made.at == pytest.approx(7, abs=EXACT)
    assert isinstance(made.value, error.TimeoutError)


def test_http(net: Network) -> None:
    """HTTP takes two round trips, or one on an open connection."""
    client, server = _hosts(net)
    serve(server)
    pool = client.run(HTTPConnectionPool, client.reactor)
    cold = get(client, "http://server/", pool)
    net.advance(1)
    warm = get(client, "http://server/", pool)
    net.advance(1)

    assert (cold.value, warm.value) == (b"hello", b"hello")
    assert cold.at == pytest.approx(2 * RTT, abs=EXACT)
    assert warm.at == pytest.approx(1 + RTT, abs=EXACT)


def test_https(net: Network) -> None:
    """HTTPS (TLS 1.3) takes three, or one on an open connection."""
    pytest.importorskip("OpenSSL", reason="TLS needs pyOpenSSL")
    client, server = _hosts(net)
    serve(server, tls=True)
    pool = client.run(HTTPConnectionPool, client.reactor)
    cold = get(client, "https://server/", pool)
    net.advance(1)
    warm = get(client, "https://server/", pool)
    net.advance(1)

    assert (cold.value, warm.value) == (b"hello", b"hello")
    assert cold.at == pytest.approx(3 * RTT, abs=EXACT)
    assert warm.at == pytest.approx(1 + RTT, abs=EXACT)


def test_windows(net: Network) -> None:
    """After connecting, a megabyte takes four round trips, with windows of 256 KiB."""
    client, server = _hosts(net)
    serve(server, Hello(b"x" * 1_000_000))
    got = get(client, "http://server/")
    net.advance(1)

    assert len(got.value) == 1_000_000
    assert got.at == pytest.approx(5 * RTT, abs=10 * EXACT)


def test_bandwidth() -> None:
    """Packets pass a link one after another, at its bandwidth."""
    net = Network(rtt=RTT, bandwidth=100_000)
    client, server = _hosts(net)
    serve(server, Hello(b"x" * 50_000))
    got = get(client, "http://server/")
    net.advance(10)
    sizes = [packet.size for packet in net.packets]

    assert got.at == pytest.approx(2 * RTT + sum(sizes) / 100_000, abs=EXACT)


def test_link() -> None:
    """A single link can be made slower."""
    net = Network(rtt=RTT)
    client, near, far = net.host("client"), net.host("near"), net.host("far")
    listen(near)
    listen(far)
    net.link(client, far, rtt={"law": "constant", "value": 0.4})
    _, to_near = connect(client, "near")
    _, to_far = connect(client, "far")
    net.advance(2)

    assert to_near.at == pytest.approx(RTT, abs=EXACT)
    assert to_far.at == pytest.approx(0.4, abs=EXACT)


@pytest.mark.parametrize("to", ["server", "10.0.0.2", "fd00::2", "localhost"])
def test_names(net: Network, to: str) -> None:
    """A host is reached by its name, by either address, and from itself as localhost."""
    client, server = _hosts(net)
    host = server if to == "localhost" else client
    host_listening = listen(server, interface="::" if ":" in to else "")
    _, made = connect(host, to)
    net.advance(1)

    assert made.at == pytest.approx(0 if to == "localhost" else RTT, abs=EXACT)
    assert len(host_listening.made) == 1
