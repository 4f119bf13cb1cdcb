"""Downloaders with one planted defect each: common mistakes in reading K of N shares.

Each overrides one method of a correct downloader; the docstring says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks, maybeDeferred

from firstk.downloader.ueb import URIExtension
from tests.harness.planted.correct import PATIENCE, Chain, Fetch
from tests.harness.planted.shares import Share, ShortageError, padded_plaintext, parsed, write

#: A downloader: see `firstk.harness.run.under_test`.
Downloader = Callable[[Any, Sequence[Any], str, Any], Any]


def fetching(fetch: type[Fetch]) -> Downloader:
    """Return a downloader that uses a defective class."""

    async def download(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        await fetch(reactor, servers, cap, consumer).run()

    return download


class CountsDuplicates(Fetch):
    """Two copies of one share count as two shares."""

    def choose(self) -> Share | None:
        """Return any share that is not being read."""
        taken = [*self.reading, *self.copies]
        return next((s for s in self.shares if s not in self.bad and s not in taken), None)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.copies: list[Share] = []

    def got(self, share: Share, block: bytes) -> None:
        """Record a block, whatever its number."""
        super().got(share, block)
        self.copies.append(share)

    async def collect(self, segment: int) -> Share:
        """Forget the copies of the segment before."""
        self.copies = []
        return await super().collect(segment)

    def enough(self) -> bool:
        """Return whether K blocks were read."""
        return len(self.copies) >= self.cap.k

    def lacking(self) -> bool:
        """Return whether to read one more share."""
        return len(self.copies) + len(self.reading) < self.cap.k


class KeepsPadding(Fetch):
    """The padding of the last segment is written, too."""

    def deliver(self, share: Share, segment: int) -> None:
        """Write a segment, with its padding."""
        plaintext, _ = padded_plaintext(self.cap, share, segment, self.blocks)
        self.consumer.write(plaintext)


class CutsPadding(Fetch):
    """The padding is cut off with a negative index, which removes all if there is none."""

    def deliver(self, share: Share, segment: int) -> None:
        """Write a segment without its padding."""
        plaintext, length = padded_plaintext(self.cap, share, segment, self.blocks)
        self.consumer.write(plaintext[: -(len(plaintext) - length)])


class NeverAnother(Fetch):
    """After an error, no other share is read."""

    def failed(self, share: Share, failure: Any) -> None:
        """Forget the share, and keep its place."""
        self.bad.add(share)


class GivesUp(Fetch):
    """The first corrupt share ends the download."""

    async def collect(self, segment: int) -> Share:
        """Collect blocks, and fail if a share was bad."""
        share = await super().collect(segment)
        if self.bad:
            raise ShortageError("a share is corrupt")
        return share


class NeverTimesOut(Fetch):
    """A server that answers the query and then hangs is waited for forever."""

    def read(self, share: Share, segment: int) -> None:
        """Read a block of a share, however long it takes."""
        self.reading[share] = reading = Deferred.fromCoroutine(share.block(segment))
        reading.addCallback(partial(self.got, share))
        reading.addErrback(partial(self.failed, share))
        reading.addBoth(lambda _: self.wake())


class SameAgain(Fetch):
    """A share that fails is read again, forever."""

    def failed(self, share: Share, _: object) -> None:
        """Let the share be chosen again."""
        self.reading.pop(share, None)


class _CachingShare(Share):
    """A share that caches every block that it reads, even a rejected one."""

    cached: bytes | None = None

    def checked(self, block: bytes, ueb: URIExtension, segment: int) -> bytes:
        """Return a cached block, and check only a new one."""
        known, self.cached = self.cached, block
        if known == block:
            return block
        return super().checked(block, ueb, segment)


class CachesRejected(Fetch):
    """A rejected block is taken from a cache the second time, and not checked again."""

    def answered(self, buckets: dict[int, Any]) -> None:
        """Record the shares of a server."""
        self.shares += [_CachingShare(self.cap, number, buckets[number]) for number in buckets]

    def failed(self, share: Share, failure: Any) -> None:
        """Try a share once more."""
        once = share in self.bad
        super().failed(share, failure)
        if not once and not self.choose():
            self.bad.remove(share)

    def deliver(self, share: Share, segment: int) -> None:
        """Write a segment, which has been checked block by block."""
        ueb = share.ueb
        assert ueb is not None
        share.crypttext_hashes = [b""] * ueb.num_segments
        write_unchecked(self, share, segment)


def write_unchecked(fetch: Fetch, share: Share, segment: int) -> None:
    """Write a segment without checking the hash of its ciphertext."""
    from firstk.downloader.aes import Keystream
    from firstk.downloader.fetch import decode

    ueb = share.ueb
    assert ueb is not None
    crypttext = decode(fetch.blocks, fetch.cap.k, fetch.cap.n)[: ueb.segment_length(segment)]
    plaintext = Keystream(fetch.cap.key, segment * ueb.segment_size).apply(crypttext)
    fetch.consumer.write(plaintext)


class LastAnswer(Fetch):
    """Answers are assigned to shares in the order of the requests, not by request."""

    asked: list[Share]

    def read(self, share: Share, segment: int) -> None:
        """Read a block, and remember the order."""
        self.asked = [*getattr(self, "asked", []), share]
        super().read(share, segment)

    def got(self, share: Share, block: bytes) -> None:
        """Assign the block to the share that was requested first."""
        first = self.asked.pop(0)
        self.reading.pop(share, None)
        self.blocks[first.number] = block

    def failed(self, share: Share, failure: Any) -> None:
        """Record that a share cannot be read."""
        self.asked.remove(share)
        super().failed(share, failure)


class CancelsAll(Fetch):
    """When one read is late, all others are cancelled too, and their shares are lost."""

    def failed(self, share: Share, failure: Any) -> None:
        """Cancel everything."""
        super().failed(share, failure)
        for reading in list(self.reading.values()):
            reading.cancel()


class ReadsTwice(Fetch):
    """A share is opened again for every segment."""

    async def collect(self, segment: int) -> Share:
        """Forget what is known of each share."""
        for share in self.shares:
            share.ueb = None
        return await super().collect(segment)


class EndsEarly(Fetch):
    """Success is reported before the last segment is written."""

    def deliver(self, share: Share, segment: int) -> None:
        """Write a segment in the next turn of the reactor."""
        blocks = dict(self.blocks)
        self.reactor.callLater(0.001, write, self.consumer, self.cap, share, segment, blocks)


class NeedsOneMore(Fetch):
    """The download fails if exactly K shares are left."""

    def choose(self) -> Share | None:
        """Return a share to read next."""
        left = {share.number for share in self.shares if share not in self.bad}
        return super().choose() if len(left) > self.cap.k or self.unheard else None


class ForgetsLate(Fetch):
    """A share whose query was answered late is never read: the list was copied before."""

    first: list[Share] | None = None

    def choose(self) -> Share | None:
        """Return a share that was known when reading began."""
        if self.first is None and len({share.number for share in self.shares}) >= self.cap.k:
            self.first = list(self.shares)
        taken = self.blocks.keys() | {share.number for share in self.reading}
        good = (s for s in self.first or () if s not in self.bad and s.number not in taken)
        return next(good, None)

    async def collect(self, segment: int) -> Share:
        """Collect blocks, if K shares are known."""
        while self.first is None and self.unheard:
            self.choose()
            if self.first is None:
                await self.news
        return await super().collect(segment)


class StopsAtEmpty(Fetch):
    """The last answer does not wake the download if its server has no share."""

    def ask(self, server: Any) -> None:
        """Query a server, and wake only for shares."""
        query = maybeDeferred(server.get_buckets, self.cap.storage_index)
        query.addTimeout(PATIENCE, self.reactor)
        self.queries.append(query)
        query.addCallback(self.found).addErrback(self.heard)

    def found(self, buckets: dict[int, Any]) -> None:
        """Record the shares of a server."""
        if buckets:
            self.answered(buckets)
            self.heard(None)


class ClockOfStart(Chain):
    """The time limit of each request is counted from the start of the download."""

    def watch(
        self, request: Deferred[Any], got: Callable[[Any], Any], failed: Callable[[Any], Any]
    ) -> Deferred[Any]:
        """Wait for an answer until a fixed time."""
        self.under_way.append(request)
        left = max(0.0, 1.0 - self.reactor.seconds())
        return request.addTimeout(left, self.reactor).addCallbacks(got, failed)


class LeaksReaders(Chain):
    """A reader that fails is not replaced if another one has just finished."""

    def failed(self, share: Share, failure: Any) -> None:
        """Let the reader of a share take another one, unless one has finished."""
        self.numbers.discard(share.number)
        if not self.whole:
            self.readers -= 1
        self.proceed()


counts_duplicates = fetching(CountsDuplicates)
keeps_padding = fetching(KeepsPadding)
cuts_padding = fetching(CutsPadding)
never_another = fetching(NeverAnother)
gives_up = fetching(GivesUp)
never_times_out = fetching(NeverTimesOut)
same_again = fetching(SameAgain)
caches_rejected = fetching(CachesRejected)
last_answer = fetching(LastAnswer)
cancels_all = fetching(CancelsAll)
reads_twice = fetching(ReadsTwice)
ends_early = fetching(EndsEarly)
needs_one_more = fetching(NeedsOneMore)
forgets_late = fetching(ForgetsLate)
stops_at_empty = fetching(StopsAtEmpty)


def clock_of_start(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[None]:
    """Download with a defective class."""
    return ClockOfStart(reactor, servers, cap, consumer).done


def leaks_readers(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[None]:
    """Download with a defective class."""
    return LeaksReaders(reactor, servers, cap, consumer).done


@inlineCallbacks
def first_queried(
    reactor: Any, servers: Sequence[Any], cap: str, consumer: Any
) -> Generator[Deferred[Any], Any, None]:
    """Wait for the first K servers that are queried, not for the first K that answer."""
    file = parsed(cap)
    asked = [maybeDeferred(server.get_buckets, file.storage_index) for server in servers]
    for query in asked[file.k :]:
        query.addErrback(lambda _: {})
    answers = yield gatherResults(asked[: file.k], consumeErrors=True)
    shares = [Share(file, number, answer[number]) for answer in answers for number in answer]
    segment, segments = 0, 1
    while segment < segments:
        blocks = {}
        for share in shares:
            blocks[share.number] = yield Deferred.fromCoroutine(share.block(segment))
        ueb = shares[0].ueb
        assert ueb is not None
        write(consumer, file, shares[0], segment, blocks)
        segment, segments = segment + 1, ueb.num_segments


class Player:
    """A node with several reads; the second read forgets what the first one waits for."""

    def __init__(self, reactor: Any, servers: Sequence[Any], cap: str) -> None:
        self._reactor = reactor
        self._cap = parsed(cap)
        self._waiting: Deferred[None] = Deferred()
        self._shares: list[Share] = []
        self._asked = [maybeDeferred(s.get_buckets, self._cap.storage_index) for s in servers]
        for query in self._asked:
            query.addTimeout(PATIENCE, reactor).addCallbacks(self._found, lambda _: None)
            query.addBoth(self._heard)
        self._unheard = len(servers)

    def _found(self, buckets: dict[int, Any]) -> None:
        self._shares += [Share(self._cap, number, buckets[number]) for number in buckets]

    def _heard(self, _: object) -> None:
        self._unheard -= 1
        if not self._unheard:
            self._waiting.callback(None)

    async def read(self, consumer: Any, offset: int, size: int | None) -> None:
        """Read a part of the file."""
        if self._unheard:
            self._waiting = Deferred()
            await self._waiting
        end = self._cap.size if size is None else offset + size
        position = offset
        while position < end:
            position += await self._segment(consumer, position, end)

    async def _segment(self, consumer: Any, position: int, end: int) -> int:
        """Write the part of a segment that begins at a position; return its size."""
        blocks: dict[int, bytes] = {}
        opened = None
        for share in list(self._shares):
            if len(blocks) == self._cap.k or share.number in blocks:
                continue
            try:
                opening = Deferred.fromCoroutine(share.open())
                ueb = await opening.addTimeout(PATIENCE, self._reactor)
                segment = position // ueb.segment_size
                reading = Deferred.fromCoroutine(share.block(segment))
                blocks[share.number] = await reading.addTimeout(PATIENCE, self._reactor)
                opened = share
            except Exception:
                if share in self._shares:
                    self._shares.remove(share)
        if len(blocks) < self._cap.k or opened is None or opened.ueb is None:
            raise ShortageError(f"have {len(blocks)} blocks, need {self._cap.k}")
        segment_size = opened.ueb.segment_size
        segment, skipped = divmod(position, segment_size)
        plaintext, length = padded_plaintext(self._cap, opened, segment, blocks)
        data = plaintext[skipped : min(length, end - segment * segment_size)]
        consumer.write(data)
        return len(data)

    def close(self) -> None:
        """Cancel the queries."""
        for query in self._asked:
            query.cancel()
