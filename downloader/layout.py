"""The layout of a share: the header, the share hash chain, the container.

A share is a header of offsets and then its sections, without gaps: the blocks, the
plaintext hash tree (all zeros today), the crypttext hash tree, the block hash tree, the
share hash chain and the UEB. Version 1 stores numbers in 4 bytes, version 2 in 8.
Nothing in a header can be trusted: it says where to look, and the hashes prove whether the data
found there is correct. Source: Tahoe-LAFS, file-encoding specification.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from firstk.downloader.errors import CorruptShareError
from firstk.downloader.hashes import HASH_SIZE

_FORMATS = {1: struct.Struct(">9L"), 2: struct.Struct(">L8Q")}
_PREFIXES = {1: struct.Struct(">L"), 2: struct.Struct(">Q")}
_CONTAINER = struct.Struct(">LLL")
_LEASE_SIZE = 72
_CHAIN_ENTRY = struct.Struct(f">H{HASH_SIZE}s")

#: The size of one entry of a share hash chain, in bytes.
CHAIN_ENTRY_SIZE = _CHAIN_ENTRY.size

#: How many bytes of a share to read for its header: the size of the longer of the two formats.
HEADER_SIZE = _FORMATS[2].size


@dataclass(frozen=True, slots=True)
class Header:
    """The offsets of a share's sections, in bytes from the start of the share data."""

    version: int
    block_size: int
    data_size: int
    data: int
    plaintext_hashes: int
    crypttext_hashes: int
    block_hashes: int
    share_hashes: int
    uri_extension: int

    def pack(self) -> bytes:
        """Return the header in the format used at the beginning of a share."""
        return _FORMATS[self.version].pack(
            self.version,
            self.block_size,
            self.data_size,
            self.data,
            self.plaintext_hashes,
            self.crypttext_hashes,
            self.block_hashes,
            self.share_hashes,
            self.uri_extension,
        )


def header_size(version: int) -> int:
    """Return the size in bytes of a header of this version, 1 or 2."""
    return _FORMATS[version].size


def prefix_size(version: int) -> int:
    """Return the size in bytes of the UEB's length prefix, in version 1 or 2."""
    return _PREFIXES[version].size


def parse_header(beginning: bytes) -> Header:
    """Parse the header at the beginning of a share, and check its sections.

    `beginning` holds the share's first `HEADER_SIZE` bytes, or all of a shorter share.
    Raises `CorruptShareError` if it is cut off, its version is unknown, or its sections
    do not follow one another.
    """
    header = unpack_header(beginning)
    offsets = (
        header_size(header.version),
        header.data,
        header.plaintext_hashes,
        header.crypttext_hashes,
        header.block_hashes,
        header.share_hashes,
        header.uri_extension,
    )
    if list(offsets) != sorted(offsets):
        raise CorruptShareError("the sections that the share's header names overlap")
    return header


def unpack_header(beginning: bytes) -> Header:
    """Parse the header at the beginning of a share without checks of its sections.

    Raises `CorruptShareError` if it is truncated, or its version is unknown. See `parse_header`.
    """
    version = int.from_bytes(beginning[:4], "big")
    if len(beginning) < 4 or (version in _FORMATS and len(beginning) < _FORMATS[version].size):
        raise CorruptShareError(f"the share ends inside its header, after {len(beginning)} bytes")
    if version not in _FORMATS:
        raise CorruptShareError(f"the share's version is {version}, not 1 or 2")
    layout = _FORMATS[version]
    return Header(*layout.unpack(beginning[: layout.size]))


def pack_uri_extension(version: int, ueb: bytes) -> bytes:
    """Return a serialised UEB with its length prefix."""
    return _PREFIXES[version].pack(len(ueb)) + ueb


def unpack_uri_extension(version: int, section: bytes) -> bytes:
    """Return the serialised UEB at the beginning of `section`.

    Raises `CorruptShareError` if `section` is shorter than the length prefix says.
    """
    prefix = _PREFIXES[version]
    if len(section) < prefix.size:
        raise CorruptShareError("the share ends before its UEB")
    (length,) = prefix.unpack_from(section)
    ueb = section[prefix.size : prefix.size + length]
    if len(ueb) < length:
        raise CorruptShareError(f"the UEB should have {length} bytes, but has {len(ueb)}")
    return ueb


def pack_share_hashes(chain: Mapping[int, bytes]) -> bytes:
    """Return a share hash chain in the format of a share, in the order of `chain`."""
    return b"".join(_CHAIN_ENTRY.pack(*entry) for entry in chain.items())


def unpack_share_hashes(section: bytes) -> dict[int, bytes]:
    """Return the nodes of a share hash chain by their index in the tree.

    Raises `CorruptShareError` if the section is not a whole number of entries.
    """
    if len(section) % _CHAIN_ENTRY.size:
        raise CorruptShareError(f"the share hash chain has {len(section)} bytes")
    return dict(_CHAIN_ENTRY.iter_unpack(section))


def split_hashes(section: bytes, count: int) -> list[bytes]:
    """Return the first `count` hashes of `section`.

    Raises `CorruptShareError` if there are fewer.
    """
    if len(section) < count * HASH_SIZE:
        raise CorruptShareError(f"{len(section)} bytes do not hold {count} hashes")
    return [section[i * HASH_SIZE : (i + 1) * HASH_SIZE] for i in range(count)]


def share_data(container: bytes) -> bytes:
    """Return the share data in a share file of a storage server.

    Raises `CorruptShareError` if the file's length does not match its container header.
    """
    data = served_data(container)
    _, length, leases = _CONTAINER.unpack_from(container)
    # The length field has only 32 bits, and wraps for larger shares, so use the file's size.
    if len(container) < _CONTAINER.size + leases * _LEASE_SIZE or len(data) % 2**32 != length:
        raise CorruptShareError(
            f"the container says {length} bytes and {leases} leases;"
            f" the file has {len(container)} bytes"
        )
    return data


def served_data(container: bytes) -> bytes:
    """Return the data that a Tahoe-LAFS server serves from a share file, even if it is damaged.

    The server trusts the number of leases in the container, and treats everything before them as
    the share. Raises `CorruptShareError` if the server cannot open the file: it then fails every
    `get_buckets` for the storage index. Source: `allmydata/storage/immutable.py` of 1.20.
    """
    if len(container) < _CONTAINER.size:
        raise CorruptShareError(f"a share file of {len(container)} bytes has no container")
    version, _, leases = _CONTAINER.unpack_from(container)
    if version not in (1, 2):
        raise CorruptShareError(f"the container's version is {version}, not 1 or 2")
    return container[_CONTAINER.size : max(0, len(container) - leases * _LEASE_SIZE)]
