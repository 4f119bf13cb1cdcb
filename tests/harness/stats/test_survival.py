"""Survival functions of sums and mixtures agree with closed forms, and with samples."""

from __future__ import annotations

from math import exp
from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter
from scipy.stats import gamma, norm

from firstk.harness.stats.survival import survival
from firstk.scenarios.laws import Law

_LAWS: TypeAdapter[Law] = TypeAdapter(Law)

TIMES = [0.0, 0.3, 1.0, 2.5, 8.0, 25.0]


def of(**table: Any) -> Law:
    """Return a law."""
    return _LAWS.validate_python(table)


EXPONENTIAL: dict[str, Any] = {"law": "exponential", "mean": 1.0}
PARETO: dict[str, Any] = {"law": "pareto", "alpha": 1.5, "scale": 0.5}


@pytest.mark.parametrize("time", TIMES)
def test_two_exponentials(time: float) -> None:
    """The sum of two exponential times is gamma distributed."""
    found = survival(of(law="sum", laws=[EXPONENTIAL, EXPONENTIAL]))(time)

    assert found == pytest.approx(gamma(2).sf(time), rel=1e-9)


@pytest.mark.parametrize("time", TIMES)
def test_exponential_and_uniform(time: float) -> None:
    """The sum with a uniform time is a mean over that time."""
    uniform = {"law": "uniform", "low": 0.0, "high": 2.0}
    # The mean of min(1, exp(u - t)) over u from 0 to 2.
    late = min(2.0, max(0.0, 2.0 - time))
    expected = (late + exp(min(0.0, 2.0 - late - time)) * (1 - exp(-(2.0 - late)))) / 2

    for laws in ([EXPONENTIAL, uniform], [uniform, EXPONENTIAL]):
        found = survival(of(law="sum", laws=laws))(time)
        assert found == pytest.approx(expected, abs=2e-4)


def test_fixed_times() -> None:
    """A fixed time moves the others, in a sum as in a shift; alone, it is a step."""
    fixed = {"law": "constant", "value": 0.5}
    shifted = survival(of(law="shifted", shift=0.5, base=EXPONENTIAL))
    summed = survival(of(law="sum", laws=[fixed, EXPONENTIAL]))

    assert shifted(1.5) == summed(1.5) == pytest.approx(exp(-1))
    assert shifted(0.25) == summed(0.25) == 1
    assert [survival(of(**fixed))(time) for time in (0.4, 0.5, 0.6)] == [1, 0, 0]


def test_mixture() -> None:
    """A mixture is a weighted sum, also within a sum."""
    mixed = {"law": "mixture", "weights": [1, 3], "laws": [EXPONENTIAL, PARETO]}
    one = survival(of(**mixed))
    two = survival(of(law="sum", laws=[mixed, EXPONENTIAL]))
    first = survival(of(law="sum", laws=[EXPONENTIAL, EXPONENTIAL]))
    second = survival(of(law="sum", laws=[PARETO, EXPONENTIAL]))

    assert one(2.0) == pytest.approx(0.25 * exp(-2) + 0.75 * 0.25**1.5)
    assert two(3.0) == pytest.approx(0.25 * first(3.0) + 0.75 * second(3.0))


@pytest.mark.parametrize("name", ["pbs-lnkd-ssd-one-way", "pbs-ymmr-one-way"])
def test_samples(name: str) -> None:
    """The survival function agrees with samples of two one-way delays with a heavy tail."""
    law = of(law="sum", laws=[{"law": "preset", "name": name}] * 2)
    random, probability = Random(5), survival(law)
    samples = sorted(law.sample(random) for _ in range(4_000))
    # The k-th sample is beyond a part of all that is beta distributed around 1 - k / 4,001.
    parts = [probability(samples[k]) for k in (400, 2_000, 3_600, 3_960)]

    for k, part in zip((400, 2_000, 3_600, 3_960), parts, strict=True):
        expected = 1 - k / 4_000
        error = (expected * (1 - expected) / 4_000) ** 0.5
        assert abs(part - expected) < norm.isf(1e-5) * error


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (of(law="sum", laws=[EXPONENTIAL] * 3), "three or more"),
        (of(law="quantiles", table=[[0.0, 0.0], [1.0, 1.0]]), "has no closed form"),
    ],
)
def test_unknown(law: Law, words: str) -> None:
    """A law without a closed form is refused."""
    with pytest.raises(ValueError, match=words):
        survival(law)
