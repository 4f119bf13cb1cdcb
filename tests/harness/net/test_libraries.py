"""Unmodified protocols of Twisted and of others: how many round trips a call takes."""

from __future__ import annotations

import gc
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ServerEndpoint,
    clientFromString,
    connectProtocol,
    serverFromString,
)
from twisted.internet.interfaces import IReactorSocket, IReactorTCP
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols import amp, ftp
from twisted.protocols.basic import LineReceiver
from twisted.spread import pb
from twisted.web.client import ResponseNeverReceived
from twisted.web.server import Site
from twisted.web.wsgi import WSGIResource

from firstk.harness.net.host import Host
from firstk.harness.net.network import Network
from firstk.harness.net.process import EPOCH
from tests.harness.net.programs import EXACT, RTT, Hello, get, serve

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


def _took(net: Network, host: Host, call: Callable[[], Deferred[Any]]) -> tuple[Any, float]:
    """Return the result of a host's call, and how many round trips it took."""
    before = net.now
    found = net.wait(host.run(call))
    return found, (net.now - before) / RTT


def test_amp(net: Network, client: Host, server: Host) -> None:
    """AMP takes one round trip per call."""

    class Sum(amp.Command):
        arguments = [(b"a", amp.Integer()), (b"b", amp.Integer())]  # noqa: RUF012 - as AMP has it
        response = [(b"total", amp.Integer())]  # noqa: RUF012

    class Server(amp.AMP):
        @Sum.responder
        def add(self, a: int, b: int) -> dict[str, int]:
            return {"total": a + b}

    server.run(TCP4ServerEndpoint(server.reactor, 80).listen, Factory.forProtocol(Server))
    endpoint = HostnameEndpoint(client.reactor, "server", 80)
    protocol = net.wait(client.run(connectProtocol, endpoint, amp.AMP()))

    found, trips = _took(net, client, lambda: protocol.callRemote(Sum, a=13, b=81))

    assert found == {"total": 94}
    assert trips == pytest.approx(1, abs=EXACT / RTT)


def test_perspective_broker(net: Network, client: Host, server: Host) -> None:
    """Perspective Broker takes one round trip per call."""

    class Root(pb.Root):
        def remote_double(self, number: int) -> int:
            return 2 * number

    server.run(server.reactor.listenTCP, 80, pb.PBServerFactory(Root()))
    factory = pb.PBClientFactory()
    client.run(client.reactor.connectTCP, "server", 80, factory)
    root = net.wait(client.run(factory.getRootObject))

    found, trips = _took(net, client, lambda: root.callRemote("double", 21))

    assert found == 42
    assert trips == pytest.approx(1, abs=EXACT / RTT)


def test_treq(net: Network, client: Host, server: Host) -> None:
    """With treq, each process has a connection pool: two round trips cold, one warm."""
    treq = pytest.importorskip("treq")
    serve(server)

    def get() -> Deferred[Any]:
        found: Deferred[Any] = treq.get("http://server/")
        return found.addCallback(treq.content)

    trips = [_took(net, client, get)[1] for _ in range(2)]
    found, elsewhere = _took(net, net.host("other"), get)

    assert trips == pytest.approx([2, 1], abs=EXACT / RTT)
    assert found == b"hello"
    assert elsewhere == pytest.approx(2, abs=EXACT / RTT)
    assert treq.api.get_global_pool() is None


def test_treq_timeout(net: Network, client: Host, server: Host) -> None:
    """The `timeout=` of treq ends a request to a frozen server, in virtual time."""
    treq = pytest.importorskip("treq")
    serve(server)
    server.freeze()

    with pytest.raises(ResponseNeverReceived) as caught:
        net.wait(client.run(treq.get, "http://server/", timeout=3))
    assert CancelledError in [reason.type for reason in caught.value.reasons]
    assert net.now == pytest.approx(3, abs=2 * EXACT)


def test_klein(net: Network, client: Host, server: Host) -> None:
    """Klein works, with routes that wait on the global reactor in virtual time."""
    klein = pytest.importorskip("klein")
    treq = pytest.importorskip("treq")
    from twisted.web.server import Site

    app = klein.Klein()

    @app.route("/late")  # type: ignore[untyped-decorator]
    async def late(request: Any) -> bytes:
        from twisted.internet import reactor, task

        await task.deferLater(reactor, 5, lambda: None)
        return b"%.2f" % (time.time() - EPOCH)

    server.run(lambda: server.reactor.listenTCP(80, Site(app.resource())))

    def get() -> Deferred[Any]:
        found: Deferred[Any] = treq.get("http://server/late")
        return found.addCallback(treq.text_content)

    assert net.wait(client.run(get)) == "5.08"
    assert net.now == pytest.approx(5 + 2 * RTT, abs=2 * EXACT)


def test_foolscap(net: Network, client: Host, server: Host) -> None:
    """A Foolscap call takes one round trip, although Foolscap binds the global reactor."""
    foolscap: Any = pytest.importorskip("foolscap.api")

    class Calculator(foolscap.Referenceable):  # type: ignore[misc]
        def remote_double(self, number: int) -> int:
            return 2 * number

    def begin() -> str:
        tub = foolscap.Tub()
        tub.startService()
        tub.listenOn("tcp:7000")
        tub.setLocation("tcp:server:7000")
        return str(tub.registerReference(Calculator()))

    furl = server.run(begin)

    def connect() -> Deferred[Any]:
        tub = foolscap.Tub()
        tub.startService()
        found: Deferred[Any] = tub.getReference(furl)
        return found

    held = [_took(net, client, connect)[0]]
    found, trips = _took(net, client, lambda: held[0].callRemote("double", 21))
    client.run(held.clear)  # Foolscap notices it, and must do so in the client's process
    client.run(gc.collect)

    assert found == 42
    assert trips == pytest.approx(1, abs=3 * EXACT / RTT)


def test_body_producer(net: Network, client: Host, server: Host) -> None:
    """A body that the process-wide Cooperator sends arrives complete."""
    from io import BytesIO

    from twisted.web.client import Agent, FileBodyProducer, readBody

    class Length(Hello):
        def render_POST(self, request: Any) -> bytes:
            return b"%d" % len(request.content.read())

    serve(server, Length())

    def post() -> Deferred[Any]:
        body = FileBodyProducer(BytesIO(bytes(300_000)))
        page = Agent(client.reactor).request(b"POST", b"http://server/", bodyProducer=body)
        return page.addCallback(readBody)

    assert net.wait(client.run(post)) == b"300000"


def test_websocket(net: Network, client: Host, server: Host) -> None:
    """Autobahn's WebSockets work, although it reseeds `random`; a ping times out."""
    websocket = pytest.importorskip("autobahn.twisted.websocket")
    heard: list[tuple[float, Any]] = []

    class Server(websocket.WebSocketServerProtocol):  # type: ignore[misc,name-defined]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload[::-1], isBinary)

    class Client(websocket.WebSocketClientProtocol):  # type: ignore[misc,name-defined]
        def onOpen(self) -> None:
            self.sendMessage(b"hello")

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            heard.append((net.now, payload))

        def onClose(self, wasClean: bool, code: int, reason: str) -> None:
            heard.append((net.now, code))

    def serve() -> None:
        from twisted.internet import reactor

        factory = websocket.WebSocketServerFactory("ws://server:9000")
        factory.protocol = Server
        reactor.listenTCP(9000, factory)

    def connect() -> None:
        factory = websocket.WebSocketClientFactory("ws://server:9000", reactor=client.reactor)
        factory.protocol = Client
        factory.setProtocolOptions(autoPingInterval=5, autoPingTimeout=3)
        client.reactor.connectTCP("server", 9000, factory)

    server.run(serve)
    client.run(connect)
    net.advance(12)
    server.freeze()
    net.advance(20)

    assert [what for _, what in heard] == [b"olleh", 1006]
    assert [time for time, _ in heard] == pytest.approx([3 * RTT, 18], abs=EXACT)


def test_lines(net: Network, client: Host, server: Host) -> None:
    """A LineReceiver works over string endpoints."""

    class Upper(LineReceiver):
        def lineReceived(self, line: bytes) -> None:
            self.sendLine(line.upper())

    class Client(LineReceiver):
        def __init__(self) -> None:
            self.heard: Deferred[bytes] = Deferred()

        def lineReceived(self, line: bytes) -> None:
            self.heard.callback(line)

    listening = serverFromString(server.reactor, "tcp:7000")
    server.run(listening.listen, Factory.forProtocol(Upper))
    endpoint = clientFromString(client.reactor, "tcp:server:7000")
    protocol = net.wait(client.run(connectProtocol, endpoint, Client()))

    def ask() -> Any:
        protocol.sendLine(b"hello")
        return protocol.heard

    found, trips = _took(net, client, ask)

    assert found == b"HELLO"
    assert trips == pytest.approx(1, abs=EXACT / RTT)


def test_wsgi(net: Network, client: Host, server: Host) -> None:
    """A WSGI application works, although Twisted runs it in a thread that waits for the reactor."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello ", environ["PATH_INFO"].encode()]

    def serve() -> None:
        from twisted.internet import reactor

        pool = reactor.getThreadPool()  # type: ignore[attr-defined]
        resource = WSGIResource(reactor, pool, application)
        reactor.listenTCP(80, Site(resource))  # type: ignore[arg-type]

    server.run(serve)
    got = get(client, "http://server/world")
    net.advance(1)

    assert got.value == b"hello /world"


def test_ftp(net: Network, client: Host, server: Host, tmp_path: Path) -> None:
    """FTP works, although its class has a method of the global reactor as a default."""
    (tmp_path / "file").write_bytes(b"content" * 1000)
    received: list[bytes] = []

    class Receiver(Protocol):
        def dataReceived(self, data: bytes) -> None:
            received.append(data)

    def serve() -> None:
        realm = Portal(ftp.FTPRealm(str(tmp_path)), [AllowAnonymousAccess()])
        server.reactor.listenTCP(21, ftp.FTPFactory(realm))

    def retrieve() -> Any:
        fetching = ftp.FTPClient("anonymous", "a@example.org", passive=1)
        endpoint = HostnameEndpoint(client.reactor, "server", 21)
        return connectProtocol(endpoint, fetching).addCallback(
            lambda _: fetching.retrieveFile("file", Receiver())
        )

    server.run(serve)
    net.wait(client.run(retrieve))

    assert b"".join(received) == b"content" * 1000


def test_host_name(net: Network, client: Host) -> None:
    """A host's name, as servers of IRC and SMTP request it, is its name in the network."""
    assert client.run(lambda: (socket.gethostname(), socket.getfqdn())) == ("client", "client")
    assert socket.gethostname() != "client"


def test_bound_method(net: Network, client: Host) -> None:
    """A method of the global reactor that a program has bound is the host's, too."""
    program = ModuleType("program")
    exec("from twisted.internet import reactor\nlater = reactor.callLater", vars(program))  # noqa: S102
    sys.modules["program"] = program
    bound = vars(program)["later"]
    called: list[float] = []
    try:
        client.run(lambda: vars(program)["later"](2, lambda: called.append(net.now)))
        net.advance(5)
    finally:
        del sys.modules["program"]

    assert called == [2]
    assert vars(program)["later"] is bound


def test_what_the_reactor_provides(net: Network, client: Host) -> None:
    """The global reactor provides the host's interfaces: real descriptors cannot be adopted."""
    from twisted.internet import reactor

    def provides() -> tuple[bool, bool]:
        return IReactorTCP.providedBy(reactor), IReactorSocket.providedBy(reactor)

    assert client.run(provides) == (True, False)
    assert provides() == (True, True)


def test_free_port(net: Network, client: Host) -> None:
    """Foolscap's search for a free port finds a port of the host."""
    util = pytest.importorskip("foolscap.util", reason="Foolscap comes with Tahoe-LAFS")
    before = util.allocate_tcp_port
    first, second = client.run(lambda: (util.allocate_tcp_port(), util.allocate_tcp_port()))

    assert 0 < first < second
    assert util.allocate_tcp_port is before
