"""One share, read and checked by independent code, and the file that its blocks make."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer

from firstk.downloader import layout, sections
from firstk.downloader.aes import Keystream
from firstk.downloader.cap import CHKCap, parse_cap
from firstk.downloader.fetch import decode
from firstk.downloader.hashes import crypttext_segment_hash
from firstk.downloader.layout import Header
from firstk.downloader.ueb import URIExtension


class ShortageError(Exception):
    """Raised if there are not enough shares."""


def parsed(text: str) -> CHKCap:
    """Return a read-cap that is not a literal one."""
    cap = parse_cap(text)
    assert isinstance(cap, CHKCap)
    return cap


class Share:
    """A share on a server. Its methods return only data that has passed its hash check."""

    def __init__(self, cap: CHKCap, number: int, bucket: Any) -> None:
        self.cap = cap
        self.number = number
        self.bucket = bucket
        self.header: Header | None = None
        self.hashes: list[bytes] = []
        self.crypttext_hashes: list[bytes] = []
        self.ueb: URIExtension | None = None

    async def open(self) -> URIExtension:
        """Read the header, the UEB and all hashes, if they have not been read."""
        if self.ueb is not None:
            return self.ueb
        header = layout.parse_header(await self.bucket.read(0, layout.HEADER_SIZE))
        section = await self.bucket.read(*sections.uri_extension_span(header))
        ueb = sections.check_uri_extension(section, header, self.cap)
        section = await self.bucket.read(*sections.crypttext_hashes_span(header, ueb))
        self.crypttext_hashes = sections.check_crypttext_hashes(section, ueb)
        section = await self.bucket.read(*sections.block_hashes_span(header, ueb))
        self.hashes = sections.check_block_hashes(section, header, ueb, self.number)
        self.header, self.ueb = header, ueb
        return ueb

    async def block(self, segment: int) -> bytes:
        """Read the block of a segment."""
        ueb = await self.open()
        assert self.header is not None
        return self.checked(await self.bucket.read(*self.span(segment)), ueb, segment)

    def span(self, segment: int) -> tuple[int, int]:
        """Return the offset and the length of a block of an open share."""
        assert self.header is not None
        assert self.ueb is not None
        return sections.block_span(self.header, self.ueb, segment)

    def checked(self, block: bytes, ueb: URIExtension, segment: int) -> bytes:
        """Return the block if it has the right hash, or raise an error."""
        return sections.check_block(block, self.hashes, ueb, segment)


def padded_plaintext(
    cap: CHKCap, share: Share, segment: int, blocks: dict[int, bytes]
) -> tuple[bytes, int]:
    """Return a decrypted segment with its padding, and its length without padding."""
    ueb = share.ueb
    assert ueb is not None
    crypttext, length = decode(blocks, cap.k, cap.n), ueb.segment_length(segment)
    if crypttext_segment_hash(crypttext[:length]) != share.crypttext_hashes[segment]:
        raise ValueError(f"segment {segment} is not the one that was encoded")
    return Keystream(cap.key, segment * ueb.segment_size).apply(crypttext), length


def write(
    consumer: IConsumer, cap: CHKCap, share: Share, segment: int, blocks: dict[int, bytes]
) -> None:
    """Write a segment."""
    plaintext, length = padded_plaintext(cap, share, segment, blocks)
    consumer.write(plaintext[:length])
