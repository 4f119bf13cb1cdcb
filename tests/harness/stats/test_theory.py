"""The theory agrees with independently computed numbers, and with itself."""

from __future__ import annotations

from itertools import combinations
from math import comb, exp, inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy.stats import hypergeom, lognorm

from firstk.harness.stats.theory import ForkJoin, Stage, covering, distinct, mean_of_kth
from firstk.scenarios.laws import Law
from tests.reference import (
    DUPLICATES,
    FORK_JOINS,
    HUNG,
    NON_PURGING,
    STAGES,
    first_of,
    law,
    name_of_stage,
    stage,
    stage_of_duplicates,
)

_LAWS: TypeAdapter[Law] = TypeAdapter(Law)

#: Every law with closed forms, and its mean.
KNOWN: list[tuple[dict[str, Any], float]] = [
    ({"law": "exponential", "mean": 0.2}, 0.2),
    ({"law": "shifted-exponential", "shift": 1.0, "mean": 0.5}, 1.5),
    ({"law": "uniform", "low": 0.5, "high": 2.5}, 1.5),
    ({"law": "lognormal", "median": 0.1, "sigma": 0.5}, 0.1 * exp(0.125)),
    ({"law": "pareto", "alpha": 3.0, "scale": 0.4}, 0.6),
]

PERCENT = (50, 90, 99)


def known(keys: dict[str, Any]) -> Law:
    """Return the law with these keys."""
    return _LAWS.validate_python(keys)


def name_of_law(value: object) -> str | None:
    """Return the law of a case as its id."""
    return str(value["law"]) if isinstance(value, dict) else None


def nine_digits(number: float) -> Any:
    """Return what equals a number that was printed with nine digits."""
    return pytest.approx(number, rel=5.1e-9, abs=0)


def six_places(number: float | None) -> Any:
    """Return what equals a number that was printed with six places; None is infinity."""
    return inf if number is None else pytest.approx(number, rel=0, abs=5.1e-7)


# Against the reference


@pytest.mark.parametrize("table", STAGES, ids=name_of_stage)
def test_stages(table: dict[str, Any]) -> None:
    """A stage is the K-th or the last of N answers, where each server may be hung."""
    made = stage(table)
    quantiles = [made.quantile(p / 100) for p in PERCENT]

    assert table["p_success"] == pytest.approx(made.success, rel=1e-12)
    assert table["mean"] == pytest.approx(made.mean, rel=1e-11)
    assert [table[f"p{p}"] for p in PERCENT] == pytest.approx(quantiles, rel=1e-11)


def test_hung_servers() -> None:
    """With exactly h of ten servers hung, three answers come for up to seven of them."""
    means = [Stage(law("exp1"), first_of(3, 10), hung=h).mean for h in range(len(HUNG))]

    assert [inf if mean is None else nine_digits(mean) for mean in HUNG] == means


@pytest.mark.parametrize("table", DUPLICATES, ids=lambda table: f"{len(table['copies'])} shares")
def test_duplicates(table: dict[str, Any]) -> None:
    """If shares are on several servers, the probability of K distinct ones equals the reference."""
    enough = distinct(table["copies"], table["K"])

    assert [nine_digits(probability) for probability in table["enough"]] == enough
    assert nine_digits(table["mean_answers"]) == sum(1 - probability for probability in enough)
    for expected, probability in ((table["plain"], 0.0), (table["hung01"], 0.1)):
        made = stage_of_duplicates(table, probability)

        assert nine_digits(expected.get("p_success", 1.0)) == made.success
        assert nine_digits(expected["mean"]) == made.mean
        for p in PERCENT:
            assert nine_digits(expected[f"p{p}"]) == made.quantile(p / 100)


@pytest.mark.parametrize("table", FORK_JOINS, ids=lambda table: f"{table['k']}-{table['load']}")
def test_fork_join(table: dict[str, Any]) -> None:
    """Bounds and exact values equal the reference, and its simulations are between the bounds."""
    made = ForkJoin(table["n"], table["k"], table["lam"], table["mu"])
    error = 2 * table["ci95"]  # four standard errors

    assert table["load"] == pytest.approx(made.load)
    assert six_places(table["lower"]) == made.lower
    assert six_places(table["splitmerge_upper"]) == made.upper
    assert made.lower - error <= table["sim"] <= made.upper + error
    if "exact" in table:
        assert six_places(table["exact"]) == made.exact
    else:
        assert made.exact is None


@pytest.mark.parametrize("table", NON_PURGING, ids=lambda t: f"{t['n']}-{t['k']}-{t['load']}")
def test_non_purging(table: dict[str, Any]) -> None:
    """Without purging, simulations are between the bounds too, and near the exact value."""
    made = ForkJoin(table["n"], table["k"], table["lam"], table["mu"], purging=False)
    error = 2 * table["ci95"]

    assert table["load"] == pytest.approx(made.load)
    assert made.lower - error <= table["sim"] <= made.upper + error
    if "exact" in table:
        assert six_places(table["exact"]) == made.exact
        assert abs(table["sim"] - table["exact"]) < error
    else:
        assert made.exact is None


# With itself


@pytest.mark.parametrize(("keys", "mean"), KNOWN, ids=name_of_law)
@pytest.mark.parametrize("servers", [1, 2, 20])
def test_means_add_up(keys: dict[str, Any], mean: float, servers: int) -> None:
    """The means of the first to the last of N times add up to N times the mean."""
    means = [mean_of_kth(known(keys), k, servers) for k in range(1, servers + 1)]

    assert means == sorted(means)
    assert servers * mean == pytest.approx(sum(means))


@pytest.mark.parametrize("keys", [keys for keys, _ in KNOWN], ids=name_of_law)
@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_mean_is_that_of_the_quantiles(keys: dict[str, Any], probability: float) -> None:
    """The mean equals that of the quantiles, which checks the closed forms against the cdf."""
    made = Stage(known(keys), first_of(3, 10), hung=1, probability=probability)
    parts = 100
    quantiles = [made.quantile((i + 0.5) / parts) for i in range(parts)]

    assert made.mean == pytest.approx(sum(quantiles) / parts, rel=1e-2)


@given(
    st.sampled_from([keys for keys, _ in KNOWN]),
    st.lists(st.integers(1, 4), min_size=1, max_size=6),
    st.integers(1, 6),
    st.integers(0, 3),
    st.floats(0, 0.9),
    st.floats(0.001, 0.999),
)
def test_quantile_and_cdf(
    keys: dict[str, Any],
    copies: list[int],
    k: int,
    hung: int,
    probability: float,
    q: float,
) -> None:
    """The cdf at the q-quantile is q times the success; without success, there is no quantile."""
    made = Stage(known(keys), distinct(copies, k), min(hung, sum(copies)), probability)
    time = made.quantile(q)

    if made.success > 0:
        assert q * made.success == pytest.approx(made.cdf(time), rel=1e-6)
    else:
        assert (inf, inf, 0) == (time, made.mean, made.cdf(1e9))


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(1, 4))
def test_distinct_by_trying_all(copies: list[int], k: int) -> None:
    """The counts of server sets equal brute force."""
    servers = [share for share, count in enumerate(copies) for _ in range(count)]
    tried = [
        sum(len(set(answers)) >= k for answers in combinations(servers, m)) / comb(len(servers), m)
        for m in range(len(servers) + 1)
    ]

    assert tried == distinct(copies, k)


def test_wait_for_all_with_hung_servers() -> None:
    """If all must answer, one hung server stalls the stage, and each must be good."""
    everything = first_of(10, 10)

    assert Stage(law("exp1"), everything, hung=1).success == 0
    assert pytest.approx(Stage(law("exp1"), everything, probability=0.1).success) == 0.9**10


def test_pareto_without_a_mean() -> None:
    """The last of many heavy-tailed times has an infinite mean, and the first a finite one."""
    heavy = known({"law": "pareto", "alpha": 0.5, "scale": 1.0})

    assert [inf, inf] == [mean_of_kth(heavy, k, 10) for k in (9, 10)]
    assert pytest.approx(mean_of_kth(heavy, 1, 10)) == 1.25
    assert inf == Stage(heavy, first_of(10, 10)).mean


def test_many_servers() -> None:
    """A thousand servers can be computed."""
    made = Stage(known(KNOWN[-1][0]), first_of(300, 1000))

    assert made.quantile(0.5) == pytest.approx(made.mean, rel=0.01)


@pytest.mark.parametrize(
    "keys",
    [
        {"law": "constant", "value": 1.0},
        {"law": "mixture", "weights": [1], "laws": [{"law": "constant", "value": 1.0}]},
    ],
    ids=name_of_law,
)
def test_other_laws(keys: dict[str, Any]) -> None:
    """A law without a closed form is refused by name."""
    with pytest.raises(ValueError, match=f"{keys['law']}' has no closed form"):
        mean_of_kth(known(keys), 1, 2)
    with pytest.raises(ValueError, match=f"{keys['law']}' has no closed form"):
        Stage(known(keys), first_of(1, 2)).quantile(0.5)


@given(
    st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
    st.floats(0.01, 0.99),
    st.floats(0.1, 10),
)
def test_bounds(sizes: tuple[int, int], load: float, service: float) -> None:
    """The lower bound is below the upper one, and both are above the time without a queue."""
    n, k = sizes
    made = ForkJoin(n, k, load * n * service / k, service)
    alone = sum(1 / i for i in range(n - k + 1, n + 1)) / service

    assert load == pytest.approx(made.load)
    assert alone <= made.lower <= made.upper * (1 + 1e-9)


@given(st.tuples(st.integers(1, 20), st.integers(1, 20)), st.floats(0.01, 0.99))
def test_non_purging_bounds(sizes: tuple[int, int], load: float) -> None:
    """Without purging it takes longer, and the exact value is between the bounds."""
    k, n = sorted(sizes)
    made = ForkJoin(n, k, load, 1.0, purging=False)
    alone = 1 / (1 - load)

    assert load == pytest.approx(made.load)
    assert ForkJoin(n, k, load, 1.0).lower <= made.lower <= made.upper
    assert made.lower <= (made.exact or made.lower) <= made.upper * (1 + 1e-9)
    assert made.lower >= alone / n
    assert inf == ForkJoin(n, k, 1.0, 1.0, purging=False).upper


def test_first_and_last_of_two() -> None:
    """The first and the last answer of two add up to two answers of one server."""
    first, last = (ForkJoin(2, k, 0.6, 1.0, purging=False).exact for k in (1, 2))

    assert first is not None
    assert last == ForkJoin(2, 2, 0.6, 1.0).exact
    assert pytest.approx(first + (last or 0)) == 2 / (1 - 0.6)
    assert inf == ForkJoin(2, 1, 1.0, 1.0, purging=False).exact


def test_too_much_load() -> None:
    """An overloaded grid has infinite times."""
    made = ForkJoin(10, 5, arrivals=2.0, service=1.0)

    assert (1, inf, inf) == (made.load, made.lower, made.upper)
    assert inf == ForkJoin(10, 1, arrivals=11.0, service=1.0).exact


def test_both_of_two() -> None:
    """Both of two servers agree with Nelson and Tantawi; without a load, with the last of two."""
    alone = ForkJoin(2, 2, arrivals=1e-12, service=2.0)
    made = ForkJoin(2, 2, arrivals=1.0, service=2.0)

    assert pytest.approx(alone.exact) == 0.75
    assert made.lower < (made.exact or 0) < made.upper
    assert made.exact == 1.5 - 1 / 16
    assert inf == ForkJoin(2, 2, arrivals=2.0, service=2.0).exact
    assert None is ForkJoin(3, 2, arrivals=1.0, service=2.0).exact


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=4),
    st.integers(1, 5),
)
def test_covering_by_trying_all(groups: list[tuple[int, int]], k: int) -> None:
    """For groups of servers with several shares or none, the counts equal brute force."""
    servers = [(group, held) for group, (count, held) in enumerate(groups) for _ in range(count)]
    tried = [
        sum(sum(held for _, held in set(answers)) >= k for answers in combinations(servers, m))
        / comb(len(servers), m)
        for m in range(len(servers) + 1)
    ]

    assert tried == covering(groups, k)


def test_covering_a_large_grid() -> None:
    """The counts also work for ten shares on a thousand servers."""
    enough = covering([(1, 1)] * 10 + [(990, 0)], 3)

    assert (enough[2], enough[993]) == (0, 1)
    assert hypergeom(1000, 10, 300).sf(2) == pytest.approx(enough[300])


MOMENTS = [
    ({"law": "exponential", "mean": 2.0}, 4 * (1 / 64 + 1 / 81 + 1 / 100)),
    ({"law": "shifted-exponential", "shift": 1e3, "mean": 2.0}, 4 * (1 / 64 + 1 / 81 + 1 / 100)),
    ({"law": "uniform", "low": 1.0, "high": 3.0}, 4 * 3 * 8 / (11**2 * 12)),
    ({"law": "pareto", "alpha": 2.0, "scale": 1.0}, 10 / 7 - (10 * 9 * 8 / (9.5 * 8.5 * 7.5)) ** 2),
]


@pytest.mark.parametrize(("keys", "variance"), MOMENTS, ids=name_of_law)
def test_variance(keys: dict[str, Any], variance: float) -> None:
    """The variance of the third of ten equals its closed form."""
    assert variance == pytest.approx(Stage(known(keys), first_of(3, 10)).variance)


def test_variance_of_a_lognormal_law() -> None:
    """A lognormal time has the textbook variance and skewness, even with a heavy tail."""
    for sigma in (0.5, 1.0, 2.0):
        made = Stage(known({"law": "lognormal", "median": 1.0, "sigma": sigma}), first_of(1, 1))
        _, variance, skewness = lognorm(sigma).stats(moments="mvs")

        assert variance == pytest.approx(made.variance)
        assert skewness == pytest.approx(made.skewness)


def test_moments_where_servers_are_hung() -> None:
    """If servers may hang, the moments are those of a mixture."""
    made = Stage(law("exp1"), first_of(1, 2), probability=0.5)
    mean = (0.25 * 0.5 + 0.5 * 1) / 0.75
    second, third = (0.25 * 0.5 + 0.5 * 2) / 0.75, (0.25 * 0.75 + 0.5 * 6) / 0.75
    central = third - 3 * mean * second + 2 * mean**3

    assert second - mean**2 == pytest.approx(made.variance)
    assert central / made.variance**1.5 == pytest.approx(made.skewness)


def test_moments_that_there_are_not() -> None:
    """The last of Pareto times has the moments below alpha, and the first of ten has more."""
    heavy = known({"law": "pareto", "alpha": 2.5, "scale": 1.0})
    last, first = Stage(heavy, first_of(10, 10)), Stage(heavy, first_of(1, 10))

    assert last.variance < inf
    assert inf == last.skewness
    assert first.skewness < inf
    assert inf == Stage(heavy, first_of(3, 10), hung=8).variance
    assert inf == Stage(known({"law": "pareto", "alpha": 2.0, "scale": 1.0}), [0.0, 1.0]).variance
