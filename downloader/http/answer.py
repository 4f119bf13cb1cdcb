"""The body of an answer, read with limits on its size and its time."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from firstk.downloader.http.errors import BadAnswerError, SilentServerError, StorageServerError
from firstk.downloader.http.time_limits import TimeLimits


def read_body(
    reactor: IReactorTime,
    response: IResponse,
    most: int,
    limits: TimeLimits,
    progress: Callable[[int], None] | None = None,
) -> Deferred[bytes]:
    """Return a Deferred of the body of an answer.

    `progress` is called with the number of bytes that have arrived so far, whenever some arrive and
    they are fewer than `most`. Its exceptions propagate to the reactor. The Deferred fails with
    `BadAnswerError` if there are more than `most` bytes, and with `SilentServerError` if they
    arrive too slowly. In these cases, and if the Deferred is cancelled, the connection is closed.
    """
    body = _Body(reactor, most, limits, progress)
    response.deliverBody(body)
    return body.done


class _Body(Protocol):
    def __init__(
        self,
        reactor: IReactorTime,
        most: int,
        limits: TimeLimits,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._let_go())
        self._reactor = reactor
        self._most = most
        self._limits = limits
        self._progress = progress
        self._pieces: list[bytes] = []
        self._size = 0
        self._timers: list[IDelayedCall] = []

    def connectionMade(self) -> None:
        whole = self._limits.whole(self._most)
        slow = f"the answer was not complete after {whole:.6g} s"
        silence = self._limits.silence
        for seconds, text in ((silence, f"nothing more came for {silence:g} s"), (whole, slow)):
            if seconds < inf:
                error = SilentServerError(text)
                self._timers.append(self._reactor.callLater(seconds, self._refuse, error))

    def dataReceived(self, data: bytes) -> None:
        if self.done.called:
            return
        self._size += len(data)
        if self._size > self._most:
            self._refuse(BadAnswerError(f"the answer has more than {self._most} bytes"))
            return
        self._pieces.append(data)
        if self._limits.silence < inf:
            self._timers[0].reset(self._limits.silence)
        if self._progress is not None and self._size < self._most:
            try:
                self._progress(self._size)
            except Exception as e:  # it is not the server's fault
                self._reactor.callLater(0, _raise, e)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timers()
        if self.done.called:
            return
        # Without a length, the end of the connection is the end of the body. Callers that know the
        # expected length check whether the body is complete.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(reason)

    def _refuse(self, error: StorageServerError) -> None:
        self._let_go()
        self.done.errback(error)

    def _let_go(self) -> None:
        self._stop_timers()
        self._pieces.clear()
        transport: Any = self.transport
        transport.stopProducing()

    def _stop_timers(self) -> None:
        for timer in self._timers:
            if timer.active():
                timer.cancel()


def _raise(error: Exception) -> None:
    raise error
