"""A simulated storage server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from random import Random
from typing import Any

import simpy
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from zope.interface import implementer

from downloader.interfaces import IBucket, IStorageServer
from harness.course import Chances, Course, foresee
from harness.link import Link, Process
from harness.reactor import SimReactor, event_at
from harness.streams import stream
from harness.trace import Exchange, Trace
from scenarios.faults import Fault, Operation
from scenarios.laws import Law


class ServerError(Exception):
    """What the requests to a server fail with that has such a fault."""


class Service:
    """What a server does with a request when it has taken it up: it works on it for a time.

    It works on `concurrency` requests at once (None: on all), and the others wait for
    their turn, in the order in which they were taken up.
    """

    def __init__(
        self,
        env: simpy.Environment,
        law: Law | None,
        concurrency: int | None,
        seed: int,
        server: str,
    ) -> None:
        self.law = law
        self._env = env
        self._concurrency = concurrency or sys.maxsize
        self._seed = seed
        self._server = server

    @cached_property
    def _random(self) -> Random:
        return stream(self._seed, self._server, "service")

    @cached_property
    def _places(self) -> simpy.Resource:
        return simpy.Resource(self._env, self._concurrency)

    def time(self) -> float:
        """Return for how long the next request will be worked on, in seconds."""
        return 0.0 if self.law is None else self.law.sample(self._random)

    def work(self, time: float, wanted: Callable[[], bool]) -> Process:
        """Work on a request for `time` seconds, if it is still `wanted` when its turn comes."""
        with self._places.request() as place:
            yield place
            if wanted():
                yield self._env.timeout(time)


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

    What is taken up waits for its turn to be worked on, and then the bytes of the answer
    pass the link. A server that begins to hang does go on with what it has taken up; only
    what arrives from then on is held. Where a connection is lost the work and the piece
    that are under way are still finished, and nothing more is done for that request.
    """

    def __init__(
        self,
        reactor: SimReactor,
        name: str,
        storage_index: bytes,
        shares: Mapping[int, bytes],
        link: Link,
        service: Service,
        faults: Sequence[Fault],
        chances: Chances,
        trace: Trace,
    ) -> None:
        self.name = name
        self._reactor = reactor
        self._env = reactor.env
        self._storage_index = storage_index
        self._shares = shares
        self._link = link
        self._service = service
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
        rtt, work, chances = self._link.round_trip(), self._service.time(), self._chances.draw()
        course = foresee(self._faults, operation, sent, rtt, chances)

        def outcome() -> _Answer | Exception:
            return ServerError(course.failure) if course.failure else answer(course.faults)

        def end(outcome: _Answer | Exception) -> None:
            self._end(exchange, deferred, outcome)

        def take_up(_: object) -> None:
            self._env.process(self._serve(course, work, outcome(), end))

        def arrive(_: object) -> None:
            event_at(self._env, course.taken_up, take_up)

        known = course.taken_up if self._queues else course.ends()
        if known == course.lost == inf:
            pass  # held for ever
        elif course.lost <= known:
            event_at(self._env, course.lost, lambda _: end(ConnectionLost()))
        elif self._queues:
            event_at(self._env, course.arrives, arrive)
        else:
            event_at(self._env, known, lambda _: end(outcome()))
        return deferred

    @property
    def _queues(self) -> bool:
        """Whether a request may have to wait for others, so that its end is not known."""
        return self._service.law is not None or bool(self._link.lines)

    def _serve(
        self,
        course: Course,
        work: float,
        outcome: _Answer | Exception,
        end: Callable[[_Answer | Exception], None],
    ) -> Process:
        """Work on a request and send the answer: a SimPy process from when it is taken up."""
        losing = None
        if course.lost < inf:
            losing = self._reactor.callAt(course.lost, end, ConnectionLost())

        def wanted() -> bool:
            return self._env.now < course.lost

        if self._service.law is not None:
            yield from self._service.work(work, wanted)
        if isinstance(outcome, _Answer):
            yield from self._link.carry(outcome.received, wanted)
        ends = self._env.now + course.rtt / 2
        if ends < course.lost:
            if losing is not None:
                losing.cancel()
            event_at(self._env, ends, lambda _: end(outcome))

    def _end(
        self, exchange: Exchange, deferred: Deferred[Any], outcome: _Answer | Exception
    ) -> None:
        """Let a request's answer, or its failure, reach the downloader."""
        if isinstance(outcome, Exception):
            self._trace.ended(exchange, self._env.now, False, str(outcome))
            deferred.errback(outcome)
        else:
            exchange.received, exchange.spoiled = outcome.received, outcome.spoiled
            self._trace.ended(exchange, self._env.now, True, outcome.detail)
            deferred.callback(outcome.result)


@implementer(IBucket)
class SimBucket:
    """One share on a simulated server."""

    def __init__(self, server: SimServer, number: int) -> None:
        self._server = server
        self._number = number

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        """Read from the share; see `IBucket`."""
        return self._server.read(self._number, offset, length)
