"""One share, read in the way of Tahoe-LAFS 1.20: its requests, and the processing of the answers.

Everything that is missing for a block is requested at once, each span in a request of its own.
Until the share's header is known, spans are guessed from the usual segmentation. Only hashes that
are not yet known from any share are requested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from firstk.downloader import layout, sections, ueb
from firstk.downloader.cap import CHKCap
from firstk.downloader.errors import CorruptShareError, ShareError
from firstk.downloader.hashes import HASH_SIZE, block_hash
from firstk.downloader.layout import Header
from firstk.downloader.share import Share
from firstk.downloader.spans import Received, Spans
from firstk.downloader.trees import PartialTree
from firstk.downloader.turns import Turns
from firstk.downloader.ueb import Segmentation, URIExtension, guess_segmentation

#: The number of bytes requested in the hope that they include the header, or the whole UEB.
_BEGINNING = 1024
_UEB = 2048

#: How often a share is asked for bytes that it does not have while its header is outstanding.
#: Tahoe-LAFS asks once per round trip, without a limit.
_MOST_REPEATS = 100

#: A UEB that claims to be longer than this, in bytes, is not requested as a whole.
_MAX_UEB = 4096

#: A callback for the block requested from a share; None if the share does not have it.
Take = Callable[[bytes | None], None]


@dataclass(eq=False, slots=True)
class KnownFile:
    """The metadata of a file known from any share; without `ueb`, `cut` is a guess."""

    cap: CHKCap
    cut: Segmentation = field(init=False)
    ueb: URIExtension | None = None
    share_hashes: PartialTree = field(init=False)
    crypttext_hashes: PartialTree = field(init=False)
    _block_hashes: dict[int, PartialTree] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cut = guess_segmentation(self.cap)
        self.share_hashes = PartialTree(self.cap.n)
        self.crypttext_hashes = PartialTree(self.cut.num_segments)

    def learn(self, extension: URIExtension) -> None:
        """Learn the UEB, and with it the roots of the trees."""
        self.ueb = self.cut = extension
        self.share_hashes = PartialTree(extension.n, extension.share_root_hash)
        leaves = extension.num_segments
        self.crypttext_hashes = PartialTree(leaves, extension.crypttext_root_hash)
        self._block_hashes.clear()

    def block_hashes(self, number: int) -> PartialTree:
        """Return the block hash tree of a share number, which all copies of the share have."""
        if number not in self._block_hashes:
            self._block_hashes[number] = PartialTree(self.cut.num_segments)
        return self._block_hashes[number]


class WindowedShare:
    """A located share, from which at most one block at a time is requested."""

    def __init__(self, share: Share, file: KnownFile, turns: Turns) -> None:
        self.share = share
        self._file = file
        self._turns = turns
        self._header: Header | None = None
        guess = guess_segmentation(file.cap)
        header = guess.header(1)
        self._guess = header if header.uri_extension < 2**32 else guess.header(2)
        self._wanted: tuple[int, Take] | None = None
        self._pending = Spans()
        self._received = Received()
        self._unavailable = Spans()
        self._repeats = 0
        self._repeated = -1.0  # when, in seconds

    def want(self, segment: int, take: Take) -> None:
        """Read the block of a segment; `take` is called with it, or with None, in a later turn."""
        self._wanted = segment, take
        self._turns.add(self._advance)

    def unwant(self) -> None:
        """Drop the callback; data that still arrives is used."""
        self._wanted = None

    def _settle(self, block: bytes | None) -> None:
        assert self._wanted is not None
        _, take = self._wanted
        self._wanted = None
        self._turns.add(partial(take, block))

    def _drop(self, error: ShareError) -> None:
        self.share.drop(error)
        if self._wanted is not None:
            self._settle(None)

    def _advance(self) -> None:
        """Process the received data as far as possible, and request what is still missing."""
        if self.share.lost:
            return
        try:
            while self._use():
                pass
            self._ask()
        except ShareError as e:
            self._drop(e)

    # Received data

    def _use(self) -> bool:
        """Process the received data; return whether that settles the requested block."""
        file, number = self._file, self.share.number
        header = self._header = self._header or self._use_header()
        if header is None or (file.ueb is None and not self._use_uri_extension(header)):
            return False
        if self._wanted is not None and self._wanted[0] >= file.cut.num_segments:
            self._settle(None)
            return True
        if file.share_hashes.lacking(number, False) and not self._use_share_hashes(header):
            return False
        tree = file.block_hashes(number)
        if not tree.has_root:
            root = file.share_hashes.leaf(number)
            if root is None:
                raise CorruptShareError(f"the share hash chain does not have share {number}")
            tree.set_root(root)
        return self._wanted is not None and self._use_block(header, self._wanted[0])

    def _use_header(self) -> Header | None:
        version = self._received.get(0, 4)
        size = layout.header_size(2 if version == b"\0\0\0\2" else 1)
        beginning = self._received.get(0, size)
        if beginning is None:
            if self._unavailable.overlaps(0, size):
                raise CorruptShareError("the share ends inside its header")
            return None
        header = layout.unpack_header(beginning)
        chain = header.uri_extension - header.share_hashes
        tree = header.share_hashes - header.block_hashes
        most = sections.max_chain(self._file.cap.n)
        if not 0 < chain <= most or chain % layout.CHAIN_ENTRY_SIZE or tree < 0 or tree % HASH_SIZE:
            raise CorruptShareError("the header does not leave room for the hashes")
        return header

    def _uri_extension_length(self, header: Header) -> int | None:
        """Return the stated length of the UEB, in bytes; None if it was not received yet."""
        prefix = self._received.get(header.uri_extension, layout.prefix_size(header.version))
        return None if prefix is None else int.from_bytes(prefix, "big")

    def _use_uri_extension(self, header: Header) -> bool:
        length = self._uri_extension_length(header)
        if length is None:
            return False
        start = header.uri_extension + layout.prefix_size(header.version)
        packed = self._received.get(start, min(length, _MAX_UEB))
        if packed is None:
            return False
        self._file.learn(ueb.parse(packed, self._file.cap))
        return True

    def _use_share_hashes(self, header: Header) -> bool:
        size = header.uri_extension - header.share_hashes
        section = self._received.get(header.share_hashes, size)
        if section is None:
            return False
        if not self._file.share_hashes.add(layout.unpack_share_hashes(section)):
            raise CorruptShareError("the share hash chain does not match the UEB")
        return True

    def _use_hashes(self, tree: PartialTree, segment: int, start: int, name: str) -> bool:
        """Add missing nodes for a segment to a tree; return whether none are missing then."""
        nodes = {}
        for index in tree.lacking(segment):
            node = self._received.get(start + index * HASH_SIZE, HASH_SIZE)
            if node is None:
                return False
            nodes[index] = node
        if not tree.add(nodes):
            raise CorruptShareError(f"the {name} hashes do not match the UEB")
        return True

    def _use_block(self, header: Header, segment: int) -> bool:
        file = self._file
        tree = file.block_hashes(self.share.number)
        if not self._use_hashes(tree, segment, header.block_hashes, "block"):
            return False
        crypttext = file.crypttext_hashes
        if not self._use_hashes(crypttext, segment, header.crypttext_hashes, "crypttext"):
            return False
        span = sections.block_span(header, file.cut, segment)
        block = self._received.get(*span)
        if block is None:
            return False
        if block_hash(block) == tree.leaf(segment):
            self._settle(block)
            self._received.clear()  # including data that was not needed
        else:  # the share is read again, for other segments or for this one
            self._received.remove(*span)
            self.share.blame(CorruptShareError(f"block {segment} does not match its hash"))
            self._settle(None)
        return True

    # Missing data

    def _ask(self) -> None:
        """Request all data that is missing and not yet requested.

        Raises `CorruptShareError` if the share does not have data that it must have.
        """
        hopes, needs = self._lacking()
        spans, now = Spans(), self.share.session.reactor.seconds()
        for span in (*hopes, *needs):
            spans.add(*span)
        for span in (*self._pending, *self._received):
            spans.remove(*span)
        if self._unavailable.overlaps_any(spans):
            # A server that answers immediately would be asked endlessly.
            if self._repeated == now or self._repeats == _MOST_REPEATS:
                for span in self._unavailable:
                    spans.remove(*span)
            else:
                self._repeated, self._repeats = now, self._repeats + 1
        for offset, length in spans:
            self._pending.add(offset, length)
            self.share.ask("parts", offset, length, partial(self._answered, offset, length))
        if self._header and self._unavailable.overlaps_any(needs):
            raise CorruptShareError("the share ends before what its header names")

    def _lacking(self) -> tuple[list[sections.ByteRange], list[sections.ByteRange]]:
        """Return the spans that would be useful, and those that are needed."""
        file, header, number = self._file, self._header or self._guess, self.share.number
        hopes, needs = [], list[sections.ByteRange]()
        if self._header is None:
            hopes.append((0, _BEGINNING))
        if file.ueb is None:
            hopes.append((header.uri_extension, _UEB))
            prefix = layout.prefix_size(header.version)
            needs.append((header.uri_extension, prefix))
            if self._header and (length := self._uri_extension_length(header)):
                needs.append((header.uri_extension + prefix, min(length, _MAX_UEB)))
        if file.share_hashes.lacking(number, False):
            needs.append((header.share_hashes, header.uri_extension - header.share_hashes))
        if self._wanted is not None and self._wanted[0] < file.cut.num_segments:
            segment, _ = self._wanted
            for tree, start in (
                (file.block_hashes(number), header.block_hashes),
                (file.crypttext_hashes, header.crypttext_hashes),
            ):
                needs += [(start + i * HASH_SIZE, HASH_SIZE) for i in tree.lacking(segment)]
            needs.append(sections.block_span(header, file.cut, segment))
        return hopes, needs

    def _answered(self, offset: int, length: int, answer: bytes | ShareError) -> None:
        if isinstance(answer, ShareError):
            self._drop(answer)
            return
        self._pending.remove(offset, length)
        self._received.add(offset, answer)
        if len(answer) < length:
            self._unavailable.add(offset + len(answer), length - len(answer))
        self._turns.add(self._advance)
