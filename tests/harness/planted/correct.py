"""Correct downloaders, each written in a different style. All of them survive hung servers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import (
    Deferred,
    DeferredList,
    inlineCallbacks,
    maybeDeferred,
)
from twisted.internet.interfaces import IConsumer, IReactorTime

from tests.harness.planted.shares import Share, ShortageError, parsed, write

#: How long a downloader waits for one answer, in seconds.
PATIENCE = 5.0


class Fetch:
    """A download with coroutines: it queries all servers, and reads K shares at a time."""

    def __init__(self, reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
        self.reactor: Any = reactor
        self.servers = servers
        self.cap = parsed(cap)
        self.consumer: IConsumer = consumer
        self.shares: list[Share] = []
        self.bad: set[Share] = set()
        self.queries: list[Deferred[Any]] = []
        self.unheard = len(servers)
        self.blocks: dict[int, bytes] = {}
        self.reading: dict[Share, Deferred[Any]] = {}
        self.news: Deferred[None] = Deferred()

    async def run(self) -> None:
        """Download the file."""
        try:
            for server in self.servers:
                self.ask(server)
            segment, segments = 0, 1
            while segment < segments:
                share = await self.collect(segment)
                assert share.ueb is not None
                segments = share.ueb.num_segments
                self.deliver(share, segment)
                segment += 1
        finally:
            for under_way in [*self.queries, *self.reading.values()]:
                under_way.cancel()

    def ask(self, server: Any) -> None:
        """Query a server."""
        query = maybeDeferred(server.get_buckets, self.cap.storage_index)
        query.addTimeout(PATIENCE, self.reactor)
        self.queries.append(query)
        query.addCallback(self.answered).addErrback(lambda _: None).addBoth(self.heard)

    def answered(self, buckets: dict[int, Any]) -> None:
        """Record the shares of a server."""
        self.shares += [Share(self.cap, number, buckets[number]) for number in sorted(buckets)]

    def heard(self, _: object) -> None:
        """Record that a server has answered, failed, or been given up."""
        self.unheard -= 1
        self.wake()

    def wake(self) -> None:
        """Continue to collect blocks."""
        news, self.news = self.news, Deferred()
        news.callback(None)

    async def collect(self, segment: int) -> Share:
        """Collect K blocks of a segment, and return one of their shares."""
        self.blocks, self.reading = {}, {}
        while not self.enough():
            while self.lacking() and (share := self.choose()) is not None:
                self.read(share, segment)
            if self.enough():
                break
            if not self.reading and not self.unheard:
                raise ShortageError(f"have {len(self.blocks)} blocks, need {self.cap.k}")
            await self.news
        return next(s for s in self.shares if s.number in self.blocks and s.ueb is not None)

    def enough(self) -> bool:
        """Return whether the segment can be decoded."""
        return len(self.blocks) >= self.cap.k

    def lacking(self) -> bool:
        """Return whether to read one more share."""
        return len(self.blocks) + len(self.reading) < self.cap.k

    def choose(self) -> Share | None:
        """Return a share to read next."""
        taken = self.blocks.keys() | {share.number for share in self.reading}
        good = (s for s in self.shares if s not in self.bad and s.number not in taken)
        return next(good, None)

    def read(self, share: Share, segment: int) -> None:
        """Read a block of a share."""
        self.reading[share] = reading = Deferred.fromCoroutine(share.block(segment))
        reading.addTimeout(PATIENCE, self.reactor)
        reading.addCallback(partial(self.got, share))
        reading.addErrback(partial(self.failed, share))
        reading.addBoth(lambda _: self.wake())

    def got(self, share: Share, block: bytes) -> None:
        """Record a block."""
        self.reading.pop(share, None)
        self.blocks[share.number] = block

    def failed(self, share: Share, _: object) -> None:
        """Record that a share cannot be read."""
        self.reading.pop(share, None)
        self.bad.add(share)

    def deliver(self, share: Share, segment: int) -> None:
        """Write a segment."""
        write(self.consumer, self.cap, share, segment, self.blocks)


async def awaiting(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
    """Download with coroutines."""
    await Fetch(reactor, servers, cap, consumer).run()


@inlineCallbacks
def yielding(
    reactor: IReactorTime, servers: Sequence[Any], cap: str, consumer: Any
) -> Generator[Deferred[Any], Any, None]:
    """Download with a generator: wait for all servers, then read one share after another."""
    file = parsed(cap)
    asked = [maybeDeferred(server.get_buckets, file.storage_index) for server in servers]
    answers = yield DeferredList(
        [query.addTimeout(PATIENCE, reactor) for query in asked], consumeErrors=True
    )
    left = [
        Share(file, number, answer[number]) for ok, answer in answers if ok for number in answer
    ]
    segment, segments = 0, 1
    while segment < segments:
        blocks: dict[int, bytes] = {}
        for share in list(left):
            if len(blocks) == file.k:
                break
            if share.number in blocks:
                continue
            reading = Deferred.fromCoroutine(share.block(segment))
            try:
                blocks[share.number] = yield reading.addTimeout(PATIENCE, reactor)
            except Exception:  # a server may fail in any way
                left.remove(share)
        if len(blocks) < file.k:
            raise ShortageError(f"have {len(blocks)} blocks, need {file.k}")
        share = next(s for s in left if s.number in blocks and s.ueb is not None)
        write(consumer, file, share, segment, blocks)
        assert share.ueb is not None
        segments = share.ueb.num_segments
        segment += 1


class Chain:
    """A download by callbacks alone: K readers, each of which reads the whole of one share.

    A reader whose share is bad, or late, takes the next one. The file is written at the end.
    """

    def __init__(self, reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self.stop())
        self.reactor = reactor
        self.cap = parsed(cap)
        self.consumer = consumer
        self.waiting: list[Share] = []
        self.numbers: set[int] = set()
        self.whole: dict[Share, list[bytes]] = {}
        self.under_way: list[Deferred[Any]] = []
        self.unheard = len(servers)
        self.readers = 0
        self.over = False
        for server in servers:
            asked = maybeDeferred(server.get_buckets, self.cap.storage_index)
            self.watch(asked, self.found, lambda _: None).addBoth(self.heard)

    def watch(
        self, request: Deferred[Any], got: Callable[[Any], Any], failed: Callable[[Any], Any]
    ) -> Deferred[Any]:
        """Wait for an answer, with a timeout."""
        self.under_way.append(request)
        return request.addTimeout(PATIENCE, self.reactor).addCallbacks(got, failed)

    def found(self, buckets: dict[int, Any]) -> None:
        """Record the shares of a server."""
        self.waiting += [Share(self.cap, number, buckets[number]) for number in buckets]

    def heard(self, _: object) -> None:
        """Record that a server has answered, failed, or been given up."""
        self.unheard -= 1
        self.proceed()

    def proceed(self) -> None:
        """Start readers, or end."""
        if self.over:
            return
        if len(self.whole) == self.cap.k:
            self.finish()
            return
        for share in list(self.waiting):
            if self.readers + len(self.whole) < self.cap.k and share.number not in self.numbers:
                self.waiting.remove(share)
                self.numbers.add(share.number)
                self.readers += 1
                opened = Deferred.fromCoroutine(share.open())
                self.watch(opened, partial(self.opened, share), partial(self.failed, share))
        if not self.readers and not self.unheard:
            self.stop()
            self.done.errback(ShortageError(f"have {len(self.whole)}, need {self.cap.k}"))

    def opened(self, share: Share, _: object, blocks: Sequence[bytes] = ()) -> None:
        """Read the next block of a share."""
        assert share.ueb is not None
        if len(blocks) == share.ueb.num_segments:
            self.whole[share] = list(blocks)
            self.readers -= 1
            self.proceed()
            return
        reading = maybeDeferred(share.bucket.read, *share.span(len(blocks)))
        self.watch(reading, partial(self.read, share, blocks), partial(self.failed, share))

    def read(self, share: Share, blocks: Sequence[bytes], block: bytes) -> None:
        """Check a block of a share."""
        assert share.ueb is not None
        try:
            good = share.checked(block, share.ueb, len(blocks))
        except Exception:
            self.failed(share, None)
        else:
            self.opened(share, None, [*blocks, good])

    def failed(self, share: Share, _: object) -> None:
        """Let the reader of a share take another one."""
        self.numbers.discard(share.number)
        self.readers -= 1
        self.proceed()

    def stop(self) -> None:
        """Cancel all requests in progress."""
        self.over = True
        for request in self.under_way:
            request.cancel()

    def finish(self) -> None:
        """Write the file."""
        self.stop()
        share = next(iter(self.whole))
        assert share.ueb is not None
        for segment in range(share.ueb.num_segments):
            blocks = {one.number: self.whole[one][segment] for one in self.whole}
            write(self.consumer, self.cap, share, segment, blocks)
        self.done.callback(None)


def chaining(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[None]:
    """Download with callbacks."""
    return Chain(reactor, servers, cap, consumer).done
