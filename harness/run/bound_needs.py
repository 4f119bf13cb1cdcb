"""The data of shares that is needed before the first byte: its spans and sizes.

Before a byte of a segment is written, each of K blocks and the segment must have passed their hash
checks. This requires:

- of each of K shares, its own header and block;
- the block's siblings in the block hash tree, from any copy of the share;
- the root of that tree from the share hash chain: the chain of the share or of its sibling in
  the share hash tree, which holds the same nodes, from any copy; nothing where N = 1;
- the UEB and the segment's siblings in the crypttext hash tree, from any share.

A sibling that pads a tree is known. A file of one segment has no siblings in either tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, islice

from firstk.downloader import trees
from firstk.downloader.cap import CHKCap
from firstk.downloader.errors import CorruptShareError, DownloadError
from firstk.downloader.hashes import HASH_SIZE
from firstk.downloader.layout import (
    CHAIN_ENTRY_SIZE,
    HEADER_SIZE,
    header_size,
    pack_uri_extension,
    parse_header,
)
from firstk.downloader.ueb import Segmentation, URIExtension, guess_segmentation, read_uri_extension
from firstk.harness.grid.files import GridFile
from firstk.scenarios.faults import Fault

#: The first bytes of a share of version 1.
_VERSION_1 = (1).to_bytes(4, "big")

#: Ranges of bytes of a share, each from a start offset up to, but excluding, an end offset.
Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """The spans of the parts of a share. `adjoining` is True if the block follows the header."""

    header: Spans
    block: Spans
    block_hashes: Spans
    chain: Spans
    crypttext_hashes: Spans
    ueb: Spans
    adjoining: bool


class Needs:
    """The data that is needed for one segment of a file; sizes are in bytes."""

    def __init__(self, file: GridFile, ueb: URIExtension, segment: int) -> None:
        self.ueb = ueb
        # Whether the layout is as one guesses before it is known: then each part is one read.
        self.guessed = guess_segmentation(file.cap).segment_size == ueb.segment_size
        self.block = ueb.block_length(segment)
        self.block_hashes = self.crypttext_hashes = HASH_SIZE * beside(
            segment, segment, ueb.num_segments
        )
        self.header = header_size(1)  # the shorter one
        self.chain = chain_size(ueb.n)
        self._file = file
        self._segment = segment
        self._by_header: dict[bytes, Parts | None] = {}

    def parts(self, number: int) -> Parts | None:
        """Return the spans of the parts of a share; None if it is a real one with a bad header."""
        share = self._file.shares[number]
        header = share[: HEADER_SIZE if share[:4] != _VERSION_1 else header_size(1)]
        if header not in self._by_header:  # as a rule, all of a file's shares have the same
            self._by_header[header] = self._find(header)
        return self._by_header[header]

    def _find(self, header_bytes: bytes) -> Parts | None:
        try:
            header = parse_header(header_bytes)
        except CorruptShareError:
            return None
        end = header_size(header.version)
        block = header.data + self._segment * self.ueb.block_size
        ueb = header.uri_extension + len(pack_uri_extension(header.version, b""))
        chain = (header.share_hashes, header.uri_extension)
        return Parts(
            header=((0, end),),
            block=((block, block + self.block),),
            block_hashes=self._nodes(header.block_hashes),
            chain=(chain,) if self.chain else (),
            crypttext_hashes=self._nodes(header.crypttext_hashes),
            ueb=((ueb, ueb + self.ueb_size),),
            adjoining=block == end,
        )

    @cached_property
    def ueb_size(self) -> int:
        """The size of the UEB in bytes, without its length prefix."""
        return len(self.ueb.pack())

    def _nodes(self, tree: int) -> Spans:
        """Return the spans of the segment's siblings in a hash tree that begins at `tree`."""
        leaves = self.ueb.num_segments
        siblings = _siblings(self._segment, leaves)
        return tuple((tree + i * HASH_SIZE, tree + (i + 1) * HASH_SIZE) for i in siblings)

    def share(self, number: int) -> bytes:
        """Return the data of a share."""
        return self._file.shares[number]

    def size(self, numbers: Collection[int], first: int, last: int) -> int:
        """Return the minimum number of bytes needed for the segments `first` to `last`.

        They are read from K of the shares with these numbers.
        """
        ueb = self.ueb
        blocks = sum(ueb.block_length(segment) for segment in range(first, last + 1))
        hashes = beside(first, last, ueb.num_segments) * HASH_SIZE
        chains = fewest_pairs(ueb.k, numbers) * self.chain
        return ueb.k * (self.header + blocks + hashes) + chains + hashes + self.ueb_size


def ueb_of(file: GridFile) -> URIExtension:
    """Return the UEB of a file."""
    for share in file.shares.values():
        try:
            return read_uri_extension(share, file.cap)
        except DownloadError:
            continue
    raise AssertionError("a scenario has a share that matches its cap")


def unaltered(faults: Sequence[Fault], share: bytes, spans: Spans) -> bool:
    """Return whether a read that meets these faults returns these bytes of a share unchanged."""
    for begin, end in spans:
        right = read = share[begin:end]
        for fault in faults:
            read = fault.alter(share, begin, read)
        if read != right:
            return False
    return True


def reads_at_once(cap: CHKCap, ueb: URIExtension) -> int:
    """Return the maximum number of outstanding reads of one share.

    What lies together is read at once: the header; the block, which may adjoin it; the nodes
    of two hash trees, one a level; the share hash chain with the UEB. All of one segment lies in
    two places, or in three if the chain between its hashes and the UEB is not needed. Where the
    layout was guessed wrong, Tahoe-LAFS reads on while reads at the guessed places, and then
    reads for the guessed hashes, are still outstanding.
    """

    def places(cut: Segmentation) -> int:
        depth = trees.depth(cut.num_segments)
        return 3 + 2 * depth if depth else 2 + (cut.n == 1)

    guess = guess_segmentation(cap)
    right = guess.segment_size == ueb.segment_size
    return places(ueb) if right else 2 * places(guess) + places(ueb)


def chain_size(n: int) -> int:
    """Return the size of a share hash chain, in bytes; 0 if there is only one share."""
    return (trees.depth(n) + 1) * CHAIN_ENTRY_SIZE if n > 1 else 0


def fewest_pairs(k: int, numbers: Collection[int]) -> int:
    """Return the minimum number of sibling pairs (0 and 1, 2 and 3, ...) that have `k` numbers."""
    sizes = sorted(Counter(number // 2 for number in numbers).values(), reverse=True)
    pairs = 0
    while k > 0 and pairs < len(sizes):
        k -= sizes[pairs]
        pairs += 1
    return pairs


def bytes_from_one(
    needs: Needs, numbers: Collection[int], holders: Mapping[int, Collection[object]], most: int
) -> Sequence[int]:
    """Return how many bytes a server must provide for one, two, ... of its shares.

    These are up to `most` of the shares with these numbers. `holders` are the servers of each
    number: data that other servers can provide is not counted.
    """
    hashes = sorted(needs.block_hashes * (len(holders[number]) == 1) for number in numbers)
    sole = []  # those whose chain no other server has
    for number in numbers:
        sibling = holders.get(number ^ 1, ())
        if len(holders[number]) == 1 and (
            not sibling or (len(sibling) == 1 and sibling == holders[number])
        ):
            sole.append(number)
    free = len(numbers) - len(sole)
    each = needs.header + needs.block
    return [
        count * each + together + needs.chain * fewest_pairs(count - free, sole)
        for count, together in enumerate(islice(accumulate(hashes), most), 1)
    ]


@lru_cache(maxsize=64)
def _siblings(leaf: int, leaves: int) -> Sequence[int]:
    """Return the siblings on the path from a leaf to the root that are not padding."""
    return list(_not_padding(trees.needed(trees.padded(leaves) - 1 + leaf), leaves))


def _not_padding(nodes: Sequence[int], leaves: int) -> Iterator[int]:
    first = trees.padded(leaves) - 1
    for node in nodes:
        leftmost = node
        while leftmost < first:
            leftmost = 2 * leftmost + 1
        if leftmost - first < leaves:
            yield node


def beside(first: int, last: int, leaves: int) -> int:
    """Return how many sibling hashes on the paths from some leaves to the root must be read.

    Parts of the tree that are padding are known.
    """
    count = 0
    width = trees.padded(leaves)
    while width > 1:
        count += first % 2
        count += last % 2 == 0 and last + 1 < leaves
        first, last, leaves, width = first // 2, last // 2, -(-leaves // 2), width // 2
    return count
