"""Twisted's own transports over simulated sockets: only the creation of sockets is overridden."""

from __future__ import annotations

from socket import SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, udp

if TYPE_CHECKING:
    from firstk.harness.net.host_reactor import HostReactor
    from firstk.harness.net.stream_socket import StreamSocket


class _Client(tcp.Client):
    """A connection to another host."""

    reactor: HostReactor

    def __init__(
        self, host: str, port: int, bind: Any, connector: Any, reactor: HostReactor
    ) -> None:
        self.reactor = reactor  # the base makes the socket before it sets this
        super().__init__(host, port, bind, connector, reactor)  # type: ignore[no-untyped-call]

    def createInternetSocket(self) -> StreamSocket:
        """Return a socket of the reactor's host."""
        return self.reactor.stack.stream_socket(self.addressFamily)


class Port(tcp.Port):
    """A port that listens."""

    def createInternetSocket(self) -> Any:
        """Return a socket with the options that the port was given, as Twisted's own does."""
        reactor: HostReactor = self.reactor  # type: ignore[assignment]
        made = reactor.stack.stream_socket(self.addressFamily)
        # Twisted 24.7 has neither attribute: it always reuses addresses, and never ports.
        if getattr(self, "_reuseAddress", True):
            made.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if getattr(self, "_reusePort", False):
            made.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
        return made


class Connector(tcp.Connector):
    """Makes connections to one address."""

    def _makeTransport(self) -> Any:
        reactor: HostReactor = self.reactor  # type: ignore[assignment]
        return _Client(self.host, self.port, self.bindAddress, self, reactor)


class UDPPort(udp.Port):
    """A port that sends and receives datagrams."""

    def createInternetSocket(self) -> Any:
        """Return a socket of the reactor's host."""
        reactor: HostReactor = self.reactor  # type: ignore[assignment]
        return reactor.stack.datagram_socket(self.addressFamily)
