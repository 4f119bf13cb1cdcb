"""The end of a run: its result, made of its trace and of what its downloads report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from firstk.downloader import DownloadStatus
from firstk.downloader.text import message_of
from firstk.harness.grid.trace import Trace
from firstk.harness.grid.untriggered import Unmet
from firstk.harness.kernel.escapes import EscapeError
from firstk.harness.kernel.raised import AbortedError, as_error, error_name
from firstk.harness.kernel.watchdog import StuckError
from firstk.harness.run.download import DownloadOutcome
from firstk.harness.run.result import WORST_FIRST, Outcome, Result
from firstk.harness.run.under_test import DownloaderSpec, MisconductError, name_of
from firstk.scenarios.model import Scenario, one_read

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
