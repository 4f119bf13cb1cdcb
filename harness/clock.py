"""The reactor that one download gets: it tells the download's own timers from all others.

All code of a download, from its first call to the last answer it hears, runs in a context of its
own (`contextvars`), so that a library with module-level state can tell downloads apart.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, NoReturn, TypeVar

from simpy.events import Event
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from harness.reactor import SimReactor, SimTimer, checked

T = TypeVar("T")

#: So many timers of one download may fire at one time. On the largest grids Tahoe-LAFS comes to
#: a tenth of it.
MOST_AT_ONCE = 1_000_000


class EndlessError(Exception):
    """A download sets timers for now again and again, and so time never passes."""


class Context:
    """The context in which all code of one download runs."""

    def __init__(self) -> None:
        self._context = copy_context()
        self._entered = False

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function` in the download's context, and return what it returns."""
        if self._entered:  # by code that steps the reactor itself: one cannot be entered twice
            return self._context.copy().run(function, *args)
        self._entered = True
        try:
            return self._context.run(function, *args)
        finally:
            self._entered = False


class _OwnTimer(SimTimer):
    """A timer that a download has set."""

    def __init__(
        self,
        clock: DownloadClock,
        time: float,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__(clock._reactor, time, function, args, kwargs)
        self._clock = clock
        clock._timers[self] = None

    def _fire(self, event: Event) -> None:
        clock = self._clock
        del clock._timers[self]
        if clock._is_endless():
            self._function, self._args, self._kwargs = clock._end, (), {}
        try:
            clock.run(super()._fire, event)
        except Exception as e:
            if clock._failed is None:
                raise
            clock._failed(e)
        finally:
            if clock._fired is not None:
                clock._fired()

    def cancel(self) -> None:
        """Never fire; see `SimTimer.cancel`."""
        super().cancel()
        del self._clock._timers[self]


@implementer(IReactorTime)
class DownloadClock:
    """A reactor whose `getDelayedCalls` tells of the timers that were set here, and no others.

    `fired` is called after each of these timers, and `failed` with what one raises; without it
    that goes to the reactor. The timers fire in `context`, by default one of the clock's own;
    `run` calls a function in it.
    """

    def __init__(
        self,
        reactor: SimReactor,
        fired: Callable[[], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        context: Context | None = None,
    ) -> None:
        self.context = context or Context()
        self.run = self.context.run
        self._reactor = reactor
        self._env = reactor.env
        self._fired = fired
        self._failed = failed
        self._timers: dict[SimTimer, None] = {}  # those still to fire, in the order of their making
        self._time = 0.0
        self._at_once = 0  # how many timers have fired at that time

    def seconds(self) -> float:
        """Return the virtual time, in seconds."""
        return self._env._now

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> SimTimer:
        """Call `callable` after `delay` seconds; see `SimReactor.callLater`."""
        return _OwnTimer(self, self._env._now + checked(delay), callable, args, kwargs)

    def _is_endless(self) -> bool:
        """Count a timer that fires; tell whether it is one too many for this time."""
        now = self._env._now
        if now != self._time:
            self._time, self._at_once = now, 0
        self._at_once += 1
        return self._at_once > MOST_AT_ONCE

    def _end(self) -> NoReturn:
        raise EndlessError(
            f"{MOST_AT_ONCE:,} timers fired at {self._time:.6g} s: time never passes where each"
            " sets another for now"
        )

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call `callable` at this very time, after what is due before it."""
        self.callLater(0, callable, *args, **kwargs)

    def getDelayedCalls(self) -> list[SimTimer]:
        """Return the download's timers that are still to fire."""
        return list(self._timers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
