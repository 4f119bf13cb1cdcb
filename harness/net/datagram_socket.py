"""A UDP socket of a simulated host."""

from __future__ import annotations

import socket
from collections import deque
from errno import ECONNREFUSED, EDESTADDRREQ, EMSGSIZE, EWOULDBLOCK
from typing import TYPE_CHECKING, Any

from firstk.harness.net.base_socket import BaseSocket
from firstk.harness.net.segment import WILDCARDS, Address, Datagram, os_error

if TYPE_CHECKING:
    from firstk.harness.net.stack import Stack

#: How many bytes wait to be read; what comes then is dropped. It is Linux's default.
BUFFER = 212_992

#: The most bytes in a datagram.
MOST = 65_507


class DatagramSocket(BaseSocket):
    """A non-blocking datagram socket, with the part of the interface of `socket.socket` in use."""

    type = socket.SOCK_DGRAM

    def __init__(self, stack: Stack, family: int) -> None:
        super().__init__(stack, family)
        self._peer: Address | None = None
        self._pending: deque[Datagram] = deque()
        self._error = 0

    @property
    def readable(self) -> bool:
        """Whether a read would not block."""
        return bool(self._pending or self._error)

    @property
    def writable(self) -> bool:
        """Whether a write would not block: always."""
        return True

    def take_error(self) -> int:
        """Return the pending error, once; 0 if there is none."""
        error, self._error = self._error, 0
        return error

    def connect(self, address: tuple[Any, ...]) -> None:
        """Send to one address only, and receive from it only."""
        self._check_open()
        self._peer = Address(self._host(address), address[1])
        self._take_name()

    def send(self, data: bytes) -> int:
        """Send a datagram to the address that it is connected to."""
        if self._peer is None:
            raise os_error(EDESTADDRREQ)
        return self._send(data, self._peer)

    def sendto(self, data: bytes, address: tuple[Any, ...]) -> int:
        """Send a datagram to an address."""
        return self._send(data, Address(self._host(address), address[1]))

    def _send(self, data: bytes, target: Address) -> int:
        self._check_open()
        if len(data) > MOST:
            raise os_error(EMSGSIZE)
        self._take_name()
        host = self.name.host
        source = self._stack.source(self.family, target.host) if host in WILDCARDS else host
        self._stack.send(Datagram(Address(source, self.name.port), target, bytes(data)))
        return len(data)

    def _take_name(self) -> None:
        if not self.name.port:
            self.name = self._stack.bind(self, self.name.host, 0)

    def take(self, datagram: Datagram) -> None:
        """Take a datagram that arrives, if there is room for it."""
        if self._peer is not None and datagram.source != self._peer:
            return
        if datagram.unreachable:
            if self._peer is None:
                return  # as on Linux, a socket that is not connected never knows
            self._error = ECONNREFUSED
        elif sum(len(one.data) for one in self._pending) + len(datagram.data) <= BUFFER:
            self._pending.append(datagram)
        self._stack.changed(self)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[Any, ...]]:
        """Return the next datagram, cut off after `size` bytes, and whom it is from."""
        self._check_open()
        if error := self.take_error():
            raise os_error(error)
        if not self._pending:
            raise os_error(EWOULDBLOCK)
        datagram = self._pending.popleft()
        return datagram.data[:size], self._shown(datagram.source)
