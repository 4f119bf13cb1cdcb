"""The search for the greatest rate that meets criteria."""

from __future__ import annotations

from math import inf

import pytest

from firstk.harness.capacity.search import CLOSE, Bracket, nice, search


@pytest.mark.parametrize("start", [0.5, 40.0, 95.0, 20_000.0])
def test_bisection(start: float) -> None:
    """From any starting rate, the search ends with a narrow bracket of the true rate."""
    tried: list[float] = []

    def probe(rate: float) -> bool:
        tried.append(rate)
        return rate < 95

    found = search(probe, start, 100_000)

    assert found.low < 95 <= found.high
    assert found.high / found.low <= CLOSE
    assert len(tried) == len(set(tried))


def test_undecided() -> None:
    """Rates without a verdict stay inside the bracket, with narrow gaps on either side."""
    found = search(lambda rate: None if 90 < rate < 100 else rate <= 90, 40, 1000)

    assert found.low <= 90
    assert found.high >= 100
    assert found.low > 90 / CLOSE
    assert found.high < 100 * CLOSE
    assert all(90 < rate < 100 for rate in found.open_)


def test_without_end() -> None:
    """If every rate is met, the greatest one is tried, and the upper end is infinite."""
    assert search(lambda rate: True, 7, 50) == Bracket(low=50, high=inf)


def test_none_is_met() -> None:
    """If no rate is met, the search stops after some halvings, with a lower end of 0."""
    found = search(lambda rate: False, 8, 50)

    assert (found.low, found.high) == (0.0, nice(8 / 2**12))


def test_open_start() -> None:
    """An undecided first rate is followed by a greater and a lower one."""
    found = search(lambda rate: None if rate == 40 else rate < 40, 40, 1000)

    assert found.low < 40 < found.high
    assert found.open_ == [40]
