"""The reads that are under way: which can be counted on, and which are overdue.

A read is overdue when its server has been silent for too long, or when it takes far longer than
reads took that have ended. Another share is then read beside it. Silence ends with the next
byte, and when as many shares as are wanted send bytes, those that are silent are withdrawn: they
were read for nothing, and nearly nothing of them has come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, inf

from firstk.downloader.errors import ShareError
from firstk.downloader.memory import ReadSample
from firstk.downloader.sections import ByteRange
from firstk.downloader.session import Session
from firstk.downloader.share import Share

#: A read may take twice as long with each K others that are overdue (RFC 6298, 5.5), at most so
#: many times: on a slow link, reads make one another slower.
_MOST_DOUBLINGS = 3


@dataclass(eq=False, slots=True)
class Reading:
    """A round of reads of one share that is under way, for the block at `position`.

    `since` is when it was sent, and `length` how many bytes are asked for. `metadata` says whether
    what all shares have in common is among them, and `again` whether it is all, as the rest has
    come before. `heard` is when the last bytes came, and `first` how long the first ones took;
    both are None as long as none have. `gap` is the longest time that it has been silent since.
    It is overdue if it is `silent` or `slow`. Times are in seconds.
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
        """Whether it is not counted on."""
        return self.silent or self.slow


class Readings:
    """The reads that are under way for a file, of each share one round at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._position = 0
        self._under_way: dict[Share, Reading] = {}
        self._more = 0
        self.settled: list[Reading] = []

    def __contains__(self, share: Share) -> bool:
        return share in self._under_way

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def turn_to(self, position: int) -> None:
        """Read for the block at another byte from now on; withdraw what is read for others."""
        self._position = position
        self._more = 0
        for reading in list(self._under_way.values()):
            if reading.position != position:
                self._withdraw(reading)
        self._session.patience.pause()

    @property
    def current(self) -> list[Reading]:
        """Those for the block that is wanted now."""
        return [r for r in self._under_way.values() if r.position == self._position]

    @property
    def servers(self) -> list[str]:
        """The servers that are being read from, once for each share."""
        return [share.server for share in self._under_way]

    @property
    def slow_servers(self) -> set[str]:
        """The servers of reads that take too long while their bytes come.

        Another of their shares would only make those slower.
        """
        return {r.share.server for r in self.current if r.slow and r.heard is not None}

    @property
    def carriers(self) -> int:
        """How many are counted on for what all shares have in common."""
        return sum(r.metadata and not r.overdue for r in self.current)

    def servers_counted_on(self) -> int:
        """Return how many servers are counted on for one share each.

        One that is read for several counts for none: what delays it delays them all.
        """
        shares = Counter(r.share.server for r in self.current if not r.overdue)
        return sum(count == 1 for count in shares.values())

    def coming(self) -> set[int]:
        """Return the numbers of the shares that are counted on."""
        return {r.share.number for r in self.current if not r.overdue}

    def wanted(self, lacking: int) -> int:
        """Return how many shares should be on their way where so many are `lacking`."""
        return lacking + self._more

    def _escalate(self, lacking: int, have: Collection[int]) -> None:
        """Want more shares than are lacking, since the servers of some are silent.

        Those that send bytes are lacking no more. Where the servers of twice as many shares are
        silent, twice as many others are read, and so on: the more hang, the more will.
        """
        silent = sum(r.silent for r in self.current)
        rest = lacking - len(self._speaking().difference(have))
        if rest > 0:
            times = max(1, silent // rest).bit_length() - 1
            self._more = max(self._more, rest * (2**times - 1))

    def _speaking(self) -> set[int]:
        """Return the numbers of the shares that send bytes, and are counted on."""
        return {r.share.number for r in self.current if r.heard is not None and not r.overdue}

    def read(
        self, share: Share, spans: Sequence[ByteRange], metadata: bool, again: bool = False
    ) -> None:
        """Ask a share for spans, in one round; it is among the `settled` when they have come."""
        session = self._session
        overdue = sum(r.overdue for r in self.current)
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
            self.settled.append(reading)
            session.news.fire()

        share.read(spans, settle, partial(self._hear, reading))

    def _hear(self, reading: Reading) -> None:
        """Note that bytes have come."""
        now = self._session.reactor.seconds()
        first = reading.heard is None
        self._session.patience.heard(reading.since, now)
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
        """Cancel a read. It is only known that it would have taken longer than it has."""
        del self._under_way[reading.share]
        reading.share.cancel()
        taken = self._session.reactor.seconds() - reading.since
        rtt = max(taken, reading.share.rtt)
        reading.share.rtt = 2 * rtt if reading.overdue else rtt

    def close(self) -> None:
        """Cancel all reads."""
        for reading in list(self._under_way.values()):
            self._withdraw(reading)

    def withdraw_surplus(self, lacking: int, have: Collection[int]) -> None:
        """Cancel the reads that are silent if as many shares as are lacking send bytes."""
        if 0 < lacking <= len(self._speaking().difference(have)):
            self._more = 0
            for reading in self.current:
                if reading.heard is None:
                    self._withdraw(reading)

    def withdraw_metadata(self) -> list[Share]:
        """Cancel the reads of what is known by now; return their shares, which have the rest."""
        shares = [r.share for r in self.current if r.again]
        for share in shares:
            self._withdraw(self._under_way[share])
        return shares

    def expire(self, latest: float, lacking: int, have: Collection[int]) -> float | None:
        """Find the reads that are overdue by now, all at the `latest`.

        So many shares are `lacking` beside those that we `have`.
        Return when the next one will be, infinity if none; None if any has been found.
        """
        now = self._session.reactor.seconds()
        waiting = [reading for reading in self.current if not reading.overdue]
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
        """Return for each when it is silent for too long, and when it has taken too long."""
        patience = self._session.patience
        lengths = {reading.length for reading in readings}  # one, as a rule
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
