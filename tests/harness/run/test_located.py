"""With `stop = "located"`, any downloader sends queries and no reads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import pytest
from twisted.internet.defer import Deferred, DeferredList

from firstk.downloader.cap import CHKCap, parse_cap
from firstk.downloader.pipelined import PipelinedFetcher
from firstk.downloader.strategy import find_strategy
from firstk.harness.kernel.rng import stream
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.testing.simgrid import SimGrid
from firstk.reports.model.requests import bars_of
from firstk.scenarios.model import Scenario
from firstk.scenarios.workload import Closed
from tests.harness.making import constant, exponential, hung, needs_tahoe, scenario
from tests.marks import few

STRATEGIES = ["wait-for-all", "first-k", "first-k-late", "windowed", "hedged", "hedged+2"]

TAHOE = pytest.param("tahoe", marks=needs_tahoe)

#: Only service time, on one request after another.
QUEUES = {"rtt": constant(0.0), "concurrency": 1}

POISSON = {"kind": "poisson", "rate": 0.6}

ONE_CLIENT = {"kind": "closed", "clients": 1, "think": exponential(0.5)}


# Custom downloaders


def careful(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Query all servers, and read from each as it answers; stop when asked to."""
    done: Deferred[Any] = Deferred()

    class Producer:
        def stopProducing(self) -> None:
            done.callback(None)

    def read(buckets: Any) -> Any:
        return DeferredList([bucket.read(0, 100) for bucket in buckets.values()])

    consumer.registerProducer(Producer(), True)
    index = index_of(cap)
    for server in servers:
        server.get_buckets(index).addCallback(read).addErrback(lambda _: None)
    return done


async def without_producer(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
    """Query and read from one server after another, and ignore a stop."""
    index = index_of(cap)
    buckets: dict[int, Any] = {}
    for server in servers:
        buckets |= await server.get_buckets(index)
        if len(buckets) >= 3:
            await DeferredList([bucket.read(0, 100) for bucket in buckets.values()])


def stubborn(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Query all servers; when asked to stop, query them again each second."""

    class Producer:
        def stopProducing(self) -> None:
            ask()
            reactor.callLater(1.0, self.stopProducing)

    def ask() -> None:
        for server in servers:
            server.get_buckets(index).addErrback(lambda _: None)

    consumer.registerProducer(Producer(), True)
    index = index_of(cap)
    ask()
    return Deferred()


def failing(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Raise when asked to stop."""

    class Producer:
        def stopProducing(self) -> None:
            raise RuntimeError("cannot stop")

    consumer.registerProducer(Producer(), True)
    for server in servers:
        server.get_buckets(index_of(cap)).addErrback(lambda _: None)
    return Deferred()


def lazy(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Report success without any query."""
    done: Deferred[Any] = Deferred()
    done.callback(None)
    return done


def index_of(cap: str) -> bytes:
    """Return the storage index of a cap."""
    parsed = parse_cap(cap)
    assert isinstance(parsed, CHKCap)
    return parsed.storage_index


OWN: list[Any] = [careful, without_producer, stubborn]

ALL = [*STRATEGIES, TAHOE, *OWN]


# One download


@pytest.mark.parametrize("downloader", ALL)
def test_one(downloader: Any) -> None:
    """A download sends no reads, and ends successfully when K share numbers are known."""
    of = scenario(grid={"rtt": exponential()}, stop="located", deadline=30.0)
    for seed in range(5):
        run = simulate(of, downloader, seed)
        answers = sorted(e.ended for e in run.trace.exchanges if e.ended is not None)
        known = answers[-1 if downloader == "wait-for-all" else 2]
        result = run.result

        assert (
            result.outcome,
            result.reads,
            result.bytes_received,
            result.content_ok,
        ) == ("ok", 0, 0, None), result.message
        assert known == result.located == result.finished
        assert result.queries <= 10
        assert not any(" read " in line for line in run.trace.lines)


@pytest.mark.parametrize("downloader", STRATEGIES)
def test_nothing_is_left(downloader: str) -> None:
    """No strategy of firstk leaves a timer, or outstanding reads, behind."""
    with SimGrid(rtt=exponential()) as grid:
        running = grid.start(downloader, stop="located")
        grid.until(lambda: running.done)
        assert {"get_buckets"} >= {e.operation for e in grid.outstanding}
        grid.advance(600.0)
        assert grid.outstanding == []
        result = running.finish()

    assert (result.outcome, result.reads) == ("ok", 0)


@pytest.mark.parametrize("downloader", ALL)
def test_grid(downloader: Any) -> None:
    """A grid in Python does the same with `stop="located"`."""
    of = scenario(grid={"rtt": exponential()}, stop="located", deadline=30.0)
    with SimGrid.of(of.model_copy(update={"stop": "complete"})) as grid:
        assert simulate(of, downloader).result == grid.download(downloader, stop="located")


@pytest.mark.parametrize("downloader", ["first-k", "windowed", "hedged", TAHOE, careful, stubborn])
def test_too_few(downloader: Any) -> None:
    """If K share numbers are never known, nothing is read either, and `located` is None."""
    of = scenario(hung("0-7"), stop="located", deadline=500.0)
    result = simulate(of, downloader).result

    assert (result.reads, result.located) == (0, None)
    assert {"hedged": "failed"}.get(downloader, "stalled") == result.outcome


def test_failing_to_stop() -> None:
    """An exception in a downloader's `stopProducing` fails the download."""
    result = simulate(scenario(stop="located"), failing).result

    assert (result.outcome, result.error) == ("failed", "RuntimeError")


def test_lazy() -> None:
    """A downloader that reports success before its shares are located has failed."""
    result = simulate(scenario(stop="located"), lazy).result

    assert (result.outcome, result.error) == ("failed", "MisconductError")


def test_nothing_asked_for() -> None:
    """If no byte is requested, there is nothing to locate."""
    result = simulate(scenario(file={"length": 0}, stop="located"), "first-k").result

    assert (result.outcome, result.queries, result.located) == ("ok", 0, None)


@pytest.mark.parametrize("strategy", ["windowed", "hedged", "hedged+2"])
def test_held_reads_ask_nobody(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held reads that are overdue do not make a strategy query more servers."""
    # The third share is on the last of 40 servers, and round trips differ a lot.
    entries = [{"select": "0-38", "shares": [0, 1]}, {"select": "39", "shares": [2]}]
    of = scenario(
        *entries,
        grid={"servers": 40, "rtt": {"law": "lognormal", "median": 0.5, "sigma": 1.5}},
        stop="located",
    )

    def sent() -> list[list[str]]:
        lines = (simulate(of, strategy, seed).trace.lines for seed in range(5))
        return [[line for line in one if " sent " in line] for one in lines]

    holding = sent()
    monkeypatch.setattr(
        PipelinedFetcher, "_read_more", lambda _: True
    )  # reads nothing, asks for more

    assert holding == sent()


def test_bars() -> None:
    """A timeline shows only the queries, with the times when they were overdue."""
    of = scenario(
        hung("0-7", end=5.0), grid={"servers": 20}, file={"n": 20}, stop="located", deadline=60.0
    )
    run = simulate(of, "hedged")
    bars = bars_of(run)
    assert run.status is not None
    queries = [request for request in run.status.requests if request.is_query]

    assert run.result.queries == len(bars) == len(queries)
    assert [q.overdue for q in queries] == [bar.overdue for bar in bars]


# Many


def located(of: Scenario, downloader: Any) -> list[float]:
    """Return how long each download took to locate its shares, in the order of their ends."""
    results: list[Result] = []
    load = simulate_workload(of, downloader, each=results.append)

    assert ({"ok": load.downloads}, 0) == (load.outcomes, load.strays), load.message
    assert {result.reads for result in results} == {0}
    return [result.located or 0.0 for result in results]


def times(of: Scenario, needed: int) -> list[float]:
    """Return how long each download takes, computed by Lindley's recursion.

    All servers are queried at once, serve one request after another, and `needed` answers end a
    download. The remaining queries are served, or withdrawn with `cancel`.
    """
    workload = of.workload
    assert workload is not None
    works = [
        partial(of.grid.service.sample, stream(of.seed, f"s{i}", "service"))  # type: ignore[union-attr]
        for i in range(of.grid.servers)
    ]
    free = [0.0] * len(works)
    found: list[float] = []
    for begun in begins(of, found):
        starts = [max(begun, at) for at in free]
        ends = [start + work() for start, work in zip(starts, works, strict=True)]
        over = sorted(ends)[needed - 1]
        found.append(over - begun)
        if workload.cancel:
            for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
                if start < over:
                    free[i] = min(end, over)
        else:
            free = ends
    return found


def begins(of: Scenario, took: list[float]) -> Iterator[float]:
    """Yield when each download begins; `took` has the durations of the earlier ones."""
    workload = of.workload
    assert workload is not None
    arrivals = workload.arrivals
    if not isinstance(arrivals, Closed):
        draws = stream(of.seed, "workload", "arrivals")
        yield from islice(arrivals.times(draws), workload.downloads)
        return
    assert arrivals.think is not None
    now, draws = 0.0, stream(of.seed, "workload", "think", "0")
    for number in range(workload.downloads or 0):
        now += arrivals.think.sample(draws) + (took[number - 1] if number else 0.0)
        yield now


def loaded(
    servers: int, k: int, law: dict[str, Any], arrivals: dict[str, Any], *, cancel: bool
) -> Scenario:
    """Return a scenario of 60 downloads on a grid that is empty at first."""
    return scenario(
        file={"k": k, "n": servers},
        grid={**QUEUES, "servers": servers, "service": law},
        stop="located",
        workload={"arrivals": arrivals, "downloads": 60, "warmup": 0, "cancel": cancel},
    )


@pytest.mark.parametrize("cancel", [True, False])
@pytest.mark.parametrize(
    ("servers", "k", "law"),
    [
        (1, 1, exponential(1.0)),
        (2, 1, exponential(1.0)),
        (5, 5, {"law": "uniform", "low": 0.2, "high": 2.0}),
        (10, 3, {"law": "pareto", "alpha": 2.5, "scale": 0.6}),
    ],
)
@pytest.mark.parametrize("downloader", few(2, [careful, *STRATEGIES, stubborn]))
def test_load(downloader: Any, servers: int, k: int, law: dict[str, Any], cancel: bool) -> None:
    """Each of many downloads takes exactly as long as Lindley's recursion says."""
    of = loaded(servers, k, law, POISSON, cancel=cancel)
    hedges = isinstance(downloader, str) and find_strategy(downloader).hedge
    withdrawn = loaded(servers, k, law, POISSON, cancel=cancel or hedges)  # hedged does so itself
    expected = sorted(times(withdrawn, servers if downloader == "wait-for-all" else k))

    assert pytest.approx(expected, rel=1e-9) == sorted(located(of, downloader))


@pytest.mark.parametrize("cancel", [True, False])
@pytest.mark.parametrize("downloader", ["first-k", TAHOE, careful])
def test_closed(downloader: Any, cancel: bool) -> None:
    """Each download of a closed client takes as long as Lindley's recursion says, in order."""
    of = loaded(7, 3, exponential(1.0), ONE_CLIENT, cancel=cancel)

    assert pytest.approx(times(of, 3), rel=1e-9) == located(of, downloader)


@pytest.mark.parametrize("cancel", [True, False])
def test_utilisation(cancel: bool) -> None:
    """Servers are as busy as the queries make them, whether the rest is withdrawn or not."""
    of = loaded(1, 1, exponential(1.0), POISSON, cancel=cancel)
    draws = stream(of.seed, "s0", "service")
    assert of.grid.service is not None
    busy = sum(of.grid.service.sample(draws) for _ in range(60))
    load = simulate_workload(of, "first-k")

    assert load.utilisation is not None
    assert (load.requests, load.bytes_received) == (1.0, 0.0)
    # One that began after the last that counts may be worked on at the end.
    assert pytest.approx(busy / load.span, abs=2.0 / load.span) == load.utilisation


@pytest.mark.parametrize("strategy", ["first-k", "windowed", TAHOE, careful])
def test_stalled_in_a_load(strategy: Any) -> None:
    """A download of a workload that cannot locate its shares stalls, without any reads."""
    of = scenario(
        hung("0-7"),
        stop="located",
        deadline=100.0,
        workload={"arrivals": {"kind": "fixed", "rate": 0.001}, "downloads": 3, "warmup": 0},
    )
    load = simulate_workload(of, strategy)

    assert load.outcomes == {"stalled": 3}
    assert load.requests == 10
