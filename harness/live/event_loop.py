"""Runs finite work in Twisted's real reactor."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

T = TypeVar("T")


def run_in_reactor(work: Callable[[Any], Deferred[T]]) -> T:
    """Run Twisted's reactor until the Deferred that `work(reactor)` returns has fired.

    Returns its result, or raises its error. Ctrl-C cancels the Deferred, and raises
    `KeyboardInterrupt` once it has fired. A process can make only one call: Twisted's reactor
    cannot be restarted.
    """
    from twisted.internet import reactor as found

    reactor: Any = found
    outcomes: list[Any] = []

    def begin() -> None:
        working = maybeDeferred(work, reactor)

        def stop_work() -> Deferred[None]:
            stopped: Deferred[None] = Deferred()
            if outcomes:
                stopped.callback(None)
            else:
                working.addCallback(lambda _: stopped.callback(None))
                interrupted.append(True)
                working.cancel()
            return stopped

        working.addBoth(outcomes.append)
        reactor.addSystemEventTrigger("before", "shutdown", stop_work)
        working.addCallback(lambda _: reactor.stop() if not interrupted else None)

    interrupted: list[bool] = []
    reactor.callWhenRunning(begin)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        reactor.run()
    finally:
        for number, handler in handlers.items():  # the reactor leaves its own
            signal.signal(number, handler)
    if interrupted or not outcomes:
        raise KeyboardInterrupt
    if isinstance(outcomes[0], Failure):
        outcomes[0].raiseException()
    result: T = outcomes[0]
    return result
