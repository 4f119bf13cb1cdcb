"""One located share: reading it, and checking every byte of what was read."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults

from downloader import layout, trees, ueb
from downloader.errors import CorruptShareError, DownloadStopped, ServerFailedError, ShareError
from downloader.hashes import HASH_SIZE, block_hash
from downloader.interfaces import IBucket
from downloader.layout import Header
from downloader.session import Session
from downloader.status import Request
from downloader.ueb import URIExtension

T = TypeVar("T")
U = TypeVar("U")


@dataclass(eq=False, slots=True)
class Share:
    """A share on a server, and what is known of it.

    What its methods return has passed its hash check. They raise `ShareError` where the
    share does not do: the server failed the read (and then the share is `lost`, as it is
    when its header is bad), or the bytes are not what an honest encoder made.
    `problem` is the first thing that was wrong, in words.
    """

    session: Session
    server: str
    number: int
    bucket: IBucket
    problem: str | None = None
    lost: bool = False
    _header: Header | None = None
    _opening: Deferred[None] | None = None
    _block_hashes: list[bytes] | None = field(default=None, repr=False)

    async def _read(self, what: str, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of the share data at `offset`."""
        waits = self.session.waits
        waits.check()
        request = Request(self.server, what, self.number, offset, length)
        asked = self.session.ask(request, lambda: self.bucket.read(offset, length))
        try:
            data: Any = await waits.wait_for(asked)
        except ServerFailedError as e:
            raise self.drop(e) from e
        if not isinstance(data, bytes):
            raise self.drop(CorruptShareError(f"{what}: got {type(data).__name__}, not bytes"))
        self.session.status.bytes_received += len(data)
        if len(data) > length:
            raise self.drop(CorruptShareError(f"{what}: asked for {length} bytes, got {len(data)}"))
        return data

    def blame(self, error: ShareError) -> None:
        """Note what is wrong with this share."""
        self.problem = self.problem or str(error)

    def drop(self, error: ShareError) -> ShareError:
        """Note what is wrong, so that this share is read no more, and return it."""
        self.lost = True
        self.blame(error)
        return error

    def open(self) -> Deferred[None]:
        """Read the header, unless that has begun; fires when it is there, or never will be."""
        if self._opening is None:
            self._opening = Deferred.fromCoroutine(self._open())
        return self._opening

    async def _open(self) -> None:
        try:
            self._header = layout.parse_header(await self._read("header", 0, layout.HEADER_SIZE))
        except ShareError as e:
            self.drop(e)
        except DownloadStopped:
            pass  # whoever wants the header will find out

    async def _opened(self) -> Header:
        if self._header is None:
            await self.open()
            self.session.waits.check()
        if self._header is None:
            raise CorruptShareError(self.problem or "the header is missing")
        return self._header

    async def uri_extension(self) -> URIExtension:
        """Return the file's UEB.

        Raises `BadURIExtensionError` if it is the right one and makes no sense.
        """
        header = await self._opened()
        section = await self._read("UEB", header.uri_extension, ueb.MAX_SECTION_SIZE)
        packed = layout.unpack_uri_extension(header.version, section)
        return ueb.parse(packed, self.session.cap)

    async def crypttext_hashes(self, extension: URIExtension) -> list[bytes]:
        """Return the hash of each segment's ciphertext."""
        header = await self._opened()
        count = extension.num_segments
        offset = header.crypttext_hashes + _leaves_offset(count)
        section = await self._read("crypttext hashes", offset, count * HASH_SIZE)
        leaves = layout.split_hashes(section, count)
        if trees.build(leaves)[0] != extension.crypttext_root_hash:
            raise CorruptShareError("the crypttext hash tree does not match the UEB")
        return leaves

    async def block(self, extension: URIExtension, segment: int) -> bytes:
        """Return this share's block of the segment.

        The first block brings its hashes with it, in the same round trip.
        """
        header = await self._opened()
        offset = header.data + segment * extension.block_size
        length = extension.block_length(segment)
        reading = self._read(f"block {segment}", offset, length)
        if self._block_hashes is None:
            block, hashes = await _together(reading, self._read_hashes(header, extension))
            self._block_hashes = hashes
        else:
            block, hashes = await reading, self._block_hashes
        if len(block) != length or block_hash(block) != hashes[segment]:
            raise CorruptShareError(f"block {segment} does not match its hash")
        return block

    async def _read_hashes(self, header: Header, extension: URIExtension) -> list[bytes]:
        """Return the hashes of this share's blocks, checked against the UEB."""
        count = extension.num_segments
        tree_size = trees.tree_size(count)
        chain_size = header.uri_extension - header.share_hashes
        if header.share_hashes - header.block_hashes != tree_size or chain_size > _max_chain(
            extension.n
        ):
            raise CorruptShareError("the header does not leave room for the hashes")
        # The block hash tree's leaves end where the share hash chain begins.
        start = header.block_hashes + _leaves_offset(count)
        section = await self._read("block hashes", start, header.uri_extension - start)
        leaves = layout.split_hashes(section, count)
        chain = layout.unpack_share_hashes(section[header.share_hashes - start :])
        root = trees.build(leaves)[0]
        index = trees.padded(extension.n) - 1 + self.number
        try:
            matches = (
                chain[index] == root
                and trees.climb(index, root, chain) == extension.share_root_hash
            )
        except KeyError as e:
            raise CorruptShareError(f"the share hash chain has no node {e.args[0]}") from e
        if not matches:
            raise CorruptShareError("the block hashes do not match the UEB")
        return leaves


async def _together(
    first: Coroutine[Deferred[Any], Any, T], second: Coroutine[Deferred[Any], Any, U]
) -> tuple[T, U]:
    """Run two coroutines side by side; return their results, or raise the first error."""
    running: list[Deferred[Any]] = [Deferred.fromCoroutine(first), Deferred.fromCoroutine(second)]
    try:
        one, other = await gatherResults(running, consumeErrors=True)
        return one, other
    except FirstError as e:
        e.subFailure.raiseException()


def _leaves_offset(leaves: int) -> int:
    """Return how far into a hash tree its leaves begin, in bytes."""
    return (trees.padded(leaves) - 1) * HASH_SIZE


def _max_chain(n: int) -> int:
    """Return the size of the longest share hash chain: every node but the root, in bytes."""
    return max(1, 2 * trees.padded(n) - 2) * layout.CHAIN_ENTRY_SIZE
