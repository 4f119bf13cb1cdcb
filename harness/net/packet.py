"""The trace of a network: what was sent, by whom, to whom, and when it arrived."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple


class Packet(NamedTuple):
    """A packet. Hosts are named, or an address where there is no such host; times are in seconds.

    `what` is its flags and what it carries: "syn", "syn ack", "ack", "fin", "reset",
    "120 bytes", "udp 120 bytes". `arrives` is None for one that is lost.
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
        """What a digest is made of: all of it, with the times as they are, to the last bit."""
        return (
            f"{self.sent!r} {self.source}:{self.source_port} {self.target}:{self.target_port}"
            f" {self.what} {self.arrives!r}"
        )


def digest_of(packets: Iterable[Packet]) -> str:
    """Return the SHA-256 of packets: when, from where, to where, how large; not their bytes.

    The bytes of TLS differ from run to run, since OpenSSL draws them. Their number does not.
    """
    digest = sha256()
    for packet in packets:
        digest.update(packet.line.encode() + b"\n")
    return digest.hexdigest()
