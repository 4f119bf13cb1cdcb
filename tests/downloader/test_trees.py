"""Merkle trees: built in heap order, padded, and climbed from any leaf."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.downloader import trees
from firstk.downloader.hashes import empty_leaf_hash, inner_node_hash

counts = st.integers(1, 40)


def leaves_of(count: int) -> list[bytes]:
    """Return `count` different hashes."""
    return [sha256(b"%d" % i).digest() for i in range(count)]


def root_of(leaves: list[bytes]) -> bytes:
    """Return the root of a power-of-two number of leaves, computed recursively."""
    if len(leaves) == 1:
        return leaves[0]
    half = len(leaves) // 2
    return inner_node_hash(root_of(leaves[:half]), root_of(leaves[half:]))


@pytest.mark.parametrize(
    ("expected", "leaves"),
    [(1, 1), (2, 2), (4, 3), (4, 4), (8, 5), (16, 10), (256, 256), (512, 257), (2**40, 2**40)],
)
def test_padded(expected: int, leaves: int) -> None:
    """A tree is padded to a power of two of leaves."""
    assert expected == trees.padded(leaves)


@pytest.mark.parametrize(("expected", "leaves"), [(32, 1), (96, 2), (224, 3), (224, 4), (992, 10)])
def test_tree_size(expected: int, leaves: int) -> None:
    """A tree of 2**p leaves has 2**(p+1) - 1 nodes of 32 bytes."""
    assert expected == trees.tree_size(leaves)
    assert expected == len(b"".join(trees.build(leaves_of(leaves))))


def test_one_leaf() -> None:
    """The root of a single hash is that hash."""
    assert leaves_of(1) == trees.build(leaves_of(1))


def test_three_leaves() -> None:
    """The root comes first, the leaves last; a missing leaf is a hash of its index."""
    a, b, c = leaves_of(3)
    left, right = inner_node_hash(a, b), inner_node_hash(c, empty_leaf_hash(3))

    assert [inner_node_hash(left, right), left, right, a, b, c, empty_leaf_hash(3)] == trees.build(
        [a, b, c]
    )


@given(counts)
@settings(deadline=None, max_examples=40)
def test_root(count: int) -> None:
    """The root equals the recursively computed one."""
    leaves = leaves_of(count)
    padding = [empty_leaf_hash(i) for i in range(count, trees.padded(count))]

    assert root_of(leaves + padding) == trees.build(leaves)[0]


@given(counts, st.data())
@settings(deadline=None, max_examples=50)
def test_climb(count: int, data: st.DataObject) -> None:
    """Any node leads to the root, with the siblings that `needed` lists."""
    tree = trees.build(leaves_of(count))
    index = data.draw(st.integers(0, len(tree) - 1))
    siblings = {i: tree[i] for i in trees.needed(index)}

    assert tree[0] == trees.climb(index, tree[index], siblings)


@given(st.integers(2, 40), st.data())
@settings(deadline=None, max_examples=50)
def test_every_sibling_counts(count: int, data: st.DataObject) -> None:
    """A changed sibling leads to another root, and a missing one raises."""
    tree = trees.build(leaves_of(count))
    index = trees.padded(count) - 1 + data.draw(st.integers(0, count - 1))
    siblings = {i: tree[i] for i in trees.needed(index)}
    victim = data.draw(st.sampled_from(sorted(siblings)))

    assert tree[0] != trees.climb(index, tree[index], siblings | {victim: bytes(32)})
    del siblings[victim]
    with pytest.raises(KeyError, match=str(victim)):
        trees.climb(index, tree[index], siblings)


def test_every_leaf_counts() -> None:
    """A changed leaf leads to another root, and so does the right leaf in another place."""
    tree = trees.build(leaves_of(4))
    siblings = {i: tree[i] for i in trees.needed(3)}

    assert tree[0] == trees.climb(3, tree[3], siblings)
    assert tree[0] != trees.climb(3, tree[4], siblings)
    assert tree[0] != trees.climb(4, tree[3], siblings | {3: tree[4]})


@pytest.mark.parametrize(
    ("expected", "index"), [([], 0), ([2], 1), ([1], 2), ([4, 2], 3), ([3, 2], 4), ([13, 5, 1], 14)]
)
def test_needed(expected: list[int], index: int) -> None:
    """A node needs its sibling, its parent's, and so on; the root needs none."""
    assert expected == list(trees.needed(index))


# Trees of which only some nodes are known


@given(counts, st.data())
@settings(deadline=None, max_examples=50)
def test_partial(count: int, data: st.DataObject) -> None:
    """The lacking nodes are enough to check a leaf, whatever is known already."""
    tree = trees.build(leaves_of(count))
    partial = trees.PartialTree(count, tree[0])
    for leaf in data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=5)):
        lacking = partial.lacking(leaf)

        assert partial.add({i: tree[i] for i in lacking})
        assert partial.lacking(leaf) == []
        assert partial.leaf(leaf) == tree[trees.padded(count) - 1 + leaf]


@given(counts, st.data())
@settings(deadline=None, max_examples=50)
def test_partial_refuses(count: int, data: st.DataObject) -> None:
    """If one node is wrong, none is added."""
    tree = trees.build(leaves_of(count))
    partial = trees.PartialTree(count, tree[0])
    known, leaf = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count - 1))
    partial.add({i: tree[i] for i in partial.lacking(known)})
    before = partial.lacking(leaf)
    nodes = {i: tree[i] for i in trees.needed(trees.padded(count) - 1 + leaf)}
    nodes[trees.padded(count) - 1 + leaf] = tree[trees.padded(count) - 1 + leaf]
    victim = data.draw(st.sampled_from(sorted(nodes)))

    assert not partial.add(nodes | {victim: bytes(32)})
    assert before == partial.lacking(leaf)
    assert partial.add(nodes)


def test_partial_without_a_root() -> None:
    """Without a root, nothing can be checked."""
    tree = trees.build(leaves_of(4))
    partial = trees.PartialTree(4)

    assert not partial.has_root
    assert partial.lacking(0) == [3, 4, 2]
    assert partial.lacking(0, with_leaf=False) == [4, 2]
    assert not partial.add({3: tree[3], 4: tree[4], 2: tree[2]})
    assert not partial.add({0: tree[0]})
    partial.set_root(tree[0])

    assert partial.has_root
    assert partial.add({3: tree[3], 4: tree[4], 2: tree[2]})
    assert partial.lacking(1) == []


def test_partial_of_one_leaf() -> None:
    """In a tree of one leaf, the root is the leaf, and its own proof."""
    partial = trees.PartialTree(1, b"root")

    assert (partial.lacking(0), partial.leaf(0)) == ([], b"root")
    assert partial.add({0: b"root"})
    assert not partial.add({0: b"else"})


@pytest.mark.parametrize("nodes", [{}, {7: b""}, {-1: b""}, {4: b"alone"}, {1: b"", 2: b""}])
def test_partial_nonsense(nodes: dict[int, bytes]) -> None:
    """Nodes outside the tree, or without a path to the root, are refused; no nodes are accepted."""
    partial = trees.PartialTree(4, trees.build(leaves_of(4))[0])

    assert partial.add(nodes) == (nodes == {})
    assert partial.lacking(0) == [3, 4, 2]
