"""A client that downloads many files, and uses what it learns from each for the next."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IReactorTime

from firstk.downloader.api import Download, start
from firstk.downloader.cap import Cap
from firstk.downloader.interfaces import IStorageServer
from firstk.downloader.memory import Memory
from firstk.downloader.status import DownloadStatus
from firstk.downloader.strategy import Strategy, find_strategy


class Client:
    """A client that downloads many files from the same servers, and remembers their performance.

    A single download has to find out how long a round trip takes, and which servers are silent.
    With a client only the first download has to: later ones know the latest round-trip times,
    and read first from the servers that performed well. Measurements older than `forget_after`
    seconds are forgotten, and at most a thousand servers are remembered.

    Strategies that do not hedge make no use of this, and download as usual. Comparisons, sweeps
    and plans do not use a client: each of their downloads starts without prior knowledge.

    Args:
        reactor: The reactor, used only for the time and timers.
        servers: The storage servers, in the order in which they are queried. They are remembered
            by name.
        strategy: A `Strategy`, or the name of one.
        forget_after: How long round-trip times are remembered, in seconds.

    Raises:
        ValueError: There is no such strategy, or `forget_after` is not above 0.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        servers: Iterable[IStorageServer],
        *,
        strategy: Strategy | str = "hedged",
        forget_after: float = 600.0,
    ) -> None:
        if not forget_after > 0:
            raise ValueError(f"forget_after must be above 0 s, not {forget_after}")
        self._reactor = reactor
        self._servers = list(servers)
        self._strategy = find_strategy(strategy)
        self._memory = Memory(forget_after)

    def download(
        self,
        cap: Cap | str,
        consumer: IConsumer,
        *,
        offset: int = 0,
        size: int | None = None,
        random: Random | None = None,
    ) -> Deferred[DownloadStatus]:
        """Download the file that a read-cap names, and write it to a consumer.

        The arguments and the result are those of `firstk.download`.
        """
        return self.start(cap, consumer, offset=offset, size=size, random=random).done

    def start(
        self,
        cap: Cap | str,
        consumer: IConsumer,
        *,
        offset: int = 0,
        size: int | None = None,
        random: Random | None = None,
    ) -> Download:
        """Start a download and return a handle to it; the arguments are those of `download`."""
        return start(
            self._reactor,
            self._servers,
            cap,
            consumer,
            strategy=self._strategy,
            offset=offset,
            size=size,
            random=random,
            memory=self._memory,
        )
