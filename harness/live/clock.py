"""The clock of one live run: the real one, which begins at 0."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer


@implementer(IReactorTime)
class RunClock:
    """A reactor for a downloader: its time is that of the run, and its timers are known.

    All code of the download runs in a context of its own (`run`), as in a simulation. All else is
    asked of the real reactor.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._context = copy_context()
        self._start = time.monotonic()
        self._timers: dict[IDelayedCall, None] = {}

    def restart(self) -> None:
        """Let the run begin now."""
        self._start = time.monotonic()

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function as code of the download."""
        try:
            return self._context.run(function, *args)
        except RuntimeError as e:
            if "already entered" not in str(e):
                raise
            return function(*args)  # it is the download's own code that calls this

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
        """Return the download's timers that are still to fire."""
        return [timer for timer in self._timers if timer.active()]

    def cancel_all(self) -> None:
        """Cancel all of them: the run is over."""
        for timer in self.getDelayedCalls():
            timer.cancel()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
