"""Minimal sets of things that must all go for all to be well, found by trying."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from math import comb


@dataclass(frozen=True)
class Minimal:
    """The minimal sets of indices, smallest first; no proper subset of one of them suffices.

    All sets of up to `searched` indices were tried, or are supersets of one that suffices. If none
    of these suffices, there is one larger set, of which no single index can be kept.
    """

    sets: list[tuple[int, ...]]
    searched: int


def minimal_sets(count: int, well: Callable[[Iterable[int]], bool], tries: int) -> Minimal | None:
    """Return the minimal sets of `count` things without which all is well; None if there are none.

    `well` says whether all is well without some things. Sets are tried size by size, as long as
    all sets of the next size can be tried with about `tries` calls in all.

    >>> minimal_sets(4, lambda gone: {0} <= set(gone) or {1, 3} <= set(gone), 100)
    Minimal(sets=[(0,), (1, 3)], searched=4)
    """
    everything = range(count)
    if not count or not well(everything):
        return None
    found: list[tuple[int, ...]] = []
    size = 0
    while size < count and comb(count, size + 1) <= tries:
        size += 1
        tries -= comb(count, size)
        for one in combinations(everything, size):
            if not any(set(small) <= set(one) for small in found) and well(one):
                found.append(one)
    if not found:
        kept = list(everything)
        for place in everything:
            rest = [other for other in kept if other != place]
            if well(rest):
                kept = rest
        found.append(tuple(kept))
    return Minimal(found, size)
