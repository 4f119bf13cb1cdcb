"""Checks of downloads by other downloaders that failed although K good shares were there.

Each returns a description of the violation, or None.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import zfec
from twisted.internet.defer import AlreadyCalledError, FirstError

from firstk.harness.fuzz.any_downloader import described
from firstk.harness.fuzz.observed import CheckedRun
from firstk.harness.grid.trace import Exchange
from firstk.harness.run.result import Result
from firstk.harness.run.under_test import MisconductError

#: An answer within `_PROMPT` virtual seconds is not late for any sensible timeout. A download that
#: fails within `_SOON` has not exhausted its overall timeout.
_PROMPT, _SOON = 0.5, 10.0

#: The errors that nobody raises on purpose because shares are missing.
_MISTAKES = (
    *(ArithmeticError, AssertionError, AttributeError, IndexError, KeyError, NameError),
    *(RecursionError, TypeError, AlreadyCalledError, zfec.Error),
)


def honest_failure(trial: CheckedRun) -> str | None:
    """Check that it does not fail early if it knew K good shares.

    The shares are on servers without a fault that have answered promptly. Those that were shown
    after its first read count only if it has read from such shares: many downloaders do not.
    """
    if trial.end != "raised" or trial.aborted or trial.pauses:
        return None
    client = trial.case.scenario.client
    if client is not None and client.takes_time:
        return None  # its own timers may have been late
    if isinstance(trial.run.failure, MisconductError) or (trial.result.finished or inf) > _SOON:
        return None
    late = {e.server for e in trial.run.trace.exchanges if _is_late(e, trial.result)}
    at_hand = _known(trial, trial.case.well - late)
    if len(at_hand) < trial.case.file.cap.k:
        return None
    return f"{described(trial.result)}, and it knew {len(at_hand)} good shares"


def _is_late(exchange: Exchange, result: Result) -> bool:
    end = result.ended if result.finished is None else result.finished
    ended = end if exchange.ended is None else min(end, exchange.ended)
    return ended - exchange.sent > _PROMPT


def _known(trial: CheckedRun, servers: set[str]) -> set[int]:
    """Return the shares on some servers that the download knew, and was willing to use."""
    early: set[int] = set()
    later: set[int] = set()
    shown_later: set[str] = set()
    reads = uses_later = False
    for event in trial.run.trace.events:
        exchange = event.exchange
        if event.kind == "raised":
            break
        if exchange is None:
            continue
        if exchange.operation == "read":
            reads = True
            uses_later |= event.kind == "sent" and exchange.server in shown_later
        elif event.kind == "answered" and exchange.operation == "get_buckets":
            if reads:
                shown_later.add(exchange.server)
            if exchange.server in servers:
                (later if reads else early).update(exchange.shares)
    return early | later if uses_later else early


def no_crash(trial: CheckedRun) -> str | None:
    """Check that no mistake of the program ends a download for which K good shares exist."""
    case, error = trial.case, trial.run.failure
    if trial.end != "raised" or error is None or len(case.numbers(case.well)) < case.file.cap.k:
        return None
    mistakes = (one for one in _causes(error) if _is_mistake(one))
    return described(trial.result) if next(mistakes, None) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and those that it wraps."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    elif isinstance(error, FirstError) and error.subFailure.value is not None:
        yield from _causes(error.subFailure.value)


def _is_mistake(error: BaseException) -> bool:
    ended = isinstance(error, RuntimeError) and isinstance(
        error.__cause__, StopIteration | StopAsyncIteration
    )
    return ended or isinstance(error, _MISTAKES)
