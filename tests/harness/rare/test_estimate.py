"""Estimates of rare events, compared with closed forms. No simulation is run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, log

import pytest
from scipy import stats
from scipy.optimize import brentq

from firstk.harness.rare.choices import Choices, Unit
from firstk.harness.rare.estimate import RareEstimate
from firstk.harness.rare.event import parse_event
from firstk.harness.rare.proposal import first_proposal
from firstk.harness.rare.rare import sample

RUNS = 2000


def servers(count: int, probability: float) -> list[Unit]:
    """Return that many servers, each of which is selected with this probability."""
    return [Unit(0, (i,), probability) for i in range(count)]


def racks(probability: float) -> list[Unit]:
    """Return three racks of four servers each, which are selected together."""
    return [Unit(1, range(4 * i, 4 * i + 4), probability) for i in range(3)]


def estimate(
    event: str, units: Sequence[Unit], ranks: int, time_of: Callable[[Choices], float], seed: int
) -> RareEstimate:
    """Return an estimate, in which `time_of` stands for the simulation."""
    first = first_proposal(units, ranks)
    seeds = RUNS * seed
    return sample(
        parse_event(event), first, RUNS, lambda run, one: time_of(one), lambda run: seeds + run
    )


def hangs_without(needed: int, units: Sequence[Unit], count: int) -> Callable[[Choices], float]:
    """Return whether fewer than `needed` servers are left: a download then never ends."""

    def time_of(choices: Choices) -> float:
        bad: set[int] = set()
        for unit, selected in zip(units, choices.selected, strict=True):
            bad |= set(unit.servers) if selected else set()
        return inf if count - len(bad) < needed else 0.0

    return time_of


def kth_exponential(k: int) -> Callable[[Choices], float]:
    """Return the k-th of exponential times with the chosen ranks."""
    return lambda choices: sorted(-log(rank) for rank in choices.ranks)[k - 1]


def exact_quantile(k: int, n: int, tail: float) -> float:
    """Return the time that the k-th of n exponential times exceeds with this probability."""
    part = brentq(lambda x: stats.binom.cdf(k - 1, n, x) - tail, 1e-12, 1 - 1e-12, xtol=1e-14)
    return -log(1 - part)


def covered(found: Sequence[RareEstimate], exact: float) -> int:
    """Return how many of the intervals contain the exact value."""
    return sum(one.estimate.low <= exact <= one.estimate.high for one in found)


@pytest.mark.parametrize(
    ("count", "needed", "probability"), [(10, 3, 0.147), (5, 3, 0.0145), (1, 1, 1e-5)]
)
def test_binomial(count: int, needed: int, probability: float) -> None:
    """K of N servers with independent failures: the interval has the binomial tail, and is narrow.

    2,000 runs do the work of a hundred times as many and more.
    """
    units = servers(count, probability)
    exact = stats.binom.sf(count - needed, count, probability)
    found = estimate("hangs", units, 0, hangs_without(needed, units, count), seed=1)

    assert covered([found], exact) == 1
    assert found.estimate.high < 1.3 * exact
    assert found.estimate.low > exact / 1.3
    assert found.worth > 100 * RUNS
    assert found.least == count - needed + 1
    assert found.events <= found.runs == RUNS * 4 // 5


def exact_racks(rack: float, server: float) -> float:
    """Return the probability that fewer than 3 of 12 servers are left in three racks."""
    return float(
        sum(
            stats.binom.pmf(lost, 3, rack)
            * stats.binom.sf(12 - 4 * lost - 3, 12 - 4 * lost, server)
            for lost in range(4)
        )
    )


def test_groups() -> None:
    """With racks that fail as a whole and single servers, the interval has the exact value."""
    units = [*servers(12, 0.1), *racks(0.01)]
    found = estimate("hangs", units, 0, hangs_without(3, units, 12), seed=1)

    assert covered([found], exact_racks(0.01, 0.1)) == 1
    assert found.worth > 100 * RUNS


@pytest.mark.parametrize(("k", "n"), [(3, 10), (1, 2)])
def test_order_statistic(k: int, n: int) -> None:
    """p99.99 of the k-th of n exponential times."""
    exact = exact_quantile(k, n, 1e-4)
    found = estimate("p99.99", [], n, kth_exponential(k), seed=1)

    assert covered([found], exact) == 1
    assert found.estimate.high < 1.2 * exact
    assert found.estimate.low > exact / 1.2
    assert found.worth > 10 * RUNS


def test_never() -> None:
    """An event that cannot occur has an interval from 0, bounded by the plain runs."""
    found = estimate("hangs", servers(3, 0.1), 0, lambda choices: 0.0, seed=1)

    assert (found.estimate.estimate, found.estimate.low, found.events) == (0.0, 0.0, 0)
    assert 0 < found.estimate.high < 0.1


def test_certain_to_be_never() -> None:
    """A quantile is infinite if downloads hang more often than that."""
    units = servers(2, 0.1)
    found = estimate("p99.9", units, 0, hangs_without(2, units, 2), seed=1)

    assert (found.estimate.estimate, found.estimate.high) == (inf, inf)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "needed", "probability"), [(10, 3, 0.1526), (5, 3, 0.01), (1, 1, 1e-5)]
)
def test_coverage_of_binomials(count: int, needed: int, probability: float) -> None:
    """Of 200 intervals for a probability near 1e-5, at least 95 % contain it."""
    units = servers(count, probability)
    exact = stats.binom.sf(count - needed, count, probability)
    time_of = hangs_without(needed, units, count)
    found = [estimate("hangs", units, 0, time_of, seed) for seed in range(200)]

    assert covered(found, exact) >= 190


@pytest.mark.slow
def test_coverage_of_groups() -> None:
    """Of 200 intervals for racks and servers, at least 95 % contain the probability."""
    units = [*servers(12, 0.1), *racks(0.01)]
    time_of = hangs_without(3, units, 12)
    found = [estimate("hangs", units, 0, time_of, seed) for seed in range(200)]

    assert covered(found, exact_racks(0.01, 0.1)) >= 190


@pytest.mark.slow
@pytest.mark.parametrize(("k", "n"), [(3, 10), (1, 2), (10, 10)])
def test_coverage_of_quantiles(k: int, n: int) -> None:
    """Of 100 intervals for p99.99 of an order statistic, at least 95 % contain it."""
    found = [estimate("p99.99", [], n, kth_exponential(k), seed) for seed in range(100)]

    assert covered(found, exact_quantile(k, n, 1e-4)) >= 95
