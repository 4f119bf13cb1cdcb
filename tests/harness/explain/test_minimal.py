"""Minimal sets, compared with all subsets."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.harness.explain.minimal import minimal_sets


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.integers(1, 6), st.sets(st.frozensets(st.integers(0, 5), max_size=4), max_size=5))
def test_all_subsets(count: int, causes: set[frozenset[int]]) -> None:
    """With enough tries, all sets that suffice, and of which no subset does, are found."""
    everything = frozenset(range(count))
    able = [cause for cause in causes if cause and cause <= everything]

    def well(gone: Iterable[int]) -> bool:
        return any(cause <= set(gone) for cause in able)

    subsets = [set(c) for size in range(count + 1) for c in combinations(range(count), size)]
    good = [one for one in subsets if well(one)]
    expected = sorted(tuple(sorted(g)) for g in good if not any(other < g for other in good))
    found = minimal_sets(count, well, 1000)

    assert expected == (sorted(found.sets) if found else [])


def test_few_tries() -> None:
    """With too few tries, one set is found from which nothing can be removed."""
    tried = []

    def well(gone: Iterable[int]) -> bool:
        tried.append(list(gone))
        return sum(place >= 10 for place in tried[-1]) >= 12

    found = minimal_sets(30, well, 100)

    assert found is not None
    assert (found.searched, len(found.sets), len(found.sets[0])) == (1, 1, 12)
    assert len(tried) < 100


@pytest.mark.parametrize("count", [0, 3])
def test_none(count: int) -> None:
    """If even removing everything does not suffice, there are no sets."""
    assert minimal_sets(count, lambda gone: False, 100) is None
