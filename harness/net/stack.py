"""The kernel of a simulated host: its ports, and the dispatch of arriving segments.

This module does not depend on Twisted.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EADDRINUSE, EADDRNOTAVAIL

from firstk.harness.net.base_socket import BaseSocket
from firstk.harness.net.connection import LINGER, Connection, Timer
from firstk.harness.net.datagram_socket import DatagramSocket
from firstk.harness.net.segment import (
    WILDCARDS,
    Address,
    Datagram,
    Segment,
    is_loopback,
    os_error,
)
from firstk.harness.net.stream_socket import StreamSocket

_FIRST_PORT, _LAST_PORT = 32768, 60999


class Stack:
    """The kernel of one host.

    `send` takes a segment on its way and returns when it has left the host.
    `call_later(delay, function)` calls a function later, and `changed(socket)` is called when a
    socket may have become readable or writable. With `addresses` None every address is the host's
    own.
    """

    def __init__(
        self,
        send: Callable[[Segment | Datagram], float],
        call_later: Callable[[float, Callable[[], None]], Timer],
        seconds: Callable[[], float],
        changed: Callable[[BaseSocket], None],
        addresses: dict[int, str] | None = None,
    ) -> None:
        self.send = send
        self.call_later = call_later
        self.seconds = seconds
        self.changed = changed
        self.addresses = addresses
        self.refuses = False
        """Whether it refuses all new connections, whoever listens."""
        self.sockets: dict[int, BaseSocket] = {}  # by file descriptor
        self.connections: dict[tuple[Address, Address], Connection] = {}
        self.given_up: list[Connection] = []  # those that never had the answer they waited for
        self.last_received: dict[tuple[Address, Address], float] = {}  # of connections that ended
        self._bound: dict[tuple[int, int, int], list[BaseSocket]] = {}  # by type, family and port
        self._gone: dict[tuple[Address, Address], tuple[float, Segment]] = {}
        self._next_port = _FIRST_PORT
        self._next_descriptor = 1000

    def stream_socket(self, family: int) -> StreamSocket:
        """Return a new TCP socket."""
        return StreamSocket(self, family)

    def datagram_socket(self, family: int) -> DatagramSocket:
        """Return a new UDP socket."""
        return DatagramSocket(self, family)

    def descriptor(self, one: BaseSocket) -> int:
        """Return a file descriptor for a socket. None is used twice."""
        self._next_descriptor += 1
        self.sockets[self._next_descriptor] = one
        return self._next_descriptor

    # Names and ports

    def own(self, family: int, host: str) -> bool:
        """Return whether an address is one of this host."""
        if self.addresses is None or host in WILDCARDS or is_loopback(host):
            return True
        return self.addresses.get(family) == host

    def bind(self, one: BaseSocket, host: str, port: int) -> Address:
        """Reserve a port of an address for a socket; 0 is any port."""
        if not 0 <= port <= 65535:
            raise OverflowError("bind(): port must be 0-65535.")
        if not self.own(one.family, host):
            raise os_error(EADDRNOTAVAIL)
        if port == 0:
            port = self.free_port(one)
        others = self._bound.setdefault((one.type, one.family, port), [])
        reuse = one.reuses_address
        for other in others:
            overlap = host in WILDCARDS or other.name.host in {host, *WILDCARDS}
            if overlap and not (reuse and other.reuses_address and not other.listens):
                raise os_error(EADDRINUSE)
        others.append(one)
        return Address(host or "0.0.0.0", port)  # noqa: S104

    def release(self, one: BaseSocket) -> None:
        """Release the port that a socket has."""
        others = self._bound.get((one.type, one.family, one.name.port), [])
        if one in others:
            others.remove(one)

    def free_port(self, one: BaseSocket) -> int:
        """Return a port that no socket of the same kind has."""
        for _ in range(_FIRST_PORT, _LAST_PORT + 1):
            port = self._next_port
            self._next_port = _FIRST_PORT if port == _LAST_PORT else port + 1
            if not self._bound.get((one.type, one.family, port)):
                return port
        raise os_error(EADDRNOTAVAIL)

    def source(self, family: int, target: str) -> str:
        """Return the address from which packets to `target` are sent."""
        if self.addresses is None or is_loopback(target):
            return target
        return self.addresses[family]

    def _bound_to(self, kind: int, target: Address) -> list[BaseSocket]:
        """Return the sockets of a kind that have an address."""
        family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
        there = self._bound.get((kind, family, target.port), ())
        return [one for one in there if one.name.host in {target.host, *WILDCARDS}]

    def _listener(self, target: Address) -> StreamSocket | None:
        for one in self._bound_to(socket.SOCK_STREAM, target):
            if isinstance(one, StreamSocket) and one.listens:
                return one
        return None

    # Segments

    def receive(self, arrived: Segment | Datagram) -> None:
        """Take a segment or a datagram that arrives."""
        if isinstance(arrived, Datagram):
            self._receive_datagram(arrived)
        else:
            self._receive_segment(arrived)

    def _receive_datagram(self, datagram: Datagram) -> None:
        there = self._bound_to(socket.SOCK_DGRAM, datagram.target)
        if isinstance(found := next(iter(there), None), DatagramSocket):
            found.take(datagram)
        elif not datagram.unreachable:
            self.send(Datagram(datagram.target, datagram.source, unreachable=True))

    def _receive_segment(self, segment: Segment) -> None:
        key = segment.target, segment.source
        connection = self.connections.get(key)
        if connection is not None:
            connection.receive(segment)
            return
        if segment.reset:
            return
        gone = self._gone.get(key)
        if gone is not None and not segment.syn:
            until, last = gone
            if self.seconds() < until:
                if segment.fin:  # the last acknowledgement was lost
                    self.send(last)
                    return
            else:
                del self._gone[key]
        if segment.syn and segment.ack is None and not self.refuses:
            listening = self._listener(segment.target)
            if listening is not None:
                self._gone.pop(key, None)
                listening.take_syn(segment)
                return
        self.refuse(segment)

    def refuse(self, segment: Segment) -> None:
        """Answer a segment for which there is no connection with a reset."""
        sequence = segment.ack or 0
        self.send(Segment(segment.target, segment.source, sequence, segment.end, 0, reset=True))

    def forget(self, connection: Connection, last: Segment | None = None) -> None:
        """Drop a connection; `last` is what a repeated FIN of the peer is answered with."""
        key = connection.local, connection.remote
        if self.connections.get(key) is connection:
            del self.connections[key]
            if connection.waits and connection.closed is None:  # it has timed out
                self.given_up.append(connection)
            if connection.received is not None and not connection.is_client:
                self.last_received[key] = connection.received
            if last is not None:
                self._gone[key] = self.seconds() + LINGER, last

    def kill(self) -> None:
        """Close all sockets, as a kernel does when their process dies."""
        for one in list(self.sockets.values()):
            one.close()

    def power_off(self) -> None:
        """Drop all state, without notifying any peer."""
        for connection in list(self.connections.values()):
            connection.drop()
        self.sockets.clear()
        self._bound.clear()
        self._gone.clear()
