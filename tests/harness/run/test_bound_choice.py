"""The choice of K shares is the earliest of all possible choices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.harness.run.bound_choice import Offer, earliest_choice, most_by

times = st.sampled_from([0.0, 1.0, 2.0, 3.0, inf])
offers = st.builds(
    lambda shares, steps: Offer(sorted(steps[: len(shares)]), shares),
    shares=st.dictionaries(st.integers(0, 3), times, max_size=3),
    steps=st.lists(times, min_size=3, max_size=3),
)


def by_hand(k: int, some: Sequence[Offer]) -> float:
    """Return the earliest of all ways to take each number from a server, or from none."""
    numbers = sorted({number for offer in some for number in offer.shares})
    best = inf
    for givers in product([None, *some], repeat=len(numbers)):
        given = [(n, offer) for n, offer in zip(numbers, givers, strict=True) if offer is not None]
        if len(given) != k or any(number not in offer.shares for number, offer in given):
            continue
        loads = [sum(one is offer for _, one in given) for offer in some]
        ends = [offer.steps[load - 1] for offer, load in zip(some, loads, strict=True) if load]
        best = min(best, max([*ends, *(offer.shares[number] for number, offer in given)]))
    return best


@given(st.integers(1, 4), st.lists(offers, max_size=4))
def test_best(k: int, some: list[Offer]) -> None:
    """It equals the best of all ways, for any placement and any times."""
    assert by_hand(k, some) == earliest_choice(k, some)


def test_given_by_another() -> None:
    """A server that is full gives another number, if one of its own can come from elsewhere."""
    one = Offer([1.0, 9.0], {0: 1.0, 1: 1.0})
    other = Offer([1.0, 9.0], {0: 1.0})

    assert most_by(1.0, [one, other], enough=2) == 2
    assert earliest_choice(2, [one, other]) == 1.0


@pytest.mark.parametrize(("time", "most"), [(0.5, 0), (1.0, 1), (2.0, 2), (3.0, 2)])
def test_most_by(time: float, most: int) -> None:
    """The number of shares grows with time, up to the number needed."""
    offer = Offer([1.0, 2.0, 3.0], dict.fromkeys(range(3), 0.0))

    assert most == most_by(time, [offer], enough=2)
