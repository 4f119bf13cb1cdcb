"""Checks that fit any downloader: they look only at its requests, its bytes and its end.

Each returns a description of what happened instead, or None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf

from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost

from firstk.downloader.errors import DownloadError
from firstk.downloader.ueb import URIExtension
from firstk.harness.fuzz.observed import CheckedRun, hangs
from firstk.harness.fuzz.rereads import Reread
from firstk.harness.grid.trace import Exchange
from firstk.harness.kernel.isolation import EscapeError
from firstk.harness.kernel.raised import ExitError, where
from firstk.harness.run.bound_needs import reads_at_once, ueb_of
from firstk.harness.run.result import Result
from firstk.harness.run.under_test import MisconductError

#: Sums of times may differ in the last bits.
NEARLY = 1 + 1e-9

#: So many bytes of a share may be read again: some read a header, and then all that it begins.
_AGAIN = 128

#: How many reads of one share do for any file, how many more for each segment (a block, and what
#: its hashes need), and of how many bytes each further one is.
_READS, _READS_PER_SEGMENT, _BYTES_PER_READ = 32, 8, 1024

#: An answer in this time, in virtual seconds, is late for no time-out that makes sense, and a
#: download that fails within `_SOON` has not used up its patience as a whole.
_PROMPT, _SOON = 0.5, 10.0

#: One run in so many is made twice, of a single subject.
_TURNS = 4


def described(result: Result) -> str:
    """Return a description of how a run ended."""
    match result.outcome:
        case "failed":
            return f"it failed with {result.error}: {result.message}"
        case "stalled":
            return f"it stalled: nothing was left to happen after {result.ended:.9g} s"
        case "deadline":
            return f"it was still busy at the deadline, after {result.ended:.9g} s"
    return f"it succeeded after {result.ended:.9g} s"


def in_simulation(trial: CheckedRun) -> str | None:
    """Check that it reaches for no real clock, socket or thread, and does not end the process."""
    error = trial.run.failure
    return _message(error) if isinstance(error, EscapeError | ExitError) else None


def moves_on(trial: CheckedRun) -> str | None:
    """Check that it neither repeats something at one virtual time, nor runs on in real time."""
    if not trial.aborted or in_simulation(trial):
        return None
    return _message(trial.run.failure)


def right_bytes(trial: CheckedRun) -> str | None:
    """Check that every byte that it writes is the file's."""
    if trial.case.honest and trial.result.content_ok is False:
        return "a wrong byte was written"
    return None


def all_bytes(trial: CheckedRun) -> str | None:
    """Check that a download that reports success has written what was asked for, and no more."""
    if trial.end != "fired":
        return None
    least = {"complete": trial.asked, "first-block": min(1, trial.asked)}
    if not least.get(trial.case.scenario.stop, 0) <= trial.wrote <= trial.asked:
        return f"it reported success after writing {trial.wrote} of {trial.asked} bytes"
    used, k = trial.result.shares_used, trial.case.file.cap.k
    if trial.result.outcome == "ok" and trial.wrote and used is not None and len(used) < k:
        return f"it used {len(used)} shares of a file that needs {k}"
    return None


def over(trial: CheckedRun) -> str | None:
    """Check that once it has ended it has no timer, sends nothing and writes nothing."""
    if trial.run.timers_left:
        return f"left over: {', '.join(trial.run.timers_left)}"
    kinds = [event.kind for event in trial.run.trace.events]
    ends = [i for i, kind in enumerate(kinds) if kind in ("fired", "raised")]
    if len(ends) > 1:
        return f"it ended {len(ends)} times"
    after = [kind for kind in kinds[ends[0] + 1 :] if kind in ("sent", "wrote")] if ends else []
    return f"it {after[0]} something afterwards" if after else None


def conduct(trial: CheckedRun) -> str | None:
    """Check that it breaks no other rule of `IConsumer`."""
    error = trial.run.failure
    if not isinstance(error, MisconductError) or all_bytes(trial) or over(trial):
        return None
    return str(error)


def heeds_pauses(trial: CheckedRun) -> str | None:
    """Check that a paused producer writes nothing."""
    paused = False
    for event in trial.run.trace.events:
        match event.kind:
            case "paused" | "resumed":
                paused = event.kind == "paused"
            case "wrote" if paused:
                return f"it wrote while it was paused: {event.text}"
    return None


def quiet(trial: CheckedRun) -> str | None:
    """Check that nothing is raised in a callback, or logged, by a download that ends well."""
    if trial.logged is None or trial.end != "fired" or trial.result.content_ok is False:
        return None
    return f"an error was logged: {_message(trial.logged)}"


def _lost_any(trial: CheckedRun) -> bool:
    """Return whether a connection was lost."""
    return any(not e.ok and e.error in _LOST for e in trial.run.trace.exchanges)


#: What a request says that failed with its connection.
_LOST = {str(ConnectionLost()), str(ConnectionDone()), str(ConnectError())}  # type: ignore[no-untyped-call]


def honest_silence(trial: CheckedRun) -> str | None:
    """Check that a stalled download has asked a server that never answers.

    One of ours that is busy at the deadline has an answer to come, or is paused, or is about to
    ask a server again whose connection was lost.
    """
    silent = trial.silent
    if trial.stalled:
        plans = trial.case.plans
        silent = [e for e in silent if hangs(plans[e.server], e.operation, e.share)]
        if trial.other and trial.stopped:
            return None  # nobody waits for it any more
    elif trial.result.outcome != "deadline" or trial.paused or trial.other:
        return None  # another downloader may be busy with timers of its own
    elif trial.strategy is not None and trial.strategy.asks_again and _lost_any(trial):
        return None
    return None if silent else f"{described(trial.result)}, and every server has answered"


def honest_failure(trial: CheckedRun) -> str | None:
    """Check that it does not fail early, with K good shares known before it began to read.

    They are on servers without a fault, each of which has answered promptly.
    """
    if trial.end != "raised" or trial.aborted or trial.pauses:
        return None
    if isinstance(trial.run.failure, MisconductError) or (trial.result.finished or inf) > _SOON:
        return None
    late = {e.server for e in trial.run.trace.exchanges if _is_late(e, trial.result)}
    at_hand = _known_before_reading(trial, trial.case.well - late)
    if len(at_hand) < trial.case.file.cap.k:
        return None
    return f"{described(trial.result)}, and it knew {len(at_hand)} good shares"


def _is_late(exchange: Exchange, result: Result) -> bool:
    end = result.ended if result.finished is None else result.finished
    ended = end if exchange.ended is None else min(end, exchange.ended)
    return ended - exchange.sent > _PROMPT


def _known_before_reading(trial: CheckedRun, servers: set[str]) -> set[int]:
    """Return the shares on some servers that had been shown when the first read was sent.

    What is shown later may be ignored: the first K do for many a downloader.
    """
    known: set[int] = set()
    for event in trial.run.trace.events:
        exchange = event.exchange
        if exchange is None:
            continue
        if exchange.operation == "read":
            break
        if event.kind == "answered" and exchange.server in servers:
            known.update(exchange.shares)
    return known


def survives(trial: CheckedRun) -> str | None:
    """Check that it does not fail or stall, with K good shares on servers that have no fault."""
    case, end = trial.case, trial.result.outcome
    if len(case.numbers(case.well)) < case.file.cap.k or trial.end == "fired" or trial.stopped:
        return None
    if end == "deadline" and (trial.silent or trial.paused):
        return None  # it may be that all is slow
    return described(trial.result)


def no_rereads(trial: CheckedRun) -> str | None:
    """Check that it asks for nothing again that it was given, unless something failed since.

    What a guess has brought too much may be read again once. `windowed` reads as Tahoe-LAFS does,
    which forgets what it does not need yet.
    """
    if trial.subject == "windowed":
        return None
    return _read_again(trial.rereads)


def reads_once(trial: CheckedRun) -> str | None:
    """Check that it asks for nothing again, not even for what a guess has brought."""
    return _read_again(trial.all_rereads)


def _read_again(found: Sequence[Reread]) -> str | None:
    again: Counter[tuple[str, int | None]] = Counter()
    for exchange, size in found:
        again[exchange.server, exchange.share] += size
    for (server, share), size in again.items():
        if size > _AGAIN:
            times = sum((e.server, e.share) == (server, share) for e, _ in found)
            what = f"{size} bytes of share {share} on {server}"
            return f"{what} were asked for again, in {times} reads"
    return None


def few_reads(trial: CheckedRun) -> str | None:
    """Check that it reads each share in a number of reads that fits the size of the share."""
    if trial.subject == "windowed":  # it asks for what is not there as often as Tahoe-LAFS
        return None
    exchanges = trial.run.trace.exchanges
    failures = sum(e.ended is not None and (not e.ok or e.corrupt) for e in exchanges)
    segments = _segmentation(trial).num_segments
    for (server, share), reads in trial.reads.items():
        size = len(trial.case.file.shares.get(share or 0, b""))
        most = _READS + _READS_PER_SEGMENT * segments + size // _BYTES_PER_READ
        if len(reads) > most * (1 + failures):
            return f"{len(reads)} reads of share {share} on {server}, which has {size} bytes"
    return None


def same_again(trial: CheckedRun) -> str | None:
    """Check that a second run has the same result."""
    case, subjects = trial.case, trial.case.scenario.strategies
    turn = case.seed % max(len(subjects), _TURNS)
    if turn >= len(subjects) or trial.subject != subjects[turn]:
        return None  # now and then, as it takes another run
    again = case.run_again(trial.subject).result
    return None if again == trial.result else f"the second time {described(again)}"


def not_early(trial: CheckedRun) -> str | None:
    """Check that it is neither earlier than the clairvoyant bound, nor cheaper."""
    result = trial.result
    if result.ttfb is None or not trial.case.honest or not _in_class_of_bound(trial):
        return None
    least = trial.case.bound
    if least.ttfb is None:
        return f"the first byte came after {result.ttfb:.9g} s, and there can be none"
    if least.ttfb > result.ttfb * NEARLY:
        return f"the first byte came after {result.ttfb:.9g} s, not {least.ttfb:.9g} s or more"
    if result.outcome == "ok" and result.requests < (least.requests or 0):
        return f"it took {result.requests} requests, not {least.requests} or more"
    if result.outcome == "ok" and result.bytes_received < (least.bytes or 0):
        return f"it took {result.bytes_received} bytes, not {least.bytes} or more"
    return None


def _in_class_of_bound(trial: CheckedRun) -> bool:
    """Return whether the download is one that the clairvoyant bound is about."""
    if not trial.other:
        return True
    queries = Counter(e.server for e in trial.queries)
    most = reads_at_once(trial.case.file.cap, _segmentation(trial))
    return max(queries.values(), default=0) <= 1 and all(
        _is_orderly(reads, most) for reads in trial.reads.values()
    )


def _is_orderly(reads: list[Exchange], most: int) -> bool:
    """Return whether at most so many of a share's reads are under way at once, of other bytes."""
    for i, read in enumerate(reads):
        under_way = [r for r in reads[:i] if r.ended is None or r.ended > read.sent]
        end = read.offset + read.length
        if len(under_way) >= most or any(
            r.offset < end and read.offset < r.offset + r.length for r in under_way
        ):
            return False
    return True


def _segmentation(trial: CheckedRun) -> URIExtension:
    return ueb_of(trial.case.file)


def _message(error: Exception | None) -> str:
    text = f"{type(error).__name__}: {error}"
    place = where(error) if error is not None else None
    return f"{text} (raised at {place})" if place else text


def last_heard(trial: CheckedRun) -> str:
    """Return where it was: what it failed with, or the line whose request was answered last."""
    error = trial.run.failure
    if error is not None and not isinstance(error, MisconductError | DownloadError):
        return f"{type(error).__name__} at {where(error)}"
    heard = [e for e in trial.run.trace.events if e.kind in ("answered", "failed")]
    source = heard[-1].exchange.source if heard and heard[-1].exchange else None
    return str(source or "")


def reading_again(trial: CheckedRun) -> str:
    """Return the line that sends the first read of bytes that were there."""
    return next((str(again.exchange.source or "") for again in trial.all_rereads), "")
