"""Retrying a server after its connection was lost."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock

from firstk.downloader.encode import encode
from firstk.downloader.errors import NoSharesError, NotEnoughSharesError
from firstk.downloader.retry import FIRST_RETRY, LONGEST_RETRY, back_off, is_connection_lost
from firstk.downloader.strategy import STRATEGIES
from tests.downloader.scenery import BoomError, Download, corrupt

PLAINTEXT = bytes(range(200))
FILE = encode(PLAINTEXT, k=3, n=3)
GIVE_UP = STRATEGIES["hedged"].give_up
assert GIVE_UP is not None


class Away:
    """A server that loses its connections during a period of time."""

    def __init__(
        self,
        clock: Clock,
        number: int,
        start: float,
        end: float,
        *,
        queries: bool = True,
        error: type[Exception] = ConnectionLost,
        share: bytes | None = None,
    ) -> None:
        self.name = f"s{number}"
        self.asked: list[float] = []
        self._clock, self._number, self._queries, self._error = clock, number, queries, error
        self._start, self._end = start, end
        self._data = FILE.shares[number] if share is None else share

    def _after(self, result: Any, operation: str) -> Deferred[Any]:
        now = self._clock.seconds()
        answer: Deferred[Any] = Deferred()
        away = self._start <= now < self._end and (self._queries or operation == "read")
        if away:
            return fail(self._error())
        self._clock.callLater(0.1, answer.callback, result)
        return answer

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, Any]]:
        self.asked.append(self._clock.seconds())
        return self._after({self._number: self}, "get_buckets")

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        return self._after(self._data[offset : offset + length], "read")


def play(clock: Clock, servers: list[Away], strategy: str = "hedged") -> Download:
    """Run a download, and return it."""
    run = Download(servers, FILE.cap, strategy=strategy, clock=clock, random=Random(1))
    for _ in range(2000):
        calls = clock.getDelayedCalls()
        if run.fired or not calls:
            break
        clock.advance(max(0.0, min(call.getTime() for call in calls) - clock.seconds()))
    return run


@pytest.mark.parametrize("start", [0.0, 0.1], ids=["query", "read"])
@pytest.mark.parametrize("error", [ConnectionLost, ConnectionDone, ConnectError])
def test_back_after_two_seconds(start: float, error: type[Exception]) -> None:
    """A connection that is lost for two seconds delays the download by little more."""
    clock = Clock()
    run = play(clock, [Away(clock, i, start, start + 2, error=error) for i in range(3)])

    assert run.done().phase == "done"
    assert run.consumer.data == PLAINTEXT
    assert 2 < clock.seconds() < 4.5
    assert clock.getDelayedCalls() == []


def test_not_asked_again_for_nothing() -> None:
    """A server whose connection was lost is not retried while others have the shares."""
    clock = Clock()
    spare = encode(PLAINTEXT, k=2, n=3)
    servers = [Away(clock, i, 9, 9, share=spare.shares[i]) for i in range(3)]
    servers[0] = Away(clock, 0, 0.1, 9, share=spare.shares[0])
    run = Download(servers, spare.cap, strategy="hedged", clock=clock)
    clock.pump([0.1] * 10)

    assert run.consumer.data == PLAINTEXT
    assert servers[0].asked == [0.0]


@pytest.mark.parametrize("queries", [True, False], ids=["all", "reads"])
def test_until_give_up(queries: bool) -> None:
    """A server that stays away is retried ever more rarely, and the download ends in bounded time.

    That a query is answered between is not progress: no byte of the file has come.
    """
    clock = Clock()
    servers = [Away(clock, i, 0.1, 1e9, queries=queries) for i in range(3)]
    run = play(clock, servers)
    error = run.error(NoSharesError)
    waits = [b - a for a, b in zip(servers[0].asked, servers[0].asked[1:], strict=False)]

    assert error.silence == GIVE_UP
    assert pytest.approx(GIVE_UP, abs=1) == clock.seconds()
    assert 5 < len(servers[0].asked) < 20
    assert waits[0] < 1
    assert LONGEST_RETRY / 2 < max(waits) <= LONGEST_RETRY + 0.2
    assert clock.getDelayedCalls() == []


def test_other_failures_are_final() -> None:
    """A server that fails for any other reason is not retried."""
    clock = Clock()
    servers = [Away(clock, i, 0.0, 2.0, error=BoomError) for i in range(3)]
    run = play(clock, servers)

    assert isinstance(run.results[0].value, NotEnoughSharesError)
    assert [server.asked for server in servers] == [[0.0]] * 3
    assert clock.seconds() == 0


def test_bad_share_stays_bad() -> None:
    """A share that was found corrupt before the connection was lost is not read again."""
    clock = Clock()
    servers = [Away(clock, i, 0.15, 2.0) for i in range(3)]
    bad = Away(clock, 0, 0.15, 2.0, share=corrupt(FILE.shares[0], "block"))
    run = play(clock, [bad, *servers[1:]])
    reads = {r.sent for r in run.status.requests if r.server == "s0" and not r.is_query}

    assert isinstance(run.results[0].value, NotEnoughSharesError)
    assert len(reads) <= 2


@pytest.mark.parametrize("strategy", ["first-k-late", "windowed"])
def test_only_hedged(strategy: str) -> None:
    """The other strategies never retry, as Tahoe-LAFS: a lost connection is a failed server."""
    clock = Clock()
    servers = [Away(clock, i, 0.0, 2.0) for i in range(3)]
    play(clock, servers, strategy)

    assert [len(server.asked) for server in servers] == [1, 1, 1]


def test_back_off() -> None:
    """The back-off doubles up to a limit; the wait is random, between half of it and all of it."""
    waits = [back_off(attempts, Random(attempts)) for attempts in range(1, 12)]
    longest = [min(LONGEST_RETRY, FIRST_RETRY * 2**i) for i in range(11)]

    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert back_off(3, Random(5)) == back_off(3, Random(5))
    assert len({back_off(3, Random(seed)) for seed in range(20)}) == 20


def test_what_a_lost_connection_is() -> None:
    """Connection errors of Twisted and of the system count; a failed request does not."""
    assert is_connection_lost(ConnectionResetError())
    assert not is_connection_lost(BoomError())
    assert not is_connection_lost(TimeoutError())
