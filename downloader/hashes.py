"""The tagged hashes of Tahoe-LAFS.

Every hash is SHA-256 applied twice to a tag and the data. The tag names the purpose of the hash, so
that a hash made for one purpose can never be used for another. Source: Tahoe-LAFS, file-encoding
and URI-extension specifications.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

HASH_SIZE = 32


def netstring(data: bytes) -> bytes:
    """Return `data` as a netstring: its length in decimal, a colon, the data, a comma."""
    return b"%d:%s," % (len(data), data)


_BLOCK = netstring(b"allmydata_encoded_subshare_v1")
_UEB = netstring(b"allmydata_uri_extension_v1")
_CRYPTTEXT = netstring(b"allmydata_crypttext_v1")
_CRYPTTEXT_SEGMENT = netstring(b"allmydata_crypttext_segment_v1")
_STORAGE_INDEX = netstring(b"allmydata_immutable_key_to_storage_index_v1")
_EMPTY_LEAF = netstring(b"Merkle tree empty leaf")
_INNER_NODE = netstring(b"Merkle tree internal node")
_CONVERGENT = b"allmydata_immutable_content_to_key_with_added_secret_v1+"


def _double(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def block_hash(block: bytes) -> bytes:
    """Return the hash of one block: a leaf of a share's block hash tree."""
    return _double(_BLOCK + block)


def uri_extension_hash(ueb: bytes) -> bytes:
    """Return the hash of a serialised UEB, which is part of the read-cap."""
    return _double(_UEB + ueb)


def crypttext_hash(crypttext: bytes) -> bytes:
    """Return the hash of a whole file's ciphertext."""
    return _double(_CRYPTTEXT + crypttext)


def crypttext_segment_hash(segment: bytes) -> bytes:
    """Return the hash of one segment's unpadded ciphertext: a leaf of the crypttext hash tree."""
    return _double(_CRYPTTEXT_SEGMENT + segment)


def storage_index(key: bytes) -> bytes:
    """Return the 16-byte storage index of a file with this 16-byte key."""
    return _double(_STORAGE_INDEX + key)[:16]


def empty_leaf_hash(index: int) -> bytes:
    """Return the hash that pads a tree at the leaf `index`."""
    return _double(_EMPTY_LEAF + b"%d" % index)


@lru_cache(maxsize=4096)  # shares and downloads of one file have the upper nodes in common
def inner_node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a tree's inner node over its two 32-byte children."""
    return _double(b"%s32:%s,32:%s," % (_INNER_NODE, left, right))


def convergent_key(secret: bytes, k: int, n: int, segment_size: int, plaintext: bytes) -> bytes:
    """Return the 16-byte key of `plaintext` for a convergence secret.

    `segment_size` is the rounded segment size, in bytes.
    """
    parameters = b"%d,%d,%d" % (k, n, segment_size)
    tag = netstring(_CONVERGENT + netstring(secret) + netstring(parameters))
    return _double(tag + plaintext)[:16]
