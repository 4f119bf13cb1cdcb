"""The simulated reactor keeps virtual time as a real reactor keeps real time."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from bisect import insort
from collections.abc import Callable, Generator, Iterator
from functools import partial
from math import inf, nan
from typing import Any, Protocol

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from simpy.events import Event
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    AlreadyCalled,
    AlreadyCancelled,
    ReactorAlreadyRunning,
    ReactorNotRestartable,
    ReactorNotRunning,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorCore,
    IReactorThreads,
    IReactorTime,
)
from twisted.internet.threads import deferToThreadPool
from zope.interface.verify import verifyObject

from firstk.harness.kernel.environment import Environment
from firstk.harness.kernel.reactor import SimReactor, SimTimer
from tests.marks import few

Change = Callable[[SimTimer], None]


@pytest.fixture
def reactor() -> SimReactor:
    """Return a reactor that has not run."""
    return SimReactor()


def boom() -> None:
    """Raise an error that these tests expect."""
    raise ValueError("boom")


# Timers


def test_chain(reactor: SimReactor) -> None:
    """A chain of ten one-second timers takes ten seconds."""
    times: list[float] = []

    def tick() -> None:
        times.append(reactor.seconds())
        if len(times) < 10:
            reactor.callLater(1, tick)

    reactor.callLater(1, tick)
    reactor.run()

    assert times == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert reactor.env.now == 10


def test_chain_beside_a_long_timer(reactor: SimReactor) -> None:
    """A timer that another one sets fires before a longer one that was set earlier."""
    fired: list[str] = []
    reactor.callLater(3, fired.append, "long")
    reactor.callLater(1, lambda: reactor.callLater(1, fired.append, "chained"))

    reactor.run()

    assert fired == ["chained", "long"]


def test_arguments(reactor: SimReactor) -> None:
    """A timer passes its arguments to the function."""
    got: list[Any] = []
    reactor.callLater(1, lambda *args, **kwargs: got.append((args, kwargs)), 1, 2, key=3)

    reactor.run()

    assert got == [((1, 2), {"key": 3})]


def test_equal_times(reactor: SimReactor) -> None:
    """Timers at the same time fire in the order in which they were scheduled."""
    fired: list[int] = []
    reactor.callLater(1, lambda: reactor.callLater(1, fired.append, 9))
    for i in range(9):
        reactor.callLater(2, fired.append, i)

    reactor.run()

    assert list(range(10)) == fired


def test_equal_times_with_simpy(reactor: SimReactor) -> None:
    """Timers and SimPy events at the same time happen in the order in which they were scheduled."""
    fired: list[int] = []
    for i in range(0, 10, 2):
        reactor.callLater(2, fired.append, i)
        reactor.env.timeout(2, i + 1).callbacks.append(lambda event: fired.append(event.value))

    reactor.run()

    assert list(range(10)) == fired


def test_reset_goes_to_the_end(reactor: SimReactor) -> None:
    """A reset timer fires after those that were already scheduled for its new time."""
    fired: list[str] = []
    timer = reactor.callLater(1, fired.append, "reset")
    reactor.callLater(2, fired.append, "first")
    timer.reset(2)
    reactor.callLater(2, fired.append, "last")

    reactor.run()

    assert fired == ["first", "reset", "last"]


def test_zero_delay(reactor: SimReactor) -> None:
    """A timer without delay fires at the same time, but not inside the call that sets it."""
    fired: list[float] = []

    def later() -> None:
        reactor.callLater(0, lambda: fired.append(reactor.seconds()))
        assert not fired

    reactor.callLater(1, later)
    reactor.run()

    assert fired == [1]


@pytest.mark.parametrize(
    ("change", "fires"),
    [
        (lambda timer: timer.reset(1), 2),
        (lambda timer: timer.reset(9), 10),
        (lambda timer: timer.reset(0), 1),
        (lambda timer: timer.delay(2), 6),
        (lambda timer: timer.delay(-2), 2),
        (lambda timer: timer.delay(-99), 1),
    ],
    ids=["sooner", "later", "now", "delay", "forward", "into the past"],
)
def test_reset_and_delay(reactor: SimReactor, change: Change, fires: float) -> None:
    """A timer for t=4 that is changed at t=1 fires once, at its new time."""
    fired: list[float] = []
    timer = reactor.callLater(4, lambda: fired.append(reactor.seconds()))

    def at_one() -> None:
        change(timer)
        assert timer.getTime() == fires

    reactor.callLater(1, at_one)
    reactor.run()

    assert [fires] == fired
    assert max(1, fires) == reactor.env.now


def test_cancelled_does_not_fire(reactor: SimReactor) -> None:
    """A cancelled timer never fires, whether its time was next or not."""
    fired: list[int] = []
    timers = [reactor.callLater(i, fired.append, i) for i in range(6)]
    for i in (0, 2, 5):
        timers[i].cancel()

    reactor.run()

    assert fired == [1, 3, 4]


@pytest.mark.parametrize(
    "change",
    [SimTimer.cancel, lambda timer: timer.reset(1), lambda timer: timer.delay(-99)],
    ids=["cancel", "reset", "delay"],
)
def test_clock_does_not_move(reactor: SimReactor, change: Change) -> None:
    """The old time of a changed timer does not move the clock, first or last in the queue."""
    for delay in (2, 100):
        change(reactor.callLater(delay, lambda: None))
    reactor.callLater(1, lambda: None)

    reactor.run()

    assert reactor.env.now == 1


def test_only_cancelled(reactor: SimReactor) -> None:
    """If every timer was cancelled, the clock does not move."""
    reactor.callLater(5, boom).cancel()

    assert inf == reactor.peek()

    reactor.run()

    assert reactor.env.now == 0


CHANGES: dict[str, Change] = {
    "cancel": SimTimer.cancel,
    "reset": lambda timer: timer.reset(1),
    "delay": lambda timer: timer.delay(1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_already_called(reactor: SimReactor, change: Change) -> None:
    """A timer that has fired cannot be changed."""
    timer = reactor.callLater(1, lambda: None)
    reactor.run()

    with pytest.raises(AlreadyCalled):
        change(timer)

    assert inf == reactor.peek()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_already_called_by_itself(reactor: SimReactor, change: Change) -> None:
    """A timer cannot be changed while it fires."""
    timers: list[SimTimer] = []
    timers.append(reactor.callLater(1, lambda: change(timers[0])))

    with pytest.raises(AlreadyCalled):
        reactor.run()

    assert reactor.env.now == 1


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_already_cancelled(reactor: SimReactor, change: Change) -> None:
    """A cancelled timer cannot be changed."""
    timer = reactor.callLater(1, boom)
    timer.cancel()

    with pytest.raises(AlreadyCancelled):
        change(timer)

    assert inf == reactor.peek()


def test_active(reactor: SimReactor) -> None:
    """A timer is active until it fires or is cancelled, through every reset."""
    states: list[bool] = []
    timer = reactor.callLater(1, lambda: states.append(timer.active()))
    cancelled = reactor.callLater(1, boom)

    assert timer.active()

    timer.reset(2)
    timer.delay(1)
    cancelled.cancel()

    assert timer.active()
    assert not cancelled.active()

    reactor.run()

    assert states == [False]
    assert not timer.active()


def test_get_delayed_calls(reactor: SimReactor) -> None:
    """`getDelayedCalls` lists exactly the pending timers at every moment."""
    seen: list[list[str]] = []
    names: dict[IDelayedCall, str] = {}

    def look() -> None:
        seen.append(sorted(names[call] for call in reactor.getDelayedCalls()))

    def fire_b() -> None:
        look()
        timers["a"].cancel()
        look()
        timers["c"].reset(0)
        look()
        names[reactor.callLater(7, look)] = "d"
        look()

    delays = {"a": (9, look), "b": (1, fire_b), "c": (5, look)}
    timers = {name: reactor.callLater(*delay) for name, delay in delays.items()}
    names.update({timer: name for name, timer in timers.items()})
    look()
    reactor.run()
    look()

    assert seen == [["a", "b", "c"], ["a", "c"], ["c"], ["c"], ["c", "d"], ["d"], [], []]


def test_get_delayed_calls_after_an_exception(reactor: SimReactor) -> None:
    """A timer whose function raises has fired."""
    timer = reactor.callLater(1, boom)

    with pytest.raises(ValueError, match="boom"):
        reactor.run()

    assert reactor.getDelayedCalls() == []
    assert timer.called


@pytest.mark.parametrize("delay", [-1, -1e-300, -inf, nan])
def test_impossible_delay(reactor: SimReactor, delay: float) -> None:
    """A negative delay, or one that is not a number, is refused, and leaves no timer behind."""
    with pytest.raises(ValueError, match="is not zero or more"):
        reactor.callLater(delay, boom)

    assert reactor.getDelayedCalls() == []
    assert inf == reactor.peek()


@pytest.mark.parametrize("delay", [-1, nan])
def test_impossible_reset(reactor: SimReactor, delay: float) -> None:
    """A reset that is refused changes nothing: the timer fires when it would have."""
    fired: list[float] = []
    timer = reactor.callLater(5, lambda: fired.append(reactor.seconds()))

    with pytest.raises(ValueError, match="is not zero or more"):
        timer.reset(delay)

    assert [timer] == reactor.getDelayedCalls()

    reactor.run()

    assert fired == [5]
    assert reactor.getDelayedCalls() == []


def test_impossible_delay_of_a_timer(reactor: SimReactor) -> None:
    """Delaying a timer by NaN is refused, and changes nothing."""
    fired: list[float] = []
    timer = reactor.callLater(5, lambda: fired.append(reactor.seconds()))

    with pytest.raises(ValueError, match="nan"):
        timer.delay(nan)

    reactor.run()

    assert fired == [5]


def test_infinite_delay(reactor: SimReactor) -> None:
    """A timer at infinity never fires, and does not keep the reactor running."""
    timer = reactor.callLater(inf, boom)
    reactor.callLater(1, lambda: None)

    reactor.run()

    assert reactor.env.now == 1
    assert [timer] == reactor.getDelayedCalls()


def test_repr_of_a_timer(reactor: SimReactor) -> None:
    """The repr of a timer shows its function and its time."""
    assert repr(reactor.callLater(0.25, boom)) == "<SimTimer boom at 0.25 s>"
    # Nothing in it that differs from one process to another.
    assert repr(reactor.callLater(0.5, partial(print, 1))) == "<SimTimer partial at 0.5 s>"
    timer = reactor.callLater(1, boom)
    timer.cancel()

    assert repr(timer) == "<SimTimer, finished>"


@pytest.mark.parametrize("moves", [0, 1])
def test_repr_of_a_timer_that_fires(reactor: SimReactor, moves: int) -> None:
    """The repr of a timer shows its function and its time while it fires, too."""
    told: list[str] = []

    def tell() -> None:
        told.append(repr(timer))

    timer = reactor.callLater(0.5, tell)
    for _ in range(moves):
        timer.reset(0.5)
    reactor.run()

    assert told == ["<SimTimer test_repr_of_a_timer_that_fires.<locals>.tell at 0.5 s>"]


def test_interfaces(reactor: SimReactor) -> None:
    """The reactor and its timers provide Twisted's interfaces."""
    for interface in (IReactorCore, IReactorTime, IReactorThreads):
        assert verifyObject(interface, reactor)
    assert verifyObject(IDelayedCall, reactor.callLater(0, boom))


def test_twisted_tasks(reactor: SimReactor) -> None:
    """Twisted's tasks run in virtual time."""
    times: list[float] = []
    loop = task.LoopingCall(lambda: times.append(reactor.seconds()))
    loop.clock = reactor
    loop.start(2)
    task.deferLater(reactor, 7, loop.stop)

    reactor.run()

    assert times == [0, 2, 4, 6]
    assert reactor.env.now == 7


class _Clock(Protocol):
    """The interface on which the random programs below run."""

    def call_later(self, delay: int, name: int) -> None: ...

    def cancel(self, name: int) -> None: ...

    def reset(self, name: int, delay: int) -> None: ...


class _OnReactor:
    """A random program on the simulated reactor; it waits as a SimPy process."""

    def __init__(self, program: _Program) -> None:
        self.log: list[object] = []
        self._reactor = SimReactor()
        self._timers: dict[int, SimTimer] = {}
        self._reactor.env.process(self._run(program))

    def _run(self, program: _Program) -> Generator[Event, Any, None]:
        for wait, operations in program:
            yield self._reactor.env.timeout(wait)
            for operation in operations:
                operation(self)

    def call_later(self, delay: int, name: int) -> None:
        self._timers[name] = self._reactor.callLater(delay, self._fire, name)

    def _fire(self, name: int) -> None:
        self.log.append((self._reactor.seconds(), name))

    def _try(self, change: Callable[[], None]) -> None:
        try:
            change()
        except (AlreadyCalled, AlreadyCancelled) as e:
            self.log.append(type(e).__name__)

    def cancel(self, name: int) -> None:
        self._try(self._timers[name].cancel)

    def reset(self, name: int, delay: int) -> None:
        self._try(lambda: self._timers[name].reset(delay))

    def finish(self) -> list[object]:
        self._reactor.run()
        waiting = [timer for timer in self._timers.values() if timer.active()]
        return [*self.log, waiting, self._reactor.getDelayedCalls()]


class _OnSortedList:
    """The same program on a list that is sorted by time and order of scheduling."""

    def __init__(self, program: _Program) -> None:
        self.log: list[object] = []
        self._program = list(program)
        self._now = 0
        self._scheduled = 0
        self._queue: list[tuple[int, int, int]] = []
        self._state: dict[int, str] = {}

    def _schedule(self, delay: int, name: int) -> None:
        self._scheduled += 1
        insort(self._queue, (self._now + delay, self._scheduled, name))

    def call_later(self, delay: int, name: int) -> None:
        self._state[name] = ""
        self._schedule(delay, name)

    def _drop(self, name: int) -> bool:
        if self._state[name]:
            self.log.append(self._state[name])
            return False
        self._queue = [entry for entry in self._queue if entry[2] != name]
        return True

    def cancel(self, name: int) -> None:
        if self._drop(name):
            self._state[name] = "AlreadyCancelled"

    def reset(self, name: int, delay: int) -> None:
        if self._drop(name):
            self._schedule(delay, name)

    def _wait(self) -> None:
        if self._program:
            self._schedule(self._program[0][0], -1)

    def finish(self) -> list[object]:
        self._wait()
        while self._queue:
            self._now, _, name = self._queue.pop(0)
            if name >= 0:
                self._state[name] = "AlreadyCalled"
                self.log.append((self._now, name))
                continue
            _, operations = self._program.pop(0)
            for operation in operations:
                operation(self)
            self._wait()
        return [*self.log, [], []]


_Operation = Callable[[_Clock], None]
_Program = list[tuple[int, list[_Operation]]]


@st.composite
def programs(draw: st.DrawFn) -> _Program:
    """Draw a program that sets, cancels and resets timers, with waits between."""
    delays = st.integers(0, 5)
    program: _Program = []
    timers = 0
    for _ in range(draw(st.integers(1, 6))):
        operations: list[_Operation] = []
        for kind in draw(st.lists(st.sampled_from(["call", "call", "cancel", "reset"]))):
            delay = draw(delays)
            if kind == "call":
                operations.append(lambda c, d=delay, n=timers: c.call_later(d, n))  # type: ignore[misc]
                timers += 1
            elif timers:
                name = draw(st.integers(0, timers - 1))
                if kind == "cancel":
                    operations.append(lambda c, n=name: c.cancel(n))  # type: ignore[misc]
                else:
                    operations.append(lambda c, n=name, d=delay: c.reset(n, d))  # type: ignore[misc]
        program.append((draw(delays), operations))
    return program


@settings(deadline=None)
@given(programs(), st.integers(0, 4))
def test_order_is_that_of_a_sorted_list(program: _Program, most_given_up: int) -> None:
    """Whatever is set, cancelled and reset, timers fire in the order of a sorted list.

    This holds however soon the queue drops entries that were given up.
    """
    expected = _OnSortedList(program).finish()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("firstk.harness.kernel.environment._MOST_GIVEN_UP", most_given_up)
        got = _OnReactor(program).finish()

    assert expected == got


def test_cancelled_timers_do_not_pile_up(reactor: SimReactor) -> None:
    """Cancelled or reset timers in the far future do not fill the memory."""
    fired: list[int] = []
    kept = [reactor.callLater(1000 + i % 7, fired.append, i) for i in range(100)]
    timer = reactor.callLater(5000, boom)
    for i in range(10_000):
        timer.reset(5000 + i)
        reactor.callLater(10_000 - i, boom).cancel()

    assert [*kept, timer] == reactor.getDelayedCalls()
    assert len(reactor.env.queue) < 300

    timer.cancel()
    reactor.run()

    assert sorted(range(100), key=lambda i: i % 7) == fired
    assert reactor.env.now == 1006


@pytest.mark.parametrize("moves", few(1, [0, 1, 2]))
@pytest.mark.parametrize("fires", [True, False])
def test_what_is_over_is_let_go(reactor: SimReactor, moves: int, fires: bool) -> None:
    """A timer that has fired or was cancelled keeps no reference to its function."""

    class Thing:
        def use(self) -> None:
            pass

    thing = Thing()
    gone = weakref.ref(thing)
    timer = reactor.callLater(0.5 if fires and not moves else 1000, thing.use)
    for _ in range(moves):
        timer.reset(0.5)
    if not fires:
        timer.cancel()
    reactor.callLater(1, reactor.stop)
    reactor.run()
    del thing, timer
    gc.collect()

    assert gone() is None


def test_many_timers(reactor: SimReactor) -> None:
    """Setting, cancelling and firing 1,000 timers does not search 100,000 pending ones."""
    comparisons = 0

    def count() -> None:
        nonlocal comparisons
        comparisons += 1
        if comparisons > 4_000_000:
            pytest.fail("each timer is compared with all the others")

    class Counted(float):
        """A time that counts its comparisons."""

        def __add__(self, other: float) -> Counted:
            return Counted(float(self) + float(other))

        __radd__ = __add__

        def __lt__(self, other: float) -> bool:
            count()
            return float(self) < float(other)

        def __eq__(self, other: object) -> bool:
            count()
            return float.__eq__(self, other)

        __hash__ = float.__hash__

    fired: list[int] = []
    pending = [reactor.callLater(Counted(1000 + i % 1000), boom) for i in range(100_000)]
    comparisons = 0
    for i in range(1000):
        reactor.callLater(Counted((i * 7) % 1000), fired.append, i)
    for timer in pending[:1000]:
        timer.cancel()
    reactor.run(until=999)

    assert sorted(range(1000), key=lambda i: (i * 7) % 1000) == fired
    assert len(reactor.getDelayedCalls()) == 99_000
    # A heap of 101,000 is 17 deep; a single pass over the list would be 100,000.
    assert 1000 < comparisons < 100_000


# Threads


def test_call_from_thread(reactor: SimReactor) -> None:
    """`callFromThread` runs functions at the current time, in order, after what is due."""
    happened: list[tuple[float, str]] = []

    def happen(what: str) -> None:
        happened.append((reactor.seconds(), what))

    def ask() -> None:
        reactor.callFromThread(happen, "one")
        reactor.callFromThread(happen, "two")
        happen("asked")

    reactor.callFromThread(happen, "before the run")
    reactor.callLater(1, ask)
    reactor.callLater(1, happen, "due before")
    reactor.callLater(2, happen, "later")
    reactor.run()

    assert happened == [
        (0, "before the run"),
        (1, "asked"),
        (1, "due before"),
        (1, "one"),
        (1, "two"),
        (2, "later"),
    ]


def test_call_in_thread(reactor: SimReactor) -> None:
    """Work for a thread is done at once; work that it submits is done after it."""
    done: list[str] = []

    def work() -> None:
        reactor.callInThread(done.append, "inner")
        reactor.getThreadPool().callInThread(done.append, "inner two")
        done.append("outer")

    reactor.callInThread(work)

    assert done == ["outer", "inner", "inner two"]


def test_defer_to_thread(reactor: SimReactor) -> None:
    """Results of deferred work arrive at the current time, in order."""
    results: list[tuple[float, Any]] = []

    def work(number: int) -> int:
        return number * number

    def ask() -> None:
        for number in range(3):
            deferred = deferToThreadPool(reactor, reactor.getThreadPool(), work, number)
            deferred.addCallback(lambda result: results.append((reactor.seconds(), result)))

    reactor.callLater(5, ask)
    reactor.run()

    assert results == [(5, 0), (5, 1), (5, 4)]


def test_defer_to_thread_fails(reactor: SimReactor) -> None:
    """An exception in deferred work fails its Deferred."""
    failures: list[Any] = []
    deferToThreadPool(reactor, reactor.getThreadPool(), boom).addErrback(failures.append)

    reactor.run()

    assert [ValueError] == [failure.type for failure in failures]


def test_pool_goes_on_after_a_callback_that_raises(reactor: SimReactor) -> None:
    """The pool continues after a callback that raises."""
    done: list[int] = []

    def take(success: bool, result: object) -> None:
        boom()

    def ask() -> None:
        reactor.getThreadPool().callInThreadWithCallback(take, lambda: None)

    reactor.callLater(1, ask)
    reactor.callLater(2, reactor.callInThread, done.append, 2)
    with pytest.raises(ValueError, match="boom"):
        reactor.run()

    assert done == [2]


def test_pool_size(reactor: SimReactor) -> None:
    """A pool without threads accepts any size."""
    reactor.suggestThreadPoolSize(5)


def test_run_in_a_thread(reactor: SimReactor) -> None:
    """A reactor runs in any thread, even with signal handlers enabled."""
    fired: list[float] = []
    reactor.callLater(3, lambda: fired.append(reactor.seconds()))
    thread = threading.Thread(target=reactor.run)
    thread.start()
    thread.join()

    assert fired == [3]


# Exceptions


def _process(reactor: SimReactor) -> object:
    def process() -> Generator[Event, Any, None]:
        yield reactor.env.timeout(1)
        boom()

    return reactor.env.process(process())


#: Every place where an exception may be raised.
PLACES: dict[str, Callable[[SimReactor], object]] = {
    "timer": lambda reactor: reactor.callLater(1, boom),
    "callFromThread": lambda reactor: reactor.callFromThread(boom),
    "callInThread": lambda reactor: reactor.callLater(1, reactor.callInThread, boom),
    "callInThread before the run": lambda reactor: reactor.callInThread(boom),
    "callWhenRunning": lambda reactor: reactor.callWhenRunning(boom),
    **{
        f"{phase} {event}": lambda reactor, phase=phase, event=event: (  # type: ignore[misc]
            reactor.addSystemEventTrigger(phase, event, boom)
        )
        for event in ("startup", "shutdown")
        for phase in ("before", "during", "after")
    },
    "process": _process,
    "event": lambda reactor: reactor.env.timeout(1).callbacks.append(lambda _: boom()),
    "failed event": lambda reactor: reactor.env.event().fail(ValueError("boom")),
}


@pytest.mark.parametrize("raiser", PLACES.values(), ids=PLACES)
def test_exception(reactor: SimReactor, raiser: Callable[[SimReactor], object]) -> None:
    """An exception stops nothing, wherever it is raised; the run raises it at the end."""
    happened: list[str] = []
    raiser(reactor)
    reactor.callWhenRunning(happened.append, "running")
    reactor.callLater(1, happened.append, "same time")
    reactor.callLater(2, happened.append, "later")
    for phase in ("before", "during", "after"):
        reactor.addSystemEventTrigger(phase, "shutdown", happened.append, phase)

    with pytest.raises(ValueError, match=r"^boom$"):
        reactor.run()

    assert happened == ["running", "same time", "later", "before", "during", "after"]
    assert reactor.errors == []


def test_several_exceptions(reactor: SimReactor) -> None:
    """Several exceptions are raised as one group, in their order."""
    for raiser in PLACES.values():
        raiser(reactor)
    reactor.callLater(2, {"a": 1}.pop, "key")

    with pytest.raises(ExceptionGroup) as caught:
        reactor.run()

    kinds = [type(error) for error in caught.value.exceptions]
    assert [ValueError] * (len(PLACES) - 3) + [KeyError] + [ValueError] * 3 == kinds


def test_exception_does_not_stop_those_at_the_same_event(reactor: SimReactor) -> None:
    """All callbacks of a SimPy event are called, even if the first one raises."""
    happened: list[str] = []
    event = reactor.env.timeout(1)
    event.callbacks += [lambda _: boom(), lambda _: happened.append("second")]

    with pytest.raises(ValueError, match="boom"):
        reactor.run()

    assert happened == ["second"]


def test_failed_process_that_is_awaited(reactor: SimReactor) -> None:
    """The exception of a process that another process handles does not fail the run."""
    handled: list[str] = []

    def failing() -> Generator[Event, Any, None]:
        yield reactor.env.timeout(1)
        boom()

    def waiting() -> Generator[Event, Any, None]:
        try:
            yield reactor.env.process(failing())
        except ValueError as e:
            handled.append(str(e))

    reactor.env.process(waiting())
    reactor.run()

    assert handled == ["boom"]


def test_control_c(reactor: SimReactor) -> None:
    """An exception that is not an `Exception`, such as KeyboardInterrupt, ends the run at once."""
    happened: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    reactor.callLater(1, interrupt)
    reactor.callLater(2, happened.append, "later")

    with pytest.raises(KeyboardInterrupt):
        reactor.run()

    assert happened == []


# The life of a reactor


def test_nothing_to_do(reactor: SimReactor) -> None:
    """A reactor with nothing to do ends at time zero."""
    reactor.run()

    assert reactor.env.now == 0
    assert not reactor.running


def test_ends_with_waiting_processes(reactor: SimReactor) -> None:
    """A process that waits forever does not keep the reactor running."""

    def waiting() -> Generator[Event, Any, None]:
        yield reactor.env.timeout(3)
        yield reactor.env.event()

    process = reactor.env.process(waiting())
    reactor.run()

    assert reactor.env.now == 3
    assert process.is_alive


def test_until(reactor: SimReactor) -> None:
    """A run stops at its end time, after what is due then."""
    fired: list[float] = []
    for time in (1, 5, 5.0000001, 9):
        reactor.callLater(time, fired.append, time)

    reactor.run(until=5)

    assert fired == [1, 5]
    assert reactor.env.now == 5
    assert len(reactor.getDelayedCalls()) == 2
    assert reactor.peek() == 5.0000001


def test_until_infinity(reactor: SimReactor) -> None:
    """A run until infinity ends when nothing is left."""
    fired: list[int] = []
    reactor.callLater(1, fired.append, 1)

    reactor.run(until=inf)

    assert fired == [1]
    assert not reactor.running


def test_until_survives_a_second_run(reactor: SimReactor) -> None:
    """A run inside a run is refused, and does not change the end time of the first."""
    fired: list[str] = []

    def again() -> None:
        with pytest.raises(ReactorAlreadyRunning):
            reactor.run()
        fired.append("refused")

    reactor.callLater(1, again)
    reactor.callLater(9, fired.append, "too late")
    reactor.run(until=5)

    assert fired == ["refused"]


def test_stop(reactor: SimReactor) -> None:
    """After `stop`, only the shutdown happens, at the same time."""
    happened: list[tuple[float, str]] = []

    def happen(what: str) -> None:
        happened.append((reactor.seconds(), what))

    reactor.callLater(1, reactor.stop)
    reactor.callLater(1, happen, "too late")
    reactor.addSystemEventTrigger("before", "shutdown", happen, "shutdown")
    reactor.run()

    assert happened == [(1, "shutdown")]
    assert len(reactor.getDelayedCalls()) == 1


def test_stop_at_the_start(reactor: SimReactor) -> None:
    """A reactor may be stopped as soon as it runs."""
    reactor.callLater(0, boom)
    reactor.callWhenRunning(reactor.stop)

    reactor.run()

    assert not reactor.running


def test_stop_before_the_run(reactor: SimReactor) -> None:
    """A reactor that is not running cannot be stopped."""
    with pytest.raises(ReactorNotRunning):
        reactor.stop()


def test_not_restartable(reactor: SimReactor) -> None:
    """A reactor cannot be restarted."""
    reactor.run()

    with pytest.raises(ReactorNotRestartable):
        reactor.run()


def test_call_when_running(reactor: SimReactor) -> None:
    """Before the run, `callWhenRunning` waits for it; during the run, it calls at once."""
    happened: list[str] = []

    def start() -> None:
        happened.append("start")
        reactor.callWhenRunning(happened.append, "at once")
        happened.append("started")

    reactor.callWhenRunning(start)

    assert happened == []

    reactor.run()

    assert happened == ["start", "at once", "started"]


def test_shutdown_waits(reactor: SimReactor) -> None:
    """The shutdown waits in virtual time for a trigger's Deferred."""
    happened: list[tuple[float, str]] = []

    def before() -> Deferred[None]:
        deferred: Deferred[None] = Deferred()
        reactor.callLater(10, deferred.callback, None)
        return deferred

    reactor.addSystemEventTrigger("before", "shutdown", before)
    reactor.addSystemEventTrigger(
        "during", "shutdown", lambda: happened.append((reactor.seconds(), "during"))
    )
    reactor.callLater(1, reactor.stop)
    reactor.run()

    assert happened == [(11, "during")]


def test_shutdown_that_never_ends(reactor: SimReactor) -> None:
    """A trigger's Deferred that never fires raises, and does not hang the run."""
    reactor.addSystemEventTrigger("before", "shutdown", Deferred)

    with pytest.raises(RuntimeError, match="Deferred never fired"):
        reactor.run()

    assert not reactor.running


def test_remove_trigger(reactor: SimReactor) -> None:
    """A trigger that was removed is not called."""
    handle = reactor.addSystemEventTrigger("during", "shutdown", boom)
    reactor.removeSystemEventTrigger(handle)

    reactor.run()


@pytest.fixture
def sigterm() -> Iterator[Callable[..., None]]:
    """Install our own handler for SIGTERM during a test."""

    def handler(*_: object) -> None:
        pytest.fail("the signal passed the reactor by")

    previous = signal.signal(signal.SIGTERM, handler)
    yield handler
    signal.signal(signal.SIGTERM, previous)


def test_signal(reactor: SimReactor, sigterm: Callable[..., None]) -> None:
    """A signal stops the reactor in an orderly way, and the handlers are restored."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    fired: list[str] = []
    reactor.callLater(1, signal.raise_signal, signal.SIGTERM)
    reactor.callLater(2, fired.append, "too late")
    reactor.addSystemEventTrigger("during", "shutdown", fired.append, "shutdown")

    reactor.run()

    assert fired == ["shutdown"]
    assert reactor.env.now == 1
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert before[1] is sigterm


def test_signal_handlers_after_an_exception(
    reactor: SimReactor, sigterm: Callable[..., None]
) -> None:
    """The handlers are restored even if the run raises."""
    during: list[object] = []
    reactor.callLater(1, lambda: during.append(signal.getsignal(signal.SIGTERM)))
    reactor.callLater(2, boom)

    with pytest.raises(ValueError, match="boom"):
        reactor.run()

    assert [sigterm] != during
    assert sigterm is signal.getsignal(signal.SIGTERM)


def test_no_signal_handlers(reactor: SimReactor, sigterm: Callable[..., None]) -> None:
    """With `installSignalHandlers=False`, the program's handlers stay in place during the run."""
    seen: list[object] = []
    reactor.callLater(1, lambda: seen.append(signal.getsignal(signal.SIGTERM)))

    reactor.run(installSignalHandlers=False)

    assert [sigterm] == seen


# By hand


def test_peek(reactor: SimReactor) -> None:
    """`peek` returns the time of the next event of any kind, except cancelled ones."""
    assert inf == reactor.peek()

    reactor.env.timeout(5)

    assert reactor.peek() == 5

    timer = reactor.callLater(3, boom)

    assert reactor.peek() == 3

    timer.cancel()

    assert reactor.peek() == 5
    assert reactor.env.now == 0


def test_step(reactor: SimReactor) -> None:
    """`step` runs one event, and skips cancelled ones."""
    fired: list[int] = []
    reactor.callLater(1, boom).cancel()
    for time in (2, 2, 3):
        reactor.callLater(time, fired.append, time)
    reactor.step()

    assert fired == [2]
    assert reactor.env.now == 2


def test_step_without_events(reactor: SimReactor) -> None:
    """`step` raises if nothing is left, or only cancelled timers."""
    reactor.callLater(1, boom).cancel()

    with pytest.raises(simpy.core.EmptySchedule):
        reactor.step()

    assert reactor.env.now == 0


def test_iterate(reactor: SimReactor) -> None:
    """`iterate` runs everything that is due within the given time, chains included."""
    fired: list[float] = []

    def tick() -> None:
        fired.append(reactor.seconds())
        reactor.callLater(1, tick)

    reactor.callLater(0, tick)
    reactor.iterate()

    assert fired == [0]

    reactor.iterate(2.5)

    assert fired == [0, 1, 2]


def test_iterate_for_ever(reactor: SimReactor) -> None:
    """`iterate(inf)` ends when nothing is left."""
    fired: list[int] = []
    reactor.callLater(1, fired.append, 1)

    reactor.iterate(inf)

    assert fired == [1]


def test_exceptions_by_hand(reactor: SimReactor) -> None:
    """Exceptions during manual steps are kept, and the run raises them."""
    reactor.callLater(1, boom)
    reactor.iterate(1)

    assert list(map(str, reactor.errors)) == ["boom"]

    with pytest.raises(ValueError, match="boom"):
        reactor.run()


def test_environment_of_its_own() -> None:
    """A reactor may use a SimPy environment whose clock has advanced."""
    env = Environment(initial_time=100)
    happened: list[tuple[float, str]] = []

    def happen(what: str) -> None:
        happened.append((env.now, what))

    env.timeout(2).callbacks.append(lambda _: happen("event"))
    reactor = SimReactor(env)
    reactor.callLater(1, happen, "timer")
    reactor.callLater(2, happen, "second timer")
    reactor.run()

    assert env is reactor.env
    assert happened == [(101, "timer"), (102, "event"), (102, "second timer")]
    assert reactor.seconds() == 102


def test_two_reactors() -> None:
    """Each reactor has a clock of its own."""
    one, two = SimReactor(), SimReactor()
    one.callLater(5, lambda: None)
    two.callLater(3, lambda: None)
    one.run()

    assert (one.seconds(), two.seconds()) == (5, 0)
