"""One run: a scenario, a strategy and a seed make a result."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Any, cast

from twisted.internet.defer import maybeDeferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from downloader import DownloadError, DownloadStatus
from harness.clock import DownloadClock
from harness.consumer import SimConsumer
from harness.escapes import EscapeError, no_escapes
from harness.files import file_of
from harness.grid import make_servers
from harness.reactor import SimReactor
from harness.result import Outcome, Result
from harness.streams import stream
from harness.subject import MisconductError, find_subject, is_other, name_of
from harness.trace import Trace
from scenarios.model import Scenario


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its result, and all that happened in it.

    `failure` is what the download failed with, if it did, and `timers_left` tells the timers
    of its own that were still to fire when it was over.
    """

    scenario: Scenario
    result: Result
    trace: Trace
    status: DownloadStatus | None
    failure: Exception | None = None
    timers_left: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Ending:
    """What is kept of a simulation when it is over. Times are in virtual seconds."""

    failure: BaseException | None
    finished: float | None
    ended: float
    dry: bool
    first: float | None
    content_ok: bool | None
    asked: int
    wrote: int
    status: DownloadStatus | None
    timers_left: Sequence[str]


def simulate(scenario: Scenario, strategy: str | Callable[..., Any], run: int = 0) -> Run:
    """Run one download in virtual time, with the scenario's seed for this run.

    `strategy` is one of ours, or another downloader: `package.module:callable`, `tahoe`, or the
    callable itself. Raises `SubjectError` if it is neither.
    """
    seed = scenario.seed + run
    trace = Trace()
    failures: list[BaseException] = []
    with _logged_errors(failures):
        ending = _play(scenario, strategy, seed, trace, failures)
    if not failures and ending.failure is not None:
        failures.append(ending.failure)
    failure = _one(failures) or _misconduct(scenario, ending)
    outcome: Outcome
    if failure is not None:
        outcome = "failed"
    elif ending.finished is not None:
        outcome = "ok"
    else:
        outcome = "stalled" if ending.dry else "deadline"
    status = ending.status
    result = Result(
        scenario=scenario.name,
        strategy=name_of(strategy),
        run=run,
        seed=seed,
        outcome=outcome,
        error=type(failure).__name__ if failure else None,
        message=str(failure) if failure else None,
        located=status.located if status else None,
        ttfb=ending.first,
        finished=ending.finished,
        ended=ending.ended,
        queries=trace.queries,
        reads=trace.reads,
        bytes_received=trace.bytes_received,
        shares_used=sorted(status.shares_used) if status else None,
        content_ok=ending.content_ok,
        digest=trace.digest(),
    )
    return Run(scenario, result, trace, status, failure, ending.timers_left)


def _play(
    scenario: Scenario,
    strategy: str | Callable[..., Any],
    seed: int,
    trace: Trace,
    failures: list[BaseException],
) -> _Ending:
    """Let everything happen. What is not returned, the reactor and the grid, is gone then."""
    subject = find_subject(strategy)
    reactor = SimReactor()
    clock = DownloadClock(reactor)
    file = file_of(scenario, seed)
    servers = make_servers(scenario, seed, file, reactor, trace)
    consumer = SimConsumer(
        reactor, file, scenario.file.offset, scenario.stop == "first-block", trace
    )
    finished: list[float] = []
    failed: list[BaseException] = []
    timers_left: list[str] = []

    def start() -> None:
        maybeDeferred(
            subject,
            clock,
            servers,
            file.cap,
            consumer,
            scenario.file.offset,
            scenario.file.length,
            stream(seed, "client", "choice"),
        ).addBoth(end)

    def end(outcome: Any) -> None:
        finished.append(reactor.seconds())
        timers_left.extend(map(str, clock.getDelayedCalls()))
        # What becomes of a download that was told to stop is its own affair, if it is not ours.
        if isinstance(outcome, Failure) and not (consumer.stopped and is_other(name_of(strategy))):
            failed.append(cast(BaseException, outcome.value))
        trace.note(reactor.seconds(), "raised" if failed else "fired", "the download")

    reactor.callWhenRunning(start)
    try:
        with no_escapes(name_of(strategy), seed, failures):
            reactor.run(installSignalHandlers=False, until=scenario.deadline)
    except ExceptionGroup as e:
        failures += e.exceptions
    except Exception as e:
        failures.append(e)
    for failure in failed:
        _forget_frames(failure)
    return _Ending(
        failure=failed[0] if failed else None,
        finished=finished[0] if finished else None,
        ended=float(reactor.env.now),
        dry=reactor.peek() == inf,
        first=consumer.first,
        content_ok=consumer.content_ok,
        asked=_asked(scenario, file.cap.size),
        wrote=consumer.wrote,
        status=getattr(consumer.producer, "status", None),
        timers_left=timers_left,
    )


def _asked(scenario: Scenario, size: int) -> int:
    """Return how many bytes are asked for, of a file of `size` bytes."""
    rest = size - scenario.file.offset
    return rest if scenario.file.length is None else min(rest, scenario.file.length)


def _misconduct(scenario: Scenario, ending: _Ending) -> MisconductError | None:
    """Return what a download did wrong that said that all was well."""
    if ending.finished is None:
        return None
    wrong = []
    if ending.wrote > ending.asked:
        wrong.append(f"wrote {ending.wrote} bytes, and {ending.asked} were asked for")
    if ending.wrote < (min(1, ending.asked) if scenario.stop == "first-block" else ending.asked):
        wrong.append(f"ended well after {ending.wrote} bytes of {ending.asked}")
    if ending.timers_left:
        wrong.append(f"left timers behind: {', '.join(ending.timers_left)}")
    return MisconductError("; ".join(wrong)) if wrong else None


def _one(failures: Sequence[BaseException]) -> Exception | None:
    """Return the failures as one; raise what is none of the download's, like Control-C."""
    errors = []
    for failure in failures:
        if not isinstance(failure, Exception):
            raise failure
        errors.append(failure)
    escapes = [error for error in errors if isinstance(error, EscapeError)]
    if escapes:  # whatever else went wrong may have come of it
        return escapes[0]
    if len(errors) > 1:
        return ExceptionGroup("several callbacks failed", errors)
    return errors[0] if errors else None


def _forget_frames(error: BaseException) -> None:
    """Let go of the frames that an error came through: they hold the whole simulation.

    An error that the downloader reports on purpose says all in its message. Where any other
    came from is kept, to be looked at.
    """
    if isinstance(error, DownloadError):
        error.__traceback__ = error.__context__ = error.__cause__ = None


#: Once in so many runs the garbage of the whole process is collected.
_FULL_COLLECTION = 500

_runs = count(1)


@implementer(ILogObserver)
class _Failures:
    """Keeps the errors that reach Twisted's log."""

    def __init__(self, failures: list[BaseException]) -> None:
        self._failures = failures

    def __call__(self, event: LogEvent) -> None:
        # What is logged in the old way, `twisted.python.log.err`, keeps its own key.
        failure = event.get("log_failure") or (event.get("isError") and event.get("failure"))
        if failure:
            self._failures.append(failure.value)


@contextmanager
def _logged_errors(failures: list[BaseException]) -> Iterator[None]:
    """Make errors that would only reach Twisted's log failures of the run."""
    observer = _Failures(failures)
    if next(_runs) % _FULL_COLLECTION == 0:
        gc.collect()  # what is set aside in every run is never looked through else
    # A Deferred logs its failure when it goes. What is there already is set aside, so that
    # none of it goes now, and that to look through what this run leaves takes no time. What
    # it leaves is let go now: later it would count among what is there already.
    gc.freeze()
    globalLogPublisher.addObserver(observer)
    try:
        yield
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(observer)
        gc.unfreeze()
