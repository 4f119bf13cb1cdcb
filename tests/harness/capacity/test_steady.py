"""Verdicts on the mean of a number over independent runs."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from random import Random
from statistics import fmean, stdev
from typing import Any

import pytest
from scipy import stats

from firstk.harness.capacity.steady import (
    Criterion,
    busy,
    criterion_of,
    judge,
    mean_of_runs,
    piled_up,
    settling,
    stability,
)
from firstk.scenarios.condition import parse_condition
from tests.harness.making import scenario
from tests.reports.loads import load, parted


def test_interval_is_students() -> None:
    """The interval of a mean is that of Student's t, as SciPy computes it."""
    numbers = [0.1, 0.5, 0.2, 0.7]
    found = mean_of_runs(numbers)
    expected = stats.ttest_1samp(numbers, 0).confidence_interval(0.95)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_piled_up() -> None:
    """The growth is a share of the downloads, without those that never end."""
    run = replace(load([0.1] * 8 + [None] * 2), piled_up=5)

    assert piled_up(run) == 0.3
    assert piled_up(None) == 0.25


def stable(**client: Any) -> Criterion:
    """Return the criterion for 100 downloads after a warm-up of 50."""
    workload = {"arrivals": {"kind": "poisson", "rate": 1.0}, "downloads": 100, "warmup": 50}
    return stability(scenario(workload=workload, **({"client": client} if client else {})))


@pytest.mark.parametrize(
    ("grown", "expected"), [([1, 0, 1, 0], True), ([40, 50, 45, 42], False), ([0, 9, 1, 4], None)]
)
def test_stability(grown: list[int], expected: bool | None) -> None:
    """A load is carried if the growth is small in all runs, and undecided if runs differ much."""
    runs = [replace(load([0.1] * 100, 0.95), piled_up=number) for number in grown]

    assert judge(stable(), runs, 1).met is expected


@pytest.mark.parametrize(
    ("grown", "expected"), [([0, 9, 1, 4], True), ([40, 50, 45, 42], False), ([8, 9, 9, 8], False)]
)
def test_spare(grown: list[int], expected: bool) -> None:
    """With spare capacity, a load is carried, unless the runs show otherwise."""
    runs = [replace(load([0.1] * 100, 0.85), piled_up=number) for number in grown]

    assert judge(stable(), runs, 1).met is expected


def test_busy_client() -> None:
    """A client's own time is not measured, so spare capacity of the servers shows nothing."""
    runs = [replace(load([0.1] * 100, 0.1), piled_up=number) for number in (0, 9, 1, 4)]

    assert judge(stable(cpu_per_segment=0.1), runs, 1).met is None


def test_not_settled() -> None:
    """Growth while a nearly saturated grid settles does not count."""
    runs = [replace(load([0.1] * 100, 0.99), piled_up=number) for number in (4, 6, 5, 3)]

    assert judge(replace(stable(), settling=0.0), runs, 1).met is False
    assert judge(stable(), runs, 1).met is None


@pytest.mark.parametrize("warmup", [0, 10, 50])
def test_settling(warmup: int) -> None:
    """The growth of a random walk reflected at 0 follows the formula."""
    random = Random(1)
    grown = []
    for _ in range(20_000):
        before = random.gauss(0, sqrt(warmup))
        grown.append(abs(before + random.gauss(0, 10)) - abs(before))

    assert fmean(grown) / stdev(grown) == pytest.approx(settling(warmup, 100), rel=0.03)


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
    """A quantile, the success and the utilisation are each compared with their limit."""
    of_each = [replace(parted(good), utilisation=0.7) for good in (95, 96, 95, 96)]

    assert judge(criterion_of(parse_condition(condition), "ttfb"), of_each, 1).met is expected


def test_ended_early() -> None:
    """A run that ended early since too many downloads were in progress meets no criterion."""
    conditions = ["p50 <= 9 s", "success >= 1%", "busy <= 99%"]
    criteria = [criterion_of(parse_condition(text), "ttfb") for text in conditions]

    assert [judge(one, [None] * 4, 1).met for one in [stable(), *criteria]] == [False] * 4
    assert busy(None) == 1.0
