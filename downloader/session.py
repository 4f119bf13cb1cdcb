"""The state shared by all parts of one download, and the sending of requests to servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from firstk.downloader.cap import CHKCap
from firstk.downloader.errors import DownloadStopped, ServerFailedError, ServerLostError
from firstk.downloader.memory import Memory
from firstk.downloader.retry import is_connection_lost
from firstk.downloader.status import DownloadStatus, Phase, Request
from firstk.downloader.strategy import Strategy
from firstk.downloader.text import message_of, one_line
from firstk.downloader.timeouts import RtoEstimator

T = TypeVar("T")

#: Exceptions raised in a server's code that do not count as a failure of the server. Other
#: exceptions that are not an `Exception`, such as asyncio's CancelledError, do.
NO_SERVERS_FAULT = (KeyboardInterrupt, SystemExit, GeneratorExit)


class PendingWaits:
    """The Deferreds and answers that a download waits for, so that all can be stopped at once.

    A download may be stopped at any time, even by a server or consumer that it is calling: the
    running code then continues to its next wait, and ends there.
    """

    def __init__(self) -> None:
        self._reason: BaseException | None = None
        self._waiting: dict[Deferred[Any], None] = {}
        self._callbacks: dict[object, Callable[[Any, Any], None]] = {}
        self._turn: IDelayedCall | None = None

    @property
    def stopped(self) -> bool:
        """Whether the download is stopped."""
        return self._reason is not None

    def check(self) -> None:
        """If the download is stopped, raise the reason, which is usually `DownloadStopped`."""
        if self._reason is not None:
            raise self._reason

    def wait(self) -> Deferred[Any]:
        """Return a new Deferred, which fails with the reason if the download is stopped.

        Await it immediately.
        """
        deferred: Deferred[Any] = Deferred()
        self.wait_on(deferred)
        return deferred

    def wait_on(self, deferred: Deferred[Any]) -> None:
        """Register a Deferred that has not fired, as if `wait` had returned it."""
        self._waiting[deferred] = None
        if self._reason is not None:
            self._fail(deferred, self._reason)

    def leave(self, deferred: Deferred[Any]) -> bool:
        """Forget `deferred`; return True if it was still pending and has not failed."""
        waited_for = deferred in self._waiting
        if waited_for:
            del self._waiting[deferred]
        return waited_for

    def fire(self, deferred: Deferred[Any], result: object) -> None:
        """Fire a Deferred that is waited for, unless it has already failed."""
        if self.leave(deferred):
            deferred.callback(result)

    def expect(self, what: object, callback: Callable[[Any, Any], None]) -> None:
        """Make `settle` call `callback`, unless the download is stopped before."""
        if self._reason is None:
            self._callbacks[what] = callback

    def settle(self, what: object, answer: object, error: object) -> None:
        """Pass an expected answer, or error, to its callback, once."""
        callback = self._callbacks.pop(what, None)
        if callback is not None:
            callback(answer, error)

    def forget(self, what: object) -> None:
        """Stop expecting an answer."""
        self._callbacks.pop(what, None)

    def turn(self, reactor: IReactorTime, call: Callable[[], None]) -> None:
        """Make `call` in the reactor's next turn, unless the download is stopped before.

        There is at most one such call at a time.
        """
        if self._reason is None:
            self._turn = reactor.callLater(0, call)

    def _fail(self, deferred: Deferred[Any], reason: BaseException) -> None:
        del self._waiting[deferred]
        deferred.errback(reason)

    def stop(self, reason: BaseException | None = None) -> None:
        """Fail all current and future waits with the reason."""
        reason = self._reason = self._reason or reason or DownloadStopped()
        self._callbacks.clear()  # they refer to data that was read, and an answer may never come
        if self._turn is not None and self._turn.active():
            self._turn.cancel()
        while self._waiting:
            self._fail(next(iter(self._waiting)), reason)


class Signal:
    """Wakes a coroutine that waits for a condition, whenever something has happened."""

    def __init__(self, reactor: IReactorTime, waits: PendingWaits) -> None:
        self._reactor = reactor
        self._waits = waits
        self._look: Callable[[], float | None] = _see_nothing
        self._waiter: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._due = inf  # when it fires

    async def until(self, look: Callable[[], float | None]) -> None:
        """Wait until `look` returns None. Raises its error, or the reason if stopped.

        `look` is called now, and again whenever `fire` is called, except by `look` itself. Unless
        it is done, `look` returns the reactor time at which it must be called again at the latest;
        infinity if there is no such time.
        """
        self._look = look
        try:
            if self._see():
                waiter = self._waiter = self._waits.wait()
                await waiter
        finally:
            self._waiter, self._look = None, _see_nothing
            self._set_timer(inf)

    def fire(self) -> None:
        """Wake the waiting coroutine, if there is one."""
        waiter, self._waiter = self._waiter, None
        if waiter is None or not self._waits.leave(waiter):
            return
        try:
            waits_on = self._see()
        except BaseException:
            waiter.errback()
            return
        if waits_on:
            self._waiter = waiter
            self._waits.wait_on(waiter)
        else:
            waiter.callback(None)

    def _see(self) -> bool:
        """Check the condition and set the timer; return whether to keep waiting."""
        try:
            due = self._look()
        finally:
            self._waits.check()  # it may be stopped during a look
        if due is not None:
            self._set_timer(due)
        return due is not None

    def _set_timer(self, due: float) -> None:
        timer = self._timer if self._timer is not None and self._timer.active() else None
        if timer is not None and due == self._due:
            return
        self._due = due
        if due == inf:
            if timer is not None:
                timer.cancel()
            return
        delay = max(0.0, due - self._reactor.seconds())
        if timer is not None:
            timer.reset(delay)
        else:
            self._timer = self._reactor.callLater(delay, self.fire)


def _see_nothing() -> None:
    """Do nothing: no coroutine waits."""


@dataclass(frozen=True, slots=True)
class Session:
    """One download: its reactor, its cap, its strategy and its status.

    `news` fires whenever a server's answer provides something new. `patience` tracks which
    requests are outstanding, and when they are overdue. `memory` has what earlier downloads have
    learned about servers, and passes it on to later ones.
    """

    reactor: IReactorTime
    cap: CHKCap
    strategy: Strategy
    random: Random
    status: DownloadStatus
    waits: PendingWaits = field(default_factory=PendingWaits)
    memory: Memory = field(default_factory=Memory)
    news: Signal = field(init=False)
    patience: RtoEstimator = field(init=False)
    _answers: dict[Request, Deferred[Any]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "news", Signal(self.reactor, self.waits))
        object.__setattr__(self, "patience", RtoEstimator(self.reactor, self.strategy, self.memory))

    def enter(self, phase: Phase) -> None:
        """Record that a phase begins now."""
        self.status.phases.append((phase, self.reactor.seconds()))

    def ask(
        self,
        request: Request,
        call: Callable[[], Deferred[T]],
        callback: Callable[[T | None, ServerFailedError | None], None],
    ) -> None:
        """Send one request to a server with `call`, and record its times in the status.

        `callback` is called with the answer, or with an error made from the exception that the
        server raised. Exceptions that are not the server's fault, such as Control-C or a bug in the
        downloader, stop the download.
        """
        request.sent = self.reactor.seconds()
        self.status.requests.append(request)
        self.patience.sent(request)

        def settle(result: T | Failure) -> None:
            self._answers.pop(request, None)
            if request.cancelled is not None:
                return
            now = self.reactor.seconds()
            try:
                if not isinstance(result, Failure):
                    request.answered = now
                    self.patience.ended(request, now)
                    callback(result, None)
                    return
                request.failed = now
                self.patience.ended(request, now)
                error = result.value
                assert error is not None
                if isinstance(error, NO_SERVERS_FAULT):
                    raise error
                request.error = one_line(f"{type(error).__name__}: {message_of(error)}")
                kind = ServerLostError if is_connection_lost(error) else ServerFailedError
                callback(None, kind(f"failed: {request.error}"))
            except BaseException as e:
                self.waits.stop(e)

        answer = maybeDeferred(call)
        if not answer.called:
            self._answers[request] = answer
        answer.addBoth(settle)

    def cancel(self, request: Request) -> None:
        """Cancel an outstanding request; its callback will not be called.

        Whatever the server's Deferred does then, even if it raises, is ignored.
        """
        answer = self._answers.pop(request, None)
        if answer is None:
            return
        request.cancelled = self.reactor.seconds()
        self.patience.cancelled(request)
        self.waits.forget(request)
        try:
            answer.cancel()
        except NO_SERVERS_FAULT as e:
            self.waits.stop(e)
        except BaseException as e:
            request.error = one_line(f"{type(e).__name__}: {message_of(e)}")

    def cancel_all(self) -> None:
        """Cancel all outstanding requests."""
        for request in list(self._answers):
            self.cancel(request)
