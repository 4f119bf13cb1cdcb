"""Grids in Python: changing servers, advancing time step by step, and downloading."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater

from firstk.downloader import parse_cap
from firstk.downloader.strategy import find_strategy
from firstk.harness.kernel.condition import ConditionNeverMetError
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import DownloaderError
from firstk.harness.testing.simgrid import ServerGroup, SimGrid
from firstk.scenarios.library import load_all
from firstk.scenarios.load import ScenarioError
from tests.harness.making import constant, exponential, hung, scenario
from tests.marks import few

STRATEGIES = ["wait-for-all", "first-k", "first-k-late", "windowed", "hedged"]


@pytest.fixture
def grid() -> SimGrid:
    """Return ten good servers with a round trip of 0.5 s, each with a share of a small file."""
    return SimGrid(size=56, rtt=0.5)


def never(*_: Any) -> Deferred[None]:
    """Return a Deferred that never fires, and request nothing."""
    return Deferred()


# Servers


@pytest.mark.parametrize(
    ("which", "names"),
    [
        (3, ["s3"]),
        (-1, ["s9"]),
        (slice(7, None), ["s7", "s8", "s9"]),
        ("s3", ["s3"]),
        ("0,3-5", ["s0", "s3", "s4", "s5"]),
    ],
)
def test_choose(which: Any, names: list[str], grid: SimGrid) -> None:
    """Servers are selected by number, by slice and by name."""
    assert names == grid.servers[which].names
    assert f"<Servers {', '.join(names)}>" == repr(grid.servers[which])


def test_iterate(grid: SimGrid) -> None:
    """Iterating yields the servers one by one."""
    assert [[f"s{i}"] for i in range(10)] == [server.names for server in grid.servers]
    assert len(grid.servers) == 10


def test_choose_of_some(grid: SimGrid) -> None:
    """A selection of servers can be narrowed further."""
    assert grid.servers[4:8]["s1,s5"].names == ["s5"]


@pytest.mark.parametrize("which", ["s10", "3-1", "x"])
def test_no_such_server(which: str, grid: SimGrid) -> None:
    """A selection beyond the grid is refused, as in a scenario file."""
    with pytest.raises(ValueError, match=r"beyond the grid|backwards|should be"):
        grid.servers[which]
    with pytest.raises(IndexError):
        grid.servers[10]


def test_order() -> None:
    """Servers are numbered by their names, whatever order the downloader sees."""
    grid = SimGrid(order="permuted")
    grid.start("first-k")

    asked = [request.server for request in grid.outstanding]
    assert [f"s{i}" for i in range(10)] == [server.names[0] for server in grid.servers]
    assert sorted(asked) == sorted(f"s{i}" for i in range(10))
    assert sorted(asked) != asked


# Verbs


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("verb", "table"),
    [
        (lambda s: s.hang(), {"kind": "hung"}),
        (lambda s: s.hang("read"), {"kind": "hung", "on": ["read"]}),
        (lambda s: s.hang(end=2), {"kind": "hung", "end": 2.0}),
        (lambda s: s.slow(3), {"kind": "slow", "factor": 3.0}),
        (lambda s: s.slow(extra=1), {"kind": "slow", "extra": 1.0}),
        (lambda s: s.corrupt(), {"kind": "corrupt", "part": "block"}),
        (lambda s: s.corrupt("ueb", start=1.2), {"kind": "corrupt", "part": "ueb", "start": 1.2}),
        (lambda s: s.disconnect(start=0.7), {"kind": "disconnect", "start": 0.7}),
        (lambda s: s.fault("broken"), {"kind": "broken"}),
        (lambda s: s.fault("flaky", probability=0.5), {"kind": "flaky", "probability": 0.5}),
        (lambda s: s.hang().heal(at=2), {"kind": "hung", "end": 2.0}),
    ],
)
def test_faults(
    verb: Callable[[ServerGroup], object], table: dict[str, Any], strategy: str
) -> None:
    """The verbs do the same as the faults with their names in a scenario file."""
    file = scenario({"select": "0-2", "fault": table}, name="grid")
    grid = SimGrid(size=56, rtt=0.5)
    verb(grid.servers[:3])

    assert simulate(file, strategy).result == grid.download(strategy)


def test_several_faults(grid: SimGrid) -> None:
    """A server may have several faults, and `heal` removes all of them."""
    grid.servers.slow(extra=1).corrupt("ueb")
    assert grid.download("first-k").outcome == "failed"

    grid.servers.heal()

    result = grid.download("first-k")
    assert (result.outcome, result.ttfb) == ("ok", 2.5)


def test_hold(grid: SimGrid) -> None:
    """Servers hold exactly the shares that `hold` gives them."""
    grid.servers.hold()
    grid.servers[4].hold(2, 0)
    grid.servers[7].hold(5)

    result = grid.download("first-k")

    assert result.shares_used == [0, 2, 5]


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda s: s.corrupt("blok"), "fault.part: should be 'block'"),
        (lambda s: s.fault("lazy"), r"'lazy' is unknown; did you mean 'flaky'\? there are 'hung'"),
        (lambda s: s.slow(), "a slow server needs a factor, or extra seconds"),
        (lambda s: s.slow(-1), "fault.factor: should be greater than 0"),
        (lambda s: s.hang(start=2, end=1), "should be later than start = 2"),
        (lambda s: s.hold(0, 10), "there is no share 10; the file has 0, 1"),
        (lambda s: s.hang(until=3), "unexpected keyword argument"),
    ],
)
def test_bad_verb(do: Callable[[Any], object], said: str, grid: SimGrid) -> None:
    """An invalid fault is refused, as in a scenario file, and changes nothing."""
    with pytest.raises((ScenarioError, TypeError), match=said):
        do(grid.servers)

    assert grid.download("first-k").ttfb == 2.5


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"k": 11}, "file.k: should be 10"),
        ({"rtt": -1.0}, "grid.rtt.value: should be greater than or equal to 0"),
        ({"rtt_pre": "server"}, "grid.rtt_pre: unknown key; did you mean 'rtt_per'"),
        ({"servers": 0}, "grid.servers"),
    ],
)
def test_bad_grid(keys: dict[str, Any], said: str) -> None:
    """An invalid grid is refused, as in a scenario file, key by key."""
    with pytest.raises(ScenarioError, match=said):
        SimGrid(**keys)


def test_keys() -> None:
    """A grid accepts the keys of a scenario file."""
    grid = SimGrid(
        servers=4,
        k=2,
        n=4,
        size=500,
        segment_size=100,
        rtt=exponential(2.0),
        seed=7,
        order="shuffled",
    )
    file = scenario(
        name="grid",
        seed=7,
        file={"size": 500, "segment_size": 100, "k": 2, "n": 4},
        grid={"servers": 4, "rtt": exponential(2.0), "order": "shuffled"},
    )

    assert simulate(file, "hedged").result == grid.download("hedged")


# Time


def test_advance(grid: SimGrid) -> None:
    """`advance` moves time exactly as far as given, even if nothing happens."""
    download = grid.start("first-k")
    assert grid.now == 0
    assert len(grid.outstanding) == 10

    grid.advance(0.25)
    assert (grid.now, len(grid.outstanding)) == (0.25, 10)
    grid.advance(0.25)
    assert (grid.now, len(grid.outstanding)) == (0.5, 3)  # the headers of the chosen shares ...
    assert {request.operation for request in grid.outstanding} == {"read"}
    grid.advance(100)
    assert (grid.now, grid.outstanding) == (100.5, [])
    assert download.done


def test_advance_to(grid: SimGrid) -> None:
    """`advance_to` moves to an exact time, and never back."""
    grid.advance(0.1)
    grid.advance_to(2.6510933567)
    assert grid.now == 2.6510933567
    grid.advance_to(1)

    assert grid.now == 2.6510933567


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_no_time(seconds: float, grid: SimGrid) -> None:
    """An invalid time is refused, and changes nothing."""
    for do in grid.advance, grid.advance_to, lambda at: grid.servers.heal(at=at):
        with pytest.raises(ValueError, match="is not a time in seconds"):
            do(seconds)

    assert grid.download("first-k").ttfb == 2.5


def test_condition_is_the_tests(grid: SimGrid) -> None:
    """The condition of `until` may use the real clock: it is not part of a download."""
    download = grid.start("first-k")
    latest = time.monotonic() + 60

    grid.until(lambda: download.done or time.monotonic() > latest)

    assert download.finish().outcome == "ok"


def test_never_tells_of_errors(grid: SimGrid) -> None:
    """If a condition is never met because of an error, the message has the error."""

    def raising(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.callLater(1, lambda: 1 / 0)
        return Deferred()

    download = grid.start(raising)
    with pytest.raises(
        ConditionNeverMetError, match="none; ZeroDivisionError: division by zero"
    ) as caught:
        grid.until(lambda: download.done)

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert download.finish().error == "ZeroDivisionError"


def test_until(grid: SimGrid) -> None:
    """`until` stops as soon as the condition is true."""
    download = grid.start("first-k")
    assert (download.ttfb, download.done) == (None, False)

    grid.until(lambda: download.ttfb is not None)

    assert (grid.now, download.ttfb) == (2.5, 2.5)
    assert download.status is not None
    assert sorted(download.status.shares_used) == [0, 1, 2]


def test_never(grid: SimGrid) -> None:
    """A condition that is never met raises, with the outstanding requests."""
    grid.servers[:9].hang()
    download = grid.start("first-k")

    with pytest.raises(ConditionNeverMetError) as caught:
        grid.until(lambda: download.done)

    waiting = ", ".join(f"s{i} (get_buckets at 0 s)" for i in range(9))
    assert (
        "the condition never became true: no events left at 0.5 s; outstanding requests: " + waiting
        == str(caught.value)
    )


def test_never_by_the_deadline() -> None:
    """At the deadline, `until` gives up; of many requests, some are listed."""
    grid = SimGrid(servers=30, n=30, deadline=100.0)
    grid.servers.hang()
    grid.start("wait-for-all")

    def tick() -> None:
        grid.reactor.callLater(1, tick)

    tick()
    with pytest.raises(
        ConditionNeverMetError, match=r"deadline reached at 100 s; .*s11 .* and 18 more$"
    ):
        grid.until(lambda: False)


def test_true_at_once(grid: SimGrid) -> None:
    """If the condition is true already, no time passes."""
    grid.start("first-k")
    grid.until(lambda: True)

    assert grid.now == 0


@pytest.mark.parametrize(
    "limits",
    [{}, {"service": constant(0.125), "concurrency": 1}, {"bandwidth": 1e6}],
    ids=["", "service", "bandwidth"],
)
def test_release(limits: dict[str, Any]) -> None:
    """A healed server answers the requests that it held while it hung."""
    grid = SimGrid(size=56, rtt=0.5, **limits)
    grid.servers[2:].hang()
    download = grid.start("first-k")
    grid.advance(5)
    assert [f"s{i}" for i in range(2, 10)] == [request.server for request in grid.outstanding]

    grid.servers[4].heal()
    result = download.finish()

    assert result.shares_used == [0, 1, 4]
    assert result.ttfb is not None
    assert 5 + 0.25 + 4 * 0.5 <= result.ttfb < 5 + 0.25 + 4 * 0.5 + 1
    assert len(grid.outstanding) == 7
    assert grid.servers[4].outstanding == []


def test_hang_spares_what_was_taken_up(grid: SimGrid) -> None:
    """A server that begins to hang still answers what reached it before."""
    download = grid.start("first-k")
    grid.advance(0.3)  # the queries arrived at 0.25 s
    grid.servers.hang()

    assert download.finish().outcome == "stalled"
    assert {request.operation for request in grid.outstanding} == {"read"}


def test_hang_holds_what_is_under_way(grid: SimGrid) -> None:
    """A request that reaches a hung server is held, even if it was sent before."""
    grid.start("first-k")
    grid.advance(0.2)
    grid.servers.hang()
    grid.advance(10)

    assert len(grid.outstanding) == 10


@pytest.mark.parametrize("limits", [{}, {"service": constant(0.5)}], ids=["", "service"])
def test_disconnect_fails_what_is_outstanding(limits: dict[str, Any]) -> None:
    """A lost connection fails all outstanding requests at once, wherever they are."""
    grid = SimGrid(size=56, rtt=0.5, **limits)
    grid.servers[0].hang()
    download = grid.start("first-k-late")
    grid.advance(0.3)

    grid.servers.disconnect()

    result = download.finish()
    assert (result.outcome, result.error, result.finished) == ("failed", "NoSharesError", 0.3)
    assert grid.outstanding == []


def test_hang_again() -> None:
    """Healing at a future time does not undo faults that begin after it."""
    grid = SimGrid(rtt=0.1)
    grid.servers.hang().heal(at=1).hang(start=2)

    result = grid.download("first-k")
    assert result.outcome == "ok"
    assert pytest.approx(1.45) == result.ttfb
    grid.advance_to(2)
    assert grid.download("first-k").outcome == "stalled"


def test_heal_before_it_begins(grid: SimGrid) -> None:
    """Healing also removes faults that have not begun yet."""
    grid.servers.hang(start=1).disconnect(start=0.2).fault("broken", start=2)
    grid.servers.heal()

    assert grid.download("first-k").ttfb == 2.5


# Downloads


@pytest.mark.parametrize("strategy", few(1, reversed([*STRATEGIES])))
def test_as_a_scenario(strategy: str) -> None:
    """The grid of a scenario gives the results of the scenario, with equal digests."""
    for one in load_all(["ticket-928", "hung-server"]):
        if strategy in one.strategies:
            with SimGrid.of(one) as grid:
                assert simulate(one, strategy).result == grid.download(strategy)


def test_second_download(grid: SimGrid) -> None:
    """A grid may be read again: times count from the start of each download."""
    first = grid.download("first-k")
    second = grid.download("first-k")

    assert grid.now == 5.0
    assert (first.ttfb, first.located, first.finished) == (2.5, 0.5, 2.5)
    assert (second.ttfb, second.located, second.finished) == (2.5, 0.5, 2.5)
    assert first.queries == second.queries == 10


def test_side_by_side() -> None:
    """Downloads in one grid share the servers' queues."""
    grid = SimGrid(size=56, rtt=0.5, service=constant(1.0), concurrency=1)
    alone = grid.download("first-k")
    grid.start("first-k")
    second = grid.start("first-k")

    both = grid.finish()

    assert both[0] == alone
    assert second.finish() is both[2]
    assert alone.ttfb is not None
    assert both[2].ttfb is not None
    assert both[2].ttfb > alone.ttfb


def test_range(grid: SimGrid) -> None:
    """A download may read a range, or stop after the first block."""
    part = grid.download("first-k", offset=50, length=6)
    assert (part.content_ok, part.outcome) == (True, "ok")

    grid = SimGrid(size=5000, segment_size=500, rtt=0.5)
    stopped = grid.download("first-k", stop="first-block")
    assert stopped.finished == stopped.ttfb == 2.5


@pytest.mark.parametrize(
    "asked", [{"offset": -1}, {"offset": 57}, {"length": 57}, {"offset": 50, "length": 7}]
)
def test_no_such_bytes(asked: dict[str, Any], grid: SimGrid) -> None:
    """A range outside the file is refused."""
    with pytest.raises(ValueError, match="the file has 56"):
        grid.start("first-k", **asked)


def test_downloader_of_the_grid() -> None:
    """A grid may have a downloader; a download may override it."""
    grid = SimGrid(downloader="wait-for-all")

    assert grid.download().strategy == "wait-for-all"
    assert grid.download("hedged").strategy == "hedged"


def test_strategy_of_ones_own(grid: SimGrid) -> None:
    """A custom strategy can be downloaded with, like a named one."""
    narrow = replace(find_strategy("windowed"), name="narrow", window=2)
    grid.servers[:2].hang()
    download = grid.start(narrow)
    grid.advance(0)  # it begins in a turn of its own, as Tahoe-LAFS does

    assert len(grid.outstanding) == 2
    result = download.finish()
    assert (result.strategy, result.outcome, result.ttfb) == ("narrow", "ok", 11.5)


def test_no_downloader(grid: SimGrid) -> None:
    """Without a downloader, no download can start."""
    with pytest.raises(TypeError, match="needs a downloader, or a strategy"):
        grid.start()
    with pytest.raises(DownloaderError, match="lucky"):
        grid.start("lucky")


def test_not_over(grid: SimGrid) -> None:
    """A download that waits for nothing has stalled, and is not done."""
    download = grid.start(never)

    assert download.finish().outcome == "stalled"
    assert not download.done
    assert download.status is None


def test_deadline() -> None:
    """A download is cut off at the deadline, counted from its own start."""
    grid = SimGrid(rtt=1.0, deadline=3.0)
    grid.advance(50)

    result = grid.download("first-k")

    assert (result.outcome, result.finished) == ("deadline", None)
    assert result.ended <= 3.0


def test_errors_are_not_lost(grid: SimGrid) -> None:
    """An exception in a callback, or in a lost Deferred, fails the download."""

    def careless(reactor: Any, *_: Any) -> Deferred[None]:
        def forget() -> None:
            fail(ZeroDivisionError("forgotten"))
            gc.collect()

        reactor.callLater(1, forget)
        done: Deferred[None] = Deferred()
        reactor.callLater(2, done.callback, None)
        return done

    def raising(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.callLater(1, lambda: 1 / 0)
        return Deferred()

    for downloader in careless, raising:
        result = grid.download(downloader)
        assert (result.outcome, result.error) == ("failed", "ZeroDivisionError")
    assert grid.download("first-k").outcome == "ok"


def test_whose_error_it_is(grid: SimGrid) -> None:
    """An error in one download is not reported for another one in progress."""

    def raising(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.callLater(1, lambda: 1 / 0)
        return Deferred()

    def sleepy(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.callLater(1, time.sleep, 0)
        return Deferred()

    for downloader in "first-k", raising, sleepy:
        grid.start(downloader)

    errors = [result.error for result in grid.finish()]
    assert errors == [None, "ZeroDivisionError", "EscapeError"]


def test_escapes(grid: SimGrid) -> None:
    """A downloader that leaves the simulation fails; a test itself may wait and read the clock."""

    def sleepy(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.callLater(1, time.sleep, 0)
        return Deferred()

    download = grid.start(sleepy)
    grid.advance(0.5)
    time.sleep(0)
    grid.advance(1)
    time.sleep(0)

    result = download.finish()
    assert (result.outcome, result.error) == ("failed", "EscapeError")
    assert result.message is not None
    assert "time.sleep" in result.message


def test_chance_goes_on(grid: SimGrid) -> None:
    """`random` continues from step to step, and follows from the seed."""
    drawn: list[float] = []

    def drawing(reactor: Any, *_: Any) -> Deferred[None]:
        for i in range(3):
            reactor.callLater(i, lambda: drawn.append(random.random()))
        return Deferred()

    for _ in range(2):
        grid = SimGrid(seed=3)
        grid.start(drawing)
        for _ in range(3):
            grid.advance(1)

    assert drawn[:3] == drawn[3:]
    assert len(set(drawn)) == 3


def test_shut_down() -> None:
    """Closing a grid calls the shutdown triggers, once."""
    called: list[str] = []

    def waiting(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.addSystemEventTrigger("after", "shutdown", called.append, "over")
        return Deferred()

    with SimGrid() as grid:
        grid.download(waiting)
        assert called == []
    grid.close()

    assert called == ["over"]
    assert gc.get_freeze_count() == 0


def test_untold_errors() -> None:
    """An error in a download whose result is never read is raised at the end, once."""

    def raising(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.callLater(1, lambda: 1 / 0)
        return Deferred()

    grid = SimGrid()
    grid.start(raising)
    grid.advance(2)
    with pytest.raises(ZeroDivisionError):
        grid.close()
    grid.close()

    def look(error: type[Exception] | None) -> None:
        with SimGrid() as grid:
            grid.start(raising)
            grid.advance(2)
            if error is not None:
                raise error

    with pytest.raises(ZeroDivisionError):
        look(None)
    with pytest.raises(AssertionError):  # the test's own goes first
        look(AssertionError)


def test_faults_of_a_scenario() -> None:
    """`heal` removes the faults of a scenario's grid."""
    grid = SimGrid.of(scenario(hung("all")))
    download = grid.start("first-k")
    grid.advance(10)

    grid.servers.heal()

    result = download.finish()
    assert (result.outcome, result.ttfb) == ("ok", 12.25)


# Changes to servers whose buckets were found before


def reading(answers: list[tuple[float, Any]], times: Sequence[float]) -> Callable[..., Any]:
    """Return a downloader that gets the bucket of s0, and reads from it at those times."""

    async def reads(reactor: Any, servers: Any, cap: Any, *_: Any) -> None:
        parsed: Any = parse_cap(cap)
        (bucket,) = (await servers[0].get_buckets(parsed.storage_index)).values()

        def keep(result: Any) -> None:
            told = result if isinstance(result, bytes) else type(result.value).__name__
            answers.append((round(reactor.seconds(), 9), told))

        for at in times:
            await deferLater(reactor, at - reactor.seconds())
            bucket.read(0, 4).addBoth(keep)
        await deferLater(reactor, 100)

    return reads


HEADER = b"\0\0\0\1"


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        (lambda servers: servers, [(1.5, HEADER)]),
        (lambda servers: servers.hang(), []),
        (lambda servers: servers.hang(end=7), [(7.25, HEADER)]),
        (lambda servers: servers.slow(3), [(2.5, HEADER)]),
        (lambda servers: servers.corrupt("header"), [(1.5, b"\x01\x01\x01\x02")]),
        (lambda servers: servers.disconnect(), [(1.0, "ConnectionLost")]),
        (lambda servers: servers.fault("broken"), [(1.5, "ServerError")]),
        (lambda servers: servers.hang().heal(), [(1.5, HEADER)]),
        (lambda servers: servers.hold(), [(1.5, "ServerError")]),
        (lambda servers: servers.hold(1), [(1.5, "ServerError")]),
        (lambda servers: servers.hold(0, 1), [(1.5, HEADER)]),
        (lambda servers: servers.hold().hold(0), [(1.5, HEADER)]),
    ],
)
@pytest.mark.parametrize("limits", [{}, {"bandwidth": 1e12}])
def test_found_before(
    verb: Callable[[ServerGroup], object], told: list[Any], limits: dict[str, Any]
) -> None:
    """Changes to a server also apply to buckets that were found before."""
    answers: list[tuple[float, Any]] = []
    grid = SimGrid(rtt=0.5, **limits)
    grid.start(reading(answers, [1]))
    grid.advance_to(0.75)
    verb(grid.servers[0])
    grid.advance_to(50)

    assert told == [(pytest.approx(time), what) for time, what in answers]


@pytest.mark.parametrize("limits", [{}, {"bandwidth": 1e12}])
def test_hold_spares_what_was_taken_up(limits: dict[str, Any]) -> None:
    """A read that the server has started is answered from the shares that it held then."""
    answers: list[tuple[float, Any]] = []
    grid = SimGrid(rtt=0.5, **limits)
    grid.start(reading(answers, [1, 1.2]))
    grid.advance_to(1.3)  # the first read arrived at 1.25
    grid.servers[0].hold()
    grid.advance_to(50)

    assert [told for _, told in answers] == [HEADER, "ServerError"]
    assert pytest.approx([at for at, _ in answers]) == [1.5, 1.7]


def test_hold_spares_queries_that_were_taken_up() -> None:
    """A query is answered with the shares that the server holds when the query arrives."""
    for at, located in ((0.2, None), (0.3, 0.5)):
        grid = SimGrid(k=1, n=1, servers=1, rtt=0.5)
        running = grid.start("first-k")
        grid.advance_to(at)
        grid.servers.hold()
        assert located == running.finish().located


@pytest.mark.parametrize("strategy", ["first-k", "windowed", "hedged"])
def test_all_shares_go(strategy: str) -> None:
    """If all shares are removed during a download, it fails."""
    grid = SimGrid(size=3_000_000, segment_size=300_000, rtt=0.05)
    running = grid.start(strategy)
    grid.until(lambda: running.ttfb is not None)
    grid.servers.hold()
    result = running.finish()

    assert (result.outcome, result.error) == ("failed", "NotEnoughSharesError")
    assert "ServerError: share 0 is gone" in (result.message or "")


def test_shares_come_back(grid: SimGrid) -> None:
    """A share that is removed and restored is read again."""
    running = grid.start("hedged")
    grid.until(lambda: grid.servers[0].outstanding)
    grid.servers.hold()
    grid.servers[:3].hold(0, 1, 2)

    assert running.finish().outcome == "ok"
