"""One located share: reading it, and checking every byte that was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults, maybeDeferred
from twisted.python.failure import Failure

from firstk.downloader import layout, sections
from firstk.downloader.cap import CHKCap
from firstk.downloader.errors import (
    CorruptShareError,
    ServerFailedError,
    ServerLostError,
    ShareError,
    UnprovenShareError,
)
from firstk.downloader.interfaces import IBucket
from firstk.downloader.layout import Header
from firstk.downloader.memory import ReadSample
from firstk.downloader.progress import read_in_pieces
from firstk.downloader.sections import ByteRange
from firstk.downloader.session import Session
from firstk.downloader.status import Request
from firstk.downloader.trees import PartialTree
from firstk.downloader.ueb import Segmentation, URIExtension, guess_segmentation

T = TypeVar("T")
U = TypeVar("U")

#: Before the UEB is known, a header is trusted up to this number of segments: no more hashes are
#: requested based only on the header.
_MOST_SEGMENTS = 2048

#: Spans at most this many bytes apart are read as one: the gap costs less than a request.
_NEAR = 1024


_UNREAD = ReadSample(0.0, 0, 0.0)


@dataclass(slots=True)
class FileMetadata:
    """The metadata of a file beyond its cap, which is the same in all shares."""

    uri_extension: URIExtension | None = None
    segment_hashes: list[bytes] | None = None
    _roots: PartialTree | None = field(default=None, repr=False, compare=False)

    def learn_share_hashes(self, chain: Mapping[int, bytes], number: int) -> bytes:
        """Learn a share hash chain, and return the root of the block hash tree of its share.

        Raises `UnprovenShareError` if it does not match the root hash in the UEB.
        """
        extension = self.uri_extension
        assert extension is not None
        if self._roots is None:
            self._roots = PartialTree(extension.n, extension.share_root_hash)
        root = self._roots.leaf(number) if self._roots.add(chain) else None
        if root is not None:
            return root
        raise UnprovenShareError("the share hash chain does not match the UEB")

    def root(self, number: int) -> bytes | None:
        """Return the root of a share's block hash tree, if it is known from any share."""
        return None if self._roots is None else self._roots.leaf(number)


@dataclass(eq=False, slots=True)
class Share:
    """A share on a server, and the data that has been read from it.

    All data returned by its methods has passed its hash check. They raise `ShareError` if the share
    cannot be used: the server failed the read, or the data is corrupt. The share is `lost` if a
    read failed or its header is bad, and `disconnected` if the connection was lost.
    `problem` describes the first error, and `rtt` is the round-trip time of the answer that named
    the share, or of a later one, in seconds. `round` is the duration of the last round of reads,
    and `tried` says whether there was one. `received` is the maximum number of bytes of the
    current round that have arrived, in any attempt. The share is read `again` if its server was
    queried again, and `shunned` if its server performed badly in another download.

    It is read either in parts (`uri_extension`, `crypttext_hashes`, `block`), each when it is
    needed; or in rounds: `missing` returns what is needed, `read` requests all of it at once, and
    `teach` and `take_block` process the data.
    """

    session: Session
    server: str
    number: int
    bucket: IBucket
    rtt: float = 0.0
    problem: str | None = None
    lost: bool = False
    disconnected: bool = False
    again: bool = False
    tried: bool = False
    shunned: bool = False
    received: int = 0
    reading: list[Request] = field(default_factory=list)
    round: ReadSample = _UNREAD
    _header: Header | None = None
    _opening: Deferred[None] | None = None
    _block_hashes: list[bytes] | None = field(default=None, repr=False)
    _pieces: dict[ByteRange, bytes] = field(default_factory=dict, repr=False)

    @property
    def state(self) -> str:
        """The description of the share in the error of a failed download."""
        if self.problem is None and self.reading:
            return "still being read"
        return self.problem or "good"

    def ask(
        self,
        what: str,
        offset: int,
        length: int,
        callback: Callable[[bytes | ShareError], None],
        progress: Callable[[], None] | None = None,
    ) -> None:
        """Request up to `length` bytes of the share data at `offset`.

        `callback` is called with the bytes, or with an error, unless the download is stopped.
        `progress` is called each time that some bytes have arrived, but not at the end.
        """
        session = self.session
        session.waits.check()
        request = Request(self.server, what, self.number, offset, length, again=self.again)
        self.reading.append(request)

        def answered(data: Any, error: ServerFailedError | None) -> None:
            self.reading.remove(request)
            if error is not None:
                callback(self.drop(error))
                return
            if not isinstance(data, bytes):
                callback(self.drop(CorruptShareError(f"{what}: got {type(data).__name__}")))
                return
            size = len(data)
            session.status.bytes_received += size
            if size > length:
                callback(self.drop(CorruptShareError(f"{what}: wanted {length} bytes, got {size}")))
                return
            callback(data)

        def arrived(received: int) -> None:
            if request in self.reading and request.received < received <= length:
                request.received = received
                if progress is not None:
                    progress()

        def read() -> Deferred[bytes]:
            if progress is None:
                return self.bucket.read(offset, length)
            return read_in_pieces(self.bucket, offset, length, arrived)

        session.waits.expect(request, answered)
        settle = partial(session.waits.settle, request)
        session.ask(request, read, settle)

    def _read(self, what: str, offset: int, length: int) -> Deferred[bytes]:
        """Return a Deferred of up to `length` bytes of the share data at `offset`."""
        waits = self.session.waits
        waits.check()
        answer: Deferred[bytes] = waits.wait()

        def read(result: bytes | ShareError) -> None:
            failed = isinstance(result, ShareError)
            waits.fire(answer, Failure(result) if failed else result)  # type: ignore[no-untyped-call]

        self.ask(what, offset, length, read)
        return answer

    def blame(self, error: ShareError) -> None:
        """Record what is wrong with this share."""
        self.problem = self.problem or str(error)

    def drop(self, error: ShareError) -> ShareError:
        """Record the error, so that this share is not read any more, and return the error."""
        self.disconnected = isinstance(error, ServerLostError) and not self.lost
        self.lost = True
        self.blame(error)
        return error

    def reconnect(self, bucket: IBucket) -> None:
        """Continue reading from a new bucket of the same server, which was queried again."""
        self.bucket, self.problem, self.again = bucket, None, True
        self.lost = self.disconnected = False

    # Reading in parts

    def open(self) -> Deferred[None]:
        """Read the header, unless that has begun; fires once it is known, or has failed."""
        if self._opening is None:
            self._opening = Deferred.fromCoroutine(self._open())
        return self._opening

    async def _open(self) -> None:
        try:
            self._header = layout.parse_header(await self._read("header", 0, layout.HEADER_SIZE))
        except ShareError as e:
            self.drop(e)
        except BaseException:
            if not self.session.waits.stopped:  # else those that want the header will find out
                raise

    async def _opened(self) -> Header:
        if self._header is None:
            await self.open()
            self.session.waits.check()
        if self._header is None:
            raise CorruptShareError(self.problem or "the header is missing")
        return self._header

    async def uri_extension(self) -> URIExtension:
        """Return the file's UEB.

        Raises `BadURIExtensionError` if its hash is right but its contents are invalid.
        """
        header = await self._opened()
        section = await self._read("UEB", *sections.uri_extension_span(header))
        return sections.check_uri_extension(section, header, self.session.cap)

    async def crypttext_hashes(self, extension: URIExtension) -> list[bytes]:
        """Return the hash of each segment's ciphertext."""
        header = await self._opened()
        span = sections.crypttext_hashes_span(header, extension)
        section = await self._read("crypttext hashes", *span)
        return sections.check_crypttext_hashes(section, extension)

    async def block(self, extension: URIExtension, segment: int) -> bytes:
        """Return this share's block of the segment.

        The block hashes are read with the first block, in the same round trip.
        """
        header = await self._opened()
        span = sections.block_span(header, extension, segment)
        reading = self._read(f"block {segment}", *span)
        if self._block_hashes is None:
            checking = maybeDeferred(self._read_hashes, header, extension)
            block, hashes = await _both(reading, checking)
            self._block_hashes = hashes
        else:
            block, hashes = await reading, self._block_hashes
        return sections.check_block(block, hashes, extension, segment)

    def _read_hashes(self, header: Header, extension: URIExtension) -> Deferred[list[bytes]]:
        """Return a Deferred of the hashes of this share's blocks, checked against the UEB."""

        def check(section: bytes) -> list[bytes]:
            return sections.check_block_hashes(section, header, extension, self.number)

        span = sections.block_hashes_span(header, extension)
        return self._read("block hashes", *span).addCallback(check)

    # Reading in rounds

    def missing(self, known: FileMetadata, position: int, metadata: bool = True) -> list[ByteRange]:
        """Return the spans of this share that must still be read for the block at `position`.

        Without `metadata`, spans that all shares have in common are omitted. As long as the header
        and the UEB are not known, their contents are guessed. Raises `CorruptShareError` if the
        header contradicts itself or the UEB.
        """
        cut = known.uri_extension or self._cut()
        header = self._header or cut.header(1)
        wanted = [] if self._header else [(0, layout.HEADER_SIZE)]
        if known.uri_extension is None:
            if metadata:
                wanted.append(sections.uri_extension_span(header))
            if self._header and cut.num_segments > _MOST_SEGMENTS:
                return _merged([span for span in wanted if self._piece(span) is None])
        wanted.append(sections.block_span(header, cut, position // cut.segment_size))
        if known.segment_hashes is None and metadata:
            wanted.append(sections.crypttext_hashes_span(header, cut))
        if self._block_hashes is None:
            if cut.num_segments > 1:  # otherwise the root is the only leaf
                wanted.append(sections.block_leaves_span(header, cut))
            if known.root(self.number) is None:
                wanted.append(sections.chain_span(header, cut.n))
        if self._pieces:
            wanted = [span for span in wanted if self._piece(span) is None]
        return _merged(wanted)

    def _cut(self) -> Segmentation:
        """Return the segmentation of the file according to this share's header, or a guess."""
        cap, header = self.session.cap, self._header
        guess = guess_segmentation(cap)
        if header is None or header.block_size == guess.block_size:
            return guess
        if not 1 <= header.block_size <= -(-cap.size // cap.k):
            return guess  # the UEB will be more reliable
        return Segmentation(cap.k, cap.n, cap.size, header.block_size * cap.k)

    def _piece(self, span: ByteRange) -> bytes | None:
        """Return the data read for a span; None if it was not requested."""
        offset, length = span
        for (start, asked), data in self._pieces.items():
            ended = len(data) < asked  # the share ends here
            if start <= offset and (ended or offset + length <= start + asked):
                return data[offset - start : offset - start + length]
        return None

    def read(
        self,
        spans: Sequence[ByteRange],
        done: Callable[[ShareError | None], None],
        progress: Callable[[], None] | None = None,
    ) -> None:
        """Request spans, all at once, and keep the data.

        `done` is called when all have arrived, or with the first error; it is not called if the
        download is stopped, or after `cancel`. `progress` is called each time that data arrives.
        """
        self.tried = True
        lacking = dict.fromkeys(spans)
        over = False

        def arrived(span: ByteRange, answer: bytes | ShareError) -> None:
            nonlocal over
            error: ShareError | None
            if isinstance(answer, ShareError):
                error = answer
            else:
                self._pieces[span] = answer
                del lacking[span]
                if lacking:
                    if progress is not None:
                        progress()
                    return
                error = self._take_header()
            if not over:
                over = True
                done(error)

        for span in spans:
            self.ask("parts", *span, partial(arrived, span), progress)
        if not spans:  # all was read before, for a block that is no longer needed
            done(self._take_header())

    def take(self, spans: Sequence[ByteRange], pieces: Any, seconds: float) -> None:
        """Take data that was read with the query; it is untrusted and may be anything."""
        size = 0
        for (offset, length), piece in zip(spans, pieces, strict=True):
            if not isinstance(piece, bytes) or len(piece) > length:
                self.drop(CorruptShareError("what came with it is not what was asked for"))
                return
            self._pieces[offset, length] = piece
            size += len(piece)
        self.session.status.bytes_received += size
        self.round = ReadSample(seconds, size, seconds)
        self._take_header()

    def cancel(self) -> None:
        """Cancel all outstanding reads; data that has arrived is kept."""
        reading, self.reading = self.reading, []
        for request in reading:
            self.session.cancel(request)

    def _take_header(self) -> CorruptShareError | None:
        """Parse the header that has been read; return what is wrong with it, or None."""
        if self._header is None:
            try:
                self._header = layout.unpack_header(self._piece((0, layout.HEADER_SIZE)) or b"")
            except CorruptShareError as e:
                self.drop(e)
                return e
        return None

    def teach(self, known: FileMetadata) -> None:
        """Add metadata of the file that has been read from this share to `known`.

        Raises `BadURIExtensionError` if the UEB's hash is right but its contents are invalid.
        """
        assert self._header is not None
        if known.uri_extension is None:
            section = self._piece(sections.uri_extension_span(self._header))
            if section is None:
                return
            extension = sections.check_uri_extension(section, self._header, self.session.cap)
            known.uri_extension = extension
            if extension.num_segments == 1:  # the tree consists of one leaf
                known.segment_hashes = [extension.crypttext_root_hash]
        if known.segment_hashes is None:
            span = sections.crypttext_hashes_span(self._header, known.uri_extension)
            section = self._piece(span)
            if section is not None:
                known.segment_hashes = sections.check_crypttext_hashes(section, known.uri_extension)

    def take_block(self, known: FileMetadata, segment: int) -> bytes | None:
        """Return this share's block of a segment; None if it or its hashes are incomplete.

        After that, only data of later blocks is kept. Raises `CorruptBlockError` if other blocks
        may be good, and `UnprovenShareError` if this one may be.
        """
        extension = known.uri_extension
        assert self._header is not None
        assert extension is not None
        offset, length = sections.block_span(self._header, extension, segment)
        block = self._piece((offset, length))
        if block is None:
            return None
        if self._block_hashes is None:
            self._block_hashes = self._prove(known, self._header, extension)
            if self._block_hashes is None:
                return None
        end = self._header.data + extension.data_size
        self._pieces = {
            (start, size): data
            for (start, size), data in self._pieces.items()
            if start < end and min(end, start + len(data)) > offset + length
        }
        return sections.check_block(block, self._block_hashes, extension, segment)

    def _prove(
        self, known: FileMetadata, header: Header, extension: URIExtension
    ) -> list[bytes] | None:
        """Return the hashes of this share's blocks; None if they were not read completely."""
        leaves: bytes | None = b""
        if extension.num_segments > 1:
            leaves = self._piece(sections.block_leaves_span(header, extension))
        root = known.root(self.number)
        if root is None:
            chain = self._piece(sections.chain_span(header, extension.n))
            if chain is None:
                return None
            root = known.learn_share_hashes(layout.unpack_share_hashes(chain), self.number)
        if leaves is None:
            return None
        if extension.num_segments == 1:
            return [root]
        return sections.check_block_leaves(leaves, extension.num_segments, root)

    def holds(self, known: FileMetadata, position: int) -> bool:
        """Return whether everything needed for the block at `position` was read."""
        return bool(self._pieces) and not self.missing(known, position)

    def forget(self) -> None:
        """Discard data that was read but not taken."""
        self._pieces.clear()


async def _both(one: Deferred[T], other: Deferred[U]) -> tuple[T, U]:
    """Return the results of two Deferreds, or raise the first error."""
    running: list[Deferred[Any]] = [one, other]
    try:
        first, second = await gatherResults(running, consumeErrors=True)
    except FirstError as e:
        e.subFailure.raiseException()
    return first, second


def guessed_spans(cap: CHKCap, position: int) -> list[ByteRange]:
    """Return a guess of the spans of each share that are needed for the block at `position`.

    The guess is right if the file was encoded with the usual settings.
    """
    cut = guess_segmentation(cap)
    header = cut.header(1)
    return _merged(
        [
            (0, layout.HEADER_SIZE),
            sections.block_span(header, cut, position // cut.segment_size),
            sections.crypttext_hashes_span(header, cut),
            sections.chain_span(header, cut.n),
            sections.uri_extension_span(header),
        ]
    )


def _merged(spans: list[ByteRange]) -> list[ByteRange]:
    """Return spans that cover these, with neighbouring ones merged."""
    merged: list[ByteRange] = []
    for offset, length in sorted(spans):
        if merged:
            start, size = merged[-1]
            if offset <= start + size + _NEAR:
                merged[-1] = start, max(size, offset + length - start)
                continue
        merged.append((offset, length))
    return merged
