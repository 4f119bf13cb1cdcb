"""Checks that fit any downloader: they use only its requests, its bytes and how it ended.

Each returns a description of the violation, or None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost

from firstk.downloader.errors import DownloadError
from firstk.downloader.ueb import URIExtension
from firstk.harness.fuzz.observed import CheckedRun, hangs
from firstk.harness.fuzz.rereads import Reread
from firstk.harness.grid.trace import Exchange
from firstk.harness.kernel.escapes import EscapeError
from firstk.harness.kernel.raised import ExitError, where
from firstk.harness.kernel.watchdog import StuckError
from firstk.harness.run.bound_needs import reads_at_once, ueb_of
from firstk.harness.run.result import Result
from firstk.harness.run.under_test import MisconductError

#: The relative tolerance of times: sums may differ in the last bits.
NEARLY = 1 + 1e-9

#: How many bytes of a share may be read again: some read a header, then everything from its start.
_AGAIN = 128

#: The permitted number of reads of one share: a base for any file, a number per segment (for a
#: block and its hashes), and the number of bytes per further read.
_READS, _READS_PER_SEGMENT, _BYTES_PER_READ = 32, 8, 1024

#: At most this many failures each permit reading a whole share once more.
_FAILURES = 10

#: One scenario in this many is run twice, if it has a single subject.
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
    """Check that it uses no real clock, socket or thread, and does not end the process."""
    error = trial.run.failure
    return _message(error) if isinstance(error, EscapeError | ExitError) else None


def moves_on(trial: CheckedRun) -> str | None:
    """Check that it neither loops at one virtual time nor runs on in real time."""
    if not trial.aborted or in_simulation(trial):
        return None
    return _message(trial.run.failure)


def right_bytes(trial: CheckedRun) -> str | None:
    """Check that every byte that it writes is correct."""
    if trial.case.honest and trial.result.content_ok is False:
        return "a wrong byte was written"
    return None


def all_bytes(trial: CheckedRun) -> str | None:
    """Check that a download that reports success has written exactly the requested bytes."""
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
    """Check that once it has ended it has no timers, sends nothing and writes nothing."""
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
    if not isinstance(error, MisconductError):
        return None
    if not trial.several and (all_bytes(trial) or over(trial)):
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
    """Check that a successful download raises nothing in a callback, and logs no error."""
    if trial.logged is None or trial.end != "fired" or trial.result.content_ok is False:
        return None
    return f"an error was logged: {_message(trial.logged)}"


def _lost_any(trial: CheckedRun) -> bool:
    """Return whether any request failed because a connection was lost."""
    return any(not e.ok and e.error.startswith(_LOST) for e in trial.run.trace.exchanges)


#: How the errors of requests begin that failed because of their connection; a reason may follow.
_LOST = tuple(str(error()).rstrip(".") for error in (ConnectionLost, ConnectionDone, ConnectError))


def honest_silence(trial: CheckedRun) -> str | None:
    """Check that a stalled download has an outstanding request to a server that never answers.

    A strategy that is busy at the deadline must have an outstanding request, be paused, or be
    about to ask a server again whose connection was lost.
    """
    silent = trial.silent
    if trial.stalled:
        plans = trial.case.plans
        silent = [e for e in silent if hangs(plans[e.server], e.operation, e.share)]
        if trial.other and trial.stopped:
            return None  # the consumer has stopped the download
    elif trial.result.outcome != "deadline" or trial.paused or trial.other:
        return None  # another downloader may be busy with its own timers
    elif trial.strategy is not None and trial.strategy.asks_again and _lost_any(trial):
        return None
    return None if silent else f"{described(trial.result)}, and every server has answered"


def survives(trial: CheckedRun) -> str | None:
    """Check that it succeeds with K good shares on servers that have no fault."""
    case, end = trial.case, trial.result.outcome
    if len(case.numbers(case.well)) < case.file.cap.k or trial.end == "fired" or trial.stopped:
        return None
    if end == "deadline" and (trial.silent or trial.paused):
        return None  # it may just be slow
    return described(trial.result)


def no_rereads(trial: CheckedRun) -> str | None:
    """Check that it does not read bytes again, unless something has failed since.

    Excess bytes of a speculative read may be read again once.
    """
    return None if _reads_as_tahoe(trial) else _read_again(trial.rereads)


def reads_once(trial: CheckedRun) -> str | None:
    """Check that it does not read bytes again, not even the excess of a speculative read."""
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


def _reads_as_tahoe(trial: CheckedRun) -> bool:
    """Return whether it is a strategy that copies Tahoe-LAFS, including its defects."""
    if trial.other:
        return False
    return trial.strategy.locating_ends == "never" and not trial.strategy.hedge


def few_reads(trial: CheckedRun) -> str | None:
    """Check that the number of reads of each share fits the size of the share."""
    if _reads_as_tahoe(trial):
        return None
    exchanges = trial.run.trace.exchanges
    failures = sum(e.ended is not None and (not e.ok or e.corrupt) for e in exchanges)
    segments = _segmentation(trial).num_segments
    times = (1 + min(failures, _FAILURES)) * len(trial.case.scenario.reads or [None])
    for (server, share), reads in trial.reads.items():
        size = len(trial.case.file.shares.get(share or 0, b""))
        most = _READS + _READS_PER_SEGMENT * segments + size // _BYTES_PER_READ
        if len(reads) > most * times:
            return f"{len(reads)} reads of share {share} on {server}, which has {size} bytes"
    return None


def same_again(trial: CheckedRun) -> str | None:
    """Check that a second run has the same result."""
    case, subjects = trial.case, trial.case.scenario.strategies
    turn = case.seed % max(len(subjects), _TURNS)
    if turn >= len(subjects) or trial.subject != subjects[turn]:
        return None  # only now and then, as it takes another run
    again = case.run_again(trial.subject).result
    return None if again == trial.result else f"the second time {described(again)}"


def not_early(trial: CheckedRun) -> str | None:
    """Check that it is neither faster nor cheaper than the clairvoyant bound."""
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
    """Return whether the clairvoyant bound applies to the download."""
    if any(map(_sends_again, trial.reads.values())):
        return False
    if not trial.other:
        return True
    queries = Counter(e.server for e in trial.queries)
    most = reads_at_once(trial.case.file.cap, _segmentation(trial))
    return max(queries.values(), default=0) <= 1 and all(
        _is_orderly(reads, most) for reads in trial.reads.values()
    )


def _sends_again(reads: list[Exchange]) -> bool:
    """Return whether bytes are requested again after a read of them was cancelled.

    The second request may be luckier: its round-trip time is another draw.
    """
    return any(
        read.cancelled and later.offset < read.offset + read.length
        for i, read in enumerate(reads)
        for later in reads[i + 1 :]
        if read.offset < later.offset + later.length
    )


def _is_orderly(reads: list[Exchange], most: int) -> bool:
    """Return whether at most `most` reads of a share are outstanding at once, without overlap."""
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
    """Return the place of its error, or the line whose request was answered last."""
    error = trial.run.failure
    # Where real time runs out is a matter of chance.
    if error is not None and not isinstance(error, MisconductError | DownloadError | StuckError):
        return f"{type(error).__name__} at {where(error) or 'no known line'}"
    heard = [e for e in trial.run.trace.events if e.kind in ("answered", "failed")]
    source = heard[-1].exchange.source if heard and heard[-1].exchange else None
    return str(source or "")


def reading_again(trial: CheckedRun) -> str:
    """Return the line that first reads bytes again."""
    return next((str(again.exchange.source or "") for again in trial.all_rereads), "")
