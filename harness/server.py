"""A simulated storage server, and the link to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from random import Random
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from zope.interface import implementer

from downloader.interfaces import IBucket, IStorageServer
from harness.course import Chances, foresee
from harness.reactor import SimReactor, event_at
from harness.streams import stream
from harness.trace import Exchange, Trace
from scenarios.faults import Fault, Operation
from scenarios.laws import Law


class ServerError(Exception):
    """What the requests to a server fail with that has such a fault."""


class Link:
    """The way to one server and back: it says how long each round trip takes."""

    def __init__(self, law: Law, per: Literal["request", "server"], seed: int, server: str) -> None:
        self._law = law
        self._per = per
        self._seed = seed
        self._server = server

    @cached_property
    def _random(self) -> Random:
        return stream(self._seed, self._server, "rtt")

    @cached_property
    def _drawn_once(self) -> float:
        return self._law.sample(self._random)

    def round_trip(self) -> float:
        """Return the round-trip time of the next request, in seconds."""
        if self._law.law == "constant":
            return self._law.value
        return self._drawn_once if self._per == "server" else self._law.sample(self._random)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server answers: the result, and what the trace says of it."""

    result: Any
    detail: str
    received: int = 0
    spoiled: bool = False


@implementer(IStorageServer)
class SimServer:
    """A storage server in virtual time, with its shares of one file and its faults.

    A request reaches the server after half the round trip, and the answer takes the other
    half. Which faults a request meets is decided when the server takes it up: on arrival,
    or when a hang is over; a slow server's round trip is settled when it begins. A lost
    connection fails a request wherever it is.
    """

    def __init__(
        self,
        reactor: SimReactor,
        name: str,
        storage_index: bytes,
        shares: Mapping[int, bytes],
        link: Link,
        faults: Sequence[Fault],
        chances: Chances,
        trace: Trace,
    ) -> None:
        self.name = name
        self._env = reactor.env
        self._storage_index = storage_index
        self._shares = shares
        self._link = link
        self._faults = faults
        self._chances = chances
        self._trace = trace

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Answer with the buckets of this file; see `IStorageServer`."""
        numbers = list(self._shares) if storage_index == self._storage_index else []

        def answer(faults: Sequence[Fault]) -> _Answer:
            shown: Sequence[int] = numbers
            for fault in faults:
                shown = fault.buckets(shown)
            return _Answer({n: SimBucket(self, n) for n in shown}, ",".join(map(str, shown)))

        return self._exchange(answer, "get_buckets")

    def read(self, share: int, offset: int, length: int) -> Deferred[bytes]:
        """Answer with bytes of a share; see `IBucket.read`.

        Raises `ValueError` for a negative offset or length, as a real server's protocol does.
        """
        if offset < 0 or length < 0:
            raise ValueError(f"a read of {length} bytes at {offset} is impossible")
        data = self._shares[share]

        def answer(faults: Sequence[Fault]) -> _Answer:
            right = read = data[offset : offset + length]
            for fault in faults:
                read = fault.spoil(data, offset, read)
            spoiled = read != right
            detail = f"{len(read)} bytes" + (", spoiled" if spoiled else "")
            return _Answer(read, detail, len(read), spoiled)

        return self._exchange(answer, "read", share, offset, length)

    def _exchange(
        self,
        answer: Callable[[Sequence[Fault]], _Answer],
        operation: Operation,
        share: int | None = None,
        offset: int = 0,
        length: int = 0,
    ) -> Deferred[Any]:
        """Send a request; when its time has come, answer it or fail."""
        sent = self._env.now
        number = len(self._trace.exchanges)
        exchange = Exchange(number, self.name, operation, share, offset, length, sent)
        self._trace.sent(exchange)
        deferred: Deferred[Any] = Deferred()
        rtt, chances = self._link.round_trip(), self._chances.draw()
        course = foresee(self._faults, operation, sent, rtt, chances)

        def lose(_: object) -> None:
            self._fail(exchange, deferred, "the connection was lost", ConnectionLost())

        def deliver(_: object) -> None:
            if course.failure:
                self._fail(exchange, deferred, course.failure, ServerError(course.failure))
            else:
                self._answer(exchange, deferred, answer(course.faults))

        ends = course.ends()
        if course.lost <= ends and course.lost < inf:
            event_at(self._env, course.lost, lose)
        elif ends < inf:
            event_at(self._env, ends, deliver)
        return deferred

    def _answer(self, exchange: Exchange, deferred: Deferred[Any], answer: _Answer) -> None:
        exchange.received, exchange.spoiled = answer.received, answer.spoiled
        self._trace.ended(exchange, self._env.now, True, answer.detail)
        deferred.callback(answer.result)

    def _fail(
        self, exchange: Exchange, deferred: Deferred[Any], why: str, error: Exception
    ) -> None:
        self._trace.ended(exchange, self._env.now, False, why)
        deferred.errback(error)


@implementer(IBucket)
class SimBucket:
    """One share on a simulated server."""

    def __init__(self, server: SimServer, number: int) -> None:
        self._server = server
        self._number = number

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        """Read from the share; see `IBucket`."""
        return self._server.read(self._number, offset, length)
