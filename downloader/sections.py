"""The parts of a share that a download needs: where each lies, and whether it is right.

A span is an offset and a length, in bytes, from the start of the share data.
"""

from __future__ import annotations

from firstk.downloader import layout, trees, ueb
from firstk.downloader.cap import CHKCap
from firstk.downloader.errors import CorruptBlockError, CorruptShareError
from firstk.downloader.hashes import HASH_SIZE, block_hash
from firstk.downloader.layout import Header
from firstk.downloader.ueb import Segmentation, URIExtension

ByteRange = tuple[int, int]


def uri_extension_span(header: Header) -> ByteRange:
    """Return where the UEB lies; it is shorter, and ends where the share does."""
    return header.uri_extension, ueb.MAX_SECTION_SIZE


def check_uri_extension(section: bytes, header: Header, cap: CHKCap) -> URIExtension:
    """Return the UEB in its section.

    Raises `CorruptShareError` if it is not that of the cap, and `BadURIExtensionError` if
    it is and makes no sense.
    """
    return ueb.parse(layout.unpack_uri_extension(header.version, section), cap)


def crypttext_hashes_span(header: Header, cut: Segmentation) -> ByteRange:
    """Return where the leaves of the crypttext hash tree lie: all else follows from them."""
    leaves = cut.num_segments
    return header.crypttext_hashes + _leaves_offset(leaves), leaves * HASH_SIZE


def check_crypttext_hashes(section: bytes, extension: URIExtension) -> list[bytes]:
    """Return the hash of each segment's ciphertext; raises `CorruptShareError`."""
    leaves = layout.split_hashes(section, extension.num_segments)
    if trees.build(leaves)[0] != extension.crypttext_root_hash:
        raise CorruptShareError("the crypttext hash tree does not match the UEB")
    return leaves


def block_hashes_span(header: Header, cut: Segmentation) -> ByteRange:
    """Return where the leaves of the block hash tree lie, and behind them the share hash chain.

    Raises `CorruptShareError` if the header does not leave room for just these.
    """
    leaves = cut.num_segments
    tree_size = trees.tree_size(leaves)
    chain_size = header.uri_extension - header.share_hashes
    if header.share_hashes - header.block_hashes != tree_size or chain_size > max_chain(cut.n):
        raise CorruptShareError("the header does not leave room for the hashes")
    start = header.block_hashes + _leaves_offset(leaves)
    return start, header.uri_extension - start


def check_block_hashes(
    section: bytes, header: Header, extension: URIExtension, number: int
) -> list[bytes]:
    """Return the hash of each block of the share `number`; raises `CorruptShareError`."""
    leaves = layout.split_hashes(section, extension.num_segments)
    chain = layout.unpack_share_hashes(section[len(leaves) * HASH_SIZE + _padding(leaves) :])
    root = trees.build(leaves)[0]
    index = trees.padded(extension.n) - 1 + number
    try:
        matches = (
            chain[index] == root and trees.climb(index, root, chain) == extension.share_root_hash
        )
    except KeyError as e:
        raise CorruptShareError(f"the share hash chain has no node {e.args[0]}") from e
    if not matches:
        raise CorruptShareError("the block hashes do not match the UEB")
    return leaves


def chain_span(header: Header, n: int) -> ByteRange:
    """Return where the share hash chain lies.

    Raises `CorruptShareError` if the header does not leave room for one, or for more.
    """
    size = header.uri_extension - header.share_hashes
    if not 0 < size <= max_chain(n) or size % layout.CHAIN_ENTRY_SIZE:
        raise CorruptShareError("the header does not leave room for the hashes")
    return header.share_hashes, size


def block_leaves_span(header: Header, cut: Segmentation) -> ByteRange:
    """Return where the leaves of the block hash tree lie."""
    leaves = cut.num_segments
    return header.block_hashes + _leaves_offset(leaves), leaves * HASH_SIZE


def check_block_leaves(section: bytes, num_segments: int, root: bytes) -> list[bytes]:
    """Return the hash of each block of a share; raises `CorruptShareError`."""
    leaves = layout.split_hashes(section, num_segments)
    if trees.build(leaves)[0] != root:
        raise CorruptShareError("the block hashes do not match the UEB")
    return leaves


def block_span(header: Header, cut: Segmentation, segment: int) -> ByteRange:
    """Return where the block of a segment lies."""
    return header.data + segment * cut.block_size, cut.block_length(segment)


def check_block(block: bytes, hashes: list[bytes], extension: URIExtension, segment: int) -> bytes:
    """Return the block of a segment; raises `CorruptBlockError` if it is another."""
    if len(block) != extension.block_length(segment) or block_hash(block) != hashes[segment]:
        raise CorruptBlockError(f"block {segment} does not match its hash")
    return block


def _leaves_offset(leaves: int) -> int:
    """Return how far into a hash tree its leaves begin, in bytes."""
    return (trees.padded(leaves) - 1) * HASH_SIZE


def _padding(leaves: list[bytes]) -> int:
    """Return how many bytes stand behind a tree's leaves: the hashes that pad it."""
    return (trees.padded(len(leaves)) - len(leaves)) * HASH_SIZE


def max_chain(n: int) -> int:
    """Return the size of the longest share hash chain: every node but the root, in bytes."""
    return max(1, 2 * trees.padded(n) - 2) * layout.CHAIN_ENTRY_SIZE
