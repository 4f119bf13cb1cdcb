"""Reading shares as they are found, without phases: everything needed in one round per share.

Reading begins with the first located share: the fastest answers first, and one share per server as
long as there is a choice. Metadata of the file that is not known yet is requested with each block,
at its usual offset; if the file was encoded with unusual settings, the share's header says so, and
another round follows. With a strategy that hedges, a read that takes too long is no longer relied
on, and another share is read in addition.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Sequence
from functools import partial
from itertools import islice
from math import inf

from firstk.downloader.errors import (
    CorruptBlockError,
    NotEnoughSharesError,
    ShareError,
    UnprovenShareError,
)
from firstk.downloader.fetch import crypttext_of
from firstk.downloader.locate import ShareFinder
from firstk.downloader.reading import Readings
from firstk.downloader.sections import ByteRange
from firstk.downloader.session import Session
from firstk.downloader.share import FileMetadata, Share
from firstk.downloader.ueb import URIExtension

#: From how many shares at once the UEB and the crypttext hashes are read. One is enough; the others
#: are for the case that servers hang or lie.
_CARRIERS = 5


class PipelinedFetcher:
    """Reads a file's segments from the fastest of its shares.

    Call `prepare` before anything else.
    """

    def __init__(self, session: Session, located: ShareFinder, offset: int) -> None:
        self._session = session
        self._located = located
        self._known = FileMetadata()
        self._first = True
        self._readings = Readings(session)
        self._without_hashes: set[Share] = set()  # read; with corrupt crypttext hashes
        self._bad: dict[Share, int] = {}  # the last position of a bad block of each
        self._begin(offset)

    @property
    def ueb(self) -> URIExtension:
        """The file's UEB, once it is known."""
        assert self._known.uri_extension is not None
        return self._known.uri_extension

    async def prepare(self) -> None:
        """Read until the UEB is known. Raises as `segment` does."""
        await self._until(lambda: self._known.uri_extension is not None)

    async def segment(self, segment: int) -> bytes:
        """Return the ciphertext of a segment.

        Raises `NotEnoughSharesError` if K good shares can no longer be obtained, or if the
        strategy gives up; `BadURIExtensionError` and `BadCiphertextHashError` if the file was
        encoded incorrectly.
        """
        if segment != self._position // self.ueb.segment_size:
            self._begin(segment * self.ueb.segment_size)
        await self._until(self._complete)
        self._first = False
        # There are more than K if shares were read for the UEB or the crypttext hashes.
        blocks = dict(islice(self._blocks.items(), self._session.cap.k))
        coming = len(self._readings)
        self._session.status.blocks_unused += len(self._blocks) - len(blocks) + coming
        assert self._known.segment_hashes is not None
        expected = self._known.segment_hashes[segment]
        return crypttext_of(self._session, self.ueb, segment, blocks, expected)

    def close(self) -> None:
        """Cancel outstanding requests, and record what was learned about servers."""
        self._readings.close()
        self._session.cancel_all()
        self._located.remember()

    def _begin(self, position: int) -> None:
        """Begin the segment that contains a byte; cancel reads for other segments."""
        self._position = position
        self._readings.turn_to(position)
        self._since = self._session.reactor.seconds()
        self._blocks: dict[int, bytes] = {}
        self._unjudged: list[Share] = []  # read; the UEB is not known yet
        self._waiting: set[Share] = set()  # those that were read without the file's metadata
        self._unproven: list[Share] = []  # read; their own share hashes are corrupt

    def _complete(self) -> bool:
        k = self._session.cap.k
        return len(self._blocks) >= k and self._known.segment_hashes is not None

    async def _until(self, done: Callable[[], bool]) -> None:
        await self._session.news.until(partial(self._look, done))

    def _look(self, done: Callable[[], bool]) -> float | None:
        """Advance as far as possible now, unless `done`; return when to call this again."""
        requests = self._session.status.requests
        while True:
            self._session.waits.check()
            if self._readings.settled:
                self._take_in()
            if done():
                return None
            sent = len(requests)
            have = self._in_hand()
            self._readings.withdraw_surplus(self._lacking(have), have)
            due = self._expire(have)
            if due is None and self._unjudged:
                self._take_in()  # what they wait for may not come
            lacking = self._read_more()
            if self._readings.settled:
                continue  # a server has answered immediately
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
                due = self._expire(self._in_hand())
            if due is not None:
                return min(due, self._located.again_at) if lacking else due

    # Incoming data

    def _take_in(self) -> None:
        """Process the shares that have been read into blocks."""
        while True:
            settled, self._readings.settled = self._readings.settled, []
            for reading in settled:
                if reading.failed:
                    if reading.share.disconnected:
                        self._located.lose(reading.share)
                    continue
                if reading.share.again:
                    self._located.regain(reading.share)
                self._learn(reading.share)
                if reading.position == self._position:
                    self._unjudged.append(reading.share)
                    if not reading.metadata:
                        self._waiting.add(reading.share)
            if self._known.segment_hashes is not None:
                self._unjudged += self._readings.withdraw_metadata()
            shares, self._unjudged = self._unjudged, []
            for share in shares:
                if self._known.uri_extension is not None and self._known.segment_hashes is None:
                    self._learn(share)  # it may have been read before the UEB was known
                self._judge(share)
            # Hashes from another share may prove the blocks of these.
            proven = [s for s in self._unproven if self._known.root(s.number) is not None]
            for share in proven:
                self._unproven.remove(share)
                self._judge(share)
            if not self._readings.settled:
                return

    def _learn(self, share: Share) -> None:
        """Learn metadata of the file from the data read from a share."""
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
            # If all metadata is known, taking the block shows whether it was read.
            missing: list[ByteRange] = []
            if known.segment_hashes is None:
                missing = share.missing(known, self._position)
                waits = not share.missing(known, self._position, self._wants_metadata(most=1))
                if waits and (missing or known.uri_extension is None):
                    self._unjudged.append(share)
                    return
            if not missing:
                assert known.uri_extension is not None
                segment = self._position // known.uri_extension.segment_size
                block = share.take_block(known, segment)
            if block is None:
                again = known.segment_hashes is None and not share.missing(
                    known, self._position, metadata=False
                )
                spans = missing or share.missing(known, self._position)
                self._read(share, spans, metadata=True, again=again)
                return
        except UnprovenShareError as e:
            share.blame(e)
            self._unproven.append(share)
            return
        except CorruptBlockError as e:
            share.blame(e)
            self._bad[share] = self._position
            return
        except ShareError as e:
            share.drop(e)
            return
        self._blocks.setdefault(share.number, block)
        self._session.patience.has_taken(share.round)
        if known.segment_hashes is None:
            self._without_hashes.add(share)

    # Outgoing requests

    def _in_hand(self) -> set[int]:
        """Return the numbers of the shares whose blocks are good, or wait for metadata of others.

        A share that was to bring the metadata itself, and has not, may be damaged.
        """
        numbers = set(self._blocks)
        for share in self._unjudged:
            if share in self._waiting and not share.lost:
                numbers.add(share.number)
        return numbers

    def _lacking(self, have: Collection[int]) -> int:
        """Return the number of blocks that are still needed, if we `have` these."""
        spares = self._session.strategy.spares if self._first else 0
        return self._session.cap.k + spares - len(have)

    def _read_more(self) -> bool:
        """Read shares until enough reads are in progress; return whether there are too few."""
        have = self._in_hand()
        lacking = self._lacking(have) - self._located.promised
        while not self._readings.settled:  # process immediate answers first
            self._session.waits.check()
            coming = self._readings.coming()
            wanted = self._readings.wanted(lacking)
            enough = len(coming.difference(have)) >= wanted
            # K blocks are useless until a share has supplied the crypttext hashes.
            expected = bool(coming or self._located.promised)
            enough = enough and (expected or self._known.segment_hashes is not None)
            crowded = self._readings.servers_counted_on() < wanted
            if enough and not crowded:
                return False
            blocks_lack = len(have) < self._session.cap.k
            choice = self._choose(have | coming if blocks_lack else coming)
            if enough and (choice is None or choice.server in self._readings.servers):
                return False
            if choice is None:
                return len(coming.difference(have)) < lacking or not expected
            if choice.server in self._readings.servers:
                self._located.ask_more()  # rather than read a second share from one server
            if any(r.overdue for r in self._readings):
                self._session.status.hedges += 1
            metadata = self._wants_metadata(_CARRIERS)
            try:
                self._read(choice, choice.missing(self._known, self._position, metadata), metadata)
            except ShareError as e:
                choice.drop(e)
        return False

    def _wants_metadata(self, most: int) -> bool:
        """Return whether to request the metadata that all shares share, from up to `most`."""
        if self._known.segment_hashes is not None:
            return False
        return self._readings.carriers < most

    def _choose(self, taken: Container[int]) -> Share | None:
        """Return the share to read next, whose number is not `taken`, or None.

        Shares of servers that are not being read from come first, and of these the one that
        answered fastest. Shares with a bad block come last.
        """
        busy, slow = self._readings.servers, self._readings.slow_servers
        free = [
            share
            for share in self._located.shares
            if self._may_do(share)
            and share.number not in taken
            and share not in self._readings
            and share not in self._unjudged
            and share.server not in slow
            and share not in self._unproven
            and (self._known.segment_hashes is not None or share not in self._without_hashes)
        ]
        if not free:
            return None
        choice = min(
            free,
            key=lambda share: (
                share in self._bad,
                not share.holds(self._known, self._position),
                busy.count(share.server),
                share.rtt,
                share.number,
            ),
        )
        return None if choice.shunned and self._located.expecting else choice

    def _read(
        self, share: Share, spans: Sequence[ByteRange], metadata: bool, again: bool = False
    ) -> None:
        """Read spans of a share in one round."""
        if self._session.status.phase == "locating":
            self._session.enter("blocks")
        self._readings.read(share, spans, metadata, again)

    # Overdue requests

    def _expire(self, have: Collection[int]) -> float | None:
        """Mark the queries and reads that are overdue by now, if we `have` these blocks.

        Return when the next one becomes overdue, or when the strategy gives up. Return None if any
        were marked, since that changes when the others become overdue.
        """
        give_up_at = self._give_up_at()
        query_due = self._located.expire(give_up_at)
        read_due = self._readings.expire(give_up_at, self._lacking(have), have)
        if query_due is None or read_due is None:
            return None
        return min(query_due, read_due, give_up_at)

    def _give_up_at(self) -> float:
        """Return when the strategy gives up if nothing more happens."""
        give_up = self._session.strategy.give_up
        if give_up is None:
            return inf
        return max(self._since, self._session.patience.last_event) + give_up

    def _given_up(self) -> NotEnoughSharesError:
        shares = self._located.shares
        heard = {s.number for s in shares if self._may_do(s) and s not in self._readings}
        have = len(self._blocks.keys() | heard)
        if have >= self._session.cap.k:  # none of them has the UEB or the hashes
            have = 0
        return self._located.shortage(have, self._session.strategy.give_up)

    def _check_for_hope(self) -> None:
        """Raise `NotEnoughSharesError` if the remaining shares cannot be enough."""
        if not self._located.closed:
            return
        good = self._blocks.keys() | {s.number for s in self._located.shares if self._may_do(s)}
        if len(good) < self._session.cap.k:
            raise self._located.shortage(len(good))
        if not self._readings:  # every share was read, and none has what is lacking
            have = len(self._blocks)
            raise self._located.shortage(have if have < self._session.cap.k else 0)

    def _may_do(self, share: Share) -> bool:
        """Return whether a share's block may be good."""
        return not share.lost and self._bad.get(share) != self._position
