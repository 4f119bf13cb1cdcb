"""What every part of one download shares, and the one way in which a server is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

from downloader.cap import CHKCap
from downloader.errors import DownloadStopped, ServerFailedError
from downloader.patience import Patience
from downloader.status import DownloadStatus, Phase, Request
from downloader.strategy import Strategy

T = TypeVar("T")

#: What is raised in a server and is not its failure. Others that are no `Exception` are:
#: asyncio's CancelledError is one.
_NO_SERVERS_FAULT = (KeyboardInterrupt, SystemExit, GeneratorExit)

#: How much of an error from a server is kept, in characters: it may be as long as it likes.
_ERROR_LENGTH = 200


class Waits:
    """The Deferreds that a download waits for: to stop it is to fail them all.

    It may be stopped at any moment, also by a server or a consumer that it is just
    calling: what runs then goes on to its next wait, and ends there.
    """

    def __init__(self) -> None:
        self._reason: BaseException | None = None
        self._waiting: dict[Deferred[Any], None] = {}

    def check(self) -> None:
        """Raise the reason, `DownloadStopped` as a rule, if all is stopped."""
        if self._reason is not None:
            raise self._reason

    def wait(self) -> Deferred[Any]:
        """Return a new Deferred, which fails with the reason when all is stopped.

        It is to be awaited at once.
        """
        deferred: Deferred[Any] = Deferred()
        self._waiting[deferred] = None
        if self._reason is not None:
            self._fail(deferred, self._reason)
        return deferred

    def wait_for(self, other: Deferred[T]) -> Deferred[T]:
        """Return a Deferred that fires as `other` does, or fails when all is stopped."""
        deferred = self.wait()
        other.addBoth(lambda result: self.fire(deferred, result))
        return deferred

    def fire(self, deferred: Deferred[Any], result: object) -> None:
        """Fire a Deferred that `wait` returned, unless it has failed by now."""
        if deferred in self._waiting:
            del self._waiting[deferred]
            deferred.callback(result)

    def _fail(self, deferred: Deferred[Any], reason: BaseException) -> None:
        del self._waiting[deferred]
        deferred.errback(reason)

    def stop(self, reason: BaseException | None = None) -> None:
        """Fail whatever is waited for, now and from now on."""
        reason = self._reason = self._reason or reason or DownloadStopped()
        while self._waiting:
            self._fail(next(iter(self._waiting)), reason)


class Signal:
    """Wakes the one coroutine that waits for something to happen."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._waiter: Deferred[None] | None = None

    def wait(self) -> Deferred[None]:
        """Return a Deferred that fires when `fire` is called next."""
        self._waiter = self._waits.wait()
        return self._waiter

    def fire(self) -> None:
        """Wake the waiter, if there is one."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._waits.fire(waiter, None)


@dataclass(frozen=True, slots=True)
class Session:
    """One download: its clock, its file, its strategy and what it has done so far.

    `news` fires whenever a server's answer has changed what is known. `patience` knows
    which requests are outstanding, and when they are overdue.
    """

    reactor: IReactorTime
    cap: CHKCap
    strategy: Strategy
    random: Random
    status: DownloadStatus
    waits: Waits = field(default_factory=Waits)
    news: Signal = field(init=False)
    patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "news", Signal(self.waits))
        object.__setattr__(self, "patience", Patience(self.reactor, self.strategy))

    def enter(self, phase: Phase) -> None:
        """Note that a phase begins now."""
        self.status.phases.append((phase, self.reactor.seconds()))

    async def news_until(self, due: float) -> None:
        """Wait for news, but no longer than to `due`, a time of the reactor's clock."""
        if due == inf:
            await self.news.wait()
            return
        timer = self.reactor.callLater(max(0.0, due - self.reactor.seconds()), self.news.fire)
        try:
            await self.news.wait()
        finally:
            if timer.active():
                timer.cancel()

    def ask(self, request: Request, call: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Send one request to a server by `call`, and keep its times in the status.

        The Deferred fails with `ServerFailedError`, whatever exception the server raised.
        """
        request.sent = self.reactor.seconds()
        self.status.requests.append(request)
        self.patience.sent(request)

        def answered(answer: T) -> T:
            request.answered = self.reactor.seconds()
            self.patience.ended(request)
            return answer

        def failed(failure: Failure) -> Failure:
            request.failed = self.reactor.seconds()
            self.patience.ended(request)
            if isinstance(failure.value, _NO_SERVERS_FAULT):
                return failure
            request.error = one_line(f"{type(failure.value).__name__}: {safe_str(failure.value)}")
            return Failure(ServerFailedError(f"failed: {request.error}"))  # type: ignore[no-untyped-call]

        return maybeDeferred(call).addCallbacks(answered, failed)


def one_line(text: str) -> str:
    """Return `text` on one line, cut where it goes on for too long."""
    text = " ".join(text.split())
    return text if len(text) <= _ERROR_LENGTH else text[: _ERROR_LENGTH - 3] + "..."
