"""What hosts send each other: segments of TCP, and datagrams of UDP."""

from __future__ import annotations

from os import strerror
from typing import NamedTuple

#: What a socket is bound to that takes every address of its host.
WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104 - nothing real is bound


class Address(NamedTuple):
    """One end of a connection."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Segment(NamedTuple):
    """What one host sends another; `window` is how many bytes beyond `ack` the sender takes."""

    source: Address
    target: Address
    sequence: int
    ack: int | None
    window: int
    data: bytes = b""
    syn: bool = False
    fin: bool = False
    reset: bool = False

    @property
    def end(self) -> int:
        """The sequence number after it."""
        return self.sequence + len(self.data) + self.syn + self.fin

    @property
    def kind(self) -> str:
        """The flags and the number of bytes, for a trace."""
        if not (self.syn or self.fin or self.reset):
            return f"{len(self.data)} bytes" if self.data else "ack"
        flags = [name for name in ("syn", "fin", "reset") if getattr(self, name)]
        if self.syn and self.ack is not None:
            flags.append("ack")
        if self.data:
            flags.append(f"{len(self.data)} bytes")
        return " ".join(flags)


class Datagram(NamedTuple):
    """What one host sends another by UDP; `unreachable` is the answer of ICMP to another one."""

    source: Address
    target: Address
    data: bytes = b""
    unreachable: bool = False

    @property
    def kind(self) -> str:
        """What it is, for a trace."""
        return "icmp unreachable" if self.unreachable else f"udp {len(self.data)} bytes"


def is_loopback(host: str) -> bool:
    """Return whether an address is that of every host itself: loopback, or link-local IPv6."""
    return host == "::1" or host.startswith(("127.", "fe80:"))


def os_error(number: int) -> OSError:
    """Return the error that a system call fails with."""
    return OSError(number, strerror(number))
