"""Downloaders to fuzz: correct ones in several styles, and defective ones with one defect each."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from firstk import IStorageServer, download


def hedged(
    reactor: Any,
    servers: Any,
    cap: str,
    consumer: IConsumer,
    offset: int = 0,
    size: int | None = None,
) -> Deferred[Any]:
    """Download with one of our strategies."""
    return download(reactor, servers, cap, consumer, strategy="hedged", offset=offset, size=size)


def first_k(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Ignore late answers and ranges: fail if no good share is known."""
    return download(reactor, servers, cap, consumer, strategy="first-k")


@implementer(IStorageServer)
class Located:
    """A server reduced to the buckets that it has already returned."""

    def __init__(self, buckets: Any) -> None:
        self._buckets = buckets

    def get_buckets(self, storage_index: bytes) -> Deferred[Any]:
        """Return the buckets at once."""
        return succeed(self._buckets)


async def _asked(server: Any, index: bytes) -> Located:
    try:
        return Located(await server.get_buckets(index))
    except Exception:  # a server may fail in any way
        return Located({})


def _index(cap: str) -> bytes:
    from firstk import parse_cap
    from firstk.downloader.cap import CHKCap

    parsed = parse_cap(cap)
    assert isinstance(parsed, CHKCap)
    return parsed.storage_index


async def gathering(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
    """Wait for all servers, and then read."""
    found = await gatherResults(
        [Deferred.fromCoroutine(_asked(server, _index(cap))) for server in servers],
        consumeErrors=True,
    )
    await download(reactor, found, cap, consumer, strategy="first-k-late")


def one_by_one(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Query one server after another, each for at most two seconds."""

    async def run() -> None:
        found = []
        for server in servers:
            query: Deferred[Any] = Deferred.fromCoroutine(_asked(server, _index(cap)))
            late: Deferred[Any] = deferLater(reactor, 2.0)
            (located, place) = await DeferredList(
                [query, late], fireOnOneCallback=True, consumeErrors=True
            )
            late.cancel()
            if place == 0:
                found.append(located)
        await download(reactor, found, cap, consumer, strategy="hedged")

    return Deferred.fromCoroutine(run())


# With one defect each


def waits_for_nothing(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Never end if a query fails, because the failure is forgotten."""
    found: list[Any] = []
    all_heard: Deferred[Any] = Deferred()

    def heard(buckets: Any) -> None:
        found.append(Located(buckets))
        if len(found) == len(servers):
            all_heard.callback(None)

    for server in servers:
        server.get_buckets(_index(cap)).addCallbacks(heard, lambda _: None)
    return all_heard.addCallback(
        lambda _: download(reactor, found, cap, consumer, strategy="first-k-late")
    )


def logs(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Leave the failure of a query to the log."""
    for server in servers:
        server.get_buckets(_index(cap))
    return hedged(reactor, servers, cap, consumer)


class _Bucket:
    """A bucket that sends each read several times."""

    def __init__(self, bucket: Any, times: int) -> None:
        self._bucket = bucket
        self._times = times

    def read(self, offset: int, length: int) -> Any:
        """Read several times."""
        reading = self._bucket.read(offset, length)
        for _ in range(self._times - 1):
            reading.addCallback(lambda _: self._bucket.read(offset, length))
        return reading


class _Server:
    """A server with such buckets."""

    def __init__(self, server: Any, times: int) -> None:
        self._server = server
        self._times = times

    def get_buckets(self, storage_index: bytes) -> Any:
        """Query the server."""
        found = self._server.get_buckets(storage_index)
        return found.addCallback(
            lambda buckets: {n: _Bucket(bucket, self._times) for n, bucket in buckets.items()}
        )


def reads_thrice(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Read everything three times."""
    return hedged(reactor, [_Server(server, 3) for server in servers], cap, consumer)


def reads_forty_times(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Read everything forty times."""
    return hedged(reactor, [_Server(server, 40) for server in servers], cap, consumer)


def gives_up(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Fail with the first server that fails."""

    async def run() -> None:
        asked = [maybeDeferred(server.get_buckets, _index(cap)) for server in servers]
        found = await gatherResults([one.addErrback(_none) for one in asked], consumeErrors=True)
        for buckets in found:
            for bucket in buckets.values():
                await bucket.read(0, 1)
        await hedged(reactor, list(map(Located, found)), cap, consumer)

    def _none(_: Failure) -> Any:
        return {}

    return Deferred.fromCoroutine(run())


def reads_on(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Query each server after the end."""

    def over(result: Any) -> Any:
        for server in servers:
            server.get_buckets(_index(cap)).addErrback(lambda _: None)
        return result

    return hedged(reactor, servers, cap, consumer).addBoth(lambda r: _later(reactor, over, r))


def _later(reactor: Any, over: Any, result: Any) -> Any:
    reactor.callWhenRunning(reactor.callFromThread, over, None)
    return result


def spins(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Retry a server that fails, at once and forever."""

    async def ask(server: Any) -> Located:
        while True:
            try:
                return Located(await server.get_buckets(_index(cap)))
            except Exception:  # noqa: S112 - it is the defect
                continue

    async def run() -> None:
        found = await gatherResults([Deferred.fromCoroutine(ask(s)) for s in servers])
        await hedged(reactor, found, cap, consumer)

    return Deferred.fromCoroutine(run())


_asked_before: set[bytes] = set()


def remembers(reactor: Any, servers: Any, cap: str, consumer: Any) -> Deferred[Any]:
    """Behave differently the second time."""
    strategy = "hedged" if _index(cap) in _asked_before else "wait-for-all"
    _asked_before.add(_index(cap))
    return download(reactor, servers, cap, consumer, strategy=strategy)
