"""Downloaders with one defect each, and a correct one; the fuzzer's tests use none of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from firstk.downloader import download
from firstk.downloader.aes import Keystream
from firstk.downloader.cap import parse_cap

Servers = Sequence[Any]


def correct(reactor: Any, servers: Servers, cap: str, consumer: Any) -> Deferred[Any]:
    """Download, and hedge."""
    return download(reactor, servers, cap, consumer, strategy="hedged")


class _First:
    """Queries all servers, and fires with the servers that answered first."""

    def __init__(self, servers: Servers, cap: str, enough: Callable[[list[Any]], bool]) -> None:
        self.done: Deferred[list[Any]] = Deferred()
        self._enough = enough
        self._left = len(servers)
        self._heard: list[Any] = []
        index = parse_cap(cap).storage_index  # type: ignore[union-attr]
        for server in servers:
            server.get_buckets(index).addCallbacks(
                partial(self._answered, server), lambda _: self._end()
            )

    def _answered(self, server: Any, buckets: dict[int, Any]) -> None:
        if buckets:
            self._heard.append((server, set(buckets)))
        if self._enough(self._heard) and not self.done.called:
            self.done.callback([server for server, _ in self._heard])
        self._end()

    def _end(self) -> None:
        self._left -= 1
        if not self._left and not self.done.called:
            self.done.callback([server for server, _ in self._heard])


async def counts_answers(reactor: Any, servers: Servers, cap: str, consumer: Any) -> None:
    """Use the first K servers that have a share, even if it is the same share."""
    k = parse_cap(cap).k  # type: ignore[union-attr]
    first = await _First(servers, cap, lambda heard: len(heard) == k).done
    await download(reactor, first, cap, consumer, strategy="hedged")


async def no_other(reactor: Any, servers: Servers, cap: str, consumer: Any) -> None:
    """Use the servers with the first K shares, and never any other."""
    k = parse_cap(cap).k  # type: ignore[union-attr]
    first = await _First(servers, cap, lambda heard: len({*heard[0][1]}) * len(heard) >= k).done
    await download(reactor, first[:k], cap, consumer, strategy="hedged")


async def in_order(reactor: Any, servers: Servers, cap: str, consumer: Any) -> None:
    """Assume that the servers answer in the order of the list."""
    index = parse_cap(cap).storage_index  # type: ignore[union-attr]
    expected = list(servers)
    wrong = []

    def heard(_: object, server: Any) -> None:
        if server is not expected.pop(0):
            wrong.append(server)

    asked = [server.get_buckets(index).addBoth(heard, server) for server in servers]
    done = download(reactor, servers, cap, consumer, strategy="hedged")
    await done
    if wrong:
        await DeferredList(asked)
        raise LookupError("no such request")


async def in_turn(reactor: Any, servers: Servers, cap: str, consumer: Any) -> None:
    """Assume that the server that answers a query first also answers a second query first."""
    index = parse_cap(cap).storage_index  # type: ignore[union-attr]
    order: list[Any] = []
    again: list[Any] = []
    for server in servers:
        asked = server.get_buckets(index)
        asked.addCallback(lambda _, server=server: order.append(server))
        asked.addCallback(lambda _, server=server: server.get_buckets(index))
        asked.addCallback(lambda _, server=server: again.append(server))
        asked.addErrback(lambda _: None)
    await download(reactor, servers, cap, consumer, strategy="hedged")
    if again != order[: len(again)]:
        raise LookupError("no such request")


async def leaves_timer(reactor: Any, servers: Servers, cap: str, consumer: Any) -> None:
    """Leave a timer behind if a server fails."""
    index = parse_cap(cap).storage_index  # type: ignore[union-attr]
    for server in servers:
        server.get_buckets(index).addErrback(lambda _: reactor.callLater(60, int) and None)
    await deferLater(reactor, 1, int)
    await download(reactor, servers, cap, consumer, strategy="hedged")


async def unchecked(reactor: Any, servers: Servers, cap: str, consumer: Any) -> None:
    """Write the first block of a one-share file unchecked, once a server has sent it."""
    parsed = parse_cap(cap)
    index, key = parsed.storage_index, parsed.key  # type: ignore[union-attr]
    for server in servers[:1]:
        buckets = await server.get_buckets(index)
        for bucket in buckets.values():
            consumer.write(Keystream(key, 0).apply(await bucket.read(36, 10)))
    await download(reactor, servers, cap, consumer, offset=10, strategy="hedged")


def ends(reactor: Any, servers: Servers, cap: str, consumer: Any) -> None:
    """End the process."""
    os._exit(9)
