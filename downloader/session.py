"""What every part of one download shares, and the one way in which a server is asked."""

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

#: What is raised in a server and is not its failure. Others that are not an `Exception` are:
#: asyncio's CancelledError is one.
NO_SERVERS_FAULT = (KeyboardInterrupt, SystemExit, GeneratorExit)


class PendingWaits:
    """What a download waits for: to stop it is to fail its Deferreds and to forget the rest.

    It may be stopped at any moment, also by a server or a consumer that it is just
    calling: what runs then goes on to its next wait, and ends there.
    """

    def __init__(self) -> None:
        self._reason: BaseException | None = None
        self._waiting: dict[Deferred[Any], None] = {}
        self._callbacks: dict[object, Callable[[Any, Any], None]] = {}

    @property
    def stopped(self) -> bool:
        """Whether all is stopped."""
        return self._reason is not None

    def check(self) -> None:
        """Raise the reason, `DownloadStopped` as a rule, if all is stopped."""
        if self._reason is not None:
            raise self._reason

    def wait(self) -> Deferred[Any]:
        """Return a new Deferred, which fails with the reason when all is stopped.

        Await it at once.
        """
        deferred: Deferred[Any] = Deferred()
        self.wait_on(deferred)
        return deferred

    def wait_on(self, deferred: Deferred[Any]) -> None:
        """Wait for a Deferred that has not fired, as for one of `wait`."""
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
        """Fire a Deferred that is waited for, unless it has failed by now."""
        if self.leave(deferred):
            deferred.callback(result)

    def expect(self, what: object, callback: Callable[[Any, Any], None]) -> None:
        """Have `settle` call `callback`, unless everything is stopped before."""
        if self._reason is None:
            self._callbacks[what] = callback

    def settle(self, what: object, answer: object, error: object) -> None:
        """Pass on the answer, or the error, that was expected: once."""
        callback = self._callbacks.pop(what, None)
        if callback is not None:
            callback(answer, error)

    def forget(self, what: object) -> None:
        """Expect an answer no more."""
        self._callbacks.pop(what, None)

    def _fail(self, deferred: Deferred[Any], reason: BaseException) -> None:
        del self._waiting[deferred]
        deferred.errback(reason)

    def stop(self, reason: BaseException | None = None) -> None:
        """Fail whatever is waited for, now and from now on."""
        reason = self._reason = self._reason or reason or DownloadStopped()
        self._callbacks.clear()  # they hold what has been read, and an answer may never come
        while self._waiting:
            self._fail(next(iter(self._waiting)), reason)


class Signal:
    """Wakes the coroutine that waits for a condition whenever something has happened."""

    def __init__(self, reactor: IReactorTime, waits: PendingWaits) -> None:
        self._reactor = reactor
        self._waits = waits
        self._look: Callable[[], float | None] = _see_nothing
        self._waiter: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    async def until(self, look: Callable[[], float | None]) -> None:
        """Wait until `look` returns None; raises what it raises, or why all is stopped.

        It is called now, and again whenever `fire` is, but not while it runs: then it is to
        see for itself. It returns when it is to be called at the latest, a time of the
        reactor's clock, infinity if it is not.
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
        """Wake the coroutine that waits, if there is one."""
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
        """Check the condition and set the timer; return whether to wait any longer."""
        try:
            due = self._look()
        finally:
            self._waits.check()  # it may be stopped in the midst of a look
        if due is not None:
            self._set_timer(due)
        return due is not None

    def _set_timer(self, due: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if due < inf:
            delay = max(0.0, due - self._reactor.seconds())
            self._timer = self._reactor.callLater(delay, self.fire)


def _see_nothing() -> None:
    """Do nothing: no coroutine waits."""


@dataclass(frozen=True, slots=True)
class Session:
    """One download: its clock, its file, its strategy and what it has done so far.

    `news` fires whenever a server's answer has changed what is known. `patience` knows
    which requests are outstanding, and when they are overdue; `memory` is what other downloads
    have learned, and what this one leaves to the next.
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
        """Note that a phase begins now."""
        self.status.phases.append((phase, self.reactor.seconds()))

    def ask(
        self,
        request: Request,
        call: Callable[[], Deferred[T]],
        callback: Callable[[T | None, ServerFailedError | None], None],
    ) -> None:
        """Send one request to a server by `call`, and keep its times in the status.

        `callback` is called with the answer, or with the error into which whatever the server
        raised is made. What no server is to blame for, Control-C or a defect of ours, stops
        the download.
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
        """Withdraw a request that has not been answered; its callback is not called any more.

        What the server's Deferred does with that, also if it raises, changes nothing for us.
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
        """Withdraw whatever has not been answered."""
        for request in list(self._answers):
            self.cancel(request)
