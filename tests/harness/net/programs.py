"""Clients and servers that know nothing of the simulation: plain Twisted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from firstk.harness.net.host import Host

RTT = 0.05

#: The error of times due to a host's reactor, whose turns take a few microseconds.
EXACT = 1e-4


#: For a host named "server", valid until 2126; made once, since new keys would differ.
PEM = Path(__file__).parent / "server.pem"


class Recorder(Protocol):
    """Records the received data, with times."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        self.made_at: float | None = None
        self.data = b""
        self.heard: list[float] = []
        self.lost: tuple[float, Exception] | None = None

    def connectionMade(self) -> None:
        self.made_at = self.seconds()

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self.heard.append(self.seconds())

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008
        assert isinstance(reason.value, Exception)
        self.lost = self.seconds(), reason.value


class Echo(Recorder):
    """Sends back the data that it receives."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        assert self.transport is not None
        self.transport.write(data)


@dataclass
class Listener(Factory):
    """Makes a protocol for each connection, and keeps them."""

    host: Host
    kind: type[Recorder] = Recorder
    made: list[Recorder] = field(default_factory=list)

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Recorder:
        self.made.append(self.kind(self.host.reactor.seconds))
        return self.made[-1]


def listen(
    host: Host,
    port: int = 80,
    kind: type[Recorder] = Recorder,
    backlog: int = 50,
    interface: str = "",
) -> Any:
    """Listen on a port of a host, and return the factory, which keeps the connections."""
    factory = Listener(host, kind)
    host.run(host.reactor.listenTCP, port, factory, backlog, interface)
    return factory


@dataclass
class Outcome:
    """The result of a Deferred, and the time when it fired."""

    at: float | None = None
    value: Any = None


def outcome(host: Host, deferred: Deferred[Any]) -> Outcome:
    """Watch a Deferred; a failure becomes its exception."""
    found = Outcome()

    def fired(value: Any) -> None:
        found.at = host.reactor.seconds()
        found.value = value.value if isinstance(value, Failure) else value

    deferred.addBoth(fired)
    return found


def connect(host: Host, to: str, port: int = 80, timeout: float = 30) -> tuple[Recorder, Outcome]:
    """Connect to a port of another host."""

    def begin() -> tuple[Recorder, Outcome]:
        protocol = Recorder(host.reactor.seconds)
        endpoint = TCP4ClientEndpoint(host.reactor, to, port, timeout)
        return protocol, outcome(host, connectProtocol(endpoint, protocol))

    return host.run(begin)


class Hello(Resource):
    """Answers with some bytes, or never."""

    isLeaf = True

    def __init__(self, body: bytes = b"hello", silent: bool = False) -> None:
        super().__init__()
        self.body = body
        self.silent = silent

    def render_GET(self, request: Request) -> Any:
        return NOT_DONE_YET if self.silent else self.body


def serve(host: Host, resource: Resource | None = None, tls: bool = False) -> None:
    """Serve HTTP on port 80, or HTTPS on port 443, with a Site that has no reactor of its own."""

    def begin() -> None:
        site = Site(resource or Hello())
        site.noisy = False
        if tls:
            host.reactor.listenSSL(443, site, server_context())
        else:
            host.reactor.listenTCP(80, site)

    host.run(begin)


def get(host: Host, url: str, pool: HTTPConnectionPool | None = None) -> Outcome:
    """Get a complete page."""

    def begin() -> Outcome:
        policy = {"contextFactory": client_policy()} if url.startswith("https:") else {}
        agent = Agent(host.reactor, pool=pool, **policy)
        return outcome(host, agent.request(b"GET", url.encode()).addCallback(readBody))

    return host.run(begin)


def server_context() -> Any:
    """Return a server's TLS context with the certificate of these tests (RSA: fixed sizes)."""
    from twisted.internet.ssl import PrivateCertificate

    return PrivateCertificate.loadPEM(PEM.read_bytes()).options()


def client_policy() -> Any:
    """Return an Agent's policy that trusts only that certificate."""
    from twisted.internet.ssl import Certificate
    from twisted.web.client import BrowserLikePolicyForHTTPS

    return BrowserLikePolicyForHTTPS(Certificate.loadPEM(PEM.read_bytes()))
