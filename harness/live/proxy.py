"""A process that delays connections: the links of a simulated grid, for real sockets.

A round-trip time is drawn for each burst of data from the client, as it is for each request in the
simulation: half of it delays the client's data, and half the answer. A TCP handshake takes another
round trip: the kernel completes it at once, so the first burst is delayed instead. `tc netem` would
delay packets instead of requests, and needs a kernel module that many machines lack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from multiprocessing.connection import Connection
from typing import Any, Literal

from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from firstk.harness.kernel.rng import stream
from firstk.harness.live.mailbox import Mailbox
from firstk.scenarios.faults import Fault
from firstk.scenarios.laws import Law


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The properties of one server's link in a run; see the keys of a scenario file.

    `target` is the address of the server.
    """

    target: tuple[str, int]
    rtt: Law
    rtt_per: Literal["request", "server"] = "request"
    bandwidth: float | None = None
    faults: Sequence[Fault] = ()


def serve(channel: Connection, names: Sequence[str]) -> None:
    """Delay connections until the channel is closed; report the ports, one for each link."""
    from twisted.internet import reactor as found

    reactor: Any = found
    links = [_Link(reactor, name) for name in names]
    ports = []
    for link in links:
        factory = Factory.forProtocol(partial(_FromClient, link))
        factory.noisy = False
        listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        ports.append(listening.getHost().port)

    def begin(
        seed: int, settings: Sequence[LinkSettings], client_bandwidth: float | None = None
    ) -> None:
        downlink = _Line(client_bandwidth)
        for link, changes in zip(links, settings, strict=True):
            link.begin(seed, changes, downlink)

    channel.send(ports)
    Mailbox(reactor, channel, begin)
    reactor.run(installSignalHandlers=False)


class _Line:
    """A line with a bandwidth in bytes per second, which sends one piece after the other."""

    def __init__(self, bandwidth: float | None) -> None:
        self._bandwidth = bandwidth or inf
        self._free_at = 0.0

    def leaves(self, time: float, size: int) -> float:
        """Return when a piece that arrives at `time` has been sent."""
        if self._bandwidth < inf:
            time = self._free_at = max(time, self._free_at) + size / self._bandwidth
        return time


class _Link:
    """The link of one server."""

    def __init__(self, reactor: Any, name: str) -> None:
        self.reactor = reactor
        self.target = ("", 0)
        self._name = name

    def begin(self, seed: int, settings: LinkSettings, downlink: _Line) -> None:
        """Begin a run: draw new delays, and count the times of faults from now."""
        self.target = settings.target
        self._settings = settings
        self._lines = [_Line(settings.bandwidth), downlink]
        self._start = self.reactor.seconds()
        self._random = stream(seed, self._name, "rtt")
        self._drawn: float | None = None

    def round_trip(self) -> float:
        """Return the duration of a round trip that begins now."""
        if self._drawn is None or self._settings.rtt_per == "request":
            self._drawn = self._settings.rtt.sample(self._random)
        time = self._drawn
        for fault in self._settings.faults:
            if fault.active(self.reactor.seconds() - self._start):
                time = fault.round_trip(time)
        return time

    def downloaded(self, size: int) -> float:
        """Return when bytes that the server sends now have passed the lines."""
        time: float = self.reactor.seconds()
        for line in self._lines:
            time = line.leaves(time, size)
        return time


class _Way:
    """One direction of a connection, which delivers data late but in order."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._last = 0.0

    def at(self, time: float, function: Callable[..., Any], *args: Any) -> None:
        """Call a function at a time, after all earlier calls."""
        self._last = max(time, self._last)
        self._reactor.callLater(max(0.0, self._last - self._reactor.seconds()), function, *args)


class _FromClient(Protocol):
    """The client's end of a connection."""

    def __init__(self, link: _Link) -> None:
        self.link = link
        self.rtt = 0.0
        self.up, self.down = _Way(link.reactor), _Way(link.reactor)
        self._server: _FromServer | None = None
        self._early: list[bytes] = []
        self._bursts = True
        self._open_at = 0.0

    def connectionMade(self) -> None:
        """Connect to the server; the client's data waits until the handshake would be complete."""
        self.rtt = self.link.round_trip()
        self._open_at = self.link.reactor.seconds() + self.rtt
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        self.up.at(self._open_at - self.rtt / 2, self._connect)

    def _connect(self) -> None:
        host, port = self.link.target
        self.link.reactor.connectTCP(host, port, _ToServer(self))

    def reach(self, server: _FromServer) -> None:
        """Store the server's end, and send the data that is already due."""
        self._server = server
        for data in self._early:
            self._pass(data)

    def dataReceived(self, data: bytes) -> None:
        """Forward data; a new burst begins after each answer."""
        now = self.link.reactor.seconds()
        if self._bursts:
            self.rtt, self._bursts = self.link.round_trip(), False
        self.up.at(max(now, self._open_at) + self.rtt / 2, self._pass, data)

    def _pass(self, data: bytes) -> None:
        if self._server is None:
            self._early.append(data)
        else:
            self._server.transport.write(data)  # type: ignore[union-attr]

    def answered(self, data: bytes) -> None:
        """Handle data from the server."""
        self._bursts = True
        time = self.link.downloaded(len(data)) + self.rtt / 2
        self.down.at(time, self._write, data)

    def _write(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]

    def lost(self) -> None:
        """Reset the connection, because the server has done so or has refused it."""
        time = self.link.reactor.seconds() + self.rtt / 2
        self.down.at(time, self.transport.abortConnection)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Close the server's end."""
        if self._server is not None:
            self.up.at(0.0, self._server.transport.abortConnection)  # type: ignore[union-attr]


class _FromServer(Protocol):
    """The server's end of a connection."""

    def __init__(self, client: _FromClient) -> None:
        self._client = client

    def connectionMade(self) -> None:
        """Let the client's bytes through."""
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        self._client.reach(self)

    def dataReceived(self, data: bytes) -> None:
        """Forward data."""
        self._client.answered(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Close the client's end."""
        self._client.lost()


class _ToServer(ClientFactory):
    noisy = False

    def __init__(self, client: _FromClient) -> None:
        self._client = client

    def buildProtocol(self, addr: Any) -> _FromServer:
        return _FromServer(self._client)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self._client.lost()
