"""What a request passes on its way to a storage server: faults that concern it, and a queue."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from random import Random
from typing import Any, Protocol

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from firstk.scenarios.faults import Fault, Operation
from firstk.scenarios.laws import Law


class RequestFaults(Protocol):
    """The faults of a server that concern single requests, in the time of a run."""

    def now(self) -> float:
        """Return the seconds since the run began."""

    def active(self, operation: Operation, share: int | None) -> Iterable[tuple[int, Fault]]:
        """Return the faults that concern such a request now, each with its place."""

    def met(self, place: int) -> None:
        """Record that a fault has met a request."""

    def chance(self, place: int) -> float:
        """Return what is drawn for a fault of the latest request."""


class Door(Resource):
    """A resource before that of a server, which delays, holds and fails requests."""

    isLeaf = True

    def __init__(self, reactor: Any, inner: Resource) -> None:
        super().__init__()
        self._reactor = reactor
        self._inner = inner

    def begin(
        self,
        faults: RequestFaults,
        work: Random,
        service: Law | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Begin a run, with faults and a queue; draw the service times from `work`."""
        self._faults = faults
        self._work = work
        self._service = service
        self._queue = DeferredSemaphore(concurrency) if concurrency else None

    def render(self, request: Request) -> Any:
        """Answer a request, after its time in the queue."""
        if self._service is None:
            return self._answer(request)
        seconds = self._service.sample(self._work)

        def work() -> Any:
            return deferLater(self._reactor, seconds, lambda: None)

        worked = work() if self._queue is None else self._queue.run(work)
        worked.addCallback(lambda _: self._answer_later(request))
        return NOT_DONE_YET

    def _answer_later(self, request: Request) -> None:
        if not request._disconnected:
            answer = self._answer(request)
            if answer is not NOT_DONE_YET:
                request.write(answer)
                request.finish()

    def _answer(self, request: Request) -> Any:
        *_, last = request.path.split(b"/")
        share = int(last) if last.isdigit() else None
        operation: Operation = "get_buckets" if last == b"shares" else "read"
        for place, fault in self._faults.active(operation, share):
            if fault.holds(operation):
                self._faults.met(place)
                now = self._faults.now()
                over = fault.spell(now)[1]
                if over < inf:
                    self._reactor.callLater(over - now, self._answer_later, request)
                return NOT_DONE_YET
            if fault.stochastic:
                self._faults.met(place)
            if (why := fault.failure(operation, self._faults.chance(place))) is not None:
                self._faults.met(place)
                request.setResponseCode(500, why.encode())
                return b""
        return self._inner.render(request)
