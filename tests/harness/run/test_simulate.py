"""One run: a scenario, a strategy and a seed make a result, and no error is lost."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python import log

from firstk.downloader import CHKCap, DownloadStatus, download, parse_cap
from firstk.harness.grid.consumer import SimConsumer
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, exponential, hung, run_python, scenario
from tests.marks import few

STRATEGIES = ["wait-for-all", "first-k", "first-k-late"]

Download = Callable[..., Deferred[DownloadStatus]]


def result(of: Scenario, strategy: str = "first-k", run: int = 0) -> Result:
    """Return the result of a run."""
    return simulate(of, strategy, run).result


def broken(select: str) -> dict[str, Any]:
    """Return an entry that breaks servers."""
    return {"select": select, "fault": {"kind": "broken"}}


def segments(count: int, **keys: Any) -> dict[str, Any]:
    """Return a file of `count` segments of 30 bytes."""
    return {"size": 30 * count, "segment_size": 30, **keys}


# Outcomes


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_ok(strategy: str) -> None:
    """On a good grid, the file is complete after five round trips."""
    found = result(scenario(), strategy)

    assert (
        Result(
            scenario="test",
            strategy=strategy,
            run=0,
            seed=0,
            outcome="ok",
            error=None,
            message=None,
            located=0.5,
            ttfb=2.5,
            finished=2.5,
            ended=2.5,
            queries=10,
            reads=11,
            bytes_received=found.bytes_received,
            shares_used=[0, 1, 2],
            content_ok=True,
            digest=found.digest,
            outstanding_max=10,
            bytes_outstanding_max=found.bytes_outstanding_max,
        )
        == found
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_failed(strategy: str) -> None:
    """A failed download has an error message; no byte was written."""
    found = result(scenario(broken("2-9")), strategy)

    assert (found.outcome, found.error) == ("failed", "NotEnoughSharesError")
    assert found.message is not None
    assert found.message.startswith("not enough shares: have 2, need 3\n")
    assert (found.located, found.ttfb, found.finished, found.ended) == (None, None, 0.5, 0.5)
    assert (found.content_ok, found.shares_used) == (None, [])


def test_failed_while_reading() -> None:
    """A download that fails while reading has located its shares."""
    read_error = {"select": "1-9", "fault": {"kind": "read-error"}}
    found = result(scenario(read_error))

    assert (found.outcome, found.located, found.ttfb) == ("failed", 0.5, None)


def test_failed_after_the_first_block() -> None:
    """A download that fails in the middle had a right first byte."""
    fault = {"kind": "broken", "start": 2.5}
    file = segments(3, k=3, n=3)
    found = result(scenario({"select": "all", "fault": fault}, file=file))

    assert (found.outcome, found.error) == ("failed", "NotEnoughSharesError")
    assert (found.ttfb, found.finished, found.content_ok) == (2.5, 3.0, True)


def test_stalled() -> None:
    """A download that waits forever for a hung server is detected at once."""
    found = result(scenario(hung("7")), "wait-for-all")

    assert (found.outcome, found.error, found.message) == ("stalled", None, None)
    assert (found.located, found.ttfb, found.finished, found.ended) == (None, None, None, 0.5)
    assert (found.queries, found.reads, found.bytes_received) == (10, 0, 0)
    assert (found.shares_used, found.content_ok) == ([], None)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_stalled_while_reading(strategy: str) -> None:
    """A download that hangs while reading has located its shares."""
    found = result(scenario(hung("0", on=["read"])), strategy)

    assert (found.outcome, found.located, found.ttfb) == ("stalled", 0.5, None)


@pytest.mark.parametrize(
    ("deadline", "outcome", "ended"), [(99, "deadline", 0.5), (102.25, "ok", 102.25)]
)
def test_deadline(deadline: float, outcome: str, ended: float) -> None:
    """A download that is still busy at the deadline is cut off; one that is just done is not."""
    found = result(scenario(hung("7", end=100), deadline=deadline), "wait-for-all")

    assert (outcome, ended) == (found.outcome, found.ended)
    assert found.error is None


def test_deadline_in_the_middle() -> None:
    """Everything up to the deadline counts, including events at the deadline."""
    found = result(scenario(file=segments(5), deadline=3.0))

    assert (
        found.outcome,
        found.ttfb,
        found.finished,
        found.ended,
    ) == ("deadline", 2.5, None, 3.0)
    assert found.content_ok


def test_ok_and_answers_behind_the_deadline() -> None:
    """A finished download is ok, even if a slow server answers after the deadline."""
    slow = {"select": "9", "fault": {"kind": "slow", "extra": 100}}
    found = result(scenario(slow, deadline=50))

    assert (found.outcome, found.finished, found.ended) == ("ok", 2.5, 2.5)


# Times


def test_ended() -> None:
    """`ended` is the time of the last answer, even if the download finished earlier."""
    slow = {"select": "9", "fault": {"kind": "slow", "factor": 20}}
    found = result(scenario(slow))

    assert (found.located, found.ttfb, found.finished, found.ended) == (0.5, 2.5, 2.5, 10.0)


def test_located_and_slow() -> None:
    """Wait-for-all has located its shares when the last server has answered."""
    slow = {"select": "9", "fault": {"kind": "slow", "factor": 20}}
    found = result(scenario(slow), "wait-for-all")

    assert (found.located, found.ttfb, found.finished, found.ended) == (10.0, 12.0, 12.0, 12.0)


def test_segments() -> None:
    """Each further segment takes one more round trip; the first byte comes with the first."""
    found = result(scenario(file=segments(4)))

    assert (found.ttfb, found.finished) == (2.5, 4.0)
    assert found.content_ok


def test_first_block() -> None:
    """A run that stops at the first block succeeds there, and reads no further."""
    whole = result(scenario(file=segments(4)))
    found = result(scenario(file=segments(4), stop="first-block"))

    assert (found.outcome, found.ttfb, found.finished, found.ended) == ("ok", 2.5, 2.5, 2.5)
    assert (True, whole.reads - 9) == (found.content_ok, found.reads)


@pytest.mark.parametrize("stop", ["first-block", "complete"])
def test_range(stop: str) -> None:
    """A range is read from its segments, and compared with the file."""
    run = simulate(scenario(file=segments(4, offset=40, length=45), stop=stop), "first-k")
    writes = [line for line in run.trace.lines if " wrote " in line]

    assert (run.result.outcome, run.result.content_ok) == ("ok", True)
    assert (
        writes
        == [
            "2.5 wrote 20 bytes at 40 ",
            "3 wrote 25 bytes at 60 ",
        ][: 1 if stop == "first-block" else 2]
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_hangs_between_segments(strategy: str) -> None:
    """A server that hangs in the middle delays the blocks until it recovers."""
    found = result(scenario(hung("0", on=["read"], start=3, end=9), file=segments(4)), strategy)

    assert (found.outcome, found.ttfb, found.finished) == ("ok", 2.5, 9.75)
    assert found.content_ok


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_hangs_for_ever_between_segments(strategy: str) -> None:
    """A server that hangs forever in the middle stalls the download after the first byte."""
    found = result(scenario(hung("0", start=3), file=segments(4)), strategy)

    assert (
        found.outcome,
        found.ttfb,
        found.finished,
        found.content_ok,
    ) == ("stalled", 2.5, None, True)


@pytest.mark.parametrize("strategy", ["wait-for-all", "first-k-late"])
def test_disconnect_between_segments(strategy: str) -> None:
    """The share of a server that loses its connection is replaced at once."""
    lost = {"select": "0", "fault": {"kind": "disconnect", "start": 3.25}}
    found = result(scenario(lost, file=segments(4)), strategy)

    # The header of the other share takes a round trip more than the blocks.
    assert (found.outcome, found.ttfb, found.finished) == ("ok", 2.5, 4.75)
    assert found.content_ok


def test_disconnect_is_told() -> None:
    """The error lists the servers that lost their connections."""
    lost = {"select": "1-9", "fault": {"kind": "disconnect"}}
    found = result(scenario(lost))

    assert (found.outcome, found.error, found.ended) == ("failed", "NotEnoughSharesError", 0.5)
    assert found.message is not None
    assert found.message.count("failed: ConnectionLost") == 9


def test_disconnect_later() -> None:
    """A connection that is lost after the end changes nothing, not even `ended`."""
    lost = {"select": "all", "fault": {"kind": "disconnect", "start": 1000}}

    assert result(scenario()) == result(scenario(lost))


def test_nothing_asked_for() -> None:
    """If no byte is requested, none comes, and no server is queried."""
    found = result(scenario(file={"length": 0}))

    assert (found.outcome, found.ttfb, found.located, found.queries) == ("ok", None, None, 0)
    assert found.content_ok is None


# Content


def corrupt(part: str, select: str) -> dict[str, Any]:
    """Return an entry that corrupts a part of the shares on servers."""
    return {"select": select, "fault": {"kind": "corrupt", "part": part}}


@pytest.mark.parametrize("part", ["block", "ueb", "share-hashes", "block-hashes", "header"])
def test_corrupt_servers(part: str) -> None:
    """Corrupt shares do not corrupt the content: others are read instead."""
    found = result(scenario(corrupt(part, "0-6")), "wait-for-all")

    assert (found.outcome, found.content_ok) == ("ok", True)


def test_wrong_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """A downloader that writes wrong bytes is detected."""

    def wrong(
        reactor: SimReactor,
        servers: object,
        cap: object,
        consumer: SimConsumer,
        *_: object,
        **__: Any,
    ) -> Deferred[DownloadStatus]:
        consumer.write(b"wrong" * 20)
        return succeed(DownloadStatus())

    monkeypatch.setattr("firstk.harness.run.under_test.download", wrong)
    found = result(scenario(file={"size": 100}))

    assert (found.outcome, found.content_ok, found.ttfb) == ("ok", False, 0.0)
    assert (found.located, found.shares_used) == (None, None)


# Error messages


class UnprintableError(Exception):
    """An error whose message cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("later", [False, True])
def test_long_message(later: bool) -> None:
    """A long message is cut, whether raised at once or later."""

    def wordy(reactor: SimReactor, *_: object, **__: Any) -> Deferred[DownloadStatus]:
        error = ValueError("x" * 1_000_000)
        if not later:
            raise error
        reactor.callLater(1, fail, error)
        return succeed(DownloadStatus())

    found = simulate(scenario(), wordy).result

    assert (found.outcome, found.error) == ("failed", "ValueError")
    assert found.message == "x" * 9_997 + "..."


def test_no_message() -> None:
    """An exception that cannot be printed fails a run like any other."""

    def mute(*_: object, **__: Any) -> None:
        raise UnprintableError

    found = simulate(scenario(), mute).result

    assert (found.outcome, found.error) == ("failed", "UnprintableError")
    assert found.message == "its message cannot be shown: str() raised RuntimeError"


# Equal runs


def fingerprint() -> str:
    """Return the digests of runs of every strategy on a grid with many faults."""
    troubles = [
        {"select": {"probability": 0.2}, "fault": {"kind": "read-error"}},
        {"select": {"count": 2}, "fault": {"kind": "corrupt", "part": "block"}},
        hung("3", end=2),
        {"select": "5", "shares": [0, 5, 9]},
    ]
    grid = {"rtt": {"law": "lognormal", "median": 0.1, "sigma": 1.0}, "order": "shuffled"}
    made = scenario(*troubles, file=segments(3), grid=grid)
    return " ".join(result(made, strategy, run).digest for strategy in STRATEGIES for run in (0, 1))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_repeats(strategy: str) -> None:
    """Equal runs have exactly equal results."""
    made = scenario(grid={"rtt": exponential()})
    one = [result(made, strategy, run) for run in range(5)]

    assert one == [result(made, strategy, run) for run in range(5)]
    assert one[3] == result(made, strategy, 3)


def test_fingerprint() -> None:
    """The runs that other processes repeat differ from one another."""
    wait_for_all, other_run, first_k, *_ = fingerprint().split()

    assert len({wait_for_all, other_run, first_k}) == 3


@pytest.mark.parametrize("hash_seed", few(1, ["928", "0", "1"]))
def test_hash_seed(hash_seed: str) -> None:
    """Digests do not depend on Python's hash seed."""
    code = "from tests.harness.run.test_simulate import fingerprint; print(fingerprint())"

    assert fingerprint() == run_python(code, PYTHONHASHSEED=hash_seed).strip()


def test_seeds() -> None:
    """Each run has its own seed, and so its own digest."""
    made = scenario(grid={"rtt": exponential()}, seed=928, runs=5)
    found = [result(made, run=run) for run in range(5)]

    assert [(r.run, r.seed) for r in found] == [(0, 928), (1, 929), (2, 930), (3, 931), (4, 932)]
    assert len({r.digest for r in found}) == 5
    assert found[3].digest == result(scenario(grid={"rtt": exponential()}, seed=931)).digest


def test_digest_tells_the_content() -> None:
    """Runs that differ only in one server's answer have different digests."""
    good = result(scenario(file={"segment_size": 56}))
    other = result(scenario({"select": "9", "shares": []}, file={"segment_size": 56}))

    assert good.ended == other.ended
    assert good.digest != other.digest


def test_run() -> None:
    """A run has its scenario, its trace and the status of the download."""
    made = scenario()
    run = simulate(made, "first-k")
    assert run.status is not None

    assert made is run.scenario
    assert run.result.digest == run.trace.digest()
    status, totals = run.status, run.trace.totals()
    assert run.result.queries == status.queries_sent == totals.queries
    assert run.result.reads == status.reads == totals.reads
    assert run.result.bytes_received == status.bytes_received == totals.bytes_received
    assert run.trace.lines[-1] == "2.5 fired the download "


def test_failure_in_the_trace() -> None:
    """The trace of a failed download records the failure."""
    assert (
        simulate(scenario(broken("all")), "first-k").trace.lines[-1] == "0.5 raised the download "
    )


# Errors


def boom() -> None:
    """Raise an error that these tests expect."""
    raise RuntimeError("lost")


def raise_at_once(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Raise instead of returning a Deferred."""
    raise RuntimeError("lost")


def fail_at_once(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Return a Deferred that has failed."""
    return fail(RuntimeError("lost"))


def raise_in_a_timer(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Download, and let a timer raise during the download."""
    reactor.callLater(1, boom)
    return download(reactor, *rest, **options)


def raise_after_the_end(
    reactor: SimReactor, *rest: Any, **options: Any
) -> Deferred[DownloadStatus]:
    """Download, and let a timer raise long after the end."""
    reactor.callLater(1000, boom)
    return download(reactor, *rest, **options)


def raise_in_a_thread(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Download, and let work in a thread raise."""
    reactor.callInThread(boom)
    return download(reactor, *rest, **options)


def lose_a_failure(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Download, and lose a Deferred that has failed."""
    fail(RuntimeError("lost"))
    return download(reactor, *rest, **options)


def lose_a_callback(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Download, and raise in a callback of a Deferred that is then lost."""
    reactor.callLater(1, succeed(None).addCallback, lambda _: boom())
    return download(reactor, *rest, **options)


def log_a_failure(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Download, and write an exception to Twisted's log."""
    try:
        boom()
    except RuntimeError:
        Logger().failure("it went wrong")
    return download(reactor, *rest, **options)


def log_in_the_old_way(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Download, and write an exception to Twisted's log with the API from before 2014."""
    try:
        boom()
    except RuntimeError:
        log.err()  # type: ignore[no-untyped-call]
    return download(reactor, *rest, **options)


def lose_a_coroutine(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Download, and lose a coroutine that raises."""

    async def work() -> None:
        boom()

    Deferred.fromCoroutine(work())
    return download(reactor, *rest, **options)


def lose_a_ring(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
    """Download, and lose a failed Deferred that only the garbage collector can free."""
    ring: list[object] = []
    lost: Deferred[None] = Deferred()
    lost.addCallback(ring.append)
    ring += [ring, lost]
    lost.errback(RuntimeError("lost"))
    return download(reactor, *rest, **options)


def lose_an_old_coroutine(
    reactor: SimReactor, *rest: Any, **options: Any
) -> Deferred[DownloadStatus]:
    """Download, and lose a coroutine that raises after it has survived a collection."""
    waiting: Deferred[None] = Deferred()

    async def work() -> None:
        await waiting
        boom()

    Deferred.fromCoroutine(work())
    reactor.callLater(1, gc.collect)  # as happens by itself in a long run
    reactor.callLater(2, waiting.callback, None)
    return download(reactor, *rest, **options)


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Run the garbage collector only when these tests say so."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize(
    "downloader",
    few(
        4,
        [
            raise_at_once,
            fail_at_once,
            raise_in_a_timer,
            raise_after_the_end,
            raise_in_a_thread,
            lose_a_failure,
            lose_a_callback,
            log_a_failure,
            log_in_the_old_way,
            lose_a_coroutine,
            lose_a_ring,
            lose_an_old_coroutine,
        ],
    ),
)
def test_errors(monkeypatch: pytest.MonkeyPatch, downloader: Download) -> None:
    """An error in the downloader fails the run, wherever it might have been lost."""
    monkeypatch.setattr("firstk.harness.run.under_test.download", downloader)
    found = result(scenario())

    assert (found.outcome, found.error, found.message) == ("failed", "RuntimeError", "lost")


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("downloader", few(1, [lose_a_coroutine, lose_an_old_coroutine]))
def test_errors_stay_in_their_run(monkeypatch: pytest.MonkeyPatch, downloader: Download) -> None:
    """An error belongs to the run in which it happened, and never to a later one."""

    def collect(*args: Any, **options: Any) -> Deferred[DownloadStatus]:
        gc.collect()
        return download(*args, **options)

    monkeypatch.setattr("firstk.harness.run.under_test.download", downloader)
    result(scenario())
    monkeypatch.setattr("firstk.harness.run.under_test.download", collect)

    assert result(scenario()).outcome == "ok"


def test_control_c_among_errors() -> None:
    """Control-C is raised even if other errors came before it."""

    def interrupted(reactor: Any, *_: Any, **__: Any) -> Deferred[None]:
        reactor.callLater(1, lambda: 1 / 0)
        done: Deferred[None] = Deferred()
        reactor.callLater(2, signal.raise_signal, signal.SIGINT)
        return done

    with pytest.raises(KeyboardInterrupt):
        simulate(scenario(), interrupted)


@pytest.mark.parametrize("threshold", [700, 0, 1_000_000])
def test_garbage_collector(threshold: int) -> None:
    """During a run, garbage is collected less often; afterwards as before, even after Control-C."""
    seen: list[int] = []

    def interrupted(*_: Any, **__: Any) -> Deferred[None]:
        seen.append(gc.get_threshold()[0])
        signal.raise_signal(signal.SIGINT)
        return Deferred()

    before = gc.get_threshold()
    gc.set_threshold(threshold, 11, 12)
    try:
        with pytest.raises(KeyboardInterrupt):
            simulate(scenario(), interrupted)

        assert (threshold, 11, 12) == gc.get_threshold()
        assert [max(threshold, 20_000) if threshold else 0] == seen
        assert gc.get_freeze_count() == 0
    finally:
        gc.set_threshold(*before)


def test_discarded_coroutine() -> None:
    """A stalled coroutine that cancels its requests when it is discarded has not cancelled them."""

    async def wait(servers: Sequence[Any], cap: str) -> None:
        parsed = parse_cap(cap)
        assert isinstance(parsed, CHKCap)
        queries = [server.get_buckets(parsed.storage_index) for server in servers]
        try:
            for query in queries:
                await query
        finally:
            for query in queries:
                query.cancel()

    def downloader(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(wait(servers, cap))

    run = simulate(scenario(hung("all")), downloader)

    assert (run.result.outcome, run.result.cancelled) == ("stalled", 0)
    assert {event.kind for event in run.trace.events} == {"sent"}
    assert all(exchange.ended is None for exchange in run.trace.exchanges)


def test_several_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several errors fail the run as a group, even if the download is done."""

    def downloader(reactor: SimReactor, *rest: Any, **options: Any) -> Deferred[DownloadStatus]:
        reactor.callLater(1, boom)
        return raise_after_the_end(reactor, *rest, **options)

    monkeypatch.setattr("firstk.harness.run.under_test.download", downloader)
    found = result(scenario())

    assert (
        found.outcome,
        found.error,
        found.finished,
        found.content_ok,
    ) == ("failed", "ExceptionGroup", 2.5, True)


def test_download_that_ends_without_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a producer, there is no status."""
    monkeypatch.setattr("firstk.harness.run.under_test.download", raise_at_once)
    run = simulate(scenario(), "first-k")

    assert run.status is None
    assert (run.result.located, run.result.shares_used) == (None, None)
    assert run.trace.lines == ["0 raised the download "]


def test_good_run_after_a_bad_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad run does not affect the next one."""
    before = result(scenario())
    with monkeypatch.context() as patch:
        patch.setattr("firstk.harness.run.under_test.download", raise_in_a_timer)
        result(scenario())

    assert before == result(scenario())


def test_entry_rtt() -> None:
    """A server with its own link answers in its own time."""
    near = {"select": "0-2", "rtt": constant(0.25)}
    found = result(scenario(near))

    assert (found.located, found.ttfb, found.shares_used) == (0.25, 1.25, [0, 1, 2])


@pytest.mark.parametrize("strategy", few(1, ["first-k", "hedged"]))
def test_leaves_nothing(strategy: str) -> None:
    """A finished run leaves no objects behind, whether it succeeds or fails."""
    corrupt = {
        "select": {"probability": 0.5},
        "fault": [{"kind": "corrupt", "part": "block"}, {"kind": "flaky", "probability": 0.2}],
    }
    made = scenario(corrupt, strategies=[strategy])
    outcomes = {result(made, strategy, run).outcome for run in range(20)}
    gc.collect()
    for run in range(20):
        result(made, strategy, run)

    assert outcomes == {"ok", "failed"}
    assert gc.collect() < 20  # a simulation is hundreds of objects
