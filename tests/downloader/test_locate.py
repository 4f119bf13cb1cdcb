"""Phase 1: when locating ends, whatever servers answer, and what errors say about each server."""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from firstk.downloader.encode import encode
from firstk.downloader.errors import NoSharesError, NotEnoughSharesError, ServerFailedError
from firstk.downloader.strategy import STRATEGIES, Strategy
from tests.doubles import MemoryBucket, MemoryServer, servers_of
from tests.downloader.scenery import (
    FOUR_PHASES,
    AnyServer,
    BoomError,
    Download,
    ManualServer,
    answering,
    boom,
    corrupt,
    delayed,
    manual_servers,
)

PLAINTEXT = bytes(range(100))
FILE = encode(PLAINTEXT, k=3, n=10)
SHARES = FILE.shares

strategies = pytest.mark.parametrize("strategy", STRATEGIES)
four_phases = pytest.mark.parametrize("strategy", FOUR_PHASES)


def lines(error: NotEnoughSharesError) -> list[str]:
    """Check the headline of the error's text, and return the lines after it."""
    headline, *rest = str(error).splitlines()

    assert f"not enough shares: have {error.have}, need {error.need}" == headline
    assert list(error.servers) == [line.strip() for line in rest]
    return list(error.servers)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_asks_all_at_once(strategy: str) -> None:
    """Every server is queried once, for the cap's storage index, before any has answered."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy=strategy)

    assert [[FILE.cap.storage_index]] * 10 == [server.asked for server in servers]
    assert (
        run.status.queries_sent,
        run.status.queries_answered,
        run.status.queries_failed,
    ) == (10, 0, 0)
    assert run.status.phase == "locating"
    assert run.status.located is None


@pytest.mark.parametrize("strategy", ["first-k", "first-k-late"])
def test_first_k_ends(strategy: str) -> None:
    """Locating ends with the answer that completes K distinct share numbers, and no earlier."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy=strategy)
    servers[9].answer()
    servers[2].answer()

    assert run.status.phase == "locating"
    servers[5].answer()

    assert run.consumer.data == PLAINTEXT
    assert run.done().shares_used == {2, 5, 9}
    assert (
        run.status.queries_sent,
        run.status.queries_answered,
        run.status.queries_failed,
    ) == (10, 3, 0)


@pytest.mark.parametrize("strategy", ["first-k", "first-k-late"])
def test_first_k_counts_numbers(strategy: str) -> None:
    """Buckets of a share number that is already known do not end locating."""
    servers = [
        ManualServer(f"s{i}", {number: SHARES[number]})
        for i, number in enumerate([4, 4, 4, 7, 7, 1])
    ]
    run = Download(servers, FILE.cap, strategy=strategy)
    for server in servers[:5]:
        server.answer()

        assert run.status.phase == "locating"
    servers[5].answer()

    assert run.done().shares_used == {1, 4, 7}


def test_wait_for_all_waits() -> None:
    """Wait-for-all has all the shares that it needs, and still waits for the last answer."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy="wait-for-all")
    for server in servers[:-1]:
        server.answer()

    assert run.status.phase == "locating"
    assert run.status.reads == 0
    servers[-1].answer()

    assert run.done().shares_used == {0, 1, 2}


def test_wait_for_all_waits_for_failures() -> None:
    """A failed query counts as an answer: wait-for-all continues when the last query has failed."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy="wait-for-all")
    for server in servers[3:9]:
        server.fail()
    for server in servers[:3]:
        server.answer()

    assert run.status.phase == "locating"
    servers[9].fail()

    assert run.done().shares_used == {0, 1, 2}
    assert (
        run.status.queries_sent,
        run.status.queries_answered,
        run.status.queries_failed,
    ) == (10, 3, 7)


@strategies
@pytest.mark.parametrize("last", [{}, None, BoomError("x"), {99: None}, {0: MemoryBucket(b"")}])
def test_last_answer_is_no_use(strategy: str, last: Any) -> None:
    """Locating ends when the last server has answered, even if the answer adds nothing."""
    servers = manual_servers({0: SHARES[0], 1: SHARES[1], 2: SHARES[2]})
    run = Download(servers, FILE.cap, strategy=strategy)
    servers[0].answer()
    servers[1].answer()

    assert not run.fired
    if isinstance(last, Exception):
        servers[2].fail()
    else:
        servers[2].answer_with(last)

    assert (run.error(NotEnoughSharesError).have, run.error(NotEnoughSharesError).need) == (2, 3)
    assert strategy not in FOUR_PHASES or run.status.reads == 0


@strategies
def test_only_share_0(strategy: str) -> None:
    """Ten servers with share 0 have one share: one error, as soon as all have answered."""
    servers = [ManualServer(f"s{i}", {0: SHARES[0]}) for i in range(10)]
    run = Download(servers, FILE.cap, strategy=strategy)
    for server in servers:
        assert not run.fired
        server.answer()
    error = run.error(NotEnoughSharesError)

    assert len(run.results) == 1
    assert (error.have, error.need) == (1, 3)
    assert [f"s{i}: share 0: good" for i in range(10)] == lines(error)
    reading = [] if strategy in FOUR_PHASES else ["blocks"]
    assert ["starting", "locating", *reading, "failed"] == [phase for phase, _ in run.status.phases]
    assert run.consumer.pieces == []
    assert run.consumer.unregistered == 1


@strategies
def test_only_share_0_at_once(strategy: str) -> None:
    """The same if every server answers inside the call."""
    servers = [MemoryServer({0: SHARES[0]}, f"s{i}") for i in range(10)]
    run = Download(servers, FILE.cap, strategy=strategy)

    assert (run.error(NotEnoughSharesError).have, run.error(NotEnoughSharesError).need) == (1, 3)
    assert run.consumer.unregistered == 1


@strategies
def test_no_servers(strategy: str) -> None:
    """Without servers, the download fails at once."""
    run = Download([], FILE.cap, strategy=strategy)
    error = run.error(NoSharesError)

    assert isinstance(error, NotEnoughSharesError)
    assert (error.have, error.need, error.servers) == (0, 3, ())
    assert str(error) == "not enough shares: have 0, need 3"
    assert run.status.queries_sent == 0


@strategies
def test_all_empty(strategy: str) -> None:
    """If all servers answer that they have no shares, the error lists them by name."""
    run = Download([MemoryServer({}, name) for name in ("a", "b")], FILE.cap, strategy=strategy)

    assert lines(run.error(NoSharesError)) == ["a: no shares", "b: no shares"]


@strategies
@pytest.mark.parametrize("fails", [0, 1, 3])
def test_all_empty_or_failed(strategy: str, fails: int) -> None:
    """The same if they answer later, or fail: the last answer raises the error."""
    servers = [ManualServer(f"s{i}", {}) for i in range(3)]
    run = Download(servers, FILE.cap, strategy=strategy)
    for i, server in enumerate(servers):
        assert not run.fired
        server.fail() if i < fails else server.answer()
    said = ["failed: BoomError: query"] * fails + ["no shares"] * (3 - fails)

    assert [f"s{i}: {words}" for i, words in enumerate(said)] == lines(run.error(NoSharesError))


@strategies
def test_one_server_has_all(strategy: str) -> None:
    """K shares on one server are enough."""
    server = MemoryServer({number: SHARES[number] for number in (4, 5, 1)})
    run = Download([server], FILE.cap, strategy=strategy)

    assert run.done().shares_used == {1, 4, 5}
    assert run.consumer.data == PLAINTEXT


@strategies
def test_some_broken_some_hung(strategy: str) -> None:
    """Failed queries stall no strategy; hung ones stall only wait-for-all."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy=strategy)
    for server in servers[:4]:
        server.fail()
    for server in servers[4:7]:
        server.answer()

    assert (strategy != "wait-for-all") == run.fired


def test_recovers() -> None:
    """Without enough shares, the last server is waited for, however long it takes."""
    servers = manual_servers({0: SHARES[0], 1: SHARES[1], 2: SHARES[2]})
    run = Download(servers, FILE.cap)
    servers[0].answer()
    servers[1].answer()
    run.clock.advance(1e6)

    assert not run.fired
    servers[2].answer()

    assert run.done().located == 1e6


@strategies
def test_located(strategy: str) -> None:
    """The status has the time at which locating ended: the slowest server's, or the third's."""
    run_until = {"wait-for-all": 1.0}.get(strategy, 0.3)
    run = Download([], FILE.cap)
    servers = [
        delayed(run.clock, (number + 1) / 10, {number: share}, f"s{number}")
        for number, share in SHARES.items()
    ]
    run = Download(servers, FILE.cap, strategy=strategy, clock=run.clock)
    run.clock.pump([0.05] * 100)

    assert pytest.approx(run_until, abs=0.06) == run.done().located


def failing_deferred(_: bytes) -> Deferred[Any]:
    """Return a failure as the answer to a query."""
    return fail(BoomError("no such\n\tfile"))


def chatty(_: bytes) -> Deferred[Any]:
    """Raise an error with a very long message."""
    raise BoomError("blah " * 1000)


class EvilError(ServerFailedError):
    """An error whose message cannot be shown."""

    def __str__(self) -> str:
        raise BoomError("told")


ANSWERS: dict[str, tuple[AnyServer, str]] = {
    "nothing": (answering({}), "no shares"),
    "None": (answering(None), "answered NoneType, not buckets"),
    "a list": (answering([1, 2]), "answered list, not buckets"),
    "a set": (answering({0, 1, 2}), "answered set, not buckets"),
    "a number": (answering(3), "answered int, not buckets"),
    "bytes": (answering(b"0123"), "answered bytes, not buckets"),
    "an error as an answer": (answering(BoomError()), "answered BoomError, not buckets"),
    "an error of ours as an answer": (
        answering(ServerFailedError("x\n  s9: share 4: good")),
        "answered ServerFailedError, not buckets",
    ),
    "one that cannot be told": (answering(EvilError()), "answered EvilError, not buckets"),
    "no Deferred": (AnyServer(lambda _: {}), "no shares"),
    "None without a Deferred": (AnyServer(lambda _: None), "answered NoneType, not buckets"),
    "a number too large": (answering({10: None}), "no share can have the number 10"),
    "a number much too large": (answering({2**32: None}), f"number {2**32}"),
    "a negative number": (answering({-1: None}), "no share can have the number -1"),
    "True": (answering({True: None}), "no share can have the number True"),
    "False": (answering({False: None}), "no share can have the number False"),
    "text": (answering({"0": None}), "no share can have the number '0'"),
    "a fraction": (answering({0.0: None}), "no share can have the number 0.0"),
    "None as a number": (answering({None: None}), "no share can have the number None"),
    "long text": (answering({"x" * 5000: None}), "no share can have the number 'xxxx"),
    "two wrong numbers": (
        answering({-1: None, 11: None}),
        "no share can have the number -1; no share can have the number 11",
    ),
    "an exception": (AnyServer(boom), "failed: BoomError: boom"),
    "a failure": (AnyServer(failing_deferred), "failed: BoomError: no such file"),
    "a long exception": (AnyServer(chatty), "failed: BoomError: blah blah"),
}


@strategies
@pytest.mark.parametrize("answer", ANSWERS)
def test_nonsense(strategy: str, answer: str) -> None:
    """A server that answers nonsense has no shares; the error quotes it in one line."""
    server, expected = ANSWERS[answer]
    run = Download([server, *servers_of(SHARES, [4, 5])], FILE.cap, strategy=strategy)
    error = run.error(NotEnoughSharesError)
    nonsense, *rest = lines(error)

    assert (error.have, error.need) == (2, 3)
    assert nonsense.startswith("any: ")
    assert expected in nonsense
    assert len(nonsense) < 250
    assert rest == ["m4: share 4: good", "m5: share 5: good"]


@strategies
@pytest.mark.parametrize("answer", ANSWERS)
def test_nonsense_and_enough(strategy: str, answer: str) -> None:
    """Nonsense does no harm to a download that gets its shares from other servers."""
    servers = [ANSWERS[answer][0], *servers_of(SHARES, [0, 4, 5]), ANSWERS[answer][0]]
    run = Download(servers, FILE.cap, strategy=strategy)
    run.done()

    assert run.consumer.data == PLAINTEXT


@strategies
def test_nonsense_beside_shares(strategy: str) -> None:
    """The good shares of an answer count, whatever else it contains."""
    server = answering({-1: None, 0: MemoryBucket(SHARES[0]), "1": None, True: None})
    run = Download([server, *servers_of(SHARES, [3])], FILE.cap, strategy=strategy)
    error = run.error(NotEnoughSharesError)

    assert (error.have, error.need) == (2, 3)
    assert lines(error)[0].startswith("any: share 0: good; no share can have the number -1; ")


def test_error_without_words() -> None:
    """An exception that cannot be printed fails a query like any other."""

    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise BoomError("unprintable")

    def unprintable(_: bytes) -> Any:
        raise UnprintableError

    run = Download([AnyServer(unprintable, "mute"), *servers_of(SHARES, [0])], FILE.cap)

    assert len(lines(run.error(NotEnoughSharesError))) == 2


def test_many_wrong_numbers() -> None:
    """However many wrong numbers an answer has, the error stays readable."""
    answer = dict.fromkeys(range(-10_000, 0))
    run = Download([answering(answer), *servers_of(SHARES, [0])], FILE.cap)
    wordy, good = lines(run.error(NotEnoughSharesError))

    assert good == "m0: share 0: good"
    assert "no share can have the number -10000" in wordy
    assert len(wordy) < 1000


class Unprintable:
    """A share number that cannot be printed."""

    def __repr__(self) -> str:
        return str(boom())


class Odd(dict[int, Any]):
    """Buckets whose methods return arbitrary results."""

    def __init__(self, items: Callable[[], Any]) -> None:
        super().__init__({0: None})
        self._items = items

    def items(self) -> Any:
        return self._items()


@pytest.mark.parametrize(
    "answer",
    [
        {Unprintable(): None},
        Odd(boom),
        Odd(lambda: None),
        Odd(lambda: [1, 2]),
        Odd(lambda: [(1, 2, 3)]),
    ],
    ids=["unprintable", "raises", "None", "no pairs", "triples"],
)
def test_answer_that_breaks(answer: Any) -> None:
    """An answer that raises when it is inspected fails its server, not the download."""
    run = Download([answering(answer), *servers_of(SHARES, [0])], FILE.cap)

    assert len(lines(run.error(NotEnoughSharesError))) == 2


def test_no_server_at_all() -> None:
    """An object that is not a storage server fails its query, and affects no other server."""
    run = Download([object(), *servers_of(SHARES, [0, 1, 2])], FILE.cap)
    run.done()

    assert run.consumer.data == PLAINTEXT


def test_names() -> None:
    """A server is called by its name; one without a name, by its position."""

    class Nameless:
        def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, Any]]:
            return succeed({})

    servers: list[Any] = [MemoryServer({}, "alice"), Nameless(), MemoryServer({}, "carol")]
    run = Download(servers, FILE.cap)

    assert lines(run.error(NoSharesError)) == [
        "alice: no shares",
        "server 1: no shares",
        "carol: no shares",
    ]
    assert [r.server for r in run.status.requests] == ["alice", "server 1", "carol"]


def test_servers_from_an_iterator() -> None:
    """The servers may be any iterable."""
    run = Download(iter(servers_of(SHARES)), FILE.cap)

    assert run.done()


def test_late_answer_ignored() -> None:
    """Answers after first-k has ended are not read; the error says that they came too late."""
    servers = manual_servers({number: SHARES[number] for number in range(5)})
    run = Download(servers, FILE.cap, strategy="first-k")
    for server in servers[:3]:
        server.answer_manual()
    servers[3].answer_manual()
    for server in servers[:3]:
        (bucket,) = server.buckets.values()
        while bucket.waiting:
            bucket.fail()

    assert lines(run.error(NoSharesError)) == [
        "s0: share 0: failed: BoomError: read",
        "s1: share 1: failed: BoomError: read",
        "s2: share 2: failed: BoomError: read",
        "s3: share 3: good (too late, ignored)",
        "s4: no answer",
    ]
    assert servers[3].buckets[3].waiting == []


def test_answers_after_the_end() -> None:
    """Answers and failures after the end change only the status."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy="first-k")
    for server in servers[:3]:
        server.answer()
    requests = len(run.done().requests)
    servers[3].answer()
    servers[4].answer_with(None)
    servers[5].fail()

    assert requests == len(run.status.requests)
    assert (
        run.status.queries_sent,
        run.status.queries_answered,
        run.status.queries_failed,
    ) == (10, 5, 1)
    assert run.consumer.unregistered == 1


# Windows, and queries that are overdue


def composed(**fields: Any) -> Strategy:
    """Return a custom strategy: by default, first-k with a window."""
    return Strategy("mine", **{"locating_ends": "k-distinct", "window": 3, **fields})


def asked(servers: Iterable[ManualServer]) -> list[int]:
    """Return the indexes of the servers that have been queried."""
    return [i for i, server in enumerate(servers) if server.asked]


@pytest.mark.parametrize(
    ("strategy", "count"),
    [("wait-for-all", 40), ("first-k", 40), ("first-k-late", 40), ("windowed", 10), ("hedged", 20)],
)
def test_window(strategy: str, count: int) -> None:
    """As many servers as the window holds are queried at first, in order."""
    servers = [ManualServer(f"s{i}", {}) for i in range(40)]
    run = Download(servers, FILE.cap, strategy=strategy)

    assert list(range(count)) == asked(servers)
    run.deferred.cancel()


@pytest.mark.parametrize("ends", ["k-distinct", "all-answered", "never"])
@pytest.mark.parametrize("how", ["answer", "fail"])
def test_window_moves(how: str, ends: Any) -> None:
    """Each answer or failure lets one more server be queried."""
    servers = [ManualServer(f"s{i}", {}) for i in range(6)]
    run = Download(servers, FILE.cap, strategy=composed(locating_ends=ends))
    for number in 1, 0, 2:
        before = len(asked(servers))
        getattr(servers[number], how)()
        run.clock.advance(0)

        assert list(range(before + 1)) == asked(servers)
    for server in servers[3:]:
        server.answer()

    assert len(lines(run.error(NoSharesError))) == 6


@pytest.mark.parametrize("strategy", ["windowed", "hedged", composed(), composed(window=1)])
def test_window_of_answers_at_once(strategy: Any) -> None:
    """Servers that answer inside the call do not occupy the window."""
    servers = [MemoryServer({}, f"s{i}") for i in range(50)]
    run = Download([*servers, *servers_of(SHARES, [1, 2, 3])], FILE.cap, strategy=strategy)

    assert run.done().shares_used == {1, 2, 3}
    assert run.status.queries_sent == 53


def test_many_empty_servers() -> None:
    """Thousands of empty servers need no deep stack."""
    servers = [MemoryServer({}, f"s{i}") for i in range(5000)]
    for strategy in "windowed", "hedged", composed(window=1):
        run = Download(servers, FILE.cap, strategy=strategy)

        assert len(run.error(NoSharesError).servers) == 5000


def test_window_stops_with_enough() -> None:
    """First-k with a window queries no more servers once K shares are located."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy=composed())
    for number in 0, 1, 2:
        servers[number].answer()

    assert run.done().shares_used == {0, 1, 2}
    assert asked(servers) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ends", ["k-distinct", "never"])
def test_overdue_gives_its_place(ends: Any) -> None:
    """A query gives up its place in the window when it is overdue, and no earlier."""
    servers = manual_servers(SHARES)
    strategy = composed(locating_ends=ends, late_answers="used", overdue=2.0)
    run = Download(servers, FILE.cap, strategy=strategy)
    run.clock.advance(1)
    servers[1].answer_with({})
    run.clock.pump([0, 0.75])

    assert asked(servers) == [0, 1, 2, 3]
    run.clock.pump([0.25, 0])

    assert asked(servers) == [0, 1, 2, 3, 4, 5]
    overdue = {r.server: r.overdue for r in run.status.requests if r.overdue is not None}
    assert overdue == {"s0": 2.0, "s2": 2.0}
    run.clock.pump([1, 0])

    assert asked(servers) == [0, 1, 2, 3, 4, 5, 6]
    run.deferred.cancel()

    assert run.clock.getDelayedCalls() == []


@pytest.mark.parametrize("strategy", ["windowed", composed(overdue=10.0), "hedged"])
def test_late_answer_of_an_overdue_query(strategy: Any) -> None:
    """A late answer to an overdue query still counts, and frees no second place."""
    servers = manual_servers(encode(PLAINTEXT, k=3, n=40).shares)
    file = encode(PLAINTEXT, k=3, n=40)
    run = Download(servers, file.cap, strategy=strategy)
    window = len(asked(servers))
    run.clock.advance(10)

    assert min(40, 2 * window) == len(asked(servers))
    for number in 2, 0, 1:
        assert not run.fired
        servers[number].answer()

    assert run.done().shares_used == {0, 1, 2}
    assert min(40, 2 * window) == len(asked(servers))
    assert sum(r.overdue is not None and r.answered is not None for r in run.status.requests) == 3
    assert run.clock.getDelayedCalls() == []


def test_failure_of_an_overdue_query() -> None:
    """A late failure of an overdue query frees no second place."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy=composed(overdue=2.0))
    run.clock.advance(2)
    servers[0].fail()

    assert asked(servers) == [0, 1, 2, 3, 4, 5]
    servers[3].fail()

    assert asked(servers) == [0, 1, 2, 3, 4, 5, 6]
    run.deferred.cancel()


def test_last_server_is_waited_for() -> None:
    """When all servers have been queried, queries cannot become overdue, and no timer runs."""
    servers = manual_servers({i: SHARES[i] for i in range(3)})
    run = Download(servers, FILE.cap, strategy=composed(overdue=2.0))

    assert run.clock.getDelayedCalls() == []
    run.clock.advance(1e6)
    for server in servers:
        assert not run.fired
        server.answer()

    assert run.consumer.data == PLAINTEXT


def test_not_asked() -> None:
    """The error lists the servers that were not queried."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy=composed())
    for number in 0, 1, 2:
        servers[number].answer_manual()
    for server in servers[:3]:
        for bucket in server.buckets.values():
            while bucket.waiting:
                bucket.fail()
    said = ["share 0: ", "share 1: ", "share 2: ", "no answer", "no answer", *["not asked"] * 5]
    told = lines(run.error(NoSharesError))

    assert [f"s{i}: {words}" for i, words in enumerate(said)] == [
        line.removesuffix("failed: BoomError: read") for line in told
    ]


@pytest.mark.parametrize("part", ["block", "UEB", "header"])
def test_spare_share_on_a_server_not_asked(part: str) -> None:
    """First-k-late with a window queries further servers if it lacks a share."""
    clock = Clock()
    shares = {i: corrupt(share, part) if i < 3 else share for i, share in SHARES.items()}
    servers = [delayed(clock, 1.0, {i: share}, f"s{i}") for i, share in shares.items()]
    strategy = composed(late_answers="used", window=1)
    run = Download(servers, FILE.cap, strategy=strategy, clock=clock)
    clock.pump([1] * 40)

    assert run.consumer.data == PLAINTEXT
    assert run.done().shares_used == ({0, 1, 2} if part == "UEB" else {3, 4, 5})
    assert run.status.queries_sent == (4 if part == "UEB" else 6)


def test_spare_share_behind_a_hung_server() -> None:
    """It finds a share behind hung servers as soon as their queries are overdue."""
    strategy = composed(late_answers="used", window=3, overdue=2.0)
    bad = {0: corrupt(SHARES[0], "block"), 1: SHARES[1], 2: SHARES[2]}
    hung = [ManualServer(f"hung{i}", {}) for i in range(4)]
    servers = [*manual_servers(bad), *hung, *servers_of(SHARES, [7])]
    run = Download(servers, FILE.cap, strategy=strategy)
    for server in servers[:3]:
        server.answer()

    assert not run.fired
    run.clock.advance(2)
    run.clock.advance(2)

    assert run.done().shares_used == {1, 2, 7}
    assert run.clock.getDelayedCalls() == []


def test_first_k_with_a_window_does_not_look_further() -> None:
    """If late answers are ignored, no more servers are queried: the download fails at once."""
    clock = Clock()
    shares = {i: corrupt(share, "block") if i < 3 else share for i, share in SHARES.items()}
    servers = [delayed(clock, 1.0, {i: share}, f"s{i}") for i, share in shares.items()]
    run = Download(servers, FILE.cap, strategy=composed(window=1), clock=clock)
    clock.pump([1] * 40)

    assert lines(run.error(NotEnoughSharesError))[-2:] == ["s8: not asked", "s9: not asked"]
    assert run.status.queries_sent == 3


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_stop_while_a_query_may_become_overdue(how: str) -> None:
    """A stop cancels the timer for overdue queries, and no more servers are queried."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy=composed(overdue=2.0))

    assert len(run.clock.getDelayedCalls()) == 1
    run.deferred.cancel() if how == "cancel" else run.consumer.producer.stopProducing()

    assert run.clock.getDelayedCalls() == []
    servers[0].answer()

    assert asked(servers) == [0, 1, 2]
    assert run.done().phase == "stopped"


@given(
    conducts=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["good", "empty", "fail", "hung"])),
        max_size=25,
    ),
    window=st.integers(1, 12),
    ends=st.sampled_from(["k-distinct", "all-answered", "never"]),
    late=st.sampled_from(["ignored", "used"]),
    random=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=150)
def test_any_window(
    conducts: list[tuple[int, str]], window: int, ends: Any, late: Any, random: Random
) -> None:
    """No more queries than the window are outstanding, however servers answer."""
    strategy = composed(window=window, locating_ends=ends, late_answers=late, overdue=2.0)
    servers = [
        ManualServer(f"s{i}", {number: SHARES[number]} if how == "good" else {})
        for i, (number, how) in enumerate(conducts)
    ]
    run = Download(servers, FILE.cap, strategy=strategy)
    for _ in range(200):
        queries = [r for r in run.status.requests if r.is_query]
        waiting = [r for r in queries if (r.answered, r.failed, r.overdue) == (None,) * 3]
        assert len(waiting) <= window
        assert len(queries) == len(asked(servers))
        ready = [i for i in asked(servers) if not servers[i].done and conducts[i][1] != "hung"]
        if run.fired or (not ready and not run.clock.getDelayedCalls()):
            break
        if ready and random.random() < 0.8:
            number = random.choice(ready)
            servers[number].fail() if conducts[number][1] == "fail" else servers[number].answer()
        else:
            run.clock.advance(1)
    found = {number for number, how in conducts if how == "good"}
    hung = any(how == "hung" for _, how in conducts)
    if len(found) >= 3 and (ends != "all-answered" or not hung):
        assert run.consumer.data == PLAINTEXT
    elif hung and conducts:
        assert not run.fired
        assert list(range(len(servers))) == asked(servers)
        run.deferred.cancel()
    else:
        assert len(found) == run.error(NotEnoughSharesError if found else NoSharesError).have
    assert run.clock.getDelayedCalls() == []
