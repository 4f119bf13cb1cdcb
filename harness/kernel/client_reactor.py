"""The reactor of one download, which tracks the download's own timers.

All code of a download, from its first call to the last answer it hears, runs in a context of its
own (`contextvars`), so that a library with module-level state can distinguish downloads.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from types import FrameType
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from firstk.harness.kernel import livelock as endless
from firstk.harness.kernel.environment import Entry, Environment
from firstk.harness.kernel.livelock import AtOnce, LivelockError, name_of_call
from firstk.harness.kernel.raised import Place, as_error, called_from
from firstk.harness.kernel.reactor import SimReactor, SimTimer, checked


class Context:
    """The context in which all code of one download runs.

    Nothing of it runs any more once it has done too much at one virtual time: `aborted` is called
    with the error then. `enter` calls what runs there, by default without further ado.
    """

    def __init__(
        self,
        env: Environment,
        aborted: Callable[[LivelockError], None],
        enter: Callable[..., Any] | None = None,
    ) -> None:
        self._context = copy_context()
        self._enter = enter
        self._entered = False
        self._at_once = AtOnce(env, endless.MOST_AT_ONCE)
        self._aborted = aborted
        self._is_over = False

    def run(self, function: Callable[..., Any], *args: Any) -> None:
        """Call `function` in the download's context.

        Raises `ExitError` instead of an exception that is not an `Exception`.
        """
        if (error := self._at_once.count()) is not None:
            self._abort(error)
            return
        if self._entered:  # by code that steps the reactor itself: one cannot be entered twice
            self._context.copy().run(function, *args)
            return
        self._entered = True
        try:
            if self._enter is None:
                self._context.run(function, *args)
            else:
                self._enter(self._context.run, function, *args)
        except Exception:
            raise
        except BaseException as e:  # such as SystemExit, which must not end firstk
            raise as_error(e) from e
        finally:
            self._entered = False

    def note(self, what: str, of: Callable[..., Any] | str) -> None:
        """Note what code of the download does; raises `LivelockError` if it is too much."""
        if (error := self._at_once.count()) is not None:
            self._abort(error)
            raise error
        if self._at_once.looks:
            name = of if isinstance(of, str) else name_of_call(of)
            self._at_once.note(
                f"{what} {name}{f' at {source}' if (source := self.source()) else ''}"
            )

    def source(self, belongs: Callable[[FrameType], bool] | None = None) -> Place | None:
        """Return the line of the download's own code that is running; None where only ours is.

        `belongs` says whether a frame is one of its own code; see `called_from`.
        """
        return called_from(Context.run.__code__, belongs)

    def progress(self) -> None:
        """Restart the count: bytes of the file have been written."""
        self._at_once.reset()

    def _abort(self, error: LivelockError) -> None:
        """Report that it has done too much, once."""
        if not self._is_over:
            self._is_over = True
            self._aborted(error)


class _OwnTimer(SimTimer):
    """A timer that a download has set."""

    def __init__(
        self,
        clock: ClientReactor,
        time: float,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__(clock._reactor, time, function, args, kwargs)
        self._clock = clock
        clock._timers[self] = None

    def _fire(self, event: Entry) -> None:
        clock = self._clock
        if clock._busy_until is not None and (time := clock._busy_until()) > clock._env.clock:
            self._moved = clock._env.at(time, self._see_to)
        else:
            self._see_to(event)

    def _see_to(self, event: Entry) -> None:
        clock = self._clock
        del clock._timers[self]
        try:
            clock.run(SimTimer._fire, self, event)
        except Exception as e:
            if clock._failed is None:
                raise
            clock._failed(e)
        finally:
            if clock._fired is not None:
                clock._fired()

    def cancel(self) -> None:
        """Cancel this call; see `SimTimer.cancel`."""
        super().cancel()
        del self._clock._timers[self]


@implementer(IReactorTime)
class ClientReactor:
    """A reactor whose `getDelayedCalls` returns only the timers that were set here.

    `fired` is called after each of these timers, and `failed` with what one raises; without it
    that goes to the reactor. The timers fire in `context`, by default one of the clock's own;
    `run` calls a function in it.

    `busy_until` returns when the client can see to what is due now; without it that is at once.
    `pool` is the thread pool, by default the reactor's own, and `wall_clock` returns the wall-clock
    time where the client has one.
    """

    def __init__(
        self,
        reactor: SimReactor,
        fired: Callable[[], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        context: Context | None = None,
        busy_until: Callable[[], float] | None = None,
        pool: Any = None,
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        self.context = context or Context(reactor.env, reactor.errors.append)
        self.run = self.context.run
        self._reactor = reactor
        self._env = reactor.env
        self._fired = fired
        self._failed = failed
        self._busy_until = busy_until
        self._pool = pool
        self.wall_clock = wall_clock
        self._timers: dict[SimTimer, None] = {}  # those still to fire, in the order of their making

    def __repr__(self) -> str:
        return f"<ClientReactor at {self._env.now:.6g} s>"

    def seconds(self) -> float:
        """Return the virtual time, in seconds."""
        return self._env.clock

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> SimTimer:
        """Call `callable` after `delay` seconds; see `SimReactor.callLater`."""
        self.context.note("callLater", callable)
        return _OwnTimer(self, self._env.clock + checked(delay), callable, args, kwargs)

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call `callable` at the current time, after the events already scheduled for it."""
        self.context.note("callFromThread", callable)
        _OwnTimer(self, self._env.clock, callable, args, kwargs)

    def iterate(self, delay: float = 0.0) -> None:
        """Process all events that are due within `delay` seconds."""
        self.context.note("iterate", "of the reactor")
        self._reactor.iterate(delay)

    @property
    def has_timers(self) -> bool:
        """Whether any of the download's timers are pending."""
        return bool(self._timers)

    def getDelayedCalls(self) -> list[SimTimer]:
        """Return the download's pending timers."""
        return list(self._timers)

    def getThreadPool(self) -> Any:
        """Return what runs the work of `twisted.internet.threads.deferToThreadPool`."""
        return self._reactor.getThreadPool() if self._pool is None else self._pool

    def callInThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call `callable` as the thread pool does."""
        self.getThreadPool().callInThread(callable, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
