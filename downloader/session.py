"""What every part of one download shares, and the one way in which a server is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from downloader.cap import CHKCap
from downloader.errors import DownloadStopped, ServerFailedError
from downloader.status import DownloadStatus, Phase, Request
from downloader.strategy import Strategy

T = TypeVar("T")

#: How much of an error from a server is kept, in characters: it may be as long as it likes.
_ERROR_LENGTH = 200


def stoppable() -> Deferred[Any]:
    """Return a Deferred whose cancellation is the end of the download, and no failure."""
    return Deferred(lambda d: d.errback(DownloadStopped()))


class Signal:
    """Wakes the one coroutine that waits for something to happen."""

    def __init__(self) -> None:
        self._waiter: Deferred[None] | None = None

    def wait(self) -> Deferred[None]:
        """Return a Deferred that fires when `fire` is called next."""
        self._waiter = stoppable()
        return self._waiter

    def fire(self) -> None:
        """Wake the waiter, if there is one."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(None)


@dataclass(frozen=True, slots=True)
class Session:
    """One download: its clock, its file, its strategy and what it has done so far.

    `news` fires whenever a server's answer has changed what is known.
    """

    reactor: IReactorTime
    cap: CHKCap
    strategy: Strategy
    random: Random
    status: DownloadStatus
    news: Signal

    def enter(self, phase: Phase) -> None:
        """Note that a phase begins now."""
        self.status.phases.append((phase, self.reactor.seconds()))

    def ask(self, request: Request, call: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Send one request to a server by `call`, and keep its times in the status.

        The Deferred fails with `ServerFailedError`, whatever it was that the server raised.
        Cancelling it forgets the answer and leaves the server alone.
        """
        request.sent = self.reactor.seconds()
        self.status.requests.append(request)
        result: Deferred[T] = stoppable()

        def answered(answer: T) -> None:
            request.answered = self.reactor.seconds()
            if not result.called:
                result.callback(answer)

        def failed(failure: Failure) -> None:
            request.failed = self.reactor.seconds()
            request.error = one_line(f"{type(failure.value).__name__}: {failure.value}")
            if not result.called:
                result.errback(ServerFailedError(f"failed: {request.error}"))

        maybeDeferred(call).addCallbacks(answered, failed)
        return result


def one_line(text: str) -> str:
    """Return `text` on one line, cut where it goes on for too long."""
    text = " ".join(text.split())
    return text if len(text) <= _ERROR_LENGTH else text[: _ERROR_LENGTH - 3] + "..."
