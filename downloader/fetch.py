"""Phases 2 to 4: reading the UEB, the crypttext hash tree, and the blocks of each segment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from functools import partial
from math import inf
from typing import Any, TypeVar

import zfec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from firstk.downloader.errors import BadCiphertextHashError, ShareError
from firstk.downloader.hashes import crypttext_segment_hash
from firstk.downloader.locate import ShareFinder
from firstk.downloader.session import Session
from firstk.downloader.share import Share
from firstk.downloader.ueb import URIExtension

T = TypeVar("T")


class PhasedFetcher:
    """Reads a file's segments from located shares, in four phases.

    The UEB and the crypttext hash tree are read from one located share after another until one has
    them. Blocks are read from K shares at once, and a share that is lost or corrupt is replaced by
    another. Call `prepare` before anything else.
    """

    ueb: URIExtension

    def __init__(self, session: Session, located: ShareFinder) -> None:
        self._session = session
        self._located = located
        self._chosen: list[Share] = []
        self._segment_hashes: list[bytes] = []

    async def prepare(self) -> None:
        """Fetch the UEB and the crypttext hash tree.

        Raises `NotEnoughSharesError` if no located share has them, and `BadURIExtensionError` if
        the file was encoded incorrectly.
        """
        self._session.enter("uri-extension")
        taken: set[int] = set()
        while len(taken) < self._session.cap.k and (share := self._choose(taken)):
            taken.add(share.number)
            share.open()  # request the headers of all K while the UEB is read from one
        self.ueb = await self._from_any(Share.uri_extension)
        self._session.enter("crypttext-hashes")
        self._segment_hashes = await self._from_any(lambda s: s.crypttext_hashes(self.ueb))
        self._session.enter("blocks")

    async def segment(self, segment: int) -> bytes:
        """Return the ciphertext of a segment.

        Raises `NotEnoughSharesError` if fewer than K good shares are left, and
        `BadCiphertextHashError` if the file was encoded incorrectly.
        """
        blocks = await self._blocks(segment)
        expected = self._segment_hashes[segment]
        return crypttext_of(self._session, self.ueb, segment, blocks, expected)

    async def _from_any(self, read: Callable[[Share], Awaitable[T]]) -> T:
        """Try one share after another, and return the result of the first successful `read`."""
        tried: set[Share] = set()
        while True:
            shares = [*self._chosen, *self._located.shares]
            for share in shares:
                if share in tried or share.lost:
                    continue
                tried.add(share)
                try:
                    return await read(share)
                except ShareError as e:
                    share.blame(e)
            known = len(shares) - len(self._chosen)
            if len(self._located.shares) > known:
                continue  # more shares were located during the last read
            if self._located.closed:
                raise self._located.shortage(0)
            await self._session.news.until(partial(self._look_for_more, known))

    def _look_for_more(self, known: int) -> float | None:
        """Query more servers until more than `known` shares are located, or none are left."""
        while len(self._located.shares) <= known and not self._located.closed:
            due = self._located.more()
            if due is not None:
                return due
        return None

    async def _blocks(self, segment: int) -> dict[int, bytes]:
        """Return K blocks of the segment, by share number."""
        k = self._session.cap.k
        blocks: dict[int, bytes] = {}
        reading: set[int] = set()
        settled: list[tuple[Share, bytes | Failure]] = []

        def settle(result: Any, share: Share) -> None:
            reading.remove(share.number)
            settled.append((share, result))
            self._session.news.fire()

        def look() -> float | None:
            while True:
                for share, result in settled:
                    if isinstance(result, bytes):
                        blocks[share.number] = result
                    elif isinstance(result.value, ShareError):
                        share.drop(result.value)
                    else:
                        result.raiseException()
                settled.clear()
                if len(blocks) == k:
                    return None
                while not settled and len(blocks) + len(reading) < k:
                    chosen = self._choose(blocks.keys() | reading)
                    if chosen is None:
                        break
                    reading.add(chosen.number)
                    Deferred.fromCoroutine(chosen.block(self.ueb, segment)).addBoth(settle, chosen)
                if settled:
                    continue
                if len(blocks) + len(reading) == k:
                    return inf
                if self._located.closed:
                    raise self._located.shortage(self._good_numbers())
                due = self._located.more()
                if due is not None:
                    return due

        await self._session.news.until(look)
        return blocks

    def _good_numbers(self) -> int:
        return len({share.number for share in self._located.shares if not share.lost})

    def _choose(self, taken: Container[int]) -> Share | None:
        """Return a share to read blocks from whose number is not `taken`, or None.

        Prefer a share that was chosen before, then the lowest primary number, then a random
        number; and choose a random copy of that share.
        """
        self._chosen = [share for share in self._chosen if not share.lost]
        for share in self._chosen:
            if share.number not in taken:
                return share
        holders: dict[int, list[Share]] = {}
        for share in self._located.shares:
            if not share.lost and share.number not in taken:
                holders.setdefault(share.number, []).append(share)
        if not holders:
            return None
        lowest = min(holders)
        random = self._session.random
        number = lowest if lowest < self._session.cap.k else random.choice(sorted(holders))
        share = random.choice(holders[number])
        self._chosen.append(share)
        return share


def crypttext_of(
    session: Session, ueb: URIExtension, segment: int, blocks: dict[int, bytes], expected: bytes
) -> bytes:
    """Decode K blocks to the ciphertext of a segment, and check that it has the `expected` hash.

    Raises `BadCiphertextHashError` if the hash differs: the file was encoded incorrectly.
    """
    crypttext = decode(blocks, ueb.k, ueb.n)[: ueb.segment_length(segment)]
    if crypttext_segment_hash(crypttext) != expected:
        raise BadCiphertextHashError(f"segment {segment} is not the one that was encoded")
    session.status.shares_used.update(blocks)
    session.status.decode_needed |= max(blocks) >= ueb.k
    return crypttext


def decode(blocks: dict[int, bytes], k: int, n: int) -> bytes:
    """Decode `k` blocks of equal length to a segment, including its padding."""
    # zfec requires each primary block at its own index, and the others in the gaps.
    secondary = (number for number in sorted(blocks) if number >= k)
    numbers = [number if number in blocks else next(secondary) for number in range(k)]
    return b"".join(zfec.Decoder(k, n).decode([blocks[number] for number in numbers], numbers))
