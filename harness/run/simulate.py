"""Running one download: from a scenario, a strategy and a seed to a result."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from math import inf
from threading import Lock
from typing import TYPE_CHECKING

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from firstk.downloader import DownloadStatus
from firstk.downloader.text import message_of
from firstk.harness.grid.build import make_servers
from firstk.harness.grid.client_machine import ClientMachine
from firstk.harness.grid.files import file_of
from firstk.harness.grid.trace import Trace
from firstk.harness.grid.untriggered import Unmet, untriggered_faults
from firstk.harness.kernel.interrupt import interruptible
from firstk.harness.kernel.isolation import EscapeError, isolated
from firstk.harness.kernel.raised import AbortedError, as_error, error_name
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.harness.kernel.watchdog import StuckError, check_timeout, watchdog
from firstk.harness.run.download import DownloadOutcome, SimulatedDownload
from firstk.harness.run.reads import SimulatedReads
from firstk.harness.run.result import WORST_FIRST, Outcome, Result
from firstk.harness.run.session import Session
from firstk.harness.run.under_test import (
    DownloaderError,
    DownloaderSpec,
    MisconductError,
    name_of,
)
from firstk.scenarios.model import Scenario, one_read
from firstk.scenarios.transport import TAHOE_HTTPS

if TYPE_CHECKING:
    from firstk.harness.run.over_https import OverNetwork


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its result, and a record of what happened in it.

    `trace` has all requests, and `status` is the downloader's own status, if it is firstk's.
    `failure` is the exception that the download failed with, if any. `timers_left` describes the
    downloader's timers that were still active when the download ended. `untriggered_faults` are
    the scenario's faults that met no request. `idle` is True if no events were left at the end.
    """

    scenario: Scenario
    result: Result
    trace: Trace
    status: DownloadStatus | None
    failure: Exception | None = None
    timers_left: Sequence[str] = ()
    untriggered_faults: Unmet = field(default_factory=dict)
    idle: bool = True
    network: OverNetwork | None = None


def simulate(
    scenario: Scenario, strategy: DownloaderSpec, run: int = 0, timeout: float | None = None
) -> Run:
    """Run one download in virtual time, with the scenario's seed for this run.

    `strategy` is one of firstk's strategies, or another downloader: `package.module:callable`,
    `tahoe`, or the callable itself. `run` is the number of the run, starting at 0. After `timeout`
    seconds of real time the run fails with a `StuckError`. A timeout requires the main thread and
    a system with `signal.setitimer`; otherwise `RuntimeError` is raised.

    Raises `DownloaderError` if the downloader is not found or cannot be tested, and `ValueError` if
    the scenario has a workload: use `firstk run` for it.

    >>> from firstk.scenarios.library import load_all
    >>> (scenario,) = load_all(["one-hung"])
    >>> simulate(scenario, "first-k").result.ttfb
    0.25
    >>> simulate(scenario, "wait-for-all").result.outcome
    'stalled'
    """
    return observe(scenario, strategy, run, timeout)


def observe(
    scenario: Scenario,
    strategy: DownloaderSpec,
    run: int = 0,
    timeout: float | None = None,
    look: Callable[[SimulatedDownload], None] = lambda download: None,
    *,
    sources: bool = False,
) -> Run:
    """Run one download as `simulate` does, and pass it to `look` at the end.

    `look` is called when no more events happen, before the simulation is discarded. With `sources`,
    the trace has the line that sent each request, for firstk's strategies too.
    """
    if scenario.workload is not None:
        raise ValueError(f"{scenario.name} has a [workload]: it is not a single download")
    check_timeout(timeout)
    seed = scenario.seed_of(run)
    if scenario.grid.transport == TAHOE_HTTPS:
        return _over_https(scenario, strategy, run, seed, timeout)
    failures: list[BaseException] = []
    with logged_errors(failures, scenario.grid.servers):
        trace, endings, unmet = _play(scenario, strategy, seed, failures, timeout, look, sources)
    if scenario.reads is not None:
        return finish_reads(scenario, strategy, run, seed, trace, endings, failures, unmet)
    return finish_run(scenario, strategy, run, seed, trace, endings[0], failures, unmet)


def _over_https(
    scenario: Scenario, strategy: DownloaderSpec, run: int, seed: int, timeout: float | None
) -> Run:
    """Run one download over Tahoe-LAFS's own HTTP; see `over_https`."""
    # Errors of servers reach Twisted's log too, so ignore it: `play` returns the client's errors.
    try:
        from firstk.harness.run.over_https import play
    except ModuleNotFoundError as e:
        raise DownloaderError(
            f'transport = "{TAHOE_HTTPS}": Tahoe-LAFS is not there ({e}); to install it:'
            " pip install 'firstk[tahoe]'"
        ) from e
    with logged_errors([]):
        played = play(scenario, strategy, seed, file_of(scenario), timeout)
    common = scenario, strategy, run, seed, played.trace
    if scenario.reads is not None:
        made = finish_reads(*common, played.outcomes, played.failures, played.untriggered_faults)
    else:
        made = finish_run(*common, played.outcomes[0], played.failures, played.untriggered_faults)
    return replace(made, network=played.network)


def _play(
    scenario: Scenario,
    strategy: DownloaderSpec,
    seed: int,
    failures: list[BaseException],
    timeout: float | None,
    look: Callable[[SimulatedDownload], None],
    sources: bool,
) -> tuple[Trace, list[DownloadOutcome], Unmet]:
    """Run the simulation, and return what is kept of it: not the reactor, nor the grid."""
    reactor = SimReactor()
    file = file_of(scenario)
    servers = make_servers(scenario, seed, file, reactor)
    machine = ClientMachine(reactor.env, scenario.client)
    listens = scenario.stop == "located"
    given = scenario, seed, strategy, reactor, file, servers
    session = Session(*given, machine=machine, listens=listens, sources=sources)
    reads = None if scenario.reads is None else SimulatedReads(session)
    start = SimulatedDownload(session).start if reads is None else reads.start
    reactor.callWhenRunning(start)
    try:
        with (
            watchdog(reactor, timeout, failures),
            interruptible(reactor),
            isolated(
                name_of(strategy),
                partial(stream, seed, "client", "random"),
                failures,
                clock=machine.read_clock,
            ),
        ):
            reactor.run(installSignalHandlers=False, until=scenario.deadline)
    except ExceptionGroup as e:
        failures += e.exceptions
    except Exception as e:
        failures.append(e)
    for one in _shown(session.downloads):
        look(one)
    session.drop_frames()
    idle = reactor.peek() == inf
    if reads is not None:
        failures += reads.errors
    endings = reads.endings(idle) if reads else [one.ending(idle) for one in session.downloads]
    return session.trace, endings, untriggered_faults(scenario, servers)


def _shown(downloads: Sequence[SimulatedDownload]) -> Sequence[SimulatedDownload]:
    """Return the download that shows what went wrong: the first unfinished one, or the last."""
    left = [one for one in downloads if one.finished is None]
    return left[:1] or downloads[-1:]


def finish_run(
    scenario: Scenario,
    strategy: DownloaderSpec,
    run: int,
    seed: int,
    trace: Trace,
    ending: DownloadOutcome,
    failures: Sequence[BaseException],
    untriggered_faults: Unmet | None = None,
) -> Run:
    """Return the finished run; `failures` are the errors that no Deferred reported."""
    own = [] if ending.failure is None else [ending.failure]
    if failures and not isinstance(ending.failure, AbortedError):
        own = []  # it may result from them
    failure = combine_failures([*failures, *own]) or _misconduct(ending, scenario.stop)
    outcome: Outcome
    if failure is not None:
        outcome = "failed"
    elif ending.finished is not None:
        outcome = "ok"
    else:
        outcome = "stalled" if ending.queue_empty else "deadline"
    status = ending.status
    requests, size = trace.most_outstanding()
    totals = trace.totals()
    result = Result(
        scenario=scenario.name,
        strategy=name_of(strategy),
        run=run,
        seed=seed,
        outcome=outcome,
        error=error_name(failure) if failure else None,
        message=message_of(failure) if failure else None,
        located=ending.located,
        ttfb=ending.first,
        finished=ending.finished,
        ended=ending.ended,
        queries=totals.queries,
        reads=totals.reads,
        bytes_received=totals.bytes_received,
        shares_used=sorted(status.shares_used) if status else None,
        content_ok=ending.content_ok,
        digest=trace.digest(),
        cancelled=totals.cancelled,
        bytes_saved=totals.bytes_saved,
        outstanding_max=requests,
        bytes_outstanding_max=size,
    )
    return Run(
        scenario,
        result,
        trace,
        status,
        failure,
        ending.timers_left,
        untriggered_faults or {},
        ending.queue_empty,
    )


def finish_reads(
    scenario: Scenario,
    strategy: DownloaderSpec,
    run: int,
    seed: int,
    trace: Trace,
    endings: Sequence[DownloadOutcome],
    failures: Sequence[BaseException],
    untriggered_faults: Unmet | None = None,
) -> Run:
    """Return the finished run of a scenario with several reads, all in one trace."""
    each = [
        finish_run(one_read(scenario, read), strategy, run, seed, trace, ending, [])
        for read, ending in zip(scenario.reads or (), endings, strict=True)
    ]
    outcomes = [one.result.outcome for one in each]
    failure = combine_failures(failures) or next((one.failure for one in each if one.failure), None)

    def times(key: str) -> list[float]:
        """Return the times of the reads that have this time, counted from the start of the run."""
        found = [getattr(ending, key) for ending in endings]
        return [
            ending.started + time
            for ending, time in zip(endings, found, strict=True)
            if time is not None
        ]

    used = [number for one in each for number in one.result.shares_used or ()]
    finished = times("finished")
    result = replace(
        each[0].result,
        outcome="failed" if failures else min(outcomes, key=WORST_FIRST.index),
        outcomes=outcomes,
        error=error_name(failure) if failure else None,
        message=message_of(failure) if failure else None,
        located=min(times("located"), default=None),
        ttfb=min(times("first"), default=None),
        finished=max(finished) if len(finished) == len(each) else None,
        ended=max(times("ended")),
        shares_used=sorted(set(used)) if each[0].status else None,
        content_ok=_all_ok([one.result.content_ok for one in each]),
    )
    return replace(
        each[0],
        scenario=scenario,
        result=result,
        failure=failure,
        timers_left=each[-1].timers_left,
        untriggered_faults=untriggered_faults or {},
    )


def _all_ok(checked: Sequence[bool | None]) -> bool | None:
    """Return whether all contents that were checked are correct; None if none were checked."""
    return None if all(one is None for one in checked) else False not in checked


def _misconduct(ending: DownloadOutcome, stop: str) -> MisconductError | None:
    """Return what a download that reported success did wrong, or None.

    `stop` says how much of the requested range it had to write.
    """
    if ending.finished is None:
        return None
    least = ending.asked
    if stop == "first-block":
        least = min(1, least)
    elif (stop == "located" and ending.stopped) or ending.cancelled:
        least = 0
    wrong = list(ending.misconduct)
    if ending.wrote > ending.asked:
        wrong.append(f"wrote {ending.wrote} bytes where {ending.asked} were requested")
    if ending.wrote < least:
        wrong.append(f"reported success after writing {ending.wrote} of {ending.asked} bytes")
    if ending.timers_left:
        wrong.append(f"left timers running: {', '.join(ending.timers_left)}")
    return MisconductError("; ".join(wrong)) if wrong else None


def combine_failures(failures: Sequence[BaseException]) -> Exception | None:
    """Combine the failures into one exception; None if there are none."""
    errors = [as_error(failure) for failure in failures]
    for kind in (EscapeError, StuckError, AbortedError):
        for error in errors:
            if isinstance(error, kind):  # whatever else went wrong may result from it
                return error
    if len(errors) > 1:
        return ExceptionGroup("several callbacks failed", errors)
    return errors[0] if errors else None


#: Once per this many runs, the garbage of the whole process is collected if there may be much.
_FULL_COLLECTION = 500

#: How many objects a run may allocate before the garbage collector starts, at the least and for
#: each server: most of a run's objects live until its end.
_YOUNG = 20_000
_YOUNG_PER_SERVER = 10

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
            gc.collect(1 if _collections() == before else 2)
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
