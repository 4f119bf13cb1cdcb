"""Figures that several commands show."""

import math
from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.harness.stats.figures import median_time, quantile, rank, ratio_to_bound, rounded


@given(st.integers(1, 10**6), st.integers(1, 999))
def test_rank(count: int, thousandths: int) -> None:
    """The rank is exact, although fractions like 0.29 are not exact as floats."""
    exact = math.ceil(Fraction(thousandths, 1000) * count)

    assert rank(thousandths / 1000, count) == max(1, exact)


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.001, 1))
def test_quantile(values: list[float], q: float) -> None:
    """A quantile is one of the values, and a fraction `q` of them is no later."""
    ordered = sorted(values)
    found = quantile(ordered, q)

    assert found in ordered
    assert sum(value <= found for value in ordered) >= q * len(ordered) * (1 - 1e-9)
    assert sum(value < found for value in ordered) < q * len(ordered)


def test_quantile_of_nothing() -> None:
    """Without values, there is no quantile."""
    assert quantile([], 0.5) is None


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([1.0], 1.0),
        ([3.0, 1.0, 2.0], 2.0),
        ([1.0, 2.0], 1.0),
        ([1.0, None], 1.0),
        ([1.0, None, inf], inf),
    ],
)
def test_median_time(times: list[float | None], median: float) -> None:
    """A run that never starts is later than all others; the median is one of the times."""
    assert median_time(times) == median


@pytest.mark.parametrize(
    ("took", "least", "ratio"),
    [
        (0.5, 0.2, 2.5),
        (0.2, 0.2, 1.0),
        (0.0, 0.0, 1.0),
        (2.0, 0.0, inf),
        (None, 0.2, inf),
        (None, 0.0, inf),
        (0.5, None, None),
        (None, None, None),
        (12, 4, 3.0),
    ],
)
def test_ratio_to_bound(took: float | None, least: float | None, ratio: float | None) -> None:
    """A ratio to a bound is infinite if nothing came, and None if nothing was possible."""
    assert ratio_to_bound(took, least) == ratio


def test_rounded() -> None:
    """Numbers that differ only in their last bits are equal; infinity and None are unchanged."""
    assert rounded(0.1 + 0.2) == 0.3
    assert rounded(inf) == inf
    assert rounded(None) is None
