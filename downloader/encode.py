"""Encoding of plaintext into shares, byte for byte as Tahoe-LAFS does.

Simulated grids are filled with these shares. The tests compare them with real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import zfec

from firstk.downloader import hashes, layout, trees
from firstk.downloader.aes import Keystream
from firstk.downloader.cap import CHKCap
from firstk.downloader.ueb import DEFAULT_SEGMENT_SIZE, URIExtension, rounded_segment_size


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded file: its read-cap, and the share data by share number."""

    cap: CHKCap
    shares: dict[int, bytes]


def encode(
    plaintext: bytes,
    *,
    k: int,
    n: int,
    segment_size: int = DEFAULT_SEGMENT_SIZE,
    convergence: bytes = b"",
    version: int = 1,
) -> Encoded:
    """Encode `plaintext` into `n` shares, any `k` of which are enough to decode it.

    `segment_size` is the maximum segment size in bytes, `convergence` the secret that is hashed
    into the key, and `version` the share layout, 1 or 2. Files of 55 bytes or fewer, which
    Tahoe-LAFS would store in the cap itself, are encoded into shares too.

    Raises `ValueError` for an empty plaintext or a segment size below 1, and `BadCapError` unless
    1 <= k <= n <= 256.

    >>> made = encode(b"any number of bytes but none", k=3, n=10)
    >>> len(made.shares), made.cap.k
    (10, 3)
    """
    if not plaintext:
        raise ValueError("an empty file has no shares")
    if segment_size < 1:
        raise ValueError(f"the segment size {segment_size} is less than 1 byte")
    CHKCap(key=bytes(16), ueb_hash=bytes(32), k=k, n=n, size=len(plaintext))  # checks k and n
    segment_size = rounded_segment_size(segment_size, len(plaintext), k)
    key = hashes.convergent_key(convergence, k, n, segment_size, plaintext)
    crypttext = Keystream(key).apply(plaintext)

    segments = [crypttext[i : i + segment_size] for i in range(0, len(crypttext), segment_size)]
    blocks = list(zip(*(_encode_segment(segment, k, n) for segment in segments), strict=True))
    block_leaves = [[hashes.block_hash(block) for block in share] for share in blocks]
    block_trees = [trees.build(leaves) for leaves in block_leaves]
    share_tree = trees.build([tree[0] for tree in block_trees])
    crypttext_tree = trees.build([hashes.crypttext_segment_hash(s) for s in segments])
    ueb = URIExtension(
        k=k,
        n=n,
        size=len(plaintext),
        segment_size=segment_size,
        crypttext_hash=hashes.crypttext_hash(crypttext),
        crypttext_root_hash=crypttext_tree[0],
        share_root_hash=share_tree[0],
    )
    packed = ueb.pack()
    shares = {
        number: b"".join(
            _share(
                version,
                ueb,
                packed,
                blocks[number],
                b"".join(crypttext_tree),
                b"".join(block_trees[number]),
                _chain(share_tree, number, n),
            )
        )
        for number in range(n)
    }
    cap = CHKCap(key, hashes.uri_extension_hash(packed), k, n, len(plaintext))
    return Encoded(cap, shares)


def _encode_segment(segment: bytes, k: int, n: int) -> list[bytes]:
    """Return the segment's `n` blocks, by share number."""
    block_size = -(-len(segment) // k)
    segment = segment.ljust(block_size * k, b"\0")
    primary = [segment[i * block_size : (i + 1) * block_size] for i in range(k)]
    blocks: list[bytes] = zfec.Encoder(k, n).encode(primary)
    return blocks


def _chain(share_tree: list[bytes], number: int, n: int) -> bytes:
    """Return the packed share hash chain of the share `number`."""
    leaf = trees.padded(n) - 1 + number
    # Readers accept any order. Tahoe-LAFS writes the nodes in the order in which CPython iterates
    # over a set of these integers, the leaf added last; it does not depend on the hash seed.
    nodes = set(trees.needed(leaf))
    nodes.add(leaf)
    return layout.pack_share_hashes({i: share_tree[i] for i in nodes})


def _share(
    version: int,
    ueb: URIExtension,
    packed_ueb: bytes,
    blocks: tuple[bytes, ...],
    crypttext_tree: bytes,
    block_tree: bytes,
    share_hashes: bytes,
) -> Iterator[bytes]:
    """Yield one share's header and sections, in order."""
    yield ueb.header(version).pack()
    yield from blocks
    yield bytes(len(crypttext_tree))  # the plaintext hash tree
    yield crypttext_tree
    yield block_tree
    yield share_hashes
    yield layout.pack_uri_extension(version, packed_ueb)
