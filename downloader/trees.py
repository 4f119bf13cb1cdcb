"""Merkle trees over 32-byte hashes, in heap order: the root is node 0.

A tree's leaves are padded to a power of two. All inner nodes follow from the leaves, so
a reader needs the leaves alone, or one leaf and the siblings on its way to the root.
Source: Tahoe-LAFS, file-encoding specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from firstk.downloader.hashes import HASH_SIZE, empty_leaf_hash, inner_node_hash


@lru_cache(maxsize=64)
def padded(leaves: int) -> int:
    """Return how many leaves a tree over a number of hashes has: the next power of two."""
    return 1 << depth(leaves)


def depth(leaves: int) -> int:
    """Return how many siblings lead from a leaf of a tree over a number of hashes to the root."""
    return (leaves - 1).bit_length()


def tree_size(leaves: int) -> int:
    """Return the size in bytes of a whole tree over a number of hashes."""
    return (2 * padded(leaves) - 1) * HASH_SIZE


def build(leaves: Sequence[bytes]) -> list[bytes]:
    """Return all nodes of the tree over one or more `leaves`, in heap order."""
    width = padded(len(leaves))
    nodes = [b""] * (width - 1)
    nodes += leaves
    nodes += [empty_leaf_hash(i) for i in range(len(leaves), width)]
    for i in range(width - 2, -1, -1):
        nodes[i] = inner_node_hash(nodes[2 * i + 1], nodes[2 * i + 2])
    return nodes


def needed(index: int) -> list[int]:
    """Return the siblings that lead from node `index` to the root, bottom up."""
    siblings = []
    while index:
        siblings.append(index + 1 if index % 2 else index - 1)
        index = (index - 1) // 2
    return siblings


def climb(index: int, node: bytes, siblings: Mapping[int, bytes]) -> bytes:
    """Return the root that node `index` leads to with its `siblings`.

    Raises `KeyError` if a sibling on the way is missing.
    """
    while index:
        if index % 2:
            node = inner_node_hash(node, siblings[index + 1])
        else:
            node = inner_node_hash(siblings[index - 1], node)
        index = (index - 1) // 2
    return node
