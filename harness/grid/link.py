"""Links to servers: their round-trip times and bandwidths."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import repeat
from math import inf
from typing import Any, Literal

import simpy

from firstk.harness.grid.pause import Pause
from firstk.harness.kernel.environment import Environment
from firstk.harness.kernel.rng import draws
from firstk.harness.kernel.time_average import TimeAverage
from firstk.scenarios.faults import Fault
from firstk.scenarios.laws import Law

#: The size of the chunks in which an answer is sent, in bytes: the maximum size of a TLS record.
CHUNK = 16 * 1024

#: The generator of a SimPy process, which yields the events that it waits for.
Process = Generator[simpy.Event, Any, None]

#: A callback that is called with the size of each chunk that has passed.
Passed = Callable[[int], None]


class SharedChannel:
    """A channel that carries one piece at a time: a server's uplink, or the client's downlink.

    The piece that has waited longest is next, so that transfers share the channel evenly.
    """

    def __init__(self, env: Environment, bandwidth: float) -> None:
        self.env = env
        self.busy = TimeAverage(env)
        self._bandwidth = bandwidth
        self._turn = simpy.Resource(env)
        self._throttles: dict[object, Sequence[Fault]] = {}
        self._pause = Pause(env)  # of the piece under way, if it may be throttled

    def throttle(self, owner: object, faults: Sequence[Fault]) -> None:
        """Let these faults limit the bandwidth from now on, instead of the owner's earlier ones.

        A piece in progress continues at the new rate.
        """
        limiting = [fault for fault in faults if fault.throttles]
        if limiting or owner in self._throttles:
            self._throttles[owner] = limiting
        self._pause.end()

    def carry(self, piece: int, wanted: Callable[[], bool]) -> Process:
        """Let a chunk of `piece` bytes pass, if it is still `wanted` when its turn comes."""
        with self._turn.request() as turn:
            yield turn
            if wanted():
                self.busy.change(+1)
                try:
                    yield from self._pass(piece)
                finally:
                    self.busy.change(-1)

    def _pass(self, piece: int) -> Process:
        left: float = piece
        if not self._throttles:
            since = self.env.now
            yield self.env.timeout(piece / self._bandwidth)
            if not self._throttles:
                return
            left -= self._passed(since, self.env.now)  # they began meanwhile
        while left > 0:
            since, rate = self.env.now, self._rate(self.env.now)
            ends = since + left / rate
            yield from self._pause.until(min(ends, self._next_change(since)))
            left = left - rate * (self.env.now - since) if self.env.now < ends else 0.0

    def _rate(self, time: float) -> float:
        rates = (fault.rate(time) for faults in self._throttles.values() for fault in faults)
        return min(self._bandwidth, *rates, inf)

    def _next_change(self, time: float) -> float:
        """Return when the bandwidth next changes after a time."""
        edges = (f.next_change(time) for faults in self._throttles.values() for f in faults)
        return min(edges, default=inf)

    def _passed(self, begin: float, end: float) -> float:
        """Return how many bytes pass between two times."""
        passed = 0.0
        while begin < end:
            until = min(end, self._next_change(begin))
            passed += self._rate(begin) * (until - begin)
            begin = until
        return passed


class Link:
    """The link to one server.

    It provides the round-trip times, and carries the bytes of answers over its `lines`: the
    server's uplink and the client's downlink, if these have a bandwidth.
    """

    def __init__(
        self,
        law: Law,
        per: Literal["request", "server"],
        seed: int,
        server: str,
        uplink: SharedChannel | None = None,
        downlink: SharedChannel | None = None,
    ) -> None:
        self.lines = tuple(line for line in (uplink, downlink) if line is not None)
        self._uplink = uplink
        self._law = law
        self._constant = law.value if law.law == "constant" else None
        self._per = per
        self._seed = seed
        self._server = server
        self._draws: Iterator[float] | None = None

    def round_trip(self) -> float:
        """Return the round-trip time of the next request, in seconds."""
        if self._constant is not None:
            return self._constant
        if self._draws is None:
            each = draws(self._law.sample, self._seed, self._server, "rtt")
            self._draws = each if self._per == "request" else repeat(next(each))
        return next(self._draws)

    def throttle(self, env: Environment, faults: Sequence[Fault]) -> None:
        """Let the server's faults limit its uplink from now on; see `SharedChannel.throttle`."""
        if self._uplink is None:
            if not any(fault.throttles for fault in faults):
                return
            self._uplink = SharedChannel(env, inf)
            self.lines = self._uplink, *self.lines
        self._uplink.throttle(self, faults)

    def carry(
        self, size: int, wanted: Callable[[], bool], passed: Passed = lambda size: None
    ) -> Process:
        """Let `size` bytes pass, in pieces, as long as they are `wanted`."""
        passing = yield from self.feed(size, wanted, passed)
        if passing is not None:
            yield passing  # the last one: a line keeps the order

    def feed(
        self, size: int, wanted: Callable[[], bool], passed: Passed
    ) -> Generator[simpy.Event, Any, simpy.Event | None]:
        """Let `size` bytes pass the first line, in pieces.

        A piece passes the second line while the next one passes the first. Return the event of the
        last piece having passed; None if it already has.
        """
        if not self.lines:
            passed(size)
            return None
        first, *second = self.lines
        passing: simpy.Event | None = None
        for sent in range(0, size, CHUNK):
            if not wanted():
                return None
            piece = min(CHUNK, size - sent)
            yield from first.carry(piece, wanted)
            for line in second:
                passing = line.env.process(_pass_on(line, piece, wanted, passed))
            if not second and wanted():
                passed(piece)
        return passing


def _pass_on(
    line: SharedChannel, piece: int, wanted: Callable[[], bool], passed: Passed
) -> Process:
    yield from line.carry(piece, wanted)
    if wanted():
        passed(piece)
