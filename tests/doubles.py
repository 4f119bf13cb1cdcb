"""Servers and consumers for tests that need no simulated grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from firstk.downloader.interfaces import IBucket, IStorageServer


@implementer(IBucket)
class MemoryBucket:
    """A share whose reads are answered at once."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        return succeed(self.data[offset : offset + length])


@implementer(IStorageServer)
class MemoryServer:
    """A server that answers at once with the shares it is given."""

    def __init__(self, shares: Mapping[int, bytes], name: str = "memory") -> None:
        self.name = name
        self.shares = shares

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        return succeed({number: MemoryBucket(data) for number, data in self.shares.items()})


def servers_of(shares: Mapping[int, bytes], numbers: Iterable[int] | None = None) -> list[Any]:
    """Return a server for each share, or for each of the given numbers."""
    wanted = shares if numbers is None else numbers
    return [MemoryServer({number: shares[number]}, f"m{number}") for number in wanted]


@implementer(IConsumer)
class MemoryConsumer:
    """A consumer that keeps what it is given, and its producer."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.producer: Any = None
        self.registered = 0
        self.unregistered = 0

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        assert streaming
        self.registered += 1
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.unregistered += 1

    def write(self, data: bytes) -> None:
        self.pieces.append(data)


def result_of(deferred: Deferred[Any]) -> Any:
    """Return the result of a Deferred that has fired; raise the error of one that has failed."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "the Deferred has not fired"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]
