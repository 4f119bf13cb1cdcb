"""Errors that a run loses: they reach only Twisted's log, some of them as garbage is collected.

Garbage is collected less often during a run, and at its end.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from threading import Lock

from twisted.logger import ILogObserver, LogEvent, globalLogBeginner, globalLogPublisher
from zope.interface import implementer

#: Once per this many runs, the garbage of the whole process is collected if there may be much.
_FULL_COLLECTION = 500

#: How many objects a run may allocate before the garbage collector starts, at the least and for
#: each server: most of a run's objects live until its end.
_YOUNG = 20_000
_YOUNG_PER_SERVER = 10

#: The generation that has all objects of a short run. From 3.14 on, a collection of generation 1
#: is only a part of one.
_YOUNGER = 1 if sys.version_info < (3, 14) else 2

_runs = count(1)
_old = 0  # the number of objects after the last collection of them all


@implementer(ILogObserver)
class _Failures:
    """Keeps the errors that reach Twisted's log."""

    def __init__(self, failures: list[BaseException]) -> None:
        self._failures = failures

    def __call__(self, event: LogEvent) -> None:
        # Events of the legacy `twisted.python.log.err` use a key of their own.
        failure = event.get("log_failure") or (event.get("isError") and event.get("failure"))
        if failure:
            self._failures.append(failure.value)


@contextmanager
def logged_errors(failures: list[BaseException], servers: int = 0) -> Iterator[None]:
    """Record errors that would otherwise only reach Twisted's log as failures of the run.

    Garbage is collected less often meanwhile, depending on the number of servers.
    """
    if next(_runs) % _FULL_COLLECTION == 0:
        _collect_old()
    # A Deferred logs its failure when it is garbage-collected. Freeze the existing objects, so that
    # none of them is collected during the run, and the collection after it is fast. Collect the
    # run's own garbage before the end: later it would be among the existing objects.
    gc.freeze()
    before = _collections()
    try:
        with _garbage.kept(max(_YOUNG, _YOUNG_PER_SERVER * servers)), observed(failures):
            yield
            # Most runs are so short that all of their objects are young.
            gc.collect(_YOUNGER if _collections() == before else 2)
    finally:
        gc.unfreeze()


def _collections() -> int:
    """Return how often objects that are not young have been collected."""
    return sum(generation["collections"] for generation in gc.get_stats()[1:])


def _collect_old() -> None:
    """Collect the garbage of the whole process, if it has become larger by a quarter.

    Runs freeze it and collect their own, so the garbage collector itself never gets that far.
    """
    global _old
    if len(gc.get_objects()) > 1.25 * _old:
        gc.collect()
        _old = len(gc.get_objects())


class _Garbage:
    """Makes garbage collection less frequent while a run is in progress in any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs = 0
        self._before = self._during = gc.get_threshold()

    @contextmanager
    def kept(self, most: int) -> Iterator[None]:
        """Let `most` objects be allocated before the garbage collector starts."""
        with self._lock:
            if self._runs == 0:
                young, *older = self._before = gc.get_threshold()
                gc.set_threshold(young and max(young, most), *older)
                self._during = gc.get_threshold()
            self._runs += 1
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if self._runs == 0 and gc.get_threshold() == self._during:
                    gc.set_threshold(*self._before)


_garbage = _Garbage()


@contextmanager
def observed(failures: list[BaseException]) -> Iterator[None]:
    """Record the errors that reach Twisted's log in this context."""
    observer = _Failures(failures)
    globalLogPublisher.addObserver(observer)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observer)


@cache  # to begin to log twice is a warning
def keep_log_off_stderr() -> None:
    """Stop Twisted from printing critical events to standard error, in this whole process.

    Twisted does so until a program begins to log. Of a run, these events are failures, which are
    reported as such.
    """
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)
