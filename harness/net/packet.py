"""The packets of a network's trace: what was sent, from where, to where, and when it arrived."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple


class Packet(NamedTuple):
    """A packet in the trace of a network. Times are in virtual seconds.

    A host is given by its name, or by the address if no host has it. `what` has the packet's flags
    and size: "syn", "syn ack", "ack", "fin", "reset", "120 bytes", "udp 120 bytes". `arrives` is
    None for a lost packet.
    """

    sent: float
    source: str
    source_port: int
    target: str
    target_port: int
    what: str
    size: int
    arrives: float | None

    def __str__(self) -> str:
        end = "lost" if self.arrives is None else f"arrives at {self.arrives:.6f}"
        return (
            f"{self.sent:.6f} {self.source}:{self.source_port} > {self.target}:{self.target_port}"
            f" {self.what}, {end}"
        )

    @property
    def line(self) -> str:
        """The line of the digest for this packet: all fields, with the exact times."""
        return (
            f"{self.sent!r} {self.source}:{self.source_port} {self.target}:{self.target_port}"
            f" {self.what} {self.arrives!r}"
        )


def digest_of(packets: Iterable[Packet]) -> str:
    """Return the SHA-256 of packets: their times, sources, targets and sizes, but not their bytes.

    The bytes of TLS differ from run to run, since OpenSSL uses real randomness. Their number does
    not.
    """
    digest = sha256()
    for packet in packets:
        digest.update(packet.line.encode() + b"\n")
    return digest.hexdigest()
