"""A reference decoder for real shares, with whose output that of downloaders is compared.

It does not use `downloader`, so that no bug there can go unnoticed, but only zfec, AES and SHA-256.
The format is that of the Tahoe-LAFS specifications file-encoding, URI-extension and uri.
"""

from __future__ import annotations

import struct
from base64 import b32decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import zfec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_HEADERS = {1: struct.Struct(">9L"), 2: struct.Struct(">L8Q")}
_CHAIN_ENTRY = struct.Struct(">H32s")


def decode(cap: str, shares: Mapping[int, bytes]) -> bytes | None:
    """Return the plaintext of a file, or None if its shares are not enough to decode all of it.

    `cap` is a CHK read-cap, and `shares` are share data by share number, without containers.
    Damaged shares and blocks are ignored. The ciphertext has the hash stated in the UEB, and the
    UEB has the hash stated in the cap. The time is proportional to the size of the shares.
    """
    try:
        return _File(cap, shares).plaintext()
    except (ValueError, KeyError, IndexError, struct.error, zfec.Error):
        return None  # malformed where nothing vouches for the format


@dataclass(frozen=True, slots=True, eq=False)
class _Share:
    """A share whose header can be read, and the places of its sections."""

    number: int
    data: bytes
    version: int
    blocks: int
    block_hashes: int
    share_hashes: int
    uri_extension: int

    @classmethod
    def of(cls, number: int, data: bytes) -> _Share:
        (version,) = struct.unpack_from(">L", data)
        offsets = _HEADERS[version].unpack_from(data)[3:]
        blocks, _, _, block_hashes, share_hashes, uri_extension = offsets
        return cls(number, data, version, blocks, block_hashes, share_hashes, uri_extension)

    def ueb(self) -> bytes:
        """Return the serialised UEB."""
        (length,) = struct.unpack_from(
            ">L" if self.version == 1 else ">Q", self.data, self.uri_extension
        )
        start = self.uri_extension + (4 if self.version == 1 else 8)
        return self.data[start : start + length]

    def chain(self) -> dict[int, bytes]:
        """Return nodes of the tree over all shares."""
        section = self.data[self.share_hashes : self.uri_extension]
        whole = len(section) // _CHAIN_ENTRY.size * _CHAIN_ENTRY.size
        return dict(_CHAIN_ENTRY.iter_unpack(section[:whole]))


class _File:
    """A file whose cap can be read, with those of its shares whose headers can."""

    def __init__(self, cap: str, shares: Mapping[int, bytes]) -> None:
        key, fingerprint, *numbers = cap.strip().split(":")[2:]
        self._key, self._fingerprint = _base32(key), _base32(fingerprint)
        self._k, self._n, self._size = map(int, numbers)
        self._shares = list(_readable(shares))
        self._ueb = self._find_ueb()
        segment = int(self._ueb[b"segment_size"])
        stated = [int(self._ueb[key]) for key in (b"needed_shares", b"total_shares", b"size")]
        largest = max(len(share.data) for share in self._shares)
        if stated != [self._k, self._n, self._size] or segment % self._k:
            raise ValueError("the UEB contradicts the cap or itself")
        if not 0 < self._size <= self._k * largest or segment <= 0:
            raise ValueError("the shares are too short for the file")
        count = -(-self._size // segment)
        self._lengths = [segment] * (count - 1) + [self._size - (count - 1) * segment]
        self._block = segment // self._k

    def _find_ueb(self) -> dict[bytes, bytes]:
        """Return the UEB with the hash in the cap. Raises `ValueError` if no share has it."""
        for share in self._shares:
            try:
                ueb = share.ueb()
            except struct.error:
                continue
            if _tagged(b"allmydata_uri_extension_v1", ueb) == self._fingerprint:
                return _fields(ueb)
        raise ValueError("no share has the UEB of the cap")

    def plaintext(self) -> bytes | None:
        """Return the whole plaintext, if K blocks of each segment are good."""
        leaves = self._good_leaves()
        crypttext = []
        for segment, length in enumerate(self._lengths):
            blocks: dict[int, bytes] = {}
            for share in self._shares:
                if share.number in leaves and len(blocks) < self._k:
                    block = self._block_of(share, segment)
                    if _block_hash(block) == leaves[share.number][segment]:
                        blocks[share.number] = block
            if len(blocks) < self._k:
                return None
            crypttext.append(self._decoded(blocks)[:length])
        whole = b"".join(crypttext)
        if _tagged(b"allmydata_crypttext_v1", whole) != self._ueb[b"crypttext_hash"]:
            return None
        return Cipher(AES(self._key), CTR(bytes(16))).decryptor().update(whole)

    def _block_of(self, share: _Share, segment: int) -> bytes:
        start = share.blocks + segment * self._block
        return share.data[start : start + -(-self._lengths[segment] // self._k)]

    def _decoded(self, blocks: Mapping[int, bytes]) -> bytes:
        """Return a segment, padding included; zfec takes each primary block at its own index."""
        others = [number for number in blocks if number >= self._k]
        numbers = [i if i in blocks else others.pop() for i in range(self._k)]
        decoder = zfec.Decoder(self._k, self._n)
        return b"".join(decoder.decode([blocks[number] for number in numbers], numbers))

    def _good_leaves(self) -> dict[int, Sequence[bytes]]:
        """Return the block hashes of each share that are proved by the UEB."""
        trusted = {0: self._ueb[b"share_root_hash"]}
        good: dict[int, Sequence[bytes]] = {}
        # If the hashes stored in a share are damaged, its blocks may still be good.
        for leaves_of in self._stated_leaves, self._true_leaves:
            pending = {s: leaves_of(s) for s in self._shares if s.number not in good}
            roots = {share: _root(leaves) for share, leaves in pending.items()}
            found = True
            while found:  # a share may have the nodes that another lacks
                found = False
                for share in list(pending):
                    if path := self._path(share, roots[share], trusted):
                        trusted |= path
                        good[share.number] = pending.pop(share)
                        found = True
        return good

    def _stated_leaves(self, share: _Share) -> Sequence[bytes]:
        """Return the block hashes that are stored in a share."""
        count = len(self._lengths)
        first = share.block_hashes + 32 * (_width(count) - 1)
        return [share.data[at : at + 32] for at in range(first, first + 32 * count, 32)]

    def _true_leaves(self, share: _Share) -> Sequence[bytes]:
        """Return the block hashes computed from a share's blocks."""
        return [_block_hash(self._block_of(share, i)) for i in range(len(self._lengths))]

    def _path(self, share: _Share, root: bytes, trusted: Mapping[int, bytes]) -> dict[int, bytes]:
        """Return the nodes from a share's root to a trusted one; none if they do not lead there."""
        nodes = {**share.chain(), **trusted}
        index = _width(self._n) - 1 + share.number
        path = {index: root}
        while index not in trusted:
            sibling = index + 1 if index % 2 else index - 1
            if sibling not in nodes:
                return {}
            path[sibling] = nodes[sibling]
            parent = (index - 1) // 2
            path[parent] = _pair(path[min(index, sibling)], path[max(index, sibling)])
            index = parent
        return path if path[index] == trusted[index] else {}


def _readable(shares: Mapping[int, bytes]) -> Iterator[_Share]:
    for number, data in sorted(shares.items()):
        try:
            yield _Share.of(number, data)
        except (KeyError, struct.error):
            continue


def _base32(text: str) -> bytes:
    return b32decode(text.upper() + "=" * (-len(text) % 8))


def _fields(ueb: bytes) -> dict[bytes, bytes]:
    """Return the keys and values of a serialised UEB: each is `key:`, length, `:`, value, `,`."""
    found = {}
    while ueb:
        key, length, rest = ueb.split(b":", 2)
        found[key], ueb = rest[: int(length)], rest[int(length) + 1 :]
    return found


def _netstring(data: bytes) -> bytes:
    return b"%d:%s," % (len(data), data)


def _tagged(tag: bytes, value: bytes) -> bytes:
    inner = sha256(_netstring(tag))
    inner.update(value)
    return sha256(inner.digest()).digest()


def _block_hash(block: bytes) -> bytes:
    return _tagged(b"allmydata_encoded_subshare_v1", block)


def _pair(left: bytes, right: bytes) -> bytes:
    return _tagged(b"Merkle tree internal node", _netstring(left) + _netstring(right))


def _width(count: int) -> int:
    """Return the number of leaves of a tree padded to a power of two."""
    return 1 << (count - 1).bit_length()


def _root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of the tree over some leaves."""
    row = list(leaves)
    row += [
        _tagged(b"Merkle tree empty leaf", b"%d" % i) for i in range(len(row), _width(len(row)))
    ]
    while len(row) > 1:
        row = [_pair(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]
