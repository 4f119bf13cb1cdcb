"""Storage servers whose requests and answers are recorded in a trace, as in a simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure
from zope.interface import implementer

from firstk.downloader.interfaces import IBucket, IProgressBucket, IStorageServer
from firstk.downloader.text import message_of, one_line
from firstk.harness.grid.trace import Exchange, Trace
from firstk.harness.live.clock import RunClock
from firstk.scenarios.faults import Operation


class Tracer:
    """Records the trace of one run, and delivers answers in the context of the downloader."""

    def __init__(self, clock: RunClock, trace: Trace) -> None:
        self.last = 0.0  # the time of the last event
        self._clock = clock
        self._trace = trace
        self._outstanding: dict[Deferred[Any], None] = {}
        self._over = False

    def ask(
        self,
        server: str,
        operation: Operation,
        ask: Callable[[], Deferred[Any]],
        settle: Callable[[Exchange, Any], Any],
        share: int | None = None,
        offset: int = 0,
        length: int = 0,
    ) -> Deferred[Any]:
        """Send a request; `settle` records the answer, and returns its result."""
        self.last = self._clock.seconds()
        number = len(self._trace.exchanges)
        # What is sent in one turn is sent at once, as in the simulation, which is then given times
        # that lead to the same order of the answers.
        sent = self._clock.turn
        exchange = Exchange(number, server, operation, share, offset, length, sent)
        self._trace.sent(exchange)
        asked = maybeDeferred(ask)

        def cancel(_: object) -> None:
            exchange.cancelled = True
            asked.cancel()

        answer: Deferred[Any] = Deferred(cancel)

        def end(outcome: Any) -> None:
            self._outstanding.pop(asked, None)
            if self._over:
                return
            self.last = now = self._clock.seconds()
            good = not isinstance(outcome, Failure)
            if good:
                outcome = settle(exchange, outcome)
            else:
                exchange.error = one_line(message_of(outcome.value))
            self._trace.ended(exchange, now, good)
            if not answer.called:
                self._clock.run(answer.callback if good else answer.errback, outcome)

        self._outstanding[asked] = None
        asked.addBoth(end)
        return answer

    def heard(self, progress: Callable[[int], None]) -> Callable[[int], None]:
        """Return a function that reports the progress of an answer to the download."""

        def arrived(size: int) -> None:
            self.last = self._clock.seconds()
            self._clock.run(progress, size)

        return arrived

    def end(self) -> None:
        """Cancel all outstanding requests: the run is over."""
        self._over = True
        for asked in list(self._outstanding):
            asked.cancel()


@implementer(IStorageServer)
class TracedServer:
    """A storage server of a live run."""

    def __init__(self, server: Any, tracer: Tracer) -> None:
        self.name: str = server.name
        self._server = server
        self._tracer = tracer

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Ask for the shares of a file; see `IStorageServer`."""

        def settle(exchange: Exchange, found: Mapping[int, Any]) -> Mapping[int, IBucket]:
            exchange.shares = sorted(found)
            return {n: _TracedBucket(found[n], n, self.name, self._tracer) for n in found}

        def ask() -> Deferred[Any]:
            asked: Deferred[Any] = self._server.get_buckets(storage_index)
            return asked

        return self._tracer.ask(self.name, "get_buckets", ask, settle)


@implementer(IProgressBucket)
class _TracedBucket:
    def __init__(self, bucket: IProgressBucket, number: int, server: str, tracer: Tracer) -> None:
        self._bucket = bucket
        self._number = number
        self._server = server
        self._tracer = tracer

    def read(
        self, offset: int, length: int, progress: Callable[[int], None] | None = None
    ) -> Deferred[bytes]:
        """Read from the share; see `IProgressBucket`."""

        def settle(exchange: Exchange, data: bytes) -> bytes:
            exchange.received = len(data)
            return data

        def ask() -> Deferred[bytes]:
            return self._bucket.read(offset, length, progress and self._tracer.heard(progress))

        place = self._number, offset, length
        return self._tracer.ask(self._server, "read", ask, settle, *place)
