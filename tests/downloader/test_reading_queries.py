"""Queries that read: what servers may answer, and that no answer is trusted."""

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from firstk.downloader.encode import encode
from firstk.downloader.interfaces import IReadingServer
from tests.doubles import MemoryBucket
from tests.downloader.scenery import Download, corrupt

PLAINTEXT = bytes(range(200))
FILE = encode(PLAINTEXT, k=3, n=10)


@implementer(IReadingServer)
class Reading:
    """A server that reads its share with the query; `make` may change the right answer."""

    def __init__(self, number: int, make: Any = None, share: bytes | None = None) -> None:
        self.name = f"s{number}"
        self.asked: list[int] = []
        self._share = FILE.shares[number] if share is None else share
        self._number, self._make = number, make

    def get_buckets(self, storage_index: bytes) -> Deferred[Any]:
        return succeed({self._number: MemoryBucket(FILE.shares[self._number])})

    def get_and_read(
        self, storage_index: bytes, number: int, spans: Sequence[tuple[int, int]]
    ) -> Deferred[Any]:
        self.asked.append(number)
        buckets = {self._number: MemoryBucket(FILE.shares[self._number])}
        pieces = {self._number: [self._share[o : o + n] for o, n in spans]}
        right = buckets, pieces
        return succeed(right if self._make is None else self._make(right))


def test_first_k_servers() -> None:
    """Only the first K servers are asked to read, each a different share if possible."""
    servers = [Reading(i) for i in range(10)]
    run = Download(servers, FILE.cap, strategy="one-round")

    assert run.done().reads == 0
    assert run.consumer.data == PLAINTEXT
    assert [server.asked for server in servers[:4]] == [[0], [1], [2], []]


@pytest.mark.parametrize(
    "make",
    [
        lambda right: None,
        lambda right: right[0],
        lambda right: (right[0], None),
        lambda right: (right[0], {9: [b""]}),
        lambda right: (right[0], {0: [b"", b"", b"", b"", b""]}),
        lambda right: (right[0], {0: [b"x" * 10**6 for _ in right[1][0]]}),
        lambda right: (right[0], {0: [None for _ in right[1][0]]}),
        lambda right: (right[0], {0: [b"" for _ in right[1][0]]}),
        lambda right: (right[0], {}),
        lambda right: (5, 5),
    ],
)
def test_hostile(make: Any) -> None:
    """Whatever a server answers costs at most its own share."""
    servers = [Reading(0, make), *(Reading(i) for i in range(1, 10))]
    run = Download(servers, FILE.cap, strategy="one-round")

    assert run.done().phase == "done"
    assert run.consumer.data == PLAINTEXT


@pytest.mark.parametrize("part", ["block", "UEB", "share hashes", "header"])
def test_corrupt(part: str) -> None:
    """Data that arrives with a query is checked like data that is read later."""
    servers = [Reading(0, share=corrupt(FILE.shares[0], part)), *(Reading(i) for i in range(1, 10))]
    run = Download(servers, FILE.cap, strategy="one-round")

    assert run.consumer.data == PLAINTEXT


def test_slow_answer_is_hedged() -> None:
    """The download does not wait for an overdue query that reads."""
    clock = Clock()

    class Slow(Reading):
        def get_and_read(self, *_: Any) -> Deferred[Any]:
            return Deferred()

    class Late(Reading):
        def get_buckets(self, storage_index: bytes) -> Deferred[Any]:
            answer = {self._number: MemoryBucket(FILE.shares[self._number])}
            return deferLater(clock, 0.1, lambda: answer)

    servers = [Slow(i) for i in range(3)] + [Late(i) for i in range(3, 10)]
    run = Download(servers, FILE.cap, strategy="one-round", clock=clock)
    clock.pump([0.05] * 10)

    assert run.done().shares_used == {3, 4, 5}
