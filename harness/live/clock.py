"""The clock of one live run: real time, counted from the start of the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer


@implementer(IReactorTime)
class RunClock:
    """A reactor for a downloader: its time counts from the start of the run, and it tracks timers.

    All code of the download runs in a context of its own (`run`), as in a simulation. Its latest
    turn began at `turn`: in a simulation, what it does in one turn takes no time. Everything else
    is delegated to the real reactor.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._context = copy_context()
        self._start = time.monotonic()
        self._timers: dict[IDelayedCall, None] = {}
        self.turn = 0.0

    def restart(self) -> None:
        """Start the run now."""
        self._start = time.monotonic()

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function as code of the download."""
        try:
            return self._context.run(self._take_turn, function, *args)
        except RuntimeError as e:
            if "already entered" not in str(e):
                raise
            return function(*args)  # the download's own code makes this call

    def _take_turn(self, function: Callable[..., Any], *args: Any) -> Any:
        self.turn = self.seconds()
        return function(*args)

    def seconds(self) -> float:
        """Return the time since the run began, in seconds."""
        return time.monotonic() - self._start

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> IDelayedCall:
        """Call a function later; see `IReactorTime`."""

        def fire() -> None:
            self._timers.pop(timer, None)
            self.run(lambda: callable(*args, **kwargs))

        timer: IDelayedCall = self._reactor.callLater(delay, fire)
        self._timers[timer] = None
        return timer

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """Return the download's pending timers."""
        return [timer for timer in self._timers if timer.active()]

    def cancel_all(self) -> None:
        """Cancel all timers of the download, because the run is over."""
        for timer in self.getDelayedCalls():
            timer.cancel()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
