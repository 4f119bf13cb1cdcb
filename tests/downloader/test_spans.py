"""Spans of a share, compared with sets of its bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from firstk.downloader.spans import Received, Spans

spans_of_bytes = st.tuples(st.integers(0, 40), st.integers(1, 12))


def bytes_of(span: tuple[int, int]) -> set[int]:
    """Return the bytes of a span."""
    return set(range(span[0], sum(span)))


@given(st.lists(st.tuples(st.booleans(), spans_of_bytes), max_size=20), spans_of_bytes)
def test_set(steps: list[tuple[bool, tuple[int, int]]], other: tuple[int, int]) -> None:
    """Spans hold the same bytes as a set, in as few spans as possible, in order."""
    spans, expected = Spans(), set[int]()
    for adds, span in steps:
        if adds:
            spans.add(*span)
            expected |= bytes_of(span)
        else:
            spans.remove(*span)
            expected -= bytes_of(span)
    found = list(spans)

    assert expected == set().union(*map(bytes_of, found))
    assert all(one[0] + one[1] < two[0] for one, two in pairwise(found))
    assert all(length > 0 for _, length in found)
    assert spans.overlaps(*other) == bool(expected & bytes_of(other))
    assert spans.overlaps_any([other]) == spans.overlaps(*other)


def test_overlaps_nothing() -> None:
    """An empty list of spans overlaps nothing, and nothing overlaps empty `Spans`."""
    assert not Spans().overlaps_any([(0, 100)])
    assert not Spans().overlaps_any([])


@given(st.binary(min_size=1, max_size=50), st.sets(st.integers(0, 50)), spans_of_bytes, st.data())
def test_received(
    share: bytes, cuts: set[int], wanted: tuple[int, int], data: st.DataObject
) -> None:
    """Pieces received in any order are joined; a range with a gap is not available."""
    places = sorted({0, len(share), *(cut for cut in cuts if cut < len(share))})
    pieces = [(a, share[a:b]) for a, b in pairwise(places)]
    there = data.draw(st.permutations(pieces))[: data.draw(st.integers(0, len(pieces)))]
    received = Received()
    for offset, piece in there:
        received.add(offset, piece)
    here = set().union(*(bytes_of((offset, len(piece))) for offset, piece in there))
    offset, length = wanted

    assert {(offset, len(piece)) for offset, piece in there} == set(received)
    if bytes_of(wanted) <= here:
        assert received.get(*wanted) == share[offset : offset + length]
    else:
        assert received.get(*wanted) is None
    received.remove(*wanted)
    for place in range(len(share)):
        kept = place in here - bytes_of(wanted)
        assert received.get(place, 1) == (share[place : place + 1] if kept else None)


def test_nothing_received() -> None:
    """An empty answer leaves nothing, and cleared data is gone."""
    received = Received()
    received.add(5, b"")
    assert list(received) == []
    received.add(5, b"abc")
    received.clear()

    assert received.get(5, 1) is None
