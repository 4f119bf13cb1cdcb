"""The result of one run, and its comparison with the expectations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from firstk.downloader import errors
from firstk.scenarios.model import Expectation

Outcome = Literal["ok", "failed", "stalled", "deadline"]

#: From the worst outcome of several to the best.
WORST_FIRST: tuple[Outcome, ...] = ("stalled", "deadline", "failed", "ok")


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one download. Times are in virtual seconds, sizes in bytes.

    `outcome` is `ok`; `failed` (`error` is the name of the exception's class, `message` its text);
    `stalled` (no events were left but the download was not over: it would have hung forever); or
    `deadline` (it was still busy at the scenario's deadline).

    `located` is when K distinct share numbers were known and, for strategies with phases, phase 1
    ended. `ttfb` is the time to first byte at the consumer, and `finished` is when the download
    ended. Each is None if it never happened. `ended` is when the last event happened.

    `content_ok` says whether all bytes that were written are correct. It is None if no bytes were
    written, or if they were not checked (see `GridFile`). `digest` is the SHA-256 of the trace of
    all events.

    `cancelled` is the number of requests that the downloader cancelled, and `bytes_saved` the
    number of bytes of their answers that were never sent; bytes that were sent count as received.
    `outstanding_max` is the maximum number of requests outstanding at one time, and
    `bytes_outstanding_max` the maximum number of bytes requested by outstanding reads.

    If the scenario has several reads, `outcomes` has the outcome of each, and the other fields
    summarise them: `outcome` is the worst, `ttfb` is that of the earliest first byte, and
    `finished` is when the last read ended.
    """

    scenario: str
    strategy: str
    run: int
    seed: int
    outcome: Outcome
    error: str | None
    message: str | None
    located: float | None
    ttfb: float | None
    finished: float | None
    ended: float
    queries: int
    reads: int
    bytes_received: int
    shares_used: list[int] | None
    content_ok: bool | None
    digest: str
    cancelled: int = 0
    bytes_saved: int = 0
    outstanding_max: int = 0
    bytes_outstanding_max: int = 0
    outcomes: list[Outcome] | None = None

    @property
    def load(self) -> None:
        """None: this is the result of one download, not of a workload as in some stores."""
        return None

    @property
    def requests(self) -> int:
        """The number of requests sent: queries and reads."""
        return self.queries + self.reads


def unmet(expected: Expectation, result: Result) -> Iterator[str]:
    """Yield a sentence for each expectation that the result does not meet.

    It is always expected that no wrong bytes are written.
    """
    if expected.outcome is not None and result.outcome != expected.outcome:
        yield f"expected outcome {expected.outcome!r}, got {result.outcome!r}" + (
            f" ({result.error}: {result.message})" if result.error else ""
        )
    if expected.error is not None and not _is_error(result.error, expected.error):
        yield f"expected the error {expected.error}, got {result.error or 'none'}"
    if expected.message is not None and expected.message not in (result.message or ""):
        yield f"expected the message to contain {expected.message!r}, got {result.message!r}"
    bounds = (expected.ttfb, expected.ttfb_min, expected.ttfb_max)
    if result.ttfb is None:
        if any(bound is not None for bound in bounds):
            yield "expected a first byte, but none came"
    else:
        # Sums of times may differ in the last bits, so a time that is close to a bound meets it.
        near = [b is not None and math.isclose(result.ttfb, b, rel_tol=1e-9) for b in bounds]
        got = f"the first byte came after {result.ttfb:.9g} s"
        if expected.ttfb is not None and not near[0]:
            yield f"expected {expected.ttfb} s: {got}"
        if expected.ttfb_min is not None and result.ttfb < expected.ttfb_min and not near[1]:
            yield f"expected {expected.ttfb_min} s or more: {got}"
        if expected.ttfb_max is not None and result.ttfb > expected.ttfb_max and not near[2]:
            yield f"expected {expected.ttfb_max} s or less: {got}"
    if result.content_ok is False:  # whatever else is expected
        yield "expected the file's bytes, and wrong ones were written"
    if expected.requests_max is not None and result.requests > expected.requests_max:
        yield f"expected {expected.requests_max} requests or fewer, and {result.requests} were sent"
    if expected.outcomes is not None and result.outcomes != expected.outcomes:
        got = "they are not several" if result.outcomes is None else f"got {result.outcomes}"
        yield f"expected the outcomes {expected.outcomes} of reads, and {got}"
    for key, unit in ("outstanding_max", "requests"), ("bytes_outstanding_max", "bytes"):
        most, got = getattr(expected, key), getattr(result, key)
        if most is not None and got > most:
            yield f"expected {most} {unit} outstanding at a time or fewer, and there were {got}"


def _is_error(name: str | None, expected: str) -> bool:
    """Return whether the error class `name` is the expected one, or inherits from it."""
    kind = getattr(errors, name or "", None)
    return expected in [name, *(base.__name__ for base in getattr(kind, "__mro__", ()))]
