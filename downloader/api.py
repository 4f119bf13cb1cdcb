"""Downloading a file, or a part of one, to a consumer."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from math import inf
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer, IReactorTime
from zope.interface import implementer

from firstk.downloader.aes import Keystream
from firstk.downloader.cap import Cap, LITCap, parse_cap
from firstk.downloader.errors import DownloadStopped
from firstk.downloader.fetch import PhasedFetcher
from firstk.downloader.interfaces import IStorageServer
from firstk.downloader.locate import ShareFinder
from firstk.downloader.memory import Memory
from firstk.downloader.pipelined import PipelinedFetcher
from firstk.downloader.session import PendingWaits, Session, Signal
from firstk.downloader.status import DownloadStatus, Phase
from firstk.downloader.strategy import Strategy, find_strategy
from firstk.downloader.windowed import WindowedFetcher


def download(
    reactor: IReactorTime,
    servers: Iterable[IStorageServer],
    cap: Cap | str,
    consumer: IConsumer,
    *,
    strategy: Strategy | str = "first-k",
    offset: int = 0,
    size: int | None = None,
    random: Random | None = None,
) -> Deferred[DownloadStatus]:
    """Download the file that a read-cap names, and write it to a consumer.

    The bytes are written in order, each one only after its hash has been checked. The `Download` is
    registered with the consumer as a push producer, so the consumer can pause it. If the consumer
    stops it, the download ends in the phase `stopped`, without an error.

    Args:
        reactor: The reactor, used only for the time and timers.
        servers: The storage servers, in the order in which they are queried.
        cap: The read-cap, parsed or as text.
        consumer: The consumer to which the file is written.
        strategy: A `Strategy`, or its name: a key of `STRATEGIES`, or for example `hedged+1`.
        offset: The offset of the first byte to write.
        size: The maximum number of bytes to write; None means up to the end of the file. A range
            that extends past the end of the file is truncated.
        random: The random number generator for the strategy's choices. By default it is seeded
            from the cap, so that downloads are repeatable.

    Returns:
        A Deferred that fires with the `DownloadStatus` when the last byte has been written. It
        fails with `NotEnoughSharesError` if K distinct good shares cannot be obtained, with
        `BadURIExtensionError` or `BadCiphertextHashError` if the uploader encoded the file
        incorrectly, and with any error that the consumer raises. Cancelling it stops the download.

    Raises:
        BadCapError: The cap is malformed.
        ValueError: There is no such strategy, or `offset` or `size` is negative.
    """
    return start(
        reactor,
        servers,
        cap,
        consumer,
        strategy=strategy,
        offset=offset,
        size=size,
        random=random,
    ).done


def start(
    reactor: IReactorTime,
    servers: Iterable[IStorageServer],
    cap: Cap | str,
    consumer: IConsumer,
    *,
    strategy: Strategy | str = "first-k",
    offset: int = 0,
    size: int | None = None,
    random: Random | None = None,
    memory: Memory | None = None,
) -> Download:
    """Start a download and return a handle to it; the arguments are those of `download`.

    `memory` holds what earlier downloads have learned about servers; a `Client` keeps it.
    """
    parsed = parse_cap(cap) if isinstance(cap, str) else cap
    strategy = find_strategy(strategy)
    if offset < 0 or (size is not None and size < 0):
        raise ValueError(f"offset and size must not be negative: {offset}, {size}")
    end = parsed.size if size is None else min(parsed.size, offset + size)
    running = Download(reactor, consumer)
    if isinstance(parsed, LITCap):
        running._start(running._literal(parsed.data[offset:end]))
        return running
    session = Session(
        reactor=reactor,
        cap=parsed,
        strategy=strategy,
        random=random or Random(parsed.storage_index),
        status=running.status,
        waits=running._waits,
        memory=memory or Memory(),
    )
    # The caller may change a list later, so copy it. Keep a sequence that creates items lazily.
    if isinstance(servers, list) or not isinstance(servers, Sequence):
        servers = list(servers)
    running._start(running._shares(session, servers, offset, end))
    return running


@implementer(IPushProducer)
class Download:
    """A running download, returned by `start`. It is also the push producer of its consumer.

    `status` is its current `DownloadStatus`, and `done` the Deferred that `download` returns.
    """

    done: Deferred[DownloadStatus]

    def __init__(self, reactor: IReactorTime, consumer: IConsumer) -> None:
        self.status = DownloadStatus()
        self._waits = PendingWaits()
        self._reactor = reactor
        self._consumer = consumer
        self._paused = False
        self._resumption = Signal(reactor, self._waits)
        self._enter("starting")

    def _start(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Run the coroutine; `done` fires when it ends, and cancelling `done` stops it."""
        result: Deferred[DownloadStatus] = Deferred(lambda _: self.stopProducing())
        self.done = result

        def over(outcome: Any) -> None:
            if not result.called:  # cancelled by the consumer while it was being called
                result.callback(outcome)

        Deferred.fromCoroutine(self._run(work)).addCallback(lambda _: self.status).addBoth(over)

    async def _run(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        try:
            self._consumer.registerProducer(self, True)
        except BaseException:
            work.close()
            self._enter("failed")
            raise
        try:
            self._waits.check()
            await work
        except DownloadStopped:
            self._end("stopped")
        except GeneratorExit:  # discarded while it waits: nobody is left to report to
            raise
        except BaseException:
            self._end("failed")
            raise
        else:
            self._end("done")
        finally:
            work.close()

    def _end(self, phase: Phase) -> None:
        self._enter(phase)
        self._waits.stop()  # reads that are still outstanding are no longer needed
        self._consumer.unregisterProducer()

    def _enter(self, phase: Phase) -> None:
        self.status.phases.append((phase, self._reactor.seconds()))

    async def _write(self, data: bytes) -> None:
        """Write `data` once the consumer is not paused."""
        await self._wanted()
        self.status.bytes_written += len(data)
        self._consumer.write(data)
        self._waits.check()

    async def _wanted(self) -> None:
        await self._resumption.until(lambda: inf if self._paused else None)

    async def _literal(self, data: bytes) -> None:
        """Write the data of a literal cap."""
        if data:
            await self._write(data)

    async def _shares(
        self, session: Session, servers: Sequence[IStorageServer], offset: int, end: int
    ) -> None:
        """Write the file's bytes from `offset` to `end`, from shares on `servers`."""
        if offset >= end:
            return
        session.enter("locating")
        located = ShareFinder(session, servers, offset)
        fetcher: PhasedFetcher | PipelinedFetcher | WindowedFetcher
        if session.strategy.hedge:
            fetcher = PipelinedFetcher(session, located, offset)
        elif session.strategy.locating_ends == "never":
            fetcher = WindowedFetcher(session, located, offset)
        else:
            await located.locate()
            fetcher = PhasedFetcher(session, located)
        try:
            await self._segments(session, fetcher, offset, end)
        except GeneratorExit:  # discarded while it waits: send no more requests to servers
            raise
        except BaseException:
            _close(fetcher)
            raise
        _close(fetcher)

    async def _segments(
        self,
        session: Session,
        fetcher: PhasedFetcher | PipelinedFetcher | WindowedFetcher,
        offset: int,
        end: int,
    ) -> None:
        """Write the file's bytes from `offset` to `end`, segment by segment."""
        await fetcher.prepare()
        keystream = Keystream(session.cap.key, offset)
        size = fetcher.ueb.segment_size
        first = offset // size
        for segment in range(first, -(-end // size)):
            if segment > first:
                await self._wanted()  # fetch at most one segment ahead
            start = segment * size
            crypttext = await fetcher.segment(segment)
            wanted = crypttext[max(0, offset - start) : end - start]
            await self._write(keystream.apply(wanted))
        if isinstance(fetcher, WindowedFetcher):
            await self._wanted()  # like Tahoe-LAFS, end only when the consumer is not paused

    def pauseProducing(self) -> None:
        """Stop writing until `resumeProducing` is called."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Resume writing."""
        self._paused = False
        self._resumption.fire()

    def stopProducing(self) -> None:
        """Stop writing, and end the download in the phase `stopped`."""
        self._waits.stop()


def _close(fetcher: object) -> None:
    """Cancel the fetcher's outstanding requests, if it supports that."""
    if isinstance(fetcher, PipelinedFetcher):
        fetcher.close()
