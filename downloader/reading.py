"""The outstanding reads: which can be relied on, and which are overdue.

A read is overdue when its server has been silent for too long, or when it takes far longer than
completed reads took. Then another share is read in addition. Silence ends with the next byte. When
as many shares as are needed send bytes, the silent reads are cancelled: they are not needed, and
almost nothing of their answers has arrived.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, inf

from firstk.downloader.errors import ShareError
from firstk.downloader.memory import ReadSample
from firstk.downloader.sections import ByteRange
from firstk.downloader.session import Session
from firstk.downloader.share import Share

#: The time that a read may take doubles for each K other overdue reads (RFC 6298, 5.5), at most
#: this many times: on a slow link, reads slow one another down.
_MOST_DOUBLINGS = 3


@dataclass(eq=False, slots=True)
class Reading:
    """An outstanding round of reads of one share, for the block at `position`.

    `since` is when it was sent, and `length` the number of bytes requested. `metadata` says whether
    they include the metadata that all shares have in common, and `again` whether they are only
    metadata, because the rest has been read before. `heard` is when the last bytes arrived, and
    `first` the time until the first ones; both are None before that. `gap` is the longest silence
    since then. The read is overdue if it is `silent` or `slow`. Times are in seconds.
    """

    share: Share
    position: int
    since: float
    length: int
    doublings: int
    metadata: bool
    again: bool
    heard: float | None = None
    first: float | None = None
    gap: float = 0.0
    silent: bool = False
    slow: bool = False
    failed: bool = False

    @property
    def overdue(self) -> bool:
        """Whether the read is overdue, and not relied on."""
        return self.silent or self.slow


class Readings:
    """The outstanding reads of the block at one position, at most one round per share."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._position = 0
        self._under_way: dict[Share, Reading] = {}
        self._each = self._under_way.values()
        self._more = 0
        self.settled: list[Reading] = []

    def __contains__(self, share: Share) -> bool:
        return share in self._under_way

    def turn_to(self, position: int) -> None:
        """Begin reading blocks at another position; cancel reads for other positions."""
        self._position = position
        self._more = 0
        for reading in list(self._each):
            if reading.position != position:
                self._withdraw(reading)
        self._session.patience.pause()

    def __len__(self) -> int:
        return len(self._under_way)

    def __iter__(self) -> Iterator[Reading]:
        return iter(self._each)

    @property
    def servers(self) -> list[str]:
        """The servers that are being read from, once per share."""
        return [share.server for share in self._under_way]

    @property
    def slow_servers(self) -> set[str]:
        """The servers of reads that take too long although their bytes arrive.

        Reading another of their shares would only slow these down.
        """
        return {r.share.server for r in self._each if r.slow and r.heard is not None}

    @property
    def carriers(self) -> int:
        """The number of reads relied on for the metadata that all shares have in common."""
        return sum(r.metadata and not r.overdue for r in self._each)

    def servers_counted_on(self) -> int:
        """Return how many servers are relied on for one share each.

        A server that is read for several shares is not counted: a delay would affect all of them.
        """
        servers, several = set[str](), set[str]()
        for reading in self._each:
            if not reading.overdue:
                server = reading.share.server
                (several if server in servers else servers).add(server)
        return len(servers) - len(several)

    def coming(self) -> set[int]:
        """Return the numbers of the shares that are relied on."""
        return {r.share.number for r in self._each if not r.overdue}

    def wanted(self, lacking: int) -> int:
        """Return how many shares should be read at the same time if `lacking` are still needed."""
        return lacking + self._more

    def _escalate(self, lacking: int, have: Collection[int]) -> None:
        """Read more shares than are lacking, since the servers of some are silent.

        Shares that send bytes are not counted as lacking. If the servers of twice as many shares
        are silent, twice as many others are read, and so on: the more servers hang, the more likely
        the next one is to hang.
        """
        silent = sum(r.silent for r in self._each)
        rest = lacking - len(self._speaking().difference(have))
        if rest > 0:
            times = max(1, silent // rest).bit_length() - 1
            self._more = max(self._more, rest * (2**times - 1))

    def _speaking(self) -> set[int]:
        """Return the numbers of the shares that send bytes and are relied on."""
        return {r.share.number for r in self._each if r.heard is not None and not r.overdue}

    def read(
        self, share: Share, spans: Sequence[ByteRange], metadata: bool, again: bool = False
    ) -> None:
        """Read spans of a share in one round; it is added to `settled` when they have arrived."""
        session = self._session
        overdue = sum(r.overdue for r in self._each)
        reading = Reading(
            share=share,
            position=self._position,
            since=session.reactor.seconds(),
            length=sum(length for _, length in spans),
            doublings=min(_MOST_DOUBLINGS, ceil(overdue / session.cap.k)),
            metadata=metadata,
            again=again,
        )
        self._under_way[share] = reading

        def settle(error: ShareError | None) -> None:
            del self._under_way[share]
            taken = session.reactor.seconds() - reading.since
            first = taken if reading.first is None else reading.first
            share.round = ReadSample(taken, reading.length, first)
            share.rtt = taken
            reading.failed = error is not None
            if error is None:
                share.received = 0
            self.settled.append(reading)
            session.news.fire()

        share.read(spans, settle, partial(self._hear, reading))

    def _hear(self, reading: Reading) -> None:
        """Record that bytes have arrived."""
        now, share = self._session.reactor.seconds(), reading.share
        first = reading.heard is None
        received = sum(request.received for request in share.reading)
        self._session.patience.heard(reading.since, now, new=received > share.received)
        share.received = max(share.received, received)
        reading.gap = max(reading.gap, self._silence(reading, now))
        reading.heard = now
        if first:
            reading.first = now - reading.since
        if first or reading.silent:
            reading.silent = False
            self._session.news.fire()

    def _silence(self, reading: Reading, now: float) -> float:
        if reading.heard is None:
            return max(0.0, now - reading.since - self._session.patience.typical())
        return now - reading.heard

    def _withdraw(self, reading: Reading) -> None:
        """Cancel a read, and record that it would have taken longer than until now."""
        del self._under_way[reading.share]
        reading.share.cancel()
        reading.share.received = 0
        taken = self._session.reactor.seconds() - reading.since
        rtt = max(taken, reading.share.rtt)
        reading.share.rtt = 2 * rtt if reading.overdue else rtt

    def close(self) -> None:
        """Cancel all reads."""
        for reading in list(self._each):
            self._withdraw(reading)

    def withdraw_surplus(self, lacking: int, have: Collection[int]) -> None:
        """Cancel the silent reads if as many shares as are lacking send bytes."""
        if 0 < lacking <= len(self._speaking().difference(have)):
            self._more = 0
            for reading in [r for r in self._each if r.heard is None]:
                self._withdraw(reading)

    def withdraw_metadata(self) -> list[Share]:
        """Cancel the reads of metadata that is now known; return their shares."""
        shares = [r.share for r in self._each if r.again]
        for share in shares:
            self._withdraw(self._under_way[share])
        return shares

    def expire(self, latest: float, lacking: int, have: Collection[int]) -> float | None:
        """Mark the reads that are overdue by now; at `latest`, all of them are.

        `lacking` is the number of shares that are needed in addition to those in `have`.
        Return when the next one becomes overdue, or infinity; None if any were marked.
        """
        now = self._session.reactor.seconds()
        waiting = [reading for reading in self._each if not reading.overdue]
        if not waiting:
            return inf
        due, found = inf, False
        for reading, silent, slow in self._dues(waiting):
            if min(silent, slow, latest) > now:
                due = min(due, silent, slow, latest)
                continue
            found = True
            reading.silent = slow > now
            reading.slow = slow <= now
            for request in reading.share.reading:
                request.overdue = request.overdue or now
        if not found:
            return due
        self._escalate(lacking, have)
        return None

    def _dues(self, readings: Sequence[Reading]) -> list[tuple[Reading, float, float]]:
        """Return, for each read, when its silence and its duration become too long."""
        patience = self._session.patience
        lengths = {reading.length for reading in readings}  # usually only one
        allowed = {length: patience.with_read(length) for length in lengths}
        silences = patience.with_silence([r.gap for r in readings])
        return [
            (
                r,
                (r.since if r.heard is None else r.heard) + silence,
                r.since + allowed[r.length] * 2**r.doublings,
            )
            for r, silence in zip(readings, silences, strict=True)
        ]
