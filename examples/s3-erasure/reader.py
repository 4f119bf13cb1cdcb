"""A reader of objects that are spread over S3-like stores with an erasure code.

Store i has shard i of each object. A read asks the first k stores, and one more for each that
fails, lies, or is late. The first k good shards are decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5
from typing import TypeVar

import zfec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import Agent, readBody

T = TypeVar("T")


class ReadError(Exception):
    """A shard is missing or damaged, or there are too few of them."""


def get(
    reactor: IReactorTime, stores: Sequence[str], key: str, k: int, late: float | None = None
) -> Deferred[bytes]:
    """Return a Deferred of an object's bytes; it fails with `ReadError` if too few shards are good.

    A store is late if it has not answered after `late` seconds; None means that none ever is.
    """
    return _Read(reactor, stores, key, k, late).done


async def _get_shard(agent: Agent, store: str, key: str) -> tuple[bytes, int]:
    """Return a shard and the size of its object; raise `ReadError` if the store has no good one."""
    response = await agent.request(b"GET", f"http://{store}/{key}".encode())
    body = await readBody(response)
    if response.code != 200:
        raise ReadError(f"{store}: status {response.code}")
    [etag] = response.headers.getRawHeaders("ETag")
    if etag != f'"{md5(body).hexdigest()}"':
        raise ReadError(f"{store}: the shard is damaged")
    [size] = response.headers.getRawHeaders("x-amz-meta-size")
    return body, int(size)


class _Read:
    """A read of one object: what was asked for, what came, and what is still to be asked."""

    def __init__(
        self, reactor: IReactorTime, stores: Sequence[str], key: str, k: int, late: float | None
    ) -> None:
        self.done: Deferred[bytes] = Deferred()
        self._reactor = reactor
        self._agent = Agent(reactor)
        self._total = len(stores)
        self._unasked = list(enumerate(stores))
        self._key, self._k, self._late = key, k, late
        self._asked: dict[int, Deferred[None]] = {}
        self._shards: dict[int, bytes] = {}
        self._errors: list[str] = []
        for _ in range(k):
            self._ask_another()

    def _ask_another(self) -> None:
        if not self._unasked or self.done.called:
            return
        number, store = self._unasked.pop(0)
        asked = ensureDeferred(_get_shard(self._agent, store, self._key))
        if self._late is not None:
            timer = self._reactor.callLater(self._late, self._ask_another)
            asked.addBoth(_cancel, timer)
        self._asked[number] = asked.addCallbacks(self._came, self._failed, callbackArgs=(number,))
        asked.addBoth(self._settled, number)

    def _came(self, shard: tuple[bytes, int], number: int) -> None:
        self._shards[number], self._size = shard

    def _failed(self, failure: Failure) -> None:
        self._errors.append(failure.getErrorMessage())
        self._ask_another()

    def _settled(self, _: None, number: int) -> None:
        del self._asked[number]
        if self.done.called:
            return
        if len(self._shards) == self._k:
            numbers = list(self._shards)
            blocks = zfec.Decoder(self._k, self._total).decode(self._shards.values(), numbers)
            self.done.callback(b"".join(blocks)[: self._size])
            for asked in list(self._asked.values()):
                asked.cancel()
        elif not self._asked:
            self.done.errback(ReadError("; ".join(self._errors)))


def _cancel(answer: T, timer: IDelayedCall) -> T:
    """Cancel a timer, and pass on the answer that it waited for."""
    if timer.active():
        timer.cancel()
    return answer
