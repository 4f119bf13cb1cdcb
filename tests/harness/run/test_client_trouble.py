"""Troubles of the client itself: its processor, pauses, its clock, its threads."""

from __future__ import annotations

import time
from typing import Any

import pytest
from twisted.internet import defer
from twisted.internet.threads import deferToThreadPool

from firstk.harness.kernel.wall_clock import EPOCH
from firstk.harness.run.result import Result, unmet
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.sweep.oracle import NoOracleError, theory_of
from firstk.harness.testing.simgrid import SimGrid
from firstk.scenarios.hashing import scenario_hash
from firstk.scenarios.model import Expectation
from tests.harness.making import constant, exponential, needs_tahoe, scenario

#: A file of ten segments, with a round trip of a tenth of a second.
TEN: dict[str, Any] = {
    "file": {"size": 30_000, "segment_size": 3000},
    "grid": {"rtt": constant(0.1)},
}


def result(strategy: Any, client: dict[str, Any] | None, **changes: Any) -> Result:
    """Return the result of a download by a client with these troubles."""
    more = {} if client is None else {"client": client}
    return simulate(scenario(**{**TEN, **more, **changes}), strategy).result


def probe(client: dict[str, Any] | None, body: Any, **grid: Any) -> Result:
    """Run a downloader that calls `body(reactor, buckets)` for s0 and s1 before it downloads."""
    with SimGrid(client=client, rtt=0.5, **grid) as made:

        async def download(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
            index = made.file.cap.storage_index
            found = await defer.gatherResults([s.get_buckets(index) for s in servers[:2]])
            await body(reactor, [bucket for one in found for bucket in one.values()])
            consumer.write(made.file.plaintext)

        return made.download(download)


def later(reactor: Any, seconds: float) -> defer.Deferred[None]:
    """Return a Deferred that a timer fires."""
    waiting: defer.Deferred[None] = defer.Deferred()
    reactor.callLater(seconds, waiting.callback, None)
    return waiting


def test_a_segment_takes_time() -> None:
    """Each segment is written after its processing time, one after another."""
    plain, busy = result("first-k", None), result("first-k", {"cpu_per_segment": 0.25})

    assert plain.ttfb == pytest.approx(0.5)
    assert busy.ttfb == pytest.approx(0.75)
    assert busy.finished == pytest.approx(0.75 + 9 * 0.25)  # the network is faster
    assert busy.outcome == "ok"


def test_bytes_take_time() -> None:
    """Answers that arrive together are processed one after another, for a time per byte."""
    heard: list[tuple[str, float]] = []

    async def body(reactor: Any, buckets: Any) -> None:
        sent = reactor.seconds()

        def note(_: object, what: str) -> None:
            heard.append((what, round(reactor.seconds() - sent, 9)))

        timer = later(reactor, 0.6).addCallback(note, "timer")
        reads = [buckets[i].read(0, size).addCallback(note, i) for i, size in ((0, 100), (1, 300))]
        await defer.gatherResults([*reads, timer])

    assert probe({"cpu_per_byte": 0.001}, body).outcome == "ok"
    # 0.5 s on the way; the timer waits until the processor is free.
    assert heard == [(0, 0.6), (1, 0.9), ("timer", 0.9)]


def test_a_timer_keeps_its_turn() -> None:
    """An answer that comes after a timer was due is processed after the timer."""
    heard: list[str] = []

    async def body(reactor: Any, buckets: Any) -> None:
        first = buckets[0].read(0, 1000).addCallback(lambda _: heard.append("first"))
        reactor.callLater(0.7, heard.append, "timer")
        await later(reactor, 0.4)
        await buckets[1].read(0, 100)  # comes at 0.9, while the first is worked on until 1.5
        heard.append("second")
        await first

    assert probe({"cpu_per_byte": 0.001}, body).outcome == "ok"
    assert heard == ["first", "timer", "second"]


def test_pause() -> None:
    """During a pause, no answer is processed and no timer fires; afterwards, all do at once."""
    heard: list[tuple[str, float]] = []

    async def body(reactor: Any, buckets: Any) -> None:
        def note(_: object, what: str) -> None:
            heard.append((what, reactor.seconds()))

        early = later(reactor, 0.2).addCallback(note, "early")  # at 0.7
        late = later(reactor, 1.0).addCallback(note, "late")
        reads = [bucket.read(0, 9).addCallback(note, "read") for bucket in buckets]
        await defer.gatherResults([early, late, *reads])

    assert probe({"pause": {"at": 0.6, "seconds": 5.0}}, body).outcome == "ok"
    assert heard == [(what, 5.6) for what in ("early", "read", "read", "late")]


def test_a_late_timer_can_be_cancelled() -> None:
    """A timer that was due during a pause can still be cancelled by an earlier answer."""
    fired: list[str] = []

    async def body(reactor: Any, buckets: Any) -> None:
        timer = reactor.callLater(0.55, fired.append, "timer")  # at 1.05, and the answer at 1.0
        await buckets[0].read(0, 9)
        assert timer.active()
        timer.cancel()

    assert probe({"pause": {"at": 0.6, "seconds": 5.0}}, body).outcome == "ok"
    assert fired == []


def test_paused_from_the_start() -> None:
    """A client that pauses at the start sends its first request after the pause."""
    assert result("first-k", {"pause": {"at": 0.0, "seconds": 2.0}}).ttfb == pytest.approx(2.5)


@pytest.mark.parametrize("strategy", ["wait-for-all", "first-k-late", "windowed", "hedged"])
def test_every_strategy_outlives_a_pause(strategy: str) -> None:
    """After a pause, downloads continue, delayed by about the length of the pause."""
    plain = result(strategy, None).finished
    paused = result(strategy, {"pause": {"at": 0.15, "seconds": 100.0}}).finished

    assert plain is not None
    assert paused == pytest.approx(plain + 100.0, abs=0.11)


def test_server_is_lost_while_its_answer_waits() -> None:
    """An answer that has reached the client counts, even if its server disconnects."""
    with SimGrid(servers=1, k=1, n=1, rtt=1.0, client={"pause": {"at": 0.5, "seconds": 4.0}}) as g:
        running = g.start("first-k")
        g.advance_to(2.0)
        g.servers.disconnect()
        g.advance_to(3.0)
        g.servers.heal()

        assert running.finish().outcome == "ok"
        assert g.runs[0].trace.exchanges[0].ended == 4.5


def test_a_paused_download_of_a_workload_has_not_stalled() -> None:
    """Downloads that wait for the processor, or for a thread, have not stalled."""
    keys: dict[str, Any] = {
        "workload": {"arrivals": {"kind": "fixed", "rate": 1.0}, "downloads": 5, "warmup": 0}
    }
    client = {"cpu_per_segment": 0.2, "pause": {"at": 1.2, "seconds": 5.0}}
    load = simulate_workload(scenario(client=client, **TEN, **keys), "windowed")

    assert load.outcomes == {"ok": 5}
    assert (load.finished.quantile(1.0) or 0.0) > 5.0


def test_downloads_share_the_processor() -> None:
    """Two downloads that begin together share the processor."""
    keys: dict[str, Any] = {"grid": {"rtt": constant(0.0)}, "client": {"cpu_per_segment": 1.0}}
    closed = {"kind": "closed", "clients": 2}
    work = {"arrivals": closed, "downloads": 2, "warmup": 0}
    load = simulate_workload(scenario(**keys, workload=work), "first-k")

    assert load.outcomes == {"ok": 2}
    assert load.ttfb.quantile(1.0) == pytest.approx(2.0, rel=0.01)


# The wall clock


def test_wall_clock() -> None:
    """With `clock`, a downloader may read clocks, and the wall clock may jump."""
    read: list[tuple[float, float, float]] = []

    async def body(reactor: Any, buckets: Any) -> None:
        for _ in range(2):
            read.append((time.time(), time.monotonic(), reactor.seconds()))
            await buckets[0].read(0, 9)
        assert time.time_ns() == round((EPOCH + 1.5 - 3600) * 1e9)
        assert time.perf_counter_ns() == 1_500_000_000

    assert probe({"clock": [{"at": 0.8, "by": -3600.0}]}, body).outcome == "ok"
    assert read == [(EPOCH + 0.5, 0.5, 0.5), (EPOCH + 1.0 - 3600, 1.0, 1.0)]


def test_no_wall_clock() -> None:
    """Without `clock`, reading a clock is an escape, even with other troubles."""

    async def body(reactor: Any, buckets: Any) -> None:
        time.time()

    assert probe({"cpu_per_byte": 0.0}, body).error == "EscapeError"
    assert probe(None, body).error == "EscapeError"
    assert probe({"clock": []}, body).outcome == "ok"


@needs_tahoe
def test_tahoe_on_a_jumping_clock() -> None:
    """Tahoe-LAFS measures round trips by the wall clock; a jump changes which shares it reads."""
    entry = {"select": "0-4", "rtt": constant(0.12)}
    changed = {
        by: simulate(
            scenario(entry, **TEN, client={"clock": [{"at": 0.11, "by": by}]}), "tahoe"
        ).result
        for by in (0.0, -60.0)
    }

    assert {one.outcome for one in changed.values()} == {"ok"}
    assert len({one.digest for one in changed.values()}) == 2


# The thread pool


def test_compute() -> None:
    """Work in the thread pool takes a time by the law, in parallel."""
    done: list[float] = []

    async def body(reactor: Any, buckets: Any) -> None:
        pool = reactor.getThreadPool()
        works = [deferToThreadPool(reactor, pool, pow, 2, i) for i in range(3)]
        assert await defer.gatherResults(works) == [1, 2, 4]
        done.append(reactor.seconds())
        with pytest.raises(ZeroDivisionError):
            await deferToThreadPool(reactor, pool, divmod, 1, 0)
        done.append(reactor.seconds())

    assert probe({"compute": constant(0.25)}, body).outcome == "ok"
    assert done == [0.75, 1.0]


def test_compute_is_drawn_by_the_seed() -> None:
    """Equal seeds give equal times."""
    times: list[float] = []

    async def body(reactor: Any, buckets: Any) -> None:
        await deferToThreadPool(reactor, reactor.getThreadPool(), len, "")
        times.append(reactor.seconds())

    for seed in (1, 1, 2):
        assert probe({"compute": exponential(0.25)}, body, seed=seed).outcome == "ok"

    assert times[0] == times[1] != times[2]


def test_work_nobody_waits_for() -> None:
    """An exception in a thread without a result fails the run, and a pause stops threads."""
    done: list[float] = []

    async def body(reactor: Any, buckets: Any) -> None:
        reactor.callInThread(lambda: done.append(reactor.seconds()))
        reactor.getThreadPool().callInThread(divmod, 1, 0)
        await buckets[0].read(0, 9)

    client = {"compute": constant(0.25), "pause": {"at": 0.6, "seconds": 1.0}}

    assert probe(client, body).error == "ZeroDivisionError"
    assert done == [1.75]


@needs_tahoe
def test_tahoe_computes() -> None:
    """Tahoe-LAFS decodes and decrypts in its thread pool: each segment is delayed by that."""
    plain, slow = result("tahoe", None), result("tahoe", {"compute": constant(1.0)})

    assert plain.ttfb is not None
    assert slow.ttfb is not None
    assert slow.ttfb - plain.ttfb == pytest.approx(1.0)
    assert slow.finished is not None
    assert slow.finished > 10.0


# What is expected, and what is refused


def test_outstanding() -> None:
    """The result has the most requests, and the most bytes, outstanding at one time."""
    got = result("first-k", None)

    assert got.outstanding_max == 10
    assert got.bytes_outstanding_max > 3 * 1000
    assert list(unmet(Expectation(outstanding_max=10), got)) == []
    assert list(unmet(Expectation(outstanding_max=9), got)) == [
        "expected 9 requests outstanding at a time or fewer, and there were 10"
    ]
    assert list(unmet(Expectation(bytes_outstanding_max=100), got)) == [
        f"expected 100 bytes outstanding at a time or fewer, and there were"
        f" {got.bytes_outstanding_max}"
    ]


def test_outstanding_of_reads_in_turn() -> None:
    """Of consecutive reads, only one is outstanding at a time."""

    async def body(reactor: Any, buckets: Any) -> None:
        for size in (10, 30, 20):
            await buckets[0].read(0, size)

    got = probe(None, body)

    assert (got.outstanding_max, got.bytes_outstanding_max) == (2, 30)


def test_no_theory() -> None:
    """There is no theory of a client with troubles."""
    made = scenario(grid={"rtt": exponential()}, client={"cpu_per_byte": 1.0})

    with pytest.raises(NoOracleError, match="client"):
        theory_of(made, "first-k")


def test_hash() -> None:
    """The troubles are part of a scenario's hash; without them, the hash is unchanged."""
    assert scenario_hash(scenario()) != scenario_hash(scenario(client={"cpu_per_byte": 1.0}))
