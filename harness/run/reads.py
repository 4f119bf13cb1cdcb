"""Several reads of one file by one downloader: at the same time, or one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from firstk.harness.kernel.raised import as_error
from firstk.harness.run.download import DownloadOutcome, SimulatedDownload
from firstk.harness.run.session import Session
from firstk.harness.run.under_test import find_reader
from firstk.scenarios.model import one_read
from firstk.scenarios.reads import Read


class SimulatedReads:
    """The reads of a scenario, all in one session, and on one node if the downloader has nodes.

    When all of them are over the node is closed, if it can be.
    Raises `DownloaderError` if there is no such downloader.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reads: Sequence[Read] = session.scenario.reads or ()
        self._reader = find_reader(session.strategy)
        self.errors: list[Exception] = []  # of closing the node
        self.timers_left: Sequence[str] = ()
        self.downloads = [
            SimulatedDownload(
                session,
                one_read(session.scenario, read),
                place,
                self._reader.read,
                ended=partial(self._ended, place),
            )
            for place, read in enumerate(self._reads)
        ]

    def start(self) -> None:
        """Schedule the reads that do not wait for another one, each at its start time."""
        now = self._session.reactor.seconds()
        for place, read in enumerate(self._reads):
            if read.start is not None:
                self._session.reactor.callAt(now + read.start, self._start, place)
            elif place == 0:
                self._start(place)

    def _start(self, place: int) -> None:
        download, cancel = self.downloads[place], self._reads[place].cancel
        download.start()
        if cancel is not None:
            self._session.reactor.callLater(cancel, download.cancel)

    def _ended(self, place: int) -> None:
        following = place + 1
        if following < len(self._reads) and self._reads[following].start is None:
            # Not from within what has just ended.
            self._session.reactor.callLater(0, self._start, following)
        if all(download.finished is not None for download in self.downloads):
            self._session.context.run(self._close)

    def _close(self) -> None:
        maybeDeferred(self._reader.close).addBoth(self._closed)

    def _closed(self, result: Any) -> None:
        if isinstance(result, Failure):
            self.errors.append(as_error(result.value))  # type: ignore[arg-type]
        self.timers_left = list(map(str, self._session.clock.getDelayedCalls()))

    def endings(self, queue_empty: bool) -> list[DownloadOutcome]:
        """Return the outcomes so far; the last one has the timers that the node left behind."""
        *others, last = (download.ending(queue_empty) for download in self.downloads)
        return [*others, replace(last, timers_left=self.timers_left)]
