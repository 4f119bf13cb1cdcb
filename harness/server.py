"""A simulated storage server, and the link to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import inf
from random import Random
from typing import Any, Literal

import simpy
from twisted.internet.defer import Deferred
from zope.interface import implementer

from downloader.interfaces import IBucket, IStorageServer
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


@implementer(IStorageServer)
class SimServer:
    """A storage server in virtual time, with its shares of one file and its faults.

    A request reaches the server after half the round trip, and the answer takes the other
    half. Which faults a request meets is decided when the server takes it up: on arrival,
    or when a hang is over; a slow server's round trip is settled when it begins.
    """

    def __init__(
        self,
        env: simpy.Environment,
        name: str,
        storage_index: bytes,
        shares: Mapping[int, bytes],
        link: Link,
        faults: Sequence[Fault],
        trace: Trace,
    ) -> None:
        self.name = name
        self._env = env
        self._storage_index = storage_index
        self._shares = shares
        self._link = link
        self._faults = faults
        self._trace = trace

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Answer with the buckets of this file; see `IStorageServer`."""
        numbers = list(self._shares) if storage_index == self._storage_index else []

        def answer(faults: Sequence[Fault], exchange: Exchange) -> tuple[Any, str]:
            shown: Sequence[int] = numbers
            for fault in faults:
                shown = fault.buckets(shown)
            return {n: SimBucket(self, n) for n in shown}, ",".join(map(str, shown))

        return self._exchange(answer, "get_buckets")

    def read(self, share: int, offset: int, length: int) -> Deferred[bytes]:
        """Answer with bytes of a share; see `IBucket.read`.

        Raises `ValueError` for a negative offset or length, as a real server's protocol does.
        """
        if offset < 0 or length < 0:
            raise ValueError(f"a read of {length} bytes at {offset} is impossible")
        data = self._shares[share]

        def answer(faults: Sequence[Fault], exchange: Exchange) -> tuple[Any, str]:
            right = read = data[offset : offset + length]
            for fault in faults:
                read = fault.spoil(data, offset, read)
            exchange.received, exchange.spoiled = len(read), read != right
            return read, f"{len(read)} bytes" + (", spoiled" if exchange.spoiled else "")

        return self._exchange(answer, "read", share, offset, length)

    def _exchange(
        self,
        answer: Callable[[Sequence[Fault], Exchange], tuple[Any, str]],
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
        rtt = self._link.round_trip()
        for fault in self._faults:
            if fault.active(sent):
                rtt = fault.round_trip(rtt)
        arrives = sent + rtt / 2
        taken_up = self._taken_up(operation, arrives)
        if taken_up == inf:
            return deferred  # held for ever

        def deliver(_: object) -> None:
            faults = [fault for fault in self._faults if fault.active(taken_up)]
            failures = [failure for fault in faults if (failure := fault.failure(operation))]
            if failures:
                self._trace.ended(exchange, self._env.now, False, failures[0])
                deferred.errback(ServerError(failures[0]))
            else:
                result, detail = answer(faults, exchange)
                self._trace.ended(exchange, self._env.now, True, detail)
                deferred.callback(result)

        # In one step where nothing held it up: the halves may not add up to the last bit.
        delay = rtt if taken_up == arrives else taken_up + rtt / 2 - sent
        self._env.timeout(delay).callbacks.append(deliver)
        return deferred

    def _taken_up(self, operation: Operation, time: float) -> float:
        """Return when a request that arrives at `time` is taken up; infinity if never."""
        while True:
            holding = [f for f in self._faults if f.active(time) and f.holds(operation)]
            if not holding:
                return time
            if holding[0].end is None:
                return inf
            time = holding[0].end


@implementer(IBucket)
class SimBucket:
    """One share on a simulated server."""

    def __init__(self, server: SimServer, number: int) -> None:
        self._server = server
        self._number = number

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        """Read from the share; see `IBucket`."""
        return self._server.read(self._number, offset, length)
