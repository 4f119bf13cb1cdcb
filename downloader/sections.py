"""The sections of a share that a download needs: their spans, and checks of their hashes.

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
    """Return a span that covers the UEB, which is shorter and ends at the end of the share."""
    return header.uri_extension, ueb.MAX_SECTION_SIZE


def check_uri_extension(section: bytes, header: Header, cap: CHKCap) -> URIExtension:
    """Return the UEB in its section.

    Raises `CorruptShareError` if its hash is not that in the cap, and `BadURIExtensionError` if the
    hash is right but the contents are invalid.
    """
    return ueb.parse(layout.unpack_uri_extension(header.version, section), cap)


def crypttext_hashes_span(header: Header, cut: Segmentation) -> ByteRange:
    """Return the span of the leaves of the crypttext hash tree; they determine the other nodes."""
    leaves = cut.num_segments
    return header.crypttext_hashes + _leaves_offset(leaves), leaves * HASH_SIZE


def check_crypttext_hashes(section: bytes, extension: URIExtension) -> list[bytes]:
    """Return the hash of each segment's ciphertext. Raises `CorruptShareError` if it is corrupt."""
    leaves = layout.split_hashes(section, extension.num_segments)
    if trees.build(leaves)[0] != extension.crypttext_root_hash:
        raise CorruptShareError("the crypttext hash tree does not match the UEB")
    return leaves


def block_hashes_span(header: Header, cut: Segmentation) -> ByteRange:
    """Return the span of the leaves of the block hash tree and the share hash chain after them.

    Raises `CorruptShareError` if the sections do not have the sizes of these.
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
    """Return the hash of each block of the share `number`.

    Raises `CorruptShareError` if the section is corrupt.
    """
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
    """Return the span of the share hash chain.

    Raises `CorruptShareError` if the size of its section is impossible.
    """
    size = header.uri_extension - header.share_hashes
    if not 0 < size <= max_chain(n) or size % layout.CHAIN_ENTRY_SIZE:
        raise CorruptShareError("the header does not leave room for the hashes")
    return header.share_hashes, size


def block_leaves_span(header: Header, cut: Segmentation) -> ByteRange:
    """Return the span of the leaves of the block hash tree."""
    leaves = cut.num_segments
    return header.block_hashes + _leaves_offset(leaves), leaves * HASH_SIZE


def check_block_leaves(section: bytes, num_segments: int, root: bytes) -> list[bytes]:
    """Return the hash of each block of a share. Raises `CorruptShareError` if it is corrupt."""
    leaves = layout.split_hashes(section, num_segments)
    if trees.build(leaves)[0] != root:
        raise CorruptShareError("the block hashes do not match the UEB")
    return leaves


def block_span(header: Header, cut: Segmentation, segment: int) -> ByteRange:
    """Return the span of the block of a segment."""
    return header.data + segment * cut.block_size, cut.block_length(segment)


def check_block(block: bytes, hashes: list[bytes], extension: URIExtension, segment: int) -> bytes:
    """Return the block of a segment. Raises `CorruptBlockError` if its hash is wrong."""
    if len(block) != extension.block_length(segment) or block_hash(block) != hashes[segment]:
        raise CorruptBlockError(f"block {segment} does not match its hash")
    return block


def _leaves_offset(leaves: int) -> int:
    """Return the offset of the leaves in a hash tree, in bytes."""
    return (trees.padded(leaves) - 1) * HASH_SIZE


def _padding(leaves: list[bytes]) -> int:
    """Return the size of the hashes that pad a tree after its leaves, in bytes."""
    return (trees.padded(len(leaves)) - len(leaves)) * HASH_SIZE


def max_chain(n: int) -> int:
    """Return the maximum size of a share hash chain, in bytes: all nodes except the root."""
    return max(1, 2 * trees.padded(n) - 2) * layout.CHAIN_ENTRY_SIZE
