"""A TCP socket of a simulated host: it listens, or has a connection."""

from __future__ import annotations

import socket
from collections import deque
from errno import (
    EADDRINUSE,
    EALREADY,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENOTCONN,
    EWOULDBLOCK,
)
from typing import TYPE_CHECKING, Any

from firstk.harness.net.base_socket import BaseSocket
from firstk.harness.net.connection import Connection
from firstk.harness.net.segment import WILDCARDS, Address, Segment, os_error

if TYPE_CHECKING:
    from firstk.harness.net.stack import Stack


class StreamSocket(BaseSocket):
    """A non-blocking stream socket, with the part of the interface of `socket.socket` in use."""

    type = socket.SOCK_STREAM

    def __init__(
        self,
        stack: Stack,
        family: int,
        connection: Connection | None = None,
        scope: int = 0,
    ) -> None:
        super().__init__(stack, family, scope)
        self.connection = connection
        self.pending: deque[Connection] = deque()  # what can be accepted
        self._half_open: dict[Connection, None] = {}
        self._backlog = 0
        if connection is not None:
            self.name = connection.local
            connection.socket = self

    def take_error(self) -> int:
        """Return the error that its connection has ended with, once."""
        if self.connection is None:
            return 0
        error, self.connection.error = self.connection.error, 0
        return error

    def listen(self, backlog: int = 50) -> None:
        """Accept connections: up to one more than `backlog` wait for `accept`."""
        self._check_open()
        if not self.name.port:
            self.name = self._stack.bind(self, self.name.host, 0)
        self.listens, self._backlog = True, backlog

    def take_syn(self, segment: Segment) -> None:
        """Begin a connection that a peer asks for, if there is room for it."""
        if len(self.pending) + len(self._half_open) > self._backlog:
            return  # the peer asks again
        connection = Connection(self._stack, segment.target, segment.source)
        self._half_open[connection] = None
        connection.answer_syn(segment, self)

    def established(self, connection: Connection) -> None:
        """Let a connection be accepted."""
        self._half_open.pop(connection, None)
        self.pending.append(connection)
        self._stack.changed(self)

    def failed(self, connection: Connection) -> None:
        """Give up a connection that was not accepted yet."""
        self._half_open.pop(connection, None)
        if connection in self.pending and not connection.incoming:
            self.pending.remove(connection)

    def accept(self) -> tuple[StreamSocket, tuple[Any, ...]]:
        """Return a socket for the next connection, and the peer's address."""
        self._check_open()
        if not self.listens:
            raise os_error(EINVAL)
        if not self.pending:
            raise os_error(EWOULDBLOCK)
        connection = self.pending.popleft()
        connection.accepted()
        made = StreamSocket(self._stack, self.family, connection, self._scope)
        return made, made._shown(connection.remote)

    def connect_ex(self, address: tuple[Any, ...]) -> int:
        """Begin to connect, or return how far that is, as an error number."""
        self._check_open()
        if self.connection is not None:
            if self.connection.error:
                error, self.connection.error = self.connection.error, 0
                return error
            return EISCONN if self.connection.is_open else EALREADY
        host, port = self._host(address), address[1]
        if not 0 <= port <= 65535:
            raise OverflowError("connect_ex(): port must be 0-65535.")
        if host in WILDCARDS:
            host = "::1" if self.family == socket.AF_INET6 else "127.0.0.1"
        if not self.name.port:
            self.name = self._stack.bind(self, self.name.host, 0)
        if self.name.host in WILDCARDS:
            self.name = Address(self._stack.source(self.family, host), self.name.port)
        remote = Address(host, port)
        if (self.name, remote) in self._stack.connections:
            return EADDRINUSE
        self.connection = Connection(self._stack, self.name, remote)
        self.connection.socket = self
        self.connection.connect()
        return EINPROGRESS

    def connect(self, address: tuple[Any, ...]) -> None:
        """Begin to connect."""
        error = self.connect_ex(address)
        if error not in (0, EISCONN):
            raise os_error(error)

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """Take data to be sent, and return how much there was room for."""
        return self._connected().send(bytes(data))

    def sendall(self, data: bytes, flags: int = 0) -> None:
        """Take all of some data to be sent."""
        if self.send(data) < len(data):
            raise os_error(EWOULDBLOCK)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return up to `size` bytes; none at all is the end."""
        return self._connected().read(size)

    def shutdown(self, how: int) -> None:
        """Send no more, receive no more, or both."""
        connection = self._connected()
        if not connection.is_open:
            raise os_error(ENOTCONN)
        if how in (socket.SHUT_RD, socket.SHUT_RDWR):
            connection.reads = False
            self._stack.changed(self)
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            connection.finish()

    def close(self) -> None:
        """Close it: in order, or with a reset if data was not read, or linger is 0."""
        if self._fd == -1:
            return
        super().close()
        for connection in [*self.pending, *self._half_open]:
            connection.abort()
        self.pending.clear()
        self._half_open.clear()
        self.listens = False
        if self.connection is not None:
            self.connection.socket = None
            linger = self._options.get((socket.SOL_SOCKET, socket.SO_LINGER))
            self.connection.close(abruptly=linger == bytes([1, 0, 0, 0, 0, 0, 0, 0]))

    def getpeername(self) -> tuple[Any, ...]:
        """Return the peer's address."""
        connection = self._connected()
        if not connection.is_open:
            raise os_error(ENOTCONN)
        return self._shown(connection.remote)

    @property
    def readable(self) -> bool:
        """Whether a read, or an accept, would not block."""
        return bool(self.pending) or (self.connection is not None and self.connection.readable)

    @property
    def broken(self) -> bool:
        """Whether its connection has ended with an error."""
        return self.connection is not None and self.connection.broken

    @property
    def writable(self) -> bool:
        """Whether a write, or the end of a connect, would not block."""
        return self.connection is not None and self.connection.writable

    def _connected(self) -> Connection:
        self._check_open()
        if self.connection is None:
            raise os_error(ENOTCONN)
        return self.connection
