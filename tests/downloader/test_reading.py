"""Hedged reads that watch bytes arrive: silent servers, slow ones, and cancelled reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from firstk.downloader.encode import encode
from firstk.downloader.interfaces import IProgressBucket
from tests.downloader.scenery import Download

PLAINTEXT = bytes(range(250)) * 40
FILE = encode(PLAINTEXT, k=3, n=10)
RTT = 0.1


@implementer(IProgressBucket)
class Streaming:
    """A server with one share, whose answers arrive in pieces at a fixed interval."""

    def __init__(self, clock: Clock, number: int, every: float, pieces: int = 10) -> None:
        self.name = f"s{number}"
        self.cancelled: list[float] = []
        self.data = FILE.shares[number]
        self._clock, self._number, self._every, self._pieces = clock, number, every, pieces

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, Any]]:
        return deferLater(self._clock, RTT, lambda: {self._number: self})

    def read(
        self, offset: int, length: int, progress: Callable[[int], None] | None = None
    ) -> Deferred[bytes]:
        answer: Deferred[bytes] = Deferred(lambda _: self._cancel())
        data = self.data[offset : offset + length]

        def arrive(piece: int) -> None:
            if answer.called or piece > self._pieces:
                return
            if piece == self._pieces:
                answer.callback(data)
                return
            if progress is not None:
                progress(len(data) * piece // self._pieces)
            self._clock.callLater(self._every, arrive, piece + 1)

        if self._every:
            self._clock.callLater(RTT, arrive, 1)
        return answer

    def _cancel(self) -> None:
        self.cancelled.append(self._clock.seconds())


def play(clock: Clock, *every: float, strategy: str = "hedged") -> Download:
    """Download from servers with these intervals between pieces; a server with 0 hangs on reads."""
    servers = [Streaming(clock, i, each) for i, each in enumerate(every)]
    run = Download(servers, FILE.cap, strategy=strategy, clock=clock)
    while not run.fired and clock.getDelayedCalls():
        now = clock.seconds()
        clock.advance(max(0.0, min(call.getTime() for call in clock.getDelayedCalls()) - now))
    assert run.consumer.data == PLAINTEXT
    return run


def readers(run: Download) -> list[str]:
    """Return the servers that were read from, in order."""
    return [r.server for r in run.status.requests if not r.is_query]


def test_bytes_are_not_silence() -> None:
    """A read that takes many times as long as a query is not hedged while its bytes arrive."""
    clock = Clock()
    run = play(clock, *[0.1] * 10)

    assert readers(run) == ["s0", "s1", "s2"]
    assert pytest.approx(2 * RTT + 9 * 0.1) == clock.seconds()


def test_silence_is_found_at_once() -> None:
    """A server that sends nothing is overdue after about a round trip, whatever the block size."""
    clock = Clock()
    run = play(clock, 0, 0, 0, *[0.001] * 7)

    assert readers(run)[:6] == ["s0", "s1", "s2", "s3", "s4", "s5"]
    assert clock.seconds() < 0.35


def test_the_more_hang_the_more_are_read() -> None:
    """With seven of ten servers silent, the download takes less than half a second."""
    clock = Clock()
    play(clock, *[0] * 7, *[0.001] * 3)

    assert clock.seconds() < 0.5


def test_silent_reads_are_withdrawn() -> None:
    """Once enough shares send bytes, the silent reads are cancelled."""
    clock = Clock()
    run = play(clock, 0, *[0.1] * 9)
    end = clock.seconds()
    cancelled = [r.server for r in run.status.requests if (r.cancelled or end) < end]

    assert cancelled == ["s0"]
    assert run.status.shares_used == {1, 2, 3}


def test_stalls_midway() -> None:
    """A server that stops in the middle of a block is replaced."""
    clock = Clock()
    servers = [Streaming(clock, i, 0.1) for i in range(4)]
    servers[0]._pieces = 10**9
    servers[0].data = b""  # it reports no progress beyond the first call
    run = Download(servers, FILE.cap, strategy="hedged", clock=clock)
    clock.pump([0.01] * 300)

    assert run.done().shares_used == {1, 2, 3}
    assert clock.seconds() > 1


def test_slow_server_beside_fast_ones() -> None:
    """A server that sends bytes, but far more slowly than the others, is hedged too."""
    clock = Clock()
    run = play(clock, 5.0, *[0.01] * 9)

    assert run.status.shares_used == {1, 2, 3}
    assert clock.seconds() < 1.5


def test_all_requests_are_withdrawn_at_the_end() -> None:
    """A finished download leaves no request outstanding."""
    clock = Clock()
    run = play(clock, 0, 0, *[0.01] * 8)

    assert all(
        r.answered is not None or r.cancelled is not None or r.failed is not None
        for r in run.status.requests
    )


def test_metadata_is_asked_of_a_few() -> None:
    """Of many shares, only a few are read for the metadata that they share."""
    file = encode(PLAINTEXT, k=12, n=20)
    clock = Clock()

    class Plain:
        def __init__(self, number: int) -> None:
            self.name = f"s{number}"
            self.number, self.asked = number, 0

        def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, Any]]:
            return deferLater(clock, RTT, lambda: {self.number: self})

        def read(self, offset: int, length: int) -> Deferred[bytes]:
            data = file.shares[self.number][offset : offset + length]
            self.asked += len(data)
            return deferLater(clock, RTT, lambda: data)

    servers = [Plain(i) for i in range(20)]
    run = Download(servers, file.cap, strategy="hedged", clock=clock)
    clock.pump([RTT] * 3)
    sizes = sorted(server.asked for server in servers if server.asked)

    assert run.consumer.data == PLAINTEXT
    assert len(sizes) == 12
    assert sizes[6] < sizes[7] == sizes[-1]  # five of twelve


def test_no_second_share_of_a_slow_server() -> None:
    """A server that sends its bytes too slowly is not read for a second share at the same time."""
    clock = Clock()
    servers: list[Streaming] = [Streaming(clock, i, 0.001, pieces=1) for i in (0, 1)]
    slow = Streaming(clock, 2, 0.1)
    other = Streaming(clock, 3, 0.1)
    both = {2: slow, 3: other}
    cast(Any, slow).get_buckets = lambda _: deferLater(clock, RTT, lambda: both)
    run = Download([*servers, slow], FILE.cap, strategy="hedged", clock=clock)
    clock.pump([0.01] * 200)

    assert run.done().shares_used == {0, 1, 2}
    assert readers(run) == ["s0", "s1", "s2"]
