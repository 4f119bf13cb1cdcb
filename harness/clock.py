"""The reactor as a download is given it: the download's own timers are told from all others."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from harness.reactor import SimReactor, SimTimer

#: So many timers of one download may fire at one time. On the largest grids Tahoe-LAFS comes to
#: a tenth of it.
MOST_AT_ONCE = 1_000_000


class EndlessError(Exception):
    """A download sets timers for now again and again, and so time never passes."""


@implementer(IReactorTime)
class DownloadClock:
    """A reactor whose `getDelayedCalls` tells of the timers that were set here, and no others.

    `fired` is called after each of these timers, and `failed` with what one raises; without it
    that goes to the reactor.
    """

    def __init__(
        self,
        reactor: SimReactor,
        fired: Callable[[], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._fired = fired
        self._failed = failed
        self._timers: list[SimTimer] = []
        self._time = 0.0
        self._at_once = 0  # how many timers have fired at that time

    def seconds(self) -> float:
        """Return the virtual time, in seconds."""
        return self._reactor.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> SimTimer:
        """Call `callable` after `delay` seconds; see `SimReactor.callLater`."""

        @wraps(callable)
        def fire() -> None:
            self._timers.remove(timer)
            try:
                self._count()
                callable(*args, **kwargs)
            except Exception as e:
                if self._failed is None:
                    raise
                self._failed(e)
            finally:
                if self._fired is not None:
                    self._fired()

        timer = self._reactor.callLater(delay, fire)
        self._timers = [*self.getDelayedCalls(), timer]
        return timer

    def _count(self) -> None:
        """Count a timer that fires; raises `EndlessError` if it is one too many for this time."""
        now = self._reactor.seconds()
        if now != self._time:
            self._time, self._at_once = now, 0
        self._at_once += 1
        if self._at_once > MOST_AT_ONCE:
            raise EndlessError(
                f"{MOST_AT_ONCE:,} timers fired at {now:.6g} s: time never passes where each sets"
                " another for now"
            )

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call `callable` at this very time, after what is due before it."""
        self.callLater(0, callable, *args, **kwargs)

    def getDelayedCalls(self) -> list[SimTimer]:
        """Return the download's timers that are still to fire."""
        # None is kept beyond that: it would keep what it refers to.
        self._timers = [timer for timer in self._timers if timer.active()]
        return self._timers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
