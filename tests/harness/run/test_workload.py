"""Many downloads in one simulation: when they begin, which ones count, what they share."""

from __future__ import annotations

import gc
import itertools
import signal
import time
from contextvars import ContextVar
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater

from firstk.downloader import download
from firstk.harness.run.download import SimulatedDownload
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import OverloadError, simulate_workload
from firstk.harness.run.workload_result import WorkloadResult
from firstk.scenarios.load import load_scenario
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, exponential, hung, run_python, scenario
from tests.marks import few

FIXED: dict[str, Any] = {"kind": "fixed", "rate": 0.25}  # one every four seconds

#: One server after another is asked in half a second: a download takes so long.
ALONE = 2.5


def loaded(*servers: dict[str, Any], arrivals: Any = FIXED, **changes: Any) -> Scenario:
    """Return a scenario of ten good servers with a workload of ten downloads, without warmup."""
    keys = ("downloads", "warmup", "cancel", "files", "max_under_way")
    workload = {"arrivals": arrivals, "downloads": 10, "warmup": 0}
    workload |= {key: changes.pop(key) for key in keys if key in changes}
    return scenario(*servers, workload=workload, **changes)


def each(of: Scenario, strategy: str = "first-k") -> list[Result]:
    """Return the results of all downloads that count, in the order in which they end."""
    results: list[Result] = []
    simulate_workload(of, strategy, each=results.append)
    return results


def trace(folder: Path, *lines: str) -> dict[str, Any]:
    """Return arrivals that follow a trace."""
    (folder / "trace.csv").write_text("\n".join(lines) + "\n")
    return {"kind": "trace", "path": str(folder / "trace.csv")}


# What is counted


@pytest.mark.parametrize("strategy", ["wait-for-all", "first-k", "windowed", "hedged"])
def test_alone(strategy: str) -> None:
    """Downloads that do not overlap have the result of a single one."""
    alone = simulate(scenario(), strategy).result
    load = simulate_workload(loaded(), strategy)

    assert load.downloads == 10
    assert load.outcomes == {"ok": 10}
    assert alone.ttfb == load.ttfb.quantile(0.01) == load.ttfb.quantile(1) == load.ttfb.mean
    assert alone.finished == load.finished.mean
    assert alone.located == load.located.mean
    assert (alone.requests, alone.bytes_received) == (load.requests, load.bytes_received)
    assert load.content_ok is True


def test_times_from_their_own_start() -> None:
    """Each result is that of a single download, except its digest."""
    results = each(loaded())

    assert len(results) == 10
    assert {result.ttfb for result in results} == {ALONE}
    assert len({result.digest for result in results}) == 10


def test_span() -> None:
    """The span is from the first start to the last end; `in_system` is the mean in progress."""
    load = simulate_workload(loaded(), "first-k")

    assert load.span == 9 * 4 + ALONE
    assert pytest.approx(10 * ALONE / load.span) == load.in_system


def test_warmup() -> None:
    """The first downloads do not count, but they run."""
    results = each(loaded(downloads=3, warmup=7))
    everything = simulate_workload(loaded(), "first-k")
    late = simulate_workload(loaded(downloads=3, warmup=7), "first-k")

    assert 3 == len(results) == late.downloads
    assert late.span == 2 * 4 + ALONE
    assert everything.digest == late.digest


def test_default_warmup() -> None:
    """By default, a tenth is left out."""
    of = scenario(workload={"arrivals": FIXED, "downloads": 20})

    load = simulate_workload(of, "first-k")

    assert (load.downloads, load.span) == (20, 19 * 4 + ALONE)


def test_the_last_are_not_alone() -> None:
    """Further downloads begin until all that count have finished."""
    of = loaded(
        arrivals={"kind": "fixed", "rate": 4.0},
        grid={"service": constant(0.125), "concurrency": 1, "client_bandwidth": 2000},
        downloads=5,
        warmup=20,
    )
    assert of.workload is not None
    workload = of.workload.model_copy(update={"downloads": 9})
    longer = each(of.model_copy(update={"workload": workload}))

    assert [r.digest for r in each(of)] == [r.digest for r in longer[:5]]


def test_not_kept_loaded() -> None:
    """Without further downloads the last that counts begins last, and ends the measurement."""
    began: list[float] = []

    def note(reactor: Any, *_: Any) -> Deferred[None]:
        began.append(reactor.seconds())
        return deferLater(reactor, 10)

    load = simulate_workload(loaded(downloads=3, warmup=2), note, keep_loaded=False)

    assert load.downloads == 3
    assert len(began) == 5
    assert load.span == began[4] - began[2]
    assert load.in_system == pytest.approx(2 + 1 / 2)  # each is in progress for 2.5 periods


# Arrivals


def starts(of: Scenario) -> list[float]:
    """Return when the downloads that count begin, in seconds."""
    began: list[float] = []

    def note(reactor: Any, *_: Any) -> Deferred[None]:
        began.append(reactor.seconds())
        return succeed(None)

    simulate_workload(of, note)
    assert of.workload is not None
    return began[: of.workload.last]


def test_fixed() -> None:
    """A fixed rate makes equal intervals, without a drift."""
    assert [i / 0.3 for i in range(10)] == starts(loaded(arrivals={"kind": "fixed", "rate": 0.3}))


def test_poisson() -> None:
    """Poisson arrivals have the right rate and the right variance."""
    began = starts(loaded(arrivals={"kind": "poisson", "rate": 2.0}, downloads=4000))
    gaps = [b - a for a, b in zip([0.0, *began], began, strict=False)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5

    assert abs(mean - 0.5) < 4 * 0.5 / 4000**0.5
    assert abs(deviation - 0.5) < 4 * 0.5 * (2 / 4000) ** 0.5 * 2**0.5


def test_poisson_seeds() -> None:
    """Different seeds begin at different times, equal seeds at equal ones."""
    arrivals = {"kind": "poisson", "rate": 2.0}
    one, again, other = (starts(loaded(arrivals=arrivals, seed=seed)) for seed in (1, 1, 2))

    assert one == again != other


def test_closed() -> None:
    """Each client begins again after its thinking time."""
    arrivals = {"kind": "closed", "clients": 2, "think": constant(1.5)}
    load = simulate_workload(loaded(arrivals=arrivals), "first-k")

    assert pytest.approx(4 * (ALONE + 1.5) + ALONE) == load.span
    assert pytest.approx(2 * 5 * ALONE / load.span) == load.in_system


def test_closed_without_thinking() -> None:
    """A client without thinking time begins again at once, even if a download takes no time."""
    load = simulate_workload(loaded(arrivals={"kind": "closed", "clients": 3}), "first-k")
    none = starts(loaded(arrivals={"kind": "closed", "clients": 3}))

    assert (load.in_system, load.span) == (3, 4 * ALONE)
    assert none == [0.0] * 10


def test_trace(tmp_path: Path) -> None:
    """A trace determines exactly when downloads begin."""
    times = ["0.1", "0.3", "0.3", "17"]
    arrivals = trace(tmp_path, "time", *times)

    assert [float(t) for t in times] == starts(loaded(arrivals=arrivals, downloads=None, warmup=0))
    assert (
        simulate_workload(loaded(arrivals=arrivals, downloads=2, warmup=1), "first-k").downloads
        == 2
    )


def test_sizes_of_a_trace(tmp_path: Path) -> None:
    """A trace may set the sizes of files; the default is that of `[file]`."""
    lines = ["size,time", "1000,0", ",10", "3000,20", "1000,30"]
    of = loaded(arrivals=trace(tmp_path, *lines), downloads=None, file={"size": 500})
    results = each(of)

    sizes = [r.bytes_received for r in results]
    assert sizes[0] == sizes[3]
    assert sizes[1] < sizes[0] < sizes[2]
    assert all(r.content_ok for r in results)


# What downloads share


def test_queue() -> None:
    """Downloads that overlap wait for one another at the servers."""
    grid: dict[str, Any] = {"service": constant(1.0), "concurrency": 1}
    alone = each(loaded(grid=grid, arrivals={"kind": "fixed", "rate": 0.01}))
    meeting = each(loaded(grid=grid, arrivals={"kind": "fixed", "rate": 1.0}))
    assert all(result.ttfb == alone[0].ttfb for result in alone)
    assert max(r.ttfb or 0 for r in meeting) > (alone[0].ttfb or 0)


@pytest.mark.parametrize("limit", ["service", "bandwidth", "client_bandwidth"])
def test_utilisation(limit: str) -> None:
    """The utilisation of the busiest server or line is reported."""
    grids: dict[str, dict[str, Any]] = {
        "service": {"service": constant(0.25), "concurrency": 1},
        "bandwidth": {"bandwidth": 1000.0},
        "client_bandwidth": {"client_bandwidth": 1000.0},
    }
    grid = grids[limit]
    load = simulate_workload(loaded(grid=grid, arrivals={"kind": "fixed", "rate": 0.1}), "first-k")
    received = load.bytes_received * 10 / 1000.0
    results = each(loaded(grid=grid, arrivals={"kind": "fixed", "rate": 0.1}))

    assert load.utilisation is not None
    if limit == "client_bandwidth":
        assert pytest.approx(received / load.span) == load.utilisation
    elif limit == "bandwidth":
        assert received / 10 / load.span < load.utilisation < received / load.span
    else:
        most = max(r.queries + r.reads for r in results)  # of one server: a query and its reads
        assert 0.25 * 10 / load.span < load.utilisation < 0.25 * 10 * most / load.span


def test_no_limits() -> None:
    """Without limits, there is no utilisation."""
    assert simulate_workload(loaded(), "first-k").utilisation is None


@pytest.mark.parametrize("k", [1, 3])
def test_cancel(k: int) -> None:
    """Withdrawn requests take no more service time; others are served to the end."""
    of: dict[str, Any] = {
        "stop": "located",
        "file": {"k": k},
        "grid": {"rtt": constant(0.0), "service": exponential(1.0), "concurrency": 1},
        "arrivals": {"kind": "poisson", "rate": 0.5},
        "downloads": 150,
    }
    purging, all_of_it = (
        simulate_workload(loaded(cancel=c, **of), "first-k") for c in (True, False)
    )

    assert purging.utilisation is not None
    assert all_of_it.utilisation is not None
    assert purging.utilisation < 0.8 * all_of_it.utilisation
    assert (purging.located.mean or 0) < (all_of_it.located.mean or 0)


def test_little(tmp_path: Path) -> None:
    """Little's law holds: the times of all together are the mean number times the span."""
    random = Random(0)
    times = sorted(random.uniform(0, 20) for _ in range(40))
    of = loaded(
        grid={"rtt": exponential(0.2), "service": exponential(0.02), "concurrency": 1},
        arrivals=trace(tmp_path, "time", *map(repr, times)),
        downloads=None,
    )
    load = simulate_workload(of, "first-k")

    assert load.finished.mean is not None
    assert pytest.approx(40 * load.finished.mean) == (load.in_system or 0) * load.span
    assert (load.in_system or 0) > 1


# Files


def test_files() -> None:
    """Each of several files is right, from the servers that hold it."""
    results = each(loaded(files={"count": 5}, downloads=40, grid={"servers": 30}))

    assert all(result.content_ok and result.outcome == "ok" for result in results)


def test_sizes() -> None:
    """The size of each file is drawn once."""
    of = loaded(
        files={"count": 4, "sizes": {"law": "uniform", "low": 100.0, "high": 9000.0}}, downloads=60
    )
    received = {result.bytes_received for result in each(of)}

    assert len(received) == 4


def test_popularity() -> None:
    """Files are requested by Zipf's law."""
    sizes = {"law": "uniform", "low": 100.0, "high": 9000.0}
    of = loaded(files={"count": 3, "sizes": sizes, "zipf": 1.0}, downloads=550, stop="first-block")
    received = [result.bytes_received for result in each(of)]
    counts = sorted((received.count(size) for size in set(received)), reverse=True)

    for count, share in zip(counts, (6 / 11, 3 / 11, 2 / 11), strict=True):
        assert abs(count - 550 * share) < 4 * (550 * share * (1 - share)) ** 0.5


def test_named_shares() -> None:
    """An entry with `shares` applies to every file."""
    entries: list[dict[str, Any]] = [
        {"select": "all", "shares": []},
        {"select": "0", "shares": [0, 1]},
        {"select": "7", "shares": [9]},
    ]
    results = each(loaded(*entries, files={"count": 3}))

    assert {tuple(result.shares_used or ()) for result in results} == {(0, 1, 9)}


def test_order() -> None:
    """In permuted order, a file's first shares are on the servers that are queried first."""
    of = loaded(files={"count": 5}, grid={"servers": 40, "order": "permuted"}, downloads=20)

    assert {tuple(result.shares_used or ()) for result in each(of, "windowed")} == {(0, 1, 2)}


# What goes wrong


def test_stalled() -> None:
    """A download that waits for an answer that never comes has stalled; the others continue."""
    load = simulate_workload(loaded(hung("2-9", start=14.0)), "first-k")

    assert load.outcomes == {"ok": 3, "stalled": 7}  # the fourth is being read then
    assert (load.ttfb.never, load.finished.never) == (7, 7)
    assert load.ttfb.mean == ALONE


def test_stalled_after_the_first_block() -> None:
    """A first byte counts even if the download never ends, as for a single download."""
    of = loaded(hung("all", start=ALONE), file={"size": 560, "segment_size": 56}, downloads=1)
    load = simulate_workload(of, "first-k")
    alone = simulate(of.model_copy(update={"workload": None}), "first-k").result

    assert load.outcomes == {"stalled": 1}
    assert (load.ttfb.mean, alone.ttfb) == (ALONE, ALONE)
    assert (load.located.never, load.ttfb.never, load.finished.never) == (0, 0, 1)


def test_stalled_at_once() -> None:
    """A download that never sends a request has stalled too."""
    load = simulate_workload(loaded(), lambda *_: Deferred())

    assert load.outcomes == {"stalled": 10}
    assert load.content_ok is None


def test_failed() -> None:
    """Failed downloads are counted by error, and the first message is kept."""
    load = simulate_workload(loaded({"select": "2-9", "fault": {"kind": "broken"}}), "first-k")

    assert (load.outcomes, load.errors) == ({"failed": 10}, {"NotEnoughSharesError": 10})
    assert load.message is not None
    assert "have 2, need 3" in load.message
    assert load.strays == 0


def test_deadline() -> None:
    """A download that is still busy at the deadline is counted as such, and stopped."""
    of = loaded(hung("2-9", end=1000.0), deadline=20.0)
    load = simulate_workload(of, "first-k")

    assert load.outcomes == {"deadline": 10}
    assert load.span == 9 * 4 + 20


def test_timer_is_no_stall() -> None:
    """A download that waits for its own timer has not stalled."""

    def waiting(reactor: Any, *_: Any) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        reactor.callLater(3, reactor.callLater, 3, reactor.callFromThread, done.callback, None)
        return done

    results: list[Result] = []
    simulate_workload(loaded(), waiting, each=results.append)

    assert {result.finished for result in results} == {6.0}


def test_strays() -> None:
    """An error in a callback that no download reports is not lost."""

    def careless(reactor: Any, *_: Any) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        reactor.callLater(1, lambda: 1 / 0)
        reactor.callLater(2, done.callback, None)
        return done

    load = simulate_workload(loaded(), careless)

    assert 10 == load.strays == load.errors["ZeroDivisionError"]


def test_long_message() -> None:
    """A long message is cut, whether from a download or from a callback."""

    def wordy(*_: object) -> Any:
        raise ValueError("x" * 1_000_000)

    def later(reactor: Any, *_: object) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        reactor.callLater(1, wordy)
        reactor.callLater(2, done.callback, None)
        return done

    for downloader in (wordy, later):
        load = simulate_workload(loaded(), downloader)
        assert "ValueError" in load.errors
        assert load.message is not None
        assert len(load.message) <= 10_000


def test_stalled_by_an_error() -> None:
    """A download whose timer raised, and that waits for nothing else, has stalled."""

    def raising(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.callLater(1, lambda: 1 / 0)
        return Deferred()

    load = simulate_workload(loaded(), raising)

    assert load.outcomes == {"stalled": 10}
    assert load.span == 37
    assert load.strays == 10


def test_no_further_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that prevents a download from starting is raised unchanged."""
    monkeypatch.setattr("firstk.harness.run.workload.make_up", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        simulate_workload(loaded(files={"count": 2}), "first-k")


def test_control_c() -> None:
    """Control-C ends it."""

    def interrupted(*_: Any) -> Deferred[None]:
        signal.raise_signal(signal.SIGINT)
        return Deferred()

    with pytest.raises(KeyboardInterrupt):
        simulate_workload(loaded(), interrupted)


# Equal runs, and memory

BUSY = """
from firstk.harness.run.workload import OverloadError, simulate_workload
from tests.harness.making import exponential
from tests.harness.run.test_workload import loaded

of = loaded(
    {{"select": {{"count": 2}}, "fault": {{"kind": "flaky", "probability": 0.1}}}},
    grid={{"rtt": exponential(0.2), "service": exponential(0.05), "concurrency": 2}},
    arrivals={{"kind": "poisson", "rate": 2.0}},
    files={{"count": 4, "zipf": 0.8}},
    downloads=30,
    cancel=True,
)
print(simulate_workload(of, "{}", 3).digest)
"""


@pytest.mark.parametrize("strategy", few(1, ["hedged", "first-k"]))
def test_equal_digests(strategy: str) -> None:
    """Equal seeds give equal digests, whatever the hash seed."""
    digests = {run_python(BUSY.format(strategy), PYTHONHASHSEED=seed) for seed in ("0", "7")}

    assert len(digests) == 1


def test_runs_differ() -> None:
    """Each run has its own seed."""
    of = loaded(grid={"rtt": exponential(0.5)}, seed=3)
    one, other, same = (
        simulate_workload(of, "first-k"),
        simulate_workload(of, "first-k", 2),
        simulate_workload(of.model_copy(update={"seed": 5}), "first-k"),
    )

    assert (one.seed, other.seed, same.seed) == (3, 5, 5)
    assert one.digest != other.digest == same.digest


def kept(downloads: int, *servers: dict[str, Any]) -> int:
    """Return the number of objects when this many downloads have ended."""
    over, objects = 0, 0

    def look(_: Result) -> None:
        nonlocal over, objects
        over += 1
        if over == downloads:
            gc.unfreeze()
            gc.collect()
            objects = len(gc.get_objects())

    simulate_workload(loaded(*servers, downloads=downloads), "first-k", each=look)
    return objects


@pytest.mark.parametrize(
    "faults", few(1, [[], [hung("2-9")], [hung("3")]]), ids=["", "stalls", "held"]
)
def test_memory(faults: list[dict[str, Any]]) -> None:
    """Downloads that have ended use no memory, however they ended."""
    kept(50, *faults)  # what is made once is made now
    few, many = kept(100, *faults), kept(300, *faults)

    assert many - few < 200  # a download alone has hundreds


def test_from_a_file(tmp_path: Path) -> None:
    """A scenario file has a workload, with a trace next to it."""
    (tmp_path / "times.csv").write_text("time\n0\n1\n")
    (tmp_path / "load.toml").write_text(
        """\
name = "load"
[file]
size = 56
k = 3
n = 10
[grid]
servers = 10
rtt = { law = "constant", value = 0.5 }
[workload]
arrivals = { kind = "trace", path = "times.csv" }
"""
    )
    workload_result: WorkloadResult = simulate_workload(
        load_scenario(tmp_path / "load.toml"), "first-k"
    )

    assert (workload_result.downloads, workload_result.span) == (2, 1 + ALONE)


def test_escapes_are_counted_once() -> None:
    """An escape that a download reports is not counted again."""

    def sleepy(*_: Any) -> Deferred[None]:
        time.sleep(0)
        return Deferred()

    load = simulate_workload(loaded(), sleepy)

    assert (load.errors, load.strays) == ({"EscapeError": 10}, 0)


def wakes(reactor: Any, servers: Any, *_: Any) -> Deferred[Any]:
    """Wait until another download begins, and send no request."""
    for waiting in reactor.env.__dict__.pop("waiting", []):
        waiting.callback(None)
    done: Deferred[Any] = Deferred()
    reactor.env.waiting = [done]
    return done


def test_woken_by_another() -> None:
    """A stalled download that another one wakes is an error of the run."""
    load = simulate_workload(loaded(), wakes)

    assert load.outcomes == {"stalled": 10}
    assert {"MisconductError": load.strays} == load.errors
    assert load.message is not None
    assert "ended at 4 s that had counted as stalled" in load.message


# A download's own context

#: What a library with state at module level might have: whose turn it is.
_whose: ContextVar[int] = ContextVar("whose")


def in_context(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Keep state in a context variable, and check it in every callback."""
    number = reactor.env.__dict__.setdefault("numbers", itertools.count())
    mine = next(number)
    assert _whose.get(None) is None
    _whose.set(mine)

    def check(result: Any) -> Any:
        assert mine == _whose.get(None)
        return result

    class Checking:
        """A producer that checks it, too."""

        def __init__(self, producer: Any) -> None:
            self.producer = producer

        def stopProducing(self) -> None:
            check(None)
            self.producer.stopProducing()

    original = consumer.registerProducer
    consumer.registerProducer = lambda producer, streaming: original(Checking(producer), streaming)
    for server in servers:
        server.get_buckets(b"").addBoth(check)
    reactor.callLater(0.3, check, None)
    return download(reactor, servers, cap, consumer).addBoth(check)


@pytest.mark.parametrize("changes", [{}, {"stop": "first-block"}, {"deadline": 1.5}])
def test_context(changes: dict[str, Any]) -> None:
    """Each download runs in its own context, however many there are."""
    load = simulate_workload(
        loaded(arrivals={"kind": "poisson", "rate": 9.0}, **changes), in_context
    )

    assert {"deadline" if "deadline" in changes else "ok": 10} == load.outcomes
    assert (load.strays, load.errors) == (0, {})
    assert _whose.get(None) is None


def test_context_entered_twice() -> None:
    """Code that steps the reactor itself keeps its context in the steps."""
    seen = []

    def stepping(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
        _whose.set(7)
        reactor.callLater(0.4, reactor.iterate, 0.4)
        for server in servers:
            server.get_buckets(b"").addBoth(lambda _: seen.append(_whose.get(None)))
        return download(reactor, servers, cap, consumer)

    assert simulate(scenario(), stepping).result.outcome == "ok"
    assert seen == [7] * 10


# Overloads

RISING: dict[str, Any] = {"kind": "poisson", "rate": 50.0}


@pytest.mark.parametrize(
    ("arrivals", "words"),
    [
        (RISING, "poisson arrivals, 50 a second"),
        ({"kind": "fixed", "rate": 50.0}, "fixed arrivals, 50 a second"),
    ],
)
def test_too_many(arrivals: dict[str, Any], words: str) -> None:
    """A load under which downloads pile up raises an error with all details."""
    of = loaded(hung("all", end=3000.0), arrivals=arrivals, max_under_way=200)
    with pytest.raises(OverloadError) as caught:
        simulate_workload(of, "first-k", run=3)

    said = str(caught.value)
    assert f"test, first-k, seed 3: the grid cannot carry this load ({words})" in said
    assert "200 downloads are under way at " in said
    assert 3 < float(said.partition("under way at ")[2].partition(" s")[0]) < 5
    assert "and 0 of the 10 counted downloads have finished" in said
    assert "set workload.max_under_way to more than 200" in said


def test_too_many_in_queues() -> None:
    """A load above the capacity of the servers raises; the error counts finished downloads."""
    grid = {"service": constant(0.1), "concurrency": 1}
    of = loaded(grid=grid, arrivals=RISING | {"rate": 5.0}, downloads=1000, max_under_way=40)
    with pytest.raises(OverloadError) as caught:
        simulate_workload(of, "first-k")

    over = int(str(caught.value).partition(", and ")[2].partition(" of the 1,000")[0])
    assert 10 < over < 100


def test_too_many_of_a_trace(tmp_path: Path) -> None:
    """A trace with too many downloads at once raises, too."""
    arrivals = trace(tmp_path, "time", *["0.5"] * 12)
    changes: dict[str, Any] = {"arrivals": arrivals, "downloads": None}

    assert simulate_workload(loaded(max_under_way=12, **changes), "first-k").outcomes == {"ok": 12}
    with pytest.raises(OverloadError, match=r"11 downloads are under way at 0\.5 s"):
        simulate_workload(loaded(max_under_way=11, **changes), "first-k")


def test_too_many_and_errors() -> None:
    """The message includes an error that may be the reason."""

    def careless(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.callLater(1, lambda: 1 / 0)
        reactor.callLater(100, len, "x")
        return Deferred()

    with pytest.raises(OverloadError, match=r"200 downloads are under way.*ZeroDivisionError"):
        simulate_workload(loaded(arrivals=RISING, max_under_way=200), careless)


def test_recovers_in_time() -> None:
    """A grid that recovers before there are too many downloads carries its load."""
    of = loaded(hung("all", end=3.0), arrivals=RISING, max_under_way=300)

    assert simulate_workload(of, "first-k").outcomes == {"ok": 10}


def test_closed_clients_are_a_bound() -> None:
    """Closed clients may exceed the limit: their number is a bound by itself."""
    of = loaded(hung("all", end=3.0), arrivals={"kind": "closed", "clients": 50})

    assert simulate_workload(of, "first-k").outcomes == {"ok": 10}


def test_time_never_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that begin again and again at one virtual time raise an error."""
    monkeypatch.setattr("firstk.harness.run.workload._MOST_AT_ONCE", 100)
    grid = {"rtt": constant(0.0), "order": "permuted"}
    of = loaded(
        hung("0", on=["read"], end=9.0),
        arrivals={"kind": "closed", "clients": 9},
        files={"count": 30},
        file={"k": 1, "n": 2},
        grid=grid,
        downloads=30,
    )
    with pytest.raises(
        OverloadError, match="virtual time stands still, since neither clients nor servers"
    ):
        simulate_workload(of, "first-k")


def test_overload_while_warming_up() -> None:
    """An overload is detected even before the first download counts."""
    slow = loaded(hung("all", end=3000.0), arrivals=RISING, max_under_way=50, warmup=200)
    with pytest.raises(OverloadError, match="the grid cannot carry this load"):
        simulate_workload(slow, "first-k")


def test_overload_lets_go() -> None:
    """An overload leaves no downloads in memory."""
    of = loaded(hung("all", end=3000.0), arrivals=RISING, max_under_way=50)
    before = downloads()  # what another test has left
    with pytest.raises(OverloadError):
        simulate_workload(of, "first-k")
    gc.collect()

    assert not [one for one in downloads() if not any(one is other for other in before)]


def downloads() -> list[SimulatedDownload]:
    """Return all downloads in memory."""
    return [one for one in gc.get_objects() if isinstance(one, SimulatedDownload)]


def test_no_time_passes() -> None:
    """If no time passes, there is no mean number of downloads in progress."""
    arrivals = {"kind": "closed", "clients": 3}
    load = simulate_workload(loaded(grid={"rtt": constant(0.0)}, arrivals=arrivals), "first-k")

    assert (load.span, load.in_system, load.success_fraction) == (0.0, None, 1.0)
