"""Checks of our own strategies, against their definitions and against their status.

Each returns a description of the violation, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from firstk.downloader import errors
from firstk.downloader.errors import NoSharesError, NotEnoughSharesError
from firstk.harness.fuzz.any_downloader import NEARLY, described
from firstk.harness.fuzz.observed import CheckedRun, hangs
from firstk.harness.run.under_test import MisconductError

#: The virtual time, in seconds, by which every strategy that can give up has done so.
_GENEROUS = 1e6


def documented(trial: CheckedRun) -> str | None:
    """Check that it raises and logs only what is documented."""
    failure = trial.run.failure
    allowed = NotEnoughSharesError if trial.case.honest else errors.DownloadError
    if failure is None or isinstance(failure, (allowed, MisconductError)):
        return None  # misconduct violates another invariant
    return described(trial.result)


def honest_shortage(trial: CheckedRun) -> str | None:
    """Check that a shortage error agrees with what servers have shown, and lists each server."""
    error = trial.run.failure
    if not isinstance(error, NotEnoughSharesError):
        return None
    shown, servers = len(trial.distinct()), len(trial.case.plans)
    if error.need != trial.case.file.cap.k or error.have >= error.need or error.have > shown:
        return f"{described(trial.result)}; servers have shown {shown} distinct shares"
    if isinstance(error, NoSharesError) != (error.have == 0):
        return f"{type(error).__name__} reported {error.have} good shares"
    if len(error.servers) != servers:
        return f"it reported {len(error.servers)} of {servers} servers"
    return None


def late_shortage(trial: CheckedRun) -> str | None:
    """Check that a shortage is reported only when no server may still add a share."""
    error, strategy = trial.run.failure, trial.strategy
    if not isinstance(error, NotEnoughSharesError) or error.silence is not None:
        return None
    enough = trial.known is not None and strategy.locating_ends == "k-distinct"
    if enough and strategy.late_answers == "ignored":
        return None
    finished = trial.result.finished or 0.0
    if trial.all_heard is None or trial.all_heard > finished:
        return f"{described(trial.result)}, after {finished:.9g} s, and not every server was heard"
    return None


def located(trial: CheckedRun) -> str | None:
    """Check that shares count as located once K of them are known, and are not read before."""
    expected = trial.known
    if trial.strategy.locating_ends == "all-answered" and expected is not None:
        expected = trial.all_heard
    if trial.run.status is not None and trial.result.located != expected:
        return f"located was {trial.result.located}, and should be {expected}"
    reads = [e.sent for e in trial.run.trace.exchanges if e.operation == "read"]
    if trial.phased and reads and (expected is None or min(reads) < expected):
        return f"it read already at {min(reads):.9g} s"
    return None


def counted(trial: CheckedRun) -> str | None:
    """Check that its status agrees with the servers' counts of requests and bytes."""
    status, totals = trial.run.status, trial.run.trace.totals()
    if status is None:
        return None
    ended = [e for e in trial.queries if e.ended is not None and not e.cancelled]
    right = sum(e.ok for e in ended)
    said = status.queries_sent, status.queries_answered, status.queries_failed, status.reads
    true = totals.queries, right, len(ended) - right, totals.reads
    if said != true:
        return f"it reported {said} queries sent, answered, failed, and reads; there were {true}"
    if status.bytes_received > totals.bytes_received or status.bytes_written != trial.wrote:
        return f"it reported {status.bytes_received} bytes received, {status.bytes_written} written"
    return None


def patient(trial: CheckedRun) -> str | None:
    """Check that it never waits longer than `give_up`."""
    give_up = trial.strategy.give_up
    if give_up is None:
        return None
    outcome, deadline = trial.result.outcome, trial.case.scenario.deadline
    if outcome == "stalled" or (outcome == "deadline" and deadline >= _GENEROUS):
        return described(trial.result)
    finished = trial.result.finished
    end = deadline if finished is None else finished
    times = [0.0, end]
    for exchange in trial.run.trace.exchanges:
        happened = (exchange.sent, *(exchange.arrivals or ()), exchange.ended)
        times += [t for t in happened if t is not None and t < end]
    times.sort()
    longest = max(b - a - _within(trial.pauses, a, b) for a, b in pairwise(times))
    if longest > give_up * NEARLY:
        return f"for {longest:.9g} s nothing happened"
    return None


def _within(pauses: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """Return the total duration of the pauses between two times, in seconds."""
    return sum(max(0.0, min(b, end) - max(a, begin)) for a, b in pauses)


def succeeds(trial: CheckedRun) -> str | None:
    """Check that it succeeds if its definition implies that."""
    if trial.result.outcome == "ok" or not _must_succeed(trial):
        return None
    if trial.result.outcome == "deadline" and (trial.silent or trial.paused):
        return None  # it may just be slow
    return described(trial.result)


def _must_succeed(trial: CheckedRun) -> bool:
    """Return whether the definition of the strategy implies success; False if uncertain."""
    case, k = trial.case, trial.case.file.cap.k
    if trial.strategy.hedge:
        return len(case.numbers(case.steady - _too_slow(trial))) >= k
    if any(hangs(case.plans[server], "read") for _, server, _ in trial.shown):
        return False
    match trial.strategy.locating_ends, trial.strategy.late_answers:
        case "all-answered", _:
            return trial.all_heard is not None and len(case.numbers(case.steady)) >= k
        case "k-distinct", "ignored":
            # It only uses the shares that it has located, so these must be good.
            known = trial.known
            return known is not None and all(
                s in case.steady for t, s, _ in trial.shown if t <= known
            )
    return len(case.numbers(case.steady)) >= k


def _too_slow(trial: CheckedRun) -> set[str]:
    """Return the servers that a download was still waiting for when it gave up."""
    error = trial.run.failure
    if not isinstance(error, NotEnoughSharesError) or error.silence is None:
        return set()
    finished = trial.result.finished or 0.0
    ends = ((e.server, e.ended) for e in trial.run.trace.exchanges)
    return {server for server, ended in ends if ended is None or ended >= finished}


def first_is_first(trial: CheckedRun) -> str | None:
    """Check that it locates no later than `wait-for-all`, if requests do not queue."""
    if trial.strategy.locating_ends != "k-distinct" or trial.case.queues:
        return None
    last = trial.case.run("wait-for-all").result.located
    if last is None or (trial.result.located is not None and trial.result.located <= last):
        return None
    return f"located was {trial.result.located}, and {last} with wait-for-all"
