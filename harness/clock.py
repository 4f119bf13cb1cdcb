"""The reactor as a download is given it: the download's own timers are told from all others."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from harness.reactor import SimReactor, SimTimer


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
