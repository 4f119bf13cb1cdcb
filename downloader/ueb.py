"""The UEB (URI extension block): a file's segmentation, encoding parameters and root hashes.

Every share carries the same UEB, and the read-cap holds its hash. Source: Tahoe-LAFS,
URI-extension specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from firstk.downloader import trees
from firstk.downloader.cap import CHKCap
from firstk.downloader.errors import BadURIExtensionError, CorruptShareError
from firstk.downloader.hashes import HASH_SIZE, netstring, uri_extension_hash
from firstk.downloader.layout import (
    CHAIN_ENTRY_SIZE,
    HEADER_SIZE,
    Header,
    header_size,
    parse_header,
    unpack_uri_extension,
)

#: The maximum segment size of Tahoe-LAFS, in bytes.
DEFAULT_SEGMENT_SIZE = 1024 * 1024

#: The maximum number of bytes read for a UEB and its length prefix. A UEB has eleven entries in
#: about 430 bytes; the longest possible numbers add less than 200.
MAX_SECTION_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The division of a file of `size` bytes into segments of `segment_size` bytes.

    Each segment has `segment_size` bytes of ciphertext, the last one the remainder. It is encoded
    into one block in each of `n` shares, any `k` of which are enough to decode it.
    """

    k: int
    n: int
    size: int
    segment_size: int

    @property
    def num_segments(self) -> int:
        """The number of segments of the file."""
        return -(-self.size // self.segment_size)

    @property
    def block_size(self) -> int:
        """The size of every block except those of the last segment."""
        return self.segment_size // self.k

    def segment_length(self, segment: int) -> int:
        """Return the size of the segment's ciphertext, without padding."""
        return min(self.segment_size, self.size - segment * self.segment_size)

    def block_length(self, segment: int) -> int:
        """Return the size of the segment's blocks."""
        return -(-self.segment_length(segment) // self.k)

    @property
    def data_size(self) -> int:
        """The size of all blocks of one share."""
        last = self.num_segments - 1
        return last * self.block_size + self.block_length(last)

    @lru_cache(maxsize=16)  # noqa: B019 - of guesses, one per file
    def header(self, version: int) -> Header:
        """Return the header that a share of such a file has, in the layout of a version."""
        tree = trees.tree_size(self.num_segments)
        chain = (trees.depth(self.n) + 1) * CHAIN_ENTRY_SIZE
        sections = [self.data_size, tree, tree, tree, chain]
        offsets = accumulate(sections, initial=header_size(version))
        return Header(version, self.block_size, self.data_size, *offsets)


def rounded_segment_size(maximum: int, size: int, k: int) -> int:
    """Return the segment size of a file of `size` bytes: a multiple of `k`."""
    return -(-min(maximum, size) // k) * k


@lru_cache(maxsize=16)
def guess_segmentation(cap: CHKCap) -> Segmentation:
    """Return the segmentation of the file of `cap` if it was uploaded with the usual settings."""
    return Segmentation(
        cap.k, cap.n, cap.size, rounded_segment_size(DEFAULT_SEGMENT_SIZE, cap.size, cap.k)
    )


@dataclass(frozen=True, slots=True)
class URIExtension(Segmentation):
    """A file's encoding: its segmentation, and its 32-byte hashes."""

    crypttext_hash: bytes
    crypttext_root_hash: bytes
    share_root_hash: bytes

    def _entries(self) -> dict[str, bytes]:
        k, n = self.k, self.n
        tail = self.block_length(self.num_segments - 1) * k
        return {
            "codec_name": b"crs",
            "codec_params": b"%d-%d-%d" % (self.segment_size, k, n),
            "crypttext_hash": self.crypttext_hash,
            "crypttext_root_hash": self.crypttext_root_hash,
            "needed_shares": b"%d" % k,
            "num_segments": b"%d" % self.num_segments,
            "segment_size": b"%d" % self.segment_size,
            "share_root_hash": self.share_root_hash,
            "size": b"%d" % self.size,
            "tail_codec_params": b"%d-%d-%d" % (tail, k, n),
            "total_shares": b"%d" % n,
        }

    def pack(self) -> bytes:
        """Return the serialised UEB, without its length prefix."""
        entries = sorted(self._entries().items())
        return b"".join(key.encode() + b":" + netstring(value) for key, value in entries)


def _split(packed: bytes) -> dict[str, bytes]:
    """Return the entries of a serialised UEB. Raises `ValueError` if it is malformed."""
    entries = {}
    while packed:
        key, _, rest = packed.partition(b":")
        digits, _, rest = rest.partition(b":")
        if not digits.isdigit() or len(digits) > 4:
            raise ValueError(f"the length {digits[:20]!r} of {key[:40]!r}")
        length = int(digits)
        if rest[length : length + 1] != b",":
            raise ValueError(f"the value of {key[:40]!r}")
        entries[key.decode("ascii")] = rest[:length]
        packed = rest[length + 1 :]
    return entries


def _number(entries: Mapping[str, bytes], key: str) -> int:
    digits = entries[key]
    if not digits.isdigit() or len(digits) > 20:
        raise ValueError(f"{key} is {digits[:40]!r}, no number")
    return int(digits)


def _hash(entries: Mapping[str, bytes], key: str) -> bytes:
    if len(entries[key]) != HASH_SIZE:
        raise ValueError(f"{key} has {len(entries[key])} bytes, not {HASH_SIZE}")
    return entries[key]


def read_uri_extension(share: bytes, cap: CHKCap) -> URIExtension:
    """Return the UEB in the data of a whole share. Raises as `parse` does."""
    header = parse_header(share[:HEADER_SIZE])
    return parse(unpack_uri_extension(header.version, share[header.uri_extension :]), cap)


@lru_cache(maxsize=16)  # all shares of a file have the same
def parse(packed: bytes, cap: CHKCap) -> URIExtension:
    """Parse a UEB that a share has for the file of `cap`.

    Raises `CorruptShareError` if its hash is not the one in the cap, and `BadURIExtensionError` if
    it is but the UEB contradicts itself or the cap.
    """
    if uri_extension_hash(packed) != cap.ueb_hash:
        raise CorruptShareError("the UEB does not match the cap")
    try:
        entries = _split(packed)
        ueb = URIExtension(
            k=cap.k,
            n=cap.n,
            size=cap.size,
            segment_size=_number(entries, "segment_size"),
            crypttext_hash=entries.get("crypttext_hash", b""),
            crypttext_root_hash=_hash(entries, "crypttext_root_hash"),
            share_root_hash=_hash(entries, "share_root_hash"),
        )
        if ueb.segment_size < 1 or ueb.segment_size % cap.k:
            raise ValueError(f"segment_size {ueb.segment_size} is not a multiple of k = {cap.k}")
        for key, expected in ueb._entries().items():
            if entries.get(key, expected) != expected:
                raise ValueError(f"{key} is {entries[key][:40]!r}, not {expected!r}")
    except KeyError as e:
        raise BadURIExtensionError(f"the UEB has no {e.args[0]}") from e
    except ValueError as e:  # includes the UnicodeDecodeError of a key
        raise BadURIExtensionError(f"the UEB is malformed: {e}") from e
    return ueb
