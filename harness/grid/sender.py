"""The sending of answers as streams whose bytes may be delayed by faults."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

import simpy

from firstk.harness.grid.link import Link, Process
from firstk.harness.grid.pause import Pause
from firstk.harness.grid.request import Request
from firstk.harness.kernel.environment import Entry, Environment

if TYPE_CHECKING:
    from firstk.harness.grid.server import SimServer


class Sender:
    """Sends the answers of one server over its link."""

    def __init__(self, server: SimServer, env: Environment, link: Link) -> None:
        self._server = server
        self._env = env
        self._link = link

    def send(self, request: Request, size: int) -> Process:
        """Send the `size` bytes of an answer, each when the request's faults allow it."""
        passed = partial(self._passed, request, size)
        passing: simpy.Event | None = None
        ready, of, wire = self._env.now, request.exchange, request.wire
        while request.fed < size and request.wanted():
            now, sent = self._env.now, request.fed
            leaves, fails = self._leaves(request, sent, ready)
            room = inf if wire is None else wire.room(of.operation, of.share, now)
            if leaves > now or room <= 0:
                if fails <= now:
                    self._server.lose(request)
                    return
                request.stalled = leaves == fails == inf
                request.pause = request.pause or Pause(self._env)
                yield from request.pause.until(min(leaves if room > 0 else inf, fails))
                request.stalled = False
                continue
            piece = int(min(size - sent, room, self._together(request, sent)))
            if wire is not None:
                request.counting = wire.sets_out(of.operation, of.share, now, piece)
            request.fed, request.passed_at = sent + piece, now
            passing = yield from self._link.feed(piece, request.wanted, passed)
        if passing is not None:
            yield passing  # the last one: a line keeps the order

    def _leaves(self, request: Request, position: int, ready: float) -> tuple[float, float]:
        """Return when a byte of an answer leaves, and when the request fails otherwise."""
        faults, now, of = self._server.faults_of(request), self._env.now, request.exchange
        leaves, fails = ready, inf
        for i in request.course.places:
            if faults[i].streams and (time := faults[i].leaves(position, ready)) > now:
                self._server.meets(i)
                leaves, fails = max(leaves, time), min(fails, faults[i].fails(of.sent))
        for i in sorted(request.wire.stopped) if request.wire is not None else ():
            begin, over = faults[i].spell(now)
            if begin < inf and faults[i].concerns(of.operation, of.share):
                self._server.meets(i)
                leaves, fails = max(leaves, over), min(fails, faults[i].fails(of.sent))
        return leaves, fails

    def _together(self, request: Request, position: int) -> float:
        """Return how many bytes of an answer leave together, starting at `position`."""
        faults = self._server.faults_of(request)
        met = (faults[i] for i in request.course.places)
        return min((fault.together(position) for fault in met if fault.streams), default=inf)

    def _passed(self, request: Request, size: int, piece: int) -> None:
        """Let a piece of an answer of `size` bytes arrive half a round trip later."""
        request.passed += piece
        now, arrived = self._env.now, request.passed
        for i, fault in enumerate(self._server.faults):
            if fault.throttles and fault.is_between(request.passed_at, now):
                self._server.meets(i)
        request.passed_at = now
        if request.wire is not None and request.counting:
            rtt = request.course.rtt
            if request.wire.carried(request.counting, piece, now, rtt):
                self._server.settle_again()
        if request.progress is None or arrived == size:
            return
        self._arrives_later(request, now + request.course.rtt / 2, arrived)

    def _arrives_later(self, request: Request, time: float, arrived: int) -> None:
        """Report progress to the downloader at a time, or as soon as the client is not busy."""
        client, exchange = request.client, request.exchange

        def arrive(_: Entry) -> None:
            if request.progress is None:
                return
            if client.processor is not None:
                heard = client.processor.after()
                if heard > self._env.now:
                    self._arrives_later(request, heard, arrived)
                    return
            exchange.arrivals = exchange.arrivals or []
            exchange.arrivals.append(self._env.clock)
            client.run(request.progress, arrived)
            if client.heard is not None:
                client.heard()

        entry = self._env.at(time, arrive)
        request.arriving = [e for e in request.arriving or () if e.callbacks]
        request.arriving.append(entry)
