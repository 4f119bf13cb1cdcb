"""One run: a scenario, a strategy and a seed make a result."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any, cast

from twisted.internet.defer import maybeDeferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from downloader import DownloadStatus, download
from harness.clock import DownloadClock
from harness.consumer import SimConsumer
from harness.files import file_of
from harness.grid import make_servers
from harness.reactor import SimReactor
from harness.result import Outcome, Result
from harness.streams import stream
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


def simulate(scenario: Scenario, strategy: str, run: int = 0) -> Run:
    """Run one download in virtual time, with the scenario's seed for this run."""
    seed = scenario.seed + run
    reactor = SimReactor()
    clock = DownloadClock(reactor)
    trace = Trace()
    file = file_of(scenario, seed)
    servers = make_servers(scenario, seed, file, reactor, trace)
    consumer = SimConsumer(
        reactor, file, scenario.file.offset, scenario.stop == "first-block", trace
    )
    ending: list[Any] = []
    finished: list[float] = []
    timers_left: list[str] = []

    def start() -> None:
        maybeDeferred(
            download,
            clock,
            servers,
            file.cap,
            consumer,
            strategy,
            scenario.file.offset,
            scenario.file.length,
            stream(seed, "client", "choice"),
        ).addBoth(end)

    def end(outcome: Any) -> None:
        finished.append(reactor.seconds())
        ending.append(outcome)
        timers_left.extend(map(str, clock.getDelayedCalls()))
        failed = isinstance(outcome, Failure)
        trace.note(reactor.seconds(), "raised" if failed else "fired", "the download")

    reactor.callWhenRunning(start)
    failures: list[BaseException] = []
    with _logged_errors(failures):
        try:
            reactor.run(installSignalHandlers=False, until=scenario.deadline)
        except ExceptionGroup as e:
            failures += e.exceptions
        except Exception as e:
            failures.append(e)
    if not failures and ending and isinstance(ending[0], Failure):
        failures.append(cast(BaseException, ending[0].value))
    failure = _one(failures)
    outcome: Outcome
    if failure is not None:
        outcome = "failed"
    elif ending:
        outcome = "ok"
    else:
        outcome = "stalled" if reactor.peek() == inf else "deadline"
    status: DownloadStatus | None = getattr(consumer.producer, "status", None)
    result = Result(
        scenario=scenario.name,
        strategy=strategy,
        run=run,
        seed=seed,
        outcome=outcome,
        error=type(failure).__name__ if failure else None,
        message=str(failure) if failure else None,
        located=status.located if status else None,
        ttfb=consumer.first,
        finished=finished[0] if finished else None,
        ended=float(reactor.env.now),
        queries=trace.queries,
        reads=trace.reads,
        bytes_received=trace.bytes_received,
        shares_used=sorted(status.shares_used) if status else None,
        content_ok=consumer.content_ok,
        digest=trace.digest(),
    )
    return Run(scenario, result, trace, status, failure, timers_left)


def _one(failures: Sequence[BaseException]) -> Exception | None:
    """Return the failures as one; raise what is none of the download's, like Control-C."""
    errors = []
    for failure in failures:
        if not isinstance(failure, Exception):
            raise failure
        errors.append(failure)
    if len(errors) > 1:
        return ExceptionGroup("several callbacks failed", errors)
    return errors[0] if errors else None


@contextmanager
def _logged_errors(failures: list[BaseException]) -> Iterator[None]:
    """Make errors that would only reach Twisted's log failures of the run."""

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            failures.append(failure.value)

    # A Deferred logs its failure when it goes. What is there already is set aside, so that
    # none of it goes now, and that to look through what this run leaves takes no time.
    gc.freeze()
    globalLogPublisher.addObserver(observe)
    try:
        yield
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(observe)
        gc.unfreeze()
