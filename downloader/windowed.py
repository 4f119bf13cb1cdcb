"""Reading in the way of Tahoe-LAFS 1.20: from the first shares that are found, without phases.

Each segment is read from K shares at once, preferring the servers that answered fastest, and one
share per server while there is a choice. A share that does not have the block is replaced by
another; a slow or silent one is waited for. More servers are queried while there are too few
shares. `windowed_share` reads one share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from firstk.downloader.fetch import crypttext_of
from firstk.downloader.locate import ShareFinder
from firstk.downloader.session import Session
from firstk.downloader.turns import Turns
from firstk.downloader.ueb import URIExtension
from firstk.downloader.windowed_share import KnownFile, WindowedShare


@dataclass(eq=False, slots=True)
class _Segment:
    """A segment that is being read, and the shares that it can be, is being and was read from."""

    number: int
    unused: list[WindowedShare] = field(default_factory=list)
    active: dict[int, WindowedShare] = field(default_factory=dict)
    blocks: dict[int, bytes] = field(default_factory=dict)
    most_per_server: int = 1
    exhausted: bool = False  # there are no more shares
    over: bool = False

    def add(self, shares: list[WindowedShare]) -> None:
        """Add shares from which the segment can be read."""
        self.unused += shares
        self.unused.sort(key=lambda share: (share.share.rtt, share.share.number))

    def lacks(self, k: int) -> bool:
        """Return whether fewer than K shares have been or are being read."""
        return len(self.blocks) + len(self.active) < k

    def choose(self) -> tuple[WindowedShare | None, bool]:
        """Return the next share to read, or None, and whether a limit forbids another.

        The limit is the number of shares read from one server at a time.
        """
        servers = [share.share.server for share in self.active.values()]
        limited = False
        for reader in self.unused:
            share = reader.share
            if share.lost or share.number in self.blocks or share.number in self.active:
                continue
            if servers.count(share.server) < self.most_per_server:
                return reader, limited
            limited = True
        return None, limited


class WindowedFetcher:
    """Reads a file's segments as Tahoe-LAFS does.

    Call `prepare` before anything else.
    """

    def __init__(self, session: Session, located: ShareFinder, offset: int) -> None:
        self._session = session
        self._located = located
        self._offset = offset
        self._turns = Turns(session)
        self._file = KnownFile(session.cap)
        self._shares: list[WindowedShare] = []
        self._hungry = False  # for more shares than were found
        self._segment = _Segment(-1, over=True)

    @property
    def ueb(self) -> URIExtension:
        """The file's UEB, once it is known."""
        assert self._file.ueb is not None
        return self._file.ueb

    async def prepare(self) -> None:
        """Read the segment that contains the first byte, assuming the usual segmentation.

        If that is wrong, at least the UEB is known afterwards. Raises as `segment` does.
        """
        await self._read(self._offset // self._file.cut.segment_size)

    async def segment(self, segment: int) -> bytes:
        """Return the ciphertext of a segment.

        Raises `NotEnoughSharesError` if K good shares can no longer be obtained;
        `BadURIExtensionError` and `BadCiphertextHashError` if the file was encoded incorrectly.
        """
        if segment != self._segment.number:
            await self._read(segment)
        expected = self._file.crypttext_hashes.leaf(segment)
        assert expected is not None
        return crypttext_of(self._session, self.ueb, segment, self._segment.blocks, expected)

    async def _read(self, segment: int) -> None:
        """Read K blocks of a segment; none if the file turns out to have fewer segments."""
        self._segment = _Segment(segment)
        self._segment.add([share for share in self._shares if not share.share.lost])
        self._advance()
        await self._session.news.until(self._look)

    def _look(self) -> float | None:
        """Schedule the processing of news in the next turn; return when to call this again."""
        if self._segment.over:
            return None
        while (due := self._located.expire()) is None:
            pass
        if len(self._located.shares) > len(self._shares):
            self._hungry = False
            if self._segment.lacks(self._session.cap.k):
                self._turns.add(self._take_in)
        elif self._hungry and (
            self._located.has_room or (self._located.closed and not self._segment.exhausted)
        ):
            self._turns.add(self._ask_servers)
        return due

    def _take_in(self) -> None:
        """Read more shares now that some were found."""
        self._add_shares()
        self._turns.add(self._advance)

    def _add_shares(self) -> None:
        """Add the shares that were found."""
        found = self._located.shares[len(self._shares) :]
        if found:
            new = [WindowedShare(share, self._file, self._turns) for share in found]
            self._shares += new
            self._segment.add(new)

    def _ask_servers(self) -> None:
        """Query more servers, unless shares were found meanwhile or no servers are left."""
        if len(self._located.shares) > len(self._shares):
            return
        if self._located.closed:
            self._turns.add(self._exhaust)
        elif self._hungry:
            self._located.ask_more()

    def _exhaust(self) -> None:
        """Record that there are no more shares."""
        self._segment.exhausted = True
        self._turns.add(self._advance)

    def _advance(self) -> None:
        """Read more shares if blocks are lacking, until there are K blocks."""
        segment, k = self._segment, self._session.cap.k
        if segment.over:
            return
        extension = self._file.ueb
        if extension is not None and segment.number >= extension.num_segments:
            self._finish()
            return
        self._add_shares()  # those that were found while no more were needed
        while segment.lacks(k):
            share, limited = segment.choose()
            if share is not None:
                self._start(share)
                continue
            self._hungry = True  # more servers are queried after this turn
            if limited:
                segment.most_per_server += 1
                continue
            if segment.exhausted:
                raise self._located.shortage(len(segment.blocks) + len(segment.active))
            return
        if len(segment.blocks) == k:
            self._finish()

    def _start(self, reader: WindowedShare) -> None:
        """Read a share."""
        if self._session.status.phase == "locating":
            self._session.enter("blocks")
        segment, number = self._segment, reader.share.number

        def take(block: bytes | None) -> None:
            if segment.over:
                return
            del segment.active[number]
            if block is not None:
                segment.blocks[number] = block
            self._turns.add(self._advance)

        segment.unused.remove(reader)
        segment.active[number] = reader
        reader.want(segment.number, take)

    def _finish(self) -> None:
        self._segment.over = True
        for share in self._segment.active.values():
            share.unwant()
