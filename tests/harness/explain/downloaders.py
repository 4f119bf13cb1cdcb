"""Downloaders that wait in different ways; each hangs if a server hangs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults, inlineCallbacks, succeed

from firstk.downloader import download
from firstk.downloader.aes import Keystream
from firstk.downloader.cap import parse_cap


def index_of(cap: str) -> bytes:
    """Return the storage index of a cap."""
    index: bytes = parse_cap(cap).storage_index  # type: ignore[union-attr]
    return index


async def awaits(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Await all servers at once."""
    await DeferredList([server.get_buckets(index_of(cap)) for server in servers])  # LINE awaits
    await download(reactor, servers, cap, consumer)


async def nested(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Await coroutines that await servers."""
    await gatherResults([Deferred.fromCoroutine(_ask(server, cap)) for server in servers])
    await download(reactor, servers, cap, consumer)


async def _ask(server: Any, cap: str) -> int:
    buckets = await server.get_buckets(index_of(cap))  # LINE nested
    return len(buckets)


@inlineCallbacks
def yields(
    reactor: Any, servers: Sequence[Any], cap: str, consumer: Any
) -> Generator[Deferred[Any], Any, None]:
    """Yield one query after another, in a nested generator."""
    yield _each(servers, cap)
    yield download(reactor, servers, cap, consumer)


@inlineCallbacks
def _each(servers: Sequence[Any], cap: str) -> Generator[Deferred[Any], Any, None]:
    for server in servers:
        yield server.get_buckets(index_of(cap))  # LINE yields


async def iterates(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Iterate over answers."""
    async for _ in _answers(servers, cap):
        pass
    await download(reactor, servers, cap, consumer)


async def _answers(servers: Sequence[Any], cap: str) -> AsyncIterator[Any]:
    for server in servers:
        yield await server.get_buckets(index_of(cap))  # LINE iterates


def calls_back(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Count answers in a callback, and fire a Deferred at the last one."""
    done: Deferred[Any] = Deferred()
    left = list(servers)

    def check() -> None:
        if not left:
            download(reactor, servers, cap, consumer).chainDeferred(done)

    def got(_: object) -> None:  # LINE calls_back
        left.pop()
        check()

    for server in servers:
        server.get_buckets(index_of(cap)).addBoth(got)
    return done


class Patient:
    """A download whose callbacks are methods."""

    def __init__(self, start: Any, servers: Sequence[Any], cap: str) -> None:
        self.done: Deferred[Any] = Deferred()
        self._start = start
        self._left = len(servers)
        for server in servers:
            server.get_buckets(index_of(cap)).addBoth(self.heard)

    def heard(self, _: object) -> None:  # LINE methods
        """Count an answer."""
        self._left -= 1
        if not self._left:
            self._start().chainDeferred(self.done)


def methods(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Count answers in a method."""
    return Patient(lambda: download(reactor, servers, cap, consumer), servers, cap).done


def chained(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Return Deferreds from callbacks, each of which waits for the next."""
    waiting: Deferred[Any] = succeed(None)

    def ask(_: object, server: Any) -> Deferred[Any]:
        asked: Deferred[Any] = server.get_buckets(index_of(cap))  # LINE chained
        return asked

    for server in servers:
        waiting.addCallback(ask, server)
    return waiting.addCallback(lambda _: download(reactor, servers, cap, consumer))


async def loses(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Forget to fire a Deferred if a server fails."""
    for server in servers:
        waiting: Deferred[Any] = Deferred()
        server.get_buckets(index_of(cap)).addCallbacks(waiting.callback, lambda _: None)
        await waiting  # LINE loses
    await download(reactor, servers, cap, consumer)


async def trusts(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Write the first block of a one-share file without checking its hashes."""
    buckets = await servers[0].get_buckets(index_of(cap))
    block = await buckets[0].read(36, 4)
    key: bytes = parse_cap(cap).key  # type: ignore[union-attr]
    consumer.write(Keystream(key, 0).apply(block))  # LINE trusts
    await download(reactor, servers, cap, consumer, offset=4)


async def breaks(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Assume that every server has a share."""
    for server in servers:
        buckets = await server.get_buckets(index_of(cap))
        next(iter(buckets.values()))  # LINE breaks
    await download(reactor, servers, cap, consumer)
