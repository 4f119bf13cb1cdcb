"""Links: the way to a server and back, how long it takes and how fast bytes pass it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import cached_property
from random import Random
from typing import Any, Literal

import simpy

from firstk.harness.kernel.environment import Environment
from firstk.harness.kernel.rng import stream
from firstk.harness.kernel.time_average import TimeAverage
from firstk.scenarios.laws import Law

#: The size of the chunks in which an answer is sent, in bytes: the most that a TLS record holds.
CHUNK = 16 * 1024

#: What a SimPy process does: it yields the events that it waits for.
Process = Generator[simpy.Event, Any, None]


class SharedChannel:
    """What bytes pass one piece at a time: a server's uplink, or the client's downlink.

    Whose piece has waited longest is next, so that transfers share a line evenly.
    """

    def __init__(self, env: Environment, bandwidth: float) -> None:
        self.env = env
        self.busy = TimeAverage(env)
        self._bandwidth = bandwidth
        self._turn = simpy.Resource(env)

    def carry(self, piece: int, wanted: Callable[[], bool]) -> Process:
        """Let a chunk of `piece` bytes pass, if it is still `wanted` when its turn comes."""
        with self._turn.request() as turn:
            yield turn
            if wanted():
                self.busy.change(+1)
                try:
                    yield self.env.timeout(piece / self._bandwidth)
                finally:
                    self.busy.change(-1)


class Link:
    """The way to one server and back.

    It says how long each round trip takes, and lets the bytes of answers pass its `lines`:
    the server's uplink and the client's downlink, those of them that have a bandwidth.
    """

    def __init__(
        self,
        law: Law,
        per: Literal["request", "server"],
        seed: int,
        server: str,
        lines: Sequence[SharedChannel] = (),
    ) -> None:
        self.lines = lines
        self._law = law
        self._constant = law.value if law.law == "constant" else None
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
        if self._constant is not None:
            return self._constant
        return self._drawn_once if self._per == "server" else self._law.sample(self._random)

    def carry(self, size: int, wanted: Callable[[], bool]) -> Process:
        """Let `size` bytes pass, in pieces; nothing more once they are not `wanted`.

        A piece goes over the second line while the next one goes over the first.
        """
        if not self.lines:
            return
        first, *second = self.lines
        passing: simpy.Event | None = None
        for sent in range(0, size, CHUNK):
            if not wanted():
                return
            piece = min(CHUNK, size - sent)
            yield from first.carry(piece, wanted)
            for line in second:
                passing = line.env.process(line.carry(piece, wanted))
        if passing is not None:
            yield passing  # the last one: a line keeps the order
