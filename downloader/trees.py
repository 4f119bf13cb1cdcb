"""Merkle trees over 32-byte hashes, in heap order: the root is node 0.

A tree's leaves are padded to a power of two. The leaves determine all inner nodes, so a reader
needs only the leaves, or one leaf and the siblings on its path to the root.
Source: Tahoe-LAFS, file-encoding specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush

from firstk.downloader.hashes import HASH_SIZE, empty_leaf_hash, inner_node_hash


@lru_cache(maxsize=64)
def padded(leaves: int) -> int:
    """Return the number of leaves of a tree over `leaves` hashes: the next power of two."""
    return 1 << depth(leaves)


def depth(leaves: int) -> int:
    """Return the depth of a tree over `leaves` hashes: the number of siblings on a leaf's path."""
    return (leaves - 1).bit_length()


def tree_size(leaves: int) -> int:
    """Return the size in bytes of a whole tree over `leaves` hashes."""
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


@lru_cache(maxsize=1024)
def needed(index: int) -> Sequence[int]:
    """Return the indices of the siblings on the path from node `index` to the root, bottom up."""
    siblings = []
    while index:
        siblings.append(index + 1 if index % 2 else index - 1)
        index = (index - 1) // 2
    return tuple(siblings)


def climb(index: int, node: bytes, siblings: Mapping[int, bytes]) -> bytes:
    """Return the root computed from node `index` and its `siblings`.

    Raises `KeyError` if a sibling on the path is missing.
    """
    while index:
        if index % 2:
            node = inner_node_hash(node, siblings[index + 1])
        else:
            node = inner_node_hash(siblings[index - 1], node)
        index = (index - 1) // 2
    return node


class PartialTree:
    """A tree over a number of hashes, of which only checked nodes are known.

    Each added node must lead to the root, together with known nodes and those added with it. Until
    the root is known, no nodes can be added.
    """

    def __init__(self, leaves: int, root: bytes | None = None) -> None:
        self._first_leaf = padded(leaves) - 1
        self._nodes: dict[int, bytes] = {} if root is None else {0: root}

    @property
    def has_root(self) -> bool:
        """Whether the root is known."""
        return 0 in self._nodes

    def set_root(self, root: bytes) -> None:
        """Set the root, which comes from a trusted source."""
        self._nodes[0] = root

    def leaf(self, number: int) -> bytes | None:
        """Return a leaf; None if it is not known."""
        return self._nodes.get(self._first_leaf + number)

    def lacking(self, number: int, with_leaf: bool = True) -> list[int]:
        """Return the indices of the nodes that are still needed to check a leaf.

        The leaf itself is included if `with_leaf`; omit it if it is computed from the data.
        """
        index, known = self._first_leaf + number, self._nodes
        path = (index, *needed(index)) if with_leaf else needed(index)
        return [node for node in path if node not in known]

    def add(self, nodes: Mapping[int, bytes]) -> bool:
        """Add nodes by their indices, all of them or none; return whether they are valid."""
        known, new = self._nodes, dict[int, bytes]()
        for index, node in nodes.items():
            if not 0 <= index <= 2 * self._first_leaf or known.get(index, node) != node:
                return False
            if index not in known:
                new[index] = node
        unchecked = [-index for index in new]
        heapify(unchecked)
        while unchecked:
            index = -heappop(unchecked)
            left = index if index % 2 else index - 1
            pair = [new.get(i) or known.get(i) for i in (left, left + 1)]
            if index == 0 or pair[0] is None or pair[1] is None:
                return False
            parent, node = left // 2, inner_node_hash(pair[0], pair[1])
            if (new.get(parent) or known.get(parent, node)) != node:
                return False
            if parent not in known and parent not in new:
                new[parent] = node
                heappush(unchecked, -parent)
        known.update(new)
        return True
