"""The base of the sockets of simulated hosts, which Twisted uses instead of `socket.socket`."""

from __future__ import annotations

import socket
from errno import EBADF, EINVAL
from typing import TYPE_CHECKING, Any

from firstk.harness.net.segment import Address, os_error

if TYPE_CHECKING:
    from firstk.harness.net.stack import Stack


class BaseSocket:
    """The base class of all sockets: a descriptor, options, and a name once they are bound."""

    type: int
    listens = False

    def __init__(self, stack: Stack, family: int, scope: int = 0) -> None:
        self.family = family
        self.name = Address("::" if family == socket.AF_INET6 else "0.0.0.0", 0)  # noqa: S104
        self._scope = scope
        self._stack = stack
        self._options: dict[tuple[int, int], Any] = {}
        self._fd = stack.descriptor(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._fd} {self.name}>"

    def take_error(self) -> int:
        """Return the pending error, once; 0 if there is none."""
        raise NotImplementedError

    @property
    def readable(self) -> bool:
        """Whether a read, or an accept, would not block."""
        raise NotImplementedError

    @property
    def writable(self) -> bool:
        """Whether a write, or the end of a connect, would not block."""
        raise NotImplementedError

    @property
    def broken(self) -> bool:
        """Whether its connection has ended with an error."""
        return False

    def close(self) -> None:
        """Close the socket, and release its port."""
        if self._fd != -1:
            del self._stack.sockets[self._fd]
            self._fd = -1
            self._stack.release(self)

    def fileno(self) -> int:
        """Return the file descriptor, -1 once it is closed."""
        return self._fd

    def setblocking(self, flag: bool) -> None:
        """Accept False only: nothing can wait in virtual time."""
        if flag:
            raise ValueError("a simulated socket cannot block")

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Keep an option; address reuse and a linger time of 0 have an effect."""
        self._check_open()
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int) -> Any:
        """Return an option; that of the pending error is cleared."""
        self._check_open()
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            return self.take_error()
        return self._options.get((level, option), 0)

    @property
    def reuses_address(self) -> bool:
        """Whether the address may be bound though another socket has it that does not listen."""
        return bool(self._options.get((socket.SOL_SOCKET, socket.SO_REUSEADDR)))

    def bind(self, address: tuple[Any, ...]) -> None:
        """Take an address and a port."""
        self._check_open()
        if self.name.port:
            raise os_error(EINVAL)
        host = self._host(address)
        self.name = self._stack.bind(self, host, address[1])

    def getsockname(self) -> tuple[Any, ...]:
        """Return the own address."""
        self._check_open()
        return self._shown(self.name)

    def _host(self, address: tuple[Any, ...]) -> str:
        """Return the host of an address, without the scope of an IPv6 address, which is kept."""
        if len(address) == 4:
            self._scope = address[3]
        return str(address[0]).partition("%")[0]

    def _shown(self, address: Address) -> tuple[Any, ...]:
        return (*address, 0, self._scope) if self.family == socket.AF_INET6 else tuple(address)

    def _check_open(self) -> None:
        if self._fd == -1:
            raise os_error(EBADF)
