"""Judgements on the mean of a number over independent runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats

from firstk.harness.capacity.steady import (
    busy,
    criterion_of,
    judge,
    mean_of_runs,
    piled_up,
    stability,
)
from firstk.scenarios.condition import parse_condition
from tests.reports.loads import load, parted


def test_interval_is_students() -> None:
    """The interval of a mean is SciPy's, by Student's t."""
    numbers = [0.1, 0.5, 0.2, 0.7]
    found = mean_of_runs(numbers)
    expected = stats.ttest_1samp(numbers, 0).confidence_interval(0.95)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_piled_up() -> None:
    """What piles up is a share of the downloads, without those that never end."""
    run = replace(load([0.1] * 8 + [None] * 2), piled_up=5)

    assert piled_up(run) == 0.3
    assert piled_up(None) == 0.25


@pytest.mark.parametrize(
    ("grown", "expected"), [([1, 0, 1, 0], True), ([40, 50, 45, 42], False), ([0, 9, 1, 4], None)]
)
def test_stability(grown: list[int], expected: bool | None) -> None:
    """A load is carried if little piles up in all runs, and not decided if they differ much."""
    runs = [replace(load([0.1] * 100), piled_up=number) for number in grown]

    assert judge(stability(), runs, 1).met is expected


def test_looks_share_the_risk() -> None:
    """With more looks, each has a wider interval."""
    runs = [parted(good) for good in (90, 92, 95, 91)]
    criterion = criterion_of(parse_condition("success >= 90%"), "ttfb")
    one, five = (judge(criterion, runs, looks).estimate for looks in (1, 5))

    assert five.low < one.low < one.high < five.high


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("p90 <= 0.2 s", True),
        ("p90 <= 0.05 s", False),
        ("success >= 90%", True),
        ("success >= 99%", False),
        ("busy <= 90%", True),
        ("busy <= 50%", False),
    ],
)
def test_conditions(condition: str, expected: bool) -> None:
    """A quantile, the success and the utilisation are each judged on their own side."""
    of_each = [replace(parted(good), utilisation=0.7) for good in (95, 96, 95, 96)]

    assert judge(criterion_of(parse_condition(condition), "ttfb"), of_each, 1).met is expected


def test_ended_early() -> None:
    """A run that was ended since too much was in progress meets nothing."""
    conditions = ["p50 <= 9 s", "success >= 1%", "busy <= 99%"]
    criteria = [criterion_of(parse_condition(text), "ttfb") for text in conditions]

    assert [judge(one, [None] * 4, 1).met for one in [stability(), *criteria]] == [False] * 4
    assert busy(None) == 1.0
