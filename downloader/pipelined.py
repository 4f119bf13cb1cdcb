"""Reading as shares are found: all that is needed of a share in one round, without phases.

Reading begins with the first share that is located, the fastest answer first and one share
a server as long as there is a choice. What is not known yet of the file is asked of each
share beside its block, at the place where it lies if the file was made as usual; where it was
not, the share's header says so and another round follows. With a strategy that hedges, a
read that takes too long is no longer counted on, and another share is read beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import ceil, inf

from firstk.downloader.errors import NotEnoughSharesError, ShareError
from firstk.downloader.fetch import crypttext_of
from firstk.downloader.locate import ShareFinder
from firstk.downloader.sections import ByteRange
from firstk.downloader.session import Session
from firstk.downloader.share import FileMetadata, Share
from firstk.downloader.ueb import URIExtension

#: RtoEstimator doubles with each K hedges for one segment (RFC 6298, 5.5), at most this many times:
#: on a slow link, hedges make all reads slower.
_MOST_DOUBLINGS = 3

#: While no good share has been read, a read is given more time for those that are under way
#: beside it, as if they shared one link: up to this many times K of them.
_MOST_SHARING = 3


@dataclass(eq=False, slots=True)
class _Reading:
    """A round of one share that is under way, for the block at `position`."""

    share: Share
    position: int
    since: float
    length: int
    doublings: int
    overdue: bool = False
    failed: bool = False


class PipelinedFetcher:
    """Reads a file's segments from the fastest of its shares.

    Call `prepare` before anything else.
    """

    def __init__(self, session: Session, located: ShareFinder, offset: int) -> None:
        self._session = session
        self._located = located
        self._known = FileMetadata()
        self._first = True
        self._tries = 0  # how often reads were overdue before any good share was read
        self._next_try = 0.0
        self._reading: dict[Share, _Reading] = {}
        self._settled: list[_Reading] = []
        self._without_hashes: set[Share] = set()  # read, and their crypttext hashes are corrupt
        self._begin(offset)

    @property
    def ueb(self) -> URIExtension:
        """The file's UEB, once it is known."""
        assert self._known.uri_extension is not None
        return self._known.uri_extension

    async def prepare(self) -> None:
        """Read until the UEB is known; raises as `segment` does."""
        await self._until(lambda: self._known.uri_extension is not None)

    async def segment(self, segment: int) -> bytes:
        """Return the ciphertext of a segment.

        Raises `NotEnoughSharesError` if K good shares cannot be had any more, or if the
        strategy gives up; `BadURIExtensionError` and `BadCiphertextHashError` if the file was
        made wrong.
        """
        if segment != self._position // self.ueb.segment_size:
            self._begin(segment * self.ueb.segment_size)
        await self._until(self._complete)
        self._first = False
        # More than K are there if shares were read for the UEB or the crypttext hashes.
        blocks = dict(islice(self._blocks.items(), self._session.cap.k))
        self._session.status.blocks_unused += len(self._blocks) - len(blocks) + len(self._current())
        assert self._known.segment_hashes is not None
        expected = self._known.segment_hashes[segment]
        return crypttext_of(self._session, self.ueb, segment, blocks, expected)

    def _begin(self, position: int) -> None:
        """Turn to the segment of a byte; what is still being read for another is not wanted."""
        self._position = position
        self._since = self._session.reactor.seconds()
        self._blocks: dict[int, bytes] = {}
        self._unjudged: list[Share] = []  # read, and the UEB to judge them by is not known

    def _complete(self) -> bool:
        k = self._session.cap.k
        return len(self._blocks) >= k and self._known.segment_hashes is not None

    def _current(self) -> list[_Reading]:
        return [r for r in self._reading.values() if r.position == self._position]

    async def _until(self, done: Callable[[], bool]) -> None:
        await self._session.news.until(partial(self._look, done))

    def _look(self, done: Callable[[], bool]) -> float | None:
        """Advance as far as possible now, unless `done`; return when to look again."""
        requests = self._session.status.requests
        while True:
            self._session.waits.check()
            if self._settled:
                self._take_in()
            if done():
                return None
            sent = len(requests)
            due = self._expire()
            lacking = self._read_more()
            if self._settled:
                continue  # a server has answered at once
            if lacking:
                before = len(self._located.shares)
                self._located.ask_more()
                if len(self._located.shares) > before:
                    continue
                self._check_for_hope()
            if self._give_up_at() <= self._session.reactor.seconds():
                raise self._given_up()
            if due is None or len(requests) > sent:
                self._session.waits.check()
                due = self._expire()
            if due is not None:
                return due

    # What comes in

    def _take_in(self) -> None:
        """Make what has been read into blocks."""
        while self._settled:
            settled, self._settled = self._settled, []
            for reading in settled:
                if reading.failed:
                    continue
                self._learn(reading.share)
                if reading.position == self._position:
                    self._unjudged.append(reading.share)
            shares, self._unjudged = self._unjudged, []
            for share in shares:
                if self._known.uri_extension is not None and self._known.segment_hashes is None:
                    self._learn(share)  # it may have been read before the UEB was known
                self._judge(share)

    def _learn(self, share: Share) -> None:
        """Learn of the file from what was read of a share."""
        try:
            share.teach(self._known)
        except ShareError as e:
            share.blame(e)

    def _judge(self, share: Share) -> None:
        """Take a block from a share that was read, or read more of it."""
        if share.lost or (share.number in self._blocks and self._known.segment_hashes is not None):
            return
        known, block = self._known, None
        try:
            # Once all is known of the file, to take the block is to see whether it is there.
            known_all = known.segment_hashes is not None
            missing = [] if known_all else share.missing(known, self._position)
            if not missing:
                if known.uri_extension is None:
                    self._unjudged.append(share)
                    return
                segment = self._position // self.ueb.segment_size
                block = share.take_block(known.uri_extension, segment)
            if block is None:
                self._read(share, missing or share.missing(known, self._position))
                return
        except ShareError as e:
            share.drop(e)
            return
        self._blocks.setdefault(share.number, block)
        self._session.patience.has_taken(*share.round)
        if known.segment_hashes is None:
            self._without_hashes.add(share)

    # What goes out

    def _read_more(self) -> bool:
        """Read shares until enough are on the way; return whether there are too few of them."""
        target = self._session.cap.k
        if self._first:
            target += self._session.strategy.spares
        while not self._settled:  # process first what a server has answered at once
            self._session.waits.check()
            coming = {r.share.number for r in self._current() if not r.overdue}
            enough = len(self._blocks.keys() | coming) >= target
            # K blocks are of no use as long as no share has supplied the crypttext hashes.
            if enough and (coming or self._known.segment_hashes is not None):
                return False
            blocks_lack = len(self._blocks) < self._session.cap.k
            choice = self._choose(self._blocks.keys() | coming if blocks_lack else coming)
            if choice is None:
                return True
            if any(r.overdue for r in self._current()):
                self._session.status.hedges += 1
            try:
                self._read(choice, choice.missing(self._known, self._position))
            except ShareError as e:
                choice.drop(e)
        return False

    def _choose(self, taken: Container[int]) -> Share | None:
        """Return the share to read next, if there is one whose number is not `taken`.

        One of a server that is not being read from before the others, and of these the one
        that answered fastest. To take a second from one server is a reason to ask others.
        """
        busy = [share.server for share in self._reading]
        free = [
            share
            for share in self._located.shares
            if not share.lost
            and share.number not in taken
            and share not in self._reading
            and share not in self._unjudged
            and (self._known.segment_hashes is not None or share not in self._without_hashes)
        ]
        if not free:
            return None
        choice = min(free, key=lambda share: (busy.count(share.server), share.rtt, share.number))
        if choice.server in busy:
            self._located.ask_more()
        return choice

    def _read(self, share: Share, spans: Sequence[ByteRange]) -> None:
        """Ask a share for spans, in one round."""
        if self._session.status.phase == "locating":
            self._session.enter("blocks")
        overdue = sum(r.overdue for r in self._current())
        reading = _Reading(
            share=share,
            position=self._position,
            since=self._session.reactor.seconds(),
            length=sum(length for _, length in spans),
            doublings=min(_MOST_DOUBLINGS, ceil(overdue / self._session.cap.k)),
        )
        self._reading[share] = reading

        def settle(error: ShareError | None) -> None:
            del self._reading[share]
            share.round = self._session.reactor.seconds() - reading.since, reading.length
            if self._session.strategy.hedge:
                share.rtt = share.round[0]
            reading.failed = error is not None
            self._settled.append(reading)
            self._session.news.fire()

        share.read(spans, settle)

    # What does not come

    def _expire(self) -> float | None:
        """Find the queries and the reads that are overdue by now.

        Return when the next one will be, or the strategy gives up; None if any has been found:
        that makes patience with the others shorter.
        """
        give_up_at = self._give_up_at()
        query_due = self._located.expire(give_up_at)
        read_due = self._expire_reads(give_up_at) if self._session.strategy.hedge else inf
        if query_due is None or read_due is None:
            return None
        return min(query_due, read_due, give_up_at)

    def _expire_reads(self, latest: float) -> float | None:
        """Find the reads that are overdue, all at the `latest`; return as `_expire` does.

        Before a strategy that hedges gives up all are: there may be others to be tried.
        """
        now = self._session.reactor.seconds()
        waiting = [reading for reading in self._current() if not reading.overdue]
        dues = self._dues(waiting, latest)
        first = min(dues, default=inf)
        if first > now:
            return first
        late = [reading for due, reading in zip(dues, waiting, strict=True) if due <= now]
        if not self._session.patience.has_read and now < latest:
            # Either these servers hang, or all links are slow, and to read more makes them
            # slower. Try a few others: one, then two, then four, each time for twice as long.
            late = late[: 2 ** min(self._tries, _MOST_DOUBLINGS)]
            self._tries += 1
            sharing = min(_MOST_SHARING, len(self._current()) / self._session.cap.k)
            allowed = self._session.patience.with_read(round(late[0].length * sharing))
            self._next_try = now + allowed * 2 ** min(self._tries, _MOST_DOUBLINGS)
        for reading in late:
            reading.overdue = True
            reading.share.rtt = inf  # until it answers after all
            for request in reading.share.reading:
                request.overdue = now
        return None

    def _dues(self, readings: Sequence[_Reading], latest: float) -> list[float]:
        """Return when each of these is overdue, at the `latest` all are."""
        patience = self._session.patience
        lengths = {reading.length for reading in readings}  # one, as a rule
        allowed = {length: patience.with_read(length) for length in lengths}
        if patience.has_read:
            return [min(r.since + allowed[r.length] * 2**r.doublings, latest) for r in readings]
        return [min(max(r.since + allowed[r.length], self._next_try), latest) for r in readings]

    def _give_up_at(self) -> float:
        """Return when the strategy gives up if nothing happens any more."""
        give_up = self._session.strategy.give_up
        if give_up is None:
            return inf
        return max(self._since, self._session.patience.last_event) + give_up

    def _given_up(self) -> NotEnoughSharesError:
        heard = {s.number for s in self._located.shares if not s.lost and s not in self._reading}
        have = len(self._blocks.keys() | heard)
        if have >= self._session.cap.k:  # none of them has the UEB or the hashes
            have = 0
        return self._located.shortage(have, self._session.strategy.give_up)

    def _check_for_hope(self) -> None:
        """Raise `NotEnoughSharesError` if what is still to come can never be enough."""
        if not self._located.closed:
            return
        good = self._blocks.keys() | {s.number for s in self._located.shares if not s.lost}
        if len(good) < self._session.cap.k:
            raise self._located.shortage(len(good))
        if not self._reading:  # every share was read, and none has the UEB or the hashes
            raise self._located.shortage(0)
