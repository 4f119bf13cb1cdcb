"""Bets on a mean are right as often as they claim, whenever and however often one looks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import exp, inf, log, prod
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.special import betainc

from firstk.harness.stats.betting import _LOG_SHARES, _PARTS, Evidence
from tests.marks import few

NUMBER = st.integers(0, 64).map(lambda n: n / 64)
NUMBERS = st.lists(NUMBER, min_size=1, max_size=30)
LIMIT = st.integers(1, 63).map(lambda n: n / 64)
CONFIDENCE = st.floats(0.5, 0.999)

#: At 95 % a wrong claim on one side is refuted with at most this probability.
RISK = 0.025

# The capital


def capital(numbers: Sequence[float], limit: float) -> Fraction:
    """Return the capital computed exactly: bet by bet and number by number, without logarithms."""
    shares = [Fraction(exp(log_share)) for log_share in _LOG_SHARES]
    return sum(
        (
            share * prod(1 + Fraction(part) * (Fraction(x) / Fraction(limit) - 1) for x in numbers)
            for share, part in zip(shares, _PARTS, strict=True)
        ),
        Fraction(0),
    )


@given(NUMBERS, LIMIT)
@example([0.0] * 30, 1 / 64)
@example([1.0] * 30, 63 / 64)
def test_capital(numbers: list[float], limit: float) -> None:
    """The capital equals an exact computation with fractions."""
    expected = capital(numbers, limit)

    assert pytest.approx(log(expected), abs=1e-9) == Evidence.of(numbers).log_capital(limit)


def test_fair() -> None:
    """The bets are fair: at the true mean, the expected capital is 1; their shares add up to 1."""
    assert pytest.approx(np.exp(_LOG_SHARES).sum()) == 1
    assert len(_PARTS) == len(_LOG_SHARES)
    assert all(0 < part <= 1 for part in _PARTS)
    for numbers in ([0.0, 0.25, 1.0, 0.5], [0.0, 0.0, 1.0]):
        mean = sum(numbers) / len(numbers)
        after = [capital([*numbers, x], mean) for x in numbers]

        assert pytest.approx(float(capital(numbers, mean))) == float(sum(after) / len(after))


@given(NUMBERS, LIMIT, LIMIT)
def test_limits(numbers: list[float], one: float, other: float) -> None:
    """A greater limit gives no more capital."""
    less, more = sorted((one, other))
    found = Evidence.of(numbers)

    assert found.log_capital(less) >= found.log_capital(more) - 1e-9


@given(st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=30), LIMIT, CONFIDENCE)
def test_greater_numbers(pairs: list[tuple[float, float]], limit: float, confidence: float) -> None:
    """Greater numbers give no less evidence, and an interval with no lower ends."""
    less = Evidence.of(min(pair) for pair in pairs)
    more = Evidence.of(max(pair) for pair in pairs)

    assert less.log_capital(limit) <= more.log_capital(limit) + 1e-9
    ends = zip(less.interval(confidence), more.interval(confidence), strict=True)
    assert all(low <= high + 1e-9 for low, high in ends)


@given(NUMBERS, st.randoms(), LIMIT)
def test_order(numbers: list[float], random: Random, limit: float) -> None:
    """The order of the runs changes nothing, not even the last bit."""
    one, other = Evidence.of(numbers), Evidence.of(random.sample(numbers, len(numbers)))

    assert one.log_capital(limit) == other.log_capital(limit)
    assert one.interval(0.95) == other.interval(0.95)
    assert one.runs_to_tell(limit, 0.95) == other.runs_to_tell(limit, 0.95)


@given(st.integers(0, 300), st.integers(1, 300), LIMIT)
def test_counts(count: int, runs: int, limit: float) -> None:
    """For zeros and ones, only the counts matter."""
    count = min(count, runs)
    zeros_and_ones = Evidence.of([1.0] * count + [0.0] * (runs - count))
    found = Evidence.of_count(count, runs)

    assert pytest.approx(zeros_and_ones.log_capital(limit)) == found.log_capital(limit)
    assert zeros_and_ones.interval(0.95) == pytest.approx(found.interval(0.95))
    assert (runs, count / runs) == (found.runs, found.mean)


# Verdicts and intervals


@given(NUMBERS, LIMIT, CONFIDENCE)
def test_interval(numbers: list[float], limit: float, confidence: float) -> None:
    """The mean is decided exactly for limits outside the interval."""
    found = Evidence.of(numbers)
    low, high = found.interval(confidence)
    assume(min(abs(limit - low), abs(limit - high)) > 1e-6)

    assert 0 <= low <= found.mean <= high <= 1
    expected = True if limit < low else False if limit > high else None
    assert expected is found.is_over(limit, confidence)


@given(NUMBERS, LIMIT, CONFIDENCE)
def test_mirrored(numbers: list[float], limit: float, confidence: float) -> None:
    """Mirroring the numbers and the limit mirrors the interval and the verdict."""
    found, mirrored = Evidence.of(numbers), Evidence.of(1 - x for x in numbers)
    low, high = found.interval(confidence)

    assert (1 - high, 1 - low) == pytest.approx(mirrored.interval(confidence), abs=1e-9)
    over, under = found.is_over(limit, confidence), mirrored.is_over(1 - limit, confidence)
    assert (None if over is None else not over) is under


@given(NUMBERS, CONFIDENCE, CONFIDENCE)
def test_more_confidence(numbers: list[float], one: float, other: float) -> None:
    """More confidence never makes an interval narrower."""
    less, more = sorted((one, other))
    narrow, wide = (Evidence.of(numbers).interval(confidence) for confidence in (less, more))

    assert wide[0] <= narrow[0] + 1e-9
    assert narrow[1] <= wide[1] + 1e-9


@pytest.mark.parametrize(
    ("numbers", "low", "high"),
    [
        ([0.0], 0, 0.98706),
        ([1.0], 0.01294, 1),
        ([0.5], 0.00647, 0.99353),
        ([0.0] * 1000, 0, 0.00462),
        ([1.0] * 1000, 0.99538, 1),
        ([0.5] * 1000, 0.49769, 0.50231),
        ([0.0, 1.0], 0.00165, 0.99835),
        ([5e-324], 0, 0.98706),
        ([1e-9] * 1000, 0, 0.00462),
        ([1 - 2**-53] * 1000, 0.99538, 1),
    ],
)
def test_extremes(numbers: list[float], low: float, high: float) -> None:
    """One run, equal runs, and numbers at 0 and 1 have intervals too, in [0, 1]."""
    assert (low, high) == pytest.approx(Evidence.of(numbers).interval(0.95), abs=6e-6)


@pytest.mark.parametrize("numbers", [[1.0], [0.0, 1.0], [0.25, 0.5, 1.0], [0.03125] * 20])
def test_ends(numbers: list[float]) -> None:
    """At the ends of the interval the exact capital is 40, for 2.5 % on each side."""
    low, high = Evidence.of(numbers).interval(0.95)
    mirrored = [1 - x for x in numbers]

    assert pytest.approx(float(capital(numbers, low))) == 40
    assert high == 1 or pytest.approx(float(capital(mirrored, 1 - high))) == 40


@pytest.mark.parametrize("limit", [1e-12, 1e-4, 0.5, 1 - 1e-4, 1 - 1e-12])
def test_extreme_limits(limit: float) -> None:
    """Limits near 0 and 1 are decided from a mean on the other side, and never from their own."""
    zeros, ones = Evidence.of_count(0, 10**6), Evidence.of_count(10**6, 10**6)

    assert (False if limit > 1e-5 else None) is zeros.is_over(limit, 0.95)
    assert (True if limit < 1 - 1e-5 else None) is ones.is_over(limit, 0.95)
    assert None is Evidence.of([limit] * 100).is_over(limit, 0.95)


@pytest.mark.parametrize("numbers", [[], [-0.1], [0.5, 1.1], [float("nan")], [inf]], ids=str)
def test_impossible_numbers(numbers: list[float]) -> None:
    """An empty sequence, or a number outside [0, 1], is refused."""
    with pytest.raises(ValueError, match="one number or more, from 0 to 1"):
        Evidence.of(numbers)


@pytest.mark.parametrize(("count", "runs"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts(count: int, runs: int) -> None:
    """Zero runs, or a count above the number of runs, is refused."""
    with pytest.raises(ValueError, match=f"not {count} of {runs}"):
        Evidence.of_count(count, runs)


def test_impossible_limits() -> None:
    """Limits and confidences must be between 0 and 1."""
    found = Evidence.of_count(1, 2)
    for ask in (found.is_over, found.runs_to_tell):
        with pytest.raises(ValueError, match="a limit should be between 0 and 1, not 1"):
            ask(1, 0.95)
        with pytest.raises(ValueError, match="a confidence should be between 0 and 1, not 95"):
            ask(0.5, 95)
    with pytest.raises(ValueError, match="a confidence should be between 0 and 1, not 0"):
        found.interval(0)


# How many runs


@given(NUMBERS, LIMIT, CONFIDENCE)
def test_runs_to_tell(numbers: list[float], limit: float, confidence: float) -> None:
    """That many runs like the present ones decide, and one repetition fewer does not."""
    found = Evidence.of(numbers)
    needed = found.runs_to_tell(limit, confidence)
    if needed is None:
        assert pytest.approx(limit, abs=1e-4) == found.mean
        return
    times = -(-needed // len(numbers))

    def repeated(times: int) -> Evidence:
        return Evidence(found.values, found.counts * times)

    assert (found.mean > limit) is repeated(times).is_over(limit, confidence)
    if (before := (needed - 1) // len(numbers)) > 0:
        assert None is repeated(before).is_over(limit, confidence)


@pytest.mark.parametrize(
    ("limit", "runs"), [(0.5, 7), (0.9, 44), (0.99, 461), (0.999, 4628), (0.9999, 46_298)]
)
def test_no_failure(limit: float, runs: int) -> None:
    """Runs without a failure need at most 26 % more than the least of any method."""
    least = log(1 / RISK) / -log(limit)

    assert runs == Evidence.of_count(1, 1).runs_to_tell(limit, 0.95)
    assert True is Evidence.of_count(runs, runs).is_over(limit, 0.95)
    assert None is Evidence.of_count(runs - 1, runs - 1).is_over(limit, 0.95)
    assert runs < 1.26 * least + 1


def once(part: float, limit: float) -> float:
    """Return the runs after which Clopper and Pearson's interval decides, with a single look."""
    low, high = 1.0, 1e10
    for _ in range(60):
        middle = (low * high) ** 0.5
        over = part > limit
        p, bound = (part, limit) if over else (1 - part, 1 - limit)
        tail = betainc(p * middle, middle - p * middle + 1, bound)
        low, high = (low, middle) if tail <= RISK else (middle, high)
    return high


@pytest.mark.parametrize("limit", [0.5, 0.9, 0.99, 0.999, 0.9999])
@pytest.mark.parametrize("failures", [0.1, 0.3, 0.5, 0.7, 1.5, 2.0])
def test_efficiency(limit: float, failures: float) -> None:
    """Looking at any time costs less than four times the runs of one look at the best moment."""
    part = max(1e-9, 1 - failures * (1 - limit))
    counts = np.array([1 - part, part]) * 1000
    runs = Evidence(np.array([0.0, 1.0]), counts).runs_to_tell(limit, 0.95)
    assert runs is not None

    assert once(part, limit) < runs < 4 * once(part, limit)


# Right as often as claimed, at the limit, at any look


def ever(limit: float, runs: int) -> float:
    """Return the probability that a proportion is ever wrongly found to be above its true value.

    The true value is `limit`, and there is a look after each run; computed from counts.
    """
    alive = np.zeros(runs + 2)
    alive[0] = 1.0
    told = 0.0
    for n in range(1, runs + 1):
        alive[1 : n + 1] = alive[1 : n + 1] * (1 - limit) + alive[:n] * limit
        alive[0] *= 1 - limit
        over = bisect_left(
            range(n + 1), True, key=lambda c: Evidence.of_count(c, n).is_over(limit, 0.95) is True
        )
        told += float(alive[over : n + 1].sum())
        alive[over : n + 1] = 0.0
    return told


@pytest.mark.parametrize("limit", [0.1, 0.5, 0.9])
def test_zeros_and_ones(limit: float) -> None:
    """Over a hundred looks, the exact risk is at most 2.5 % on each side."""
    assert 0 < ever(limit, 100) <= RISK
    assert 0 < ever(1 - limit, 100) <= RISK


Draw = Callable[[np.random.Generator, tuple[int, int]], npt.NDArray[np.float64]]


def normal(random: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return normal numbers."""
    return random.normal(10, 2, size)


def lognormal(random: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return lognormal numbers, sigma 1."""
    return random.lognormal(0, 1, size)


def exponential(random: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return exponential numbers."""
    return random.exponential(1, size)


def rarely_bad(random: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return ones, of which 5 % are ten times as great."""
    return np.where(random.random(size) < 0.05, 10.0, 1.0)


#: Laws of the number that each run gives.
LAWS: list[Draw] = [normal, lognormal, exponential, rarely_bad]

#: The divisors of the greatest share: if few downloads are late, or many.
SCALES = [1.0, 20.0]


def shares(law: Draw, scale: float, size: tuple[int, int]) -> tuple[npt.NDArray[np.float64], float]:
    """Return numbers of a law, scaled to shares in [0, 1], and their mean.

    Numbers beyond the 99.9 % quantile of the law are clipped to it.
    """
    random = np.random.default_rng(928)
    known = law(random, (4_000_000, 1))
    top = np.quantile(known, 0.999)

    def scaled(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.clip(numbers, 0, top) / (top * scale)

    return scaled(law(random, size)), float(scaled(known).mean())


def told_wrongly(
    drawn: npt.NDArray[np.float64], limit: float, looks: Sequence[int]
) -> tuple[float, float]:
    """Return the fractions of rows that are ever decided to be over, and under, the limit."""
    enough = log(1 / RISK)
    over, under = np.zeros(len(drawn), bool), np.zeros(len(drawn), bool)
    for told, numbers, bound in ((over, drawn, limit), (under, 1 - drawn, 1 - limit)):
        logs = np.zeros((len(drawn), len(_PARTS)))
        before = 0
        for look in looks:
            with np.errstate(divide="ignore"):
                for column in range(before, look):
                    logs += np.log1p(np.outer(numbers[:, column] / bound - 1, _PARTS))
            told |= np.logaddexp.reduce(_LOG_SHARES + logs, axis=1) >= enough
            before = look
    return float(over.mean()), float(under.mean())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("law", LAWS)
def test_at_the_limit(law: Draw, scale: float) -> None:
    """Whatever the law, a mean exactly at the limit is rarely decided, at any look."""
    drawn, mean = shares(law, scale, (1000, 200))
    for found in told_wrongly(drawn, mean, [10, 20, 40, 80, 160, 200]):
        assert found <= RISK + 4 * (RISK * (1 - RISK) / 1000) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("law", LAWS)
def test_at_the_limit_closely(law: Draw, scale: float) -> None:
    """The same for four thousand sequences, with a look after each of 500 runs."""
    drawn, mean = shares(law, scale, (4000, 500))
    for found in told_wrongly(drawn, mean, range(1, 501)):
        assert found <= RISK + 3 * (RISK * (1 - RISK) / 4000) ** 0.5


@pytest.mark.parametrize("law", few(1, LAWS))
@pytest.mark.slow
def test_covers(law: Draw) -> None:
    """The interval contains the mean as often as it claims, after any number of runs."""
    drawn, mean = shares(law, 1.0, (300, 60))
    for runs in (2, 10, 60):
        ends = [Evidence.of(row[:runs]).interval(0.95) for row in drawn]

        assert sum(low > mean for low, _ in ends) <= 0.025 * 300 + 4 * 2.7
        assert sum(high < mean for _, high in ends) <= 0.025 * 300 + 4 * 2.7
