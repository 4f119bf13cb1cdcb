"""Races agree with order statistics, and with independent computations for delayed requests."""

from __future__ import annotations

from math import inf

import pytest

from firstk.harness.stats.race import Race, Runners
from firstk.harness.stats.theory import Stage
from firstk.scenarios.laws import Exponential, Mixture, Preset, Sum

EXPONENTIAL = Exponential(law="exponential", mean=1.0)
SLOWER = Exponential(law="exponential", mean=3.0)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_alike(k: int) -> None:
    """If all requests are alike, the k-th answer is an order statistic."""
    race = Race(k, [Runners(4, EXPONENTIAL), Runners(6, EXPONENTIAL)])
    stage = Stage(EXPONENTIAL, [float(m >= k) for m in range(11)])

    assert race.mean == pytest.approx(stage.mean, rel=1e-9)
    assert race.quantile(0.99) == pytest.approx(stage.quantile(0.99), rel=1e-9)
    assert race.cdf(0.7) == pytest.approx(stage.cdf(0.7), rel=1e-9)


def test_unlike() -> None:
    """The first of two requests with different laws has the sum of their rates."""
    race = Race(1, [Runners(1, EXPONENTIAL), Runners(1, SLOWER)])

    assert race.mean == pytest.approx(3 / 4)


def test_silent() -> None:
    """Requests without an answer leave a race undecided with a binomial probability."""
    race = Race(2, [Runners(4, EXPONENTIAL, silent=0.1)])

    assert race.success == pytest.approx(1 - 0.1**4 - 4 * 0.9 * 0.1**3)
    assert race.mean == inf
    assert race.quantile(0.9999) == inf
    assert race.quantile(0.5) < inf


@pytest.mark.parametrize(
    ("k", "n", "delay", "mean"),
    [
        (3, 10, 0.0, 0.3361111111),
        (3, 10, 0.5, 0.7039242892),
        (3, 10, 1.0, 1.0485563629),
        (3, 10, 2.0, 1.5039691562),
        (10, 14, 0.5, 1.3406549138),
        (10, 14, 2.0, 2.1498877987),
    ],
)
def test_delayed(k: int, n: int, delay: float, mean: float) -> None:
    """With K requests at once and the others delayed, means equal independent computations."""
    race = Race(k, [Runners(k, EXPONENTIAL), Runners(n - k, EXPONENTIAL, delay)])

    assert race.mean == pytest.approx(mean, rel=1e-8)


def test_hedged() -> None:
    """A second request after 8 ms to Yammer's servers equals an independent computation."""
    way = Preset.model_validate({"law": "preset", "name": "pbs-ymmr-one-way"})
    law = Sum(law="sum", laws=[way, way])

    assert Race(1, [Runners(1, law), Runners(1, law, 0.008)]).quantile(0.999) == pytest.approx(
        0.01671, abs=5e-6
    )


def test_mixture_with_steps() -> None:
    """Fixed times are steps of the distribution, as in the last of 100 answers."""
    law = Mixture.model_validate(
        {
            "law": "mixture",
            "weights": [0.99, 0.01],
            "laws": [{"law": "constant", "value": 0.01}, {"law": "constant", "value": 2.0}],
        }
    )

    assert 1 - Race(100, [Runners(100, law)]).cdf(1.0) == pytest.approx(1 - 0.99**100)
