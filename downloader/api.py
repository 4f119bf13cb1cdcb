"""Download a file, or a part of it, to a consumer."""

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
    """Write the file of a read-cap to a consumer.

    The bytes are written in order, each one only after its hash was checked. The consumer gets a
    push producer, a `Download`; it may pause it, and it may stop it, which ends the download with
    the phase `stopped` and no error.

    Args:
        reactor: Provides the time and timers, nothing else.
        servers: The storage servers, in the order in which they are asked.
        cap: The read-cap, parsed or as text.
        consumer: Where the file is written.
        strategy: A `Strategy`, or the name of one: a key of `STRATEGIES`, or `hedged+1`.
        offset: The first byte to be written.
        size: The most bytes to be written; None for all the rest. A range that reaches past the
            end of the file is cut there.
        random: Makes the strategy's random choices. Without it they follow from the cap alone, so
            that equal downloads are equal.

    Returns:
        A Deferred that fires with the `DownloadStatus` once the last byte is written. It fails
        with `NotEnoughSharesError` if K distinct good shares cannot be had, with
        `BadURIExtensionError` or `BadCiphertextHashError` if the uploader made the file wrong,
        and with whatever the consumer raised. To cancel it stops the download.

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

    `memory` is what other downloads have learned; a `Client` keeps it.
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
    # A list may change meanwhile; what makes its items when they are looked at stays as it is.
    if isinstance(servers, list) or not isinstance(servers, Sequence):
        servers = list(servers)
    running._start(running._shares(session, servers, offset, end))
    return running


@implementer(IPushProducer)
class Download:
    """A running download, which is the producer of its consumer too. `start` makes it.

    `status` is its state at every moment, and `done` the Deferred that `download` returns.
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
        """Do the work; `done` fires when it is over, and its cancellation stops it."""
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
        except GeneratorExit:  # thrown away while it waits: there is nobody to report to
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
        self._waits.stop()  # what is still being read is not wanted any more
        self._consumer.unregisterProducer()

    def _enter(self, phase: Phase) -> None:
        self.status.phases.append((phase, self._reactor.seconds()))

    async def _write(self, data: bytes) -> None:
        """Write `data` when the consumer wants it."""
        await self._wanted()
        self.status.bytes_written += len(data)
        self._consumer.write(data)
        self._waits.check()

    async def _wanted(self) -> None:
        await self._resumption.until(lambda: inf if self._paused else None)

    async def _literal(self, data: bytes) -> None:
        """Write what the cap itself holds."""
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
        except GeneratorExit:  # thrown away while it waits: nobody is to ask servers for anything
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
                await self._wanted()  # one segment is fetched ahead, and no more
            start = segment * size
            crypttext = await fetcher.segment(segment)
            wanted = crypttext[max(0, offset - start) : end - start]
            await self._write(keystream.apply(wanted))
        if isinstance(fetcher, WindowedFetcher):
            await self._wanted()  # Tahoe-LAFS ends when it would go on if there were more

    def pauseProducing(self) -> None:
        """Write nothing until `resumeProducing`."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on writing."""
        self._paused = False
        self._resumption.fire()

    def stopProducing(self) -> None:
        """Write no more, and end."""
        self._waits.stop()


def _close(fetcher: object) -> None:
    """Withdraw what the fetcher has asked for, if it is one that withdraws anything."""
    if isinstance(fetcher, PipelinedFetcher):
        fetcher.close()
