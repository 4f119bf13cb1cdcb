"""A Twisted reactor whose clock is a SimPy environment.

Code that uses this reactor runs in virtual time: nothing sleeps, and the clock jumps from each
event to the next. Reactor timers and SimPy events share one queue, so a Twisted program and SimPy
processes can run in the same simulation.

The life cycle (start-up and shutdown triggers, `running`, `stop`, `crash`) is inherited from
Twisted's `ReactorBase`; the clock, the timers and the threads are implemented here. Prior art:
`twisted.internet.task.Clock`, which sorts all its timers at each `callLater`, and which fires a
timer at the wrong time if another timer sets it during the same `advance`.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from math import inf, isnan
from typing import Any, cast

from simpy.core import EmptySchedule, StopSimulation
from simpy.events import NORMAL, Event
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorCore,
    IReactorThreads,
    IReactorTime,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from firstk.harness.kernel import livelock as endless
from firstk.harness.kernel.environment import Entry, Environment
from firstk.harness.kernel.livelock import AtOnce, described
from firstk.harness.kernel.raised import as_error

#: The default end of a run: later than any event except those at infinity, which never happen.
_FOREVER = sys.float_info.max

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _nothing() -> None:
    """Do nothing; replaces the function of a finished timer."""


@implementer(IDelayedCall)
class SimTimer(Entry):
    """A call scheduled by `SimReactor.callLater`. It is its own queue entry until it is moved."""

    called = False
    _cancelled = False
    _moved: Entry | None = None
    """The queue entry that replaces this one, if the timer was moved."""

    def __init__(
        self,
        reactor: SimReactor,
        time: float,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._reactor = reactor
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._time = time
        self.callbacks = [self._fire]
        env = reactor.env
        heappush(env.queue, (time, NORMAL, next(env.places), self))  # as `env.push` does
        reactor._timers[self] = None

    def _fire(self, _: Entry) -> None:
        del self._reactor._timers[self]
        self.called = True
        if self._moved is None:
            self._function(*self._args, **self._kwargs)
            return
        try:
            self._function(*self._args, **self._kwargs)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Drop all references: the entry may stay in the queue for a long time."""
        self._function = _nothing
        self._args = ()
        self._kwargs = {}

    def _check(self) -> None:
        if self.called:
            raise AlreadyCalled
        if self._cancelled:
            raise AlreadyCancelled

    def getTime(self) -> float:
        """Return the virtual time at which the call is due, in seconds."""
        return self._time

    def cancel(self) -> None:
        """Cancel this call. Raises `AlreadyCalled` or `AlreadyCancelled` if it is not active."""
        self._check()
        self._reactor.env.give_up(self._moved or self)
        self._cancelled = True
        del self._reactor._timers[self]
        self._let_go()

    def reset(self, secondsFromNow: float) -> None:
        """Reschedule to `secondsFromNow` seconds from now. Raises the same errors as `cancel`."""
        self._check()
        self._move(self._reactor.env.clock + checked(secondsFromNow))

    def delay(self, secondsLater: float) -> None:
        """Postpone by `secondsLater` seconds. Raises the same errors as `cancel`."""
        self._check()
        if isnan(secondsLater):
            checked(secondsLater)
        self._move(max(self._time + secondsLater, self._reactor.env.clock))

    def _move(self, time: float) -> None:
        self._reactor.env.give_up(self._moved or self)
        self._time = time
        self._moved = self._reactor.env.at(time, self._fire)

    def active(self) -> bool:
        """Return whether the call is still pending."""
        return not self.called and not self._cancelled

    def __repr__(self) -> str:
        function = self._function
        if function is _nothing:
            return "<SimTimer, finished>"
        # Without an address, so that the text is the same on every machine.
        name = getattr(function, "__qualname__", None) or type(function).__qualname__
        return f"<SimTimer {name} at {self._time:.9g} s>"


class _ThreadPool:
    """A thread pool without threads: it runs each piece of work at once."""

    def __init__(self, reactor: SimReactor) -> None:
        self.in_work = False
        """Whether work is running, as in a thread: it may wait for the reactor thread."""
        self._reactor = reactor
        self._work: deque[Callable[[], None]] = deque()

    def callInThread(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.callInThreadWithCallback(None, func, *args, **kwargs)

    def callInThreadWithCallback(
        self,
        onResult: Callable[[bool, Any], None] | None,
        func: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        def work() -> None:
            if onResult is None:
                self._do(func, *args, **kwargs)
                return
            try:
                success, result = True, self._do(func, *args, **kwargs)
            except KeyboardInterrupt:
                raise
            except BaseException as e:  # as Twisted's thread pools do
                success, result = False, Failure(e)  # type: ignore[no-untyped-call]
            onResult(success, result)

        self._work.append(work)
        if len(self._work) == 1:
            while self._work:
                try:
                    self._reactor._collecting(self._work[0])
                finally:
                    self._work.popleft()

    def _do(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.in_work = True
        try:
            return func(*args, **kwargs)
        finally:
            self.in_work = False

    def adjustPoolsize(self, minthreads: int | None = None, maxthreads: int | None = None) -> None:
        """Do nothing: there are no threads."""


@implementer(IReactorCore, IReactorTime, IReactorThreads)
class SimReactor(ReactorBase):
    """A reactor in virtual time, over `env` or a new SimPy environment.

    Each timer fires exactly at its time; timers with equal times fire in the order in which they
    were scheduled. `run` processes all events: it returns when none are left, or after `stop`. An
    exception from a callback, a timer, a trigger or a SimPy process does not stop the others: it is
    appended to `errors`, and `run` raises it at the end. An exception that is not an `Exception`,
    such as `SystemExit`, is recorded as an `ExitError`; only `KeyboardInterrupt` ends the run at
    once.

    If `interrupted` is set, `KeyboardInterrupt` is raised before the next event.

    >>> reactor = SimReactor()
    >>> timer = reactor.callLater(3600, print, "an hour has passed")
    >>> reactor.run()
    an hour has passed
    >>> reactor.seconds()
    3600
    """

    _registerAsIOThread = False  # the I/O thread is global state

    def __init__(self, env: Environment | None = None) -> None:
        if env is not None and not isinstance(env, Environment):
            raise TypeError(f"env should be a firstk.Environment, not {env!r}")
        self.env = Environment() if env is None else env
        self.errors: list[Exception] = []
        self.interrupted = False
        self.at_once = AtOnce(self.env, endless.MOST_EVENTS)
        self._timers: dict[SimTimer, None] = {}  # in the order of their creation
        self._pool = _ThreadPool(self)
        self._until = _FOREVER
        super().__init__()

    def __repr__(self) -> str:
        return f"<SimReactor at {self.env.now:.6g} s>"

    # IReactorTime

    def seconds(self) -> float:
        """Return the virtual time, in seconds."""
        return self.env.clock

    def callLater(  # type: ignore[override]  # the base promises Twisted's own DelayedCall
        self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> SimTimer:
        """Call `callable` after `delay` seconds.

        Raises `ValueError` if `delay` is negative or not a number.
        """
        if not delay >= 0:
            checked(delay)
        return SimTimer(self, self.env.clock + delay, callable, args, kwargs)

    def callAt(
        self, time: float, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> SimTimer:
        """Call `callable` at exactly this virtual time, in seconds; it must not be in the past."""
        return SimTimer(self, time, callable, args, kwargs)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """Return the pending timers, in the order of their creation."""
        return list(self._timers)

    # IReactorThreads

    def callFromThread(  # type: ignore[override]
        self, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """Call `callable` at the current time, after the events already scheduled for it."""
        self.env.at(self.env.clock, lambda _: callable(*args, **kwargs))

    def callInThread(  # type: ignore[override]
        self, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """Call `callable` at once: there are no threads in virtual time."""
        self._pool.callInThread(callable, *args, **kwargs)

    def getThreadPool(self) -> ThreadPool:
        """Return the thread pool that `twisted.internet.threads.deferToThread` uses."""
        return cast(ThreadPool, self._pool)

    # IReactorCore

    def addSystemEventTrigger(
        self,
        phase: str,
        eventType: str,
        callable: Callable[..., Any],
        *args: object,
        **kwargs: object,
    ) -> Any:
        """Call `callable` in this phase of this system event; see `IReactorCore`."""
        return super().addSystemEventTrigger(
            phase, eventType, self._collecting, callable, *args, **kwargs
        )

    def _collecting(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function and record any exception that it raises; its result is not needed."""
        try:
            result = callable(*args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as e:
            self.errors.append(as_error(e))
            return None
        if isinstance(result, Deferred):
            result.addErrback(self._collect_failure)
        return result

    def _collect_failure(self, failure: Failure) -> None:
        self.errors.append(as_error(cast(BaseException, failure.value)))

    def run(self, installSignalHandlers: bool = True, until: float = _FOREVER) -> None:
        """Process all events up to `until`, a virtual time in seconds.

        Raises the exception of a callback, or an `ExceptionGroup` if several callbacks failed.
        Raises `ReactorAlreadyRunning` and `ReactorNotRestartable` as every reactor does.
        """
        if not self._started:
            self._until = min(until, _FOREVER)
        handlers = {}
        if installSignalHandlers and threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        try:
            super().run(installSignalHandlers=bool(handlers))
        finally:
            # The base class leaves its handlers installed, and Control-C would have no effect.
            for number, handler in handlers.items():
                signal.signal(number, handler)
        errors, self.errors = self.errors, []
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("several callbacks failed", errors)

    def mainLoop(self) -> None:
        """Process events until none are left."""
        step, until = self.process_next, self._until
        while self._started:
            if self._justStopped:
                self._justStopped = False
                self.fireSystemEvent("shutdown")
            elif step(until):
                while self._started and not self._justStopped and step(until):
                    pass
            elif not self._stopped:
                self.stop()
            else:
                self.errors.append(RuntimeError("a shutdown trigger's Deferred never fired"))
                self.crash()

    def peek(self) -> float:
        """Return the time of the next event in seconds; infinity if there is none."""
        return self.env.peek()

    def step(self) -> None:
        """Process the next event. Raises `EmptySchedule` if there is none."""
        if not self.process_next():
            raise EmptySchedule

    def process_next(self, until: float = inf) -> bool:
        """Process the next event if it is due by `until`, in seconds; return whether it was.

        Most events are entries. For these, this does only the part of SimPy's work that they need.
        """
        if self.interrupted:
            raise KeyboardInterrupt
        env = self.env
        queue = env.queue
        while queue:
            time, _, _, event = queue[0]
            if not isinstance(event, Entry):
                if time > until:
                    return False
                env.clock = time
                if (error := self.at_once.count()) is not None:
                    raise error
                if self.at_once.looks:
                    self.at_once.note(described(event))
                self._step()
                return True
            callbacks = event.callbacks
            if not callbacks:  # it is given up
                heappop(queue)
                env.given_up -= 1
                continue
            if time > until:
                return False
            env.clock = time
            if (error := self.at_once.count()) is not None:
                raise error
            heappop(queue)
            if self.at_once.looks:
                self.at_once.note(described(event))
            event.callbacks = None
            for callback in callbacks:
                try:
                    callback(event)
                except (StopSimulation, KeyboardInterrupt):
                    raise
                except BaseException as e:
                    self.errors.append(as_error(e))
            return True
        return False

    def _step(self) -> None:
        """Process the first event in the queue, which must not be given up."""
        event = self.env.queue[0][3]
        if event.callbacks and len(event.callbacks) > 1:
            # SimPy would drop the callbacks after one that raises.
            event.callbacks = [partial(self._collecting_callback, c) for c in event.callbacks]
        try:
            self.env.step()
        except KeyboardInterrupt:
            raise
        except BaseException as e:
            self.errors.append(as_error(e))

    def _collecting_callback(self, callback: Callable[[Any], None], event: Event) -> None:
        try:
            callback(event)
        except (StopSimulation, KeyboardInterrupt):
            raise
        except BaseException as e:
            self.errors.append(as_error(e))

    def iterate(self, delay: float = 0.0) -> None:
        """Process all events that are due within `delay` seconds."""
        until = min(self.env.now + delay, _FOREVER)
        while self.process_next(until):
            pass

    # Abstract methods of ReactorBase: there is nothing to poll and nothing to wake.

    def installWaker(self) -> None:
        """Do nothing: no thread ever waits."""

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:
        """Return an empty list: no file descriptors are watched."""
        return []


def checked(delay: float) -> float:
    """Return the delay, in seconds. Raises `ValueError` if it is negative or not a number."""
    if not delay >= 0:
        raise ValueError(f"a delay of {delay} seconds is not zero or more")
    return delay
