"""Intervals cover the truth as often as they claim, and runs without a time are included."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf, log, nextafter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from firstk.harness.stats.estimates import (
    Interval,
    NotEnough,
    least_runs,
    mean_share,
    median_difference,
    probability,
    quantile,
    ranks,
    z_of_count,
    z_of_mean,
)
from firstk.harness.stats.formats import percent, seconds

#: Times of runs, some without one. They are far enough from the limits of floats that four
#: times and a quarter of them are exact.
TIME = st.none() | st.floats(0, 1e9).map(lambda t: round(t, 6))
TIMES = st.lists(TIME, max_size=80)
FINITE = st.lists(st.floats(0, 1e9).map(lambda t: round(t, 6)), min_size=2, max_size=40)
PART = st.floats(0.01, 0.99)
CONFIDENCE = st.floats(0.5, 0.999)


def holds(interval: Interval | NotEnough, truth: float) -> bool:
    """Return whether an interval contains the truth."""
    assert isinstance(interval, Interval)
    return interval.low <= truth <= interval.high


def least_often(repetitions: int, confidence: float = 0.95) -> float:
    """Return how often an interval should at least cover the truth, except in 1 of 10,000 cases."""
    return float(stats.binom.ppf(1e-4, repetitions, confidence))


# Intervals


def test_words() -> None:
    """An interval is formatted with its ends; if it is a single point, without them."""
    assert Interval(0.25, 0.2, 0.3).words(seconds) == "0.25 s (0.2 s to 0.3 s)"
    assert Interval(0.998, 0.991, 0.9999).words(percent) == "99.8% (99.1% to over 99.9%)"
    assert Interval(0.25, 0.25, 0.25).words(seconds) == "0.25 s"


def test_never_in_words() -> None:
    """An infinite time is formatted as never; a difference may be infinite either way."""
    assert Interval(5.2, 0.25, inf).words(seconds) == "5.2 s (0.25 s to never)"
    assert Interval(inf, inf, inf).words(seconds) == "never"
    assert Interval(-1, -inf, 0).words(seconds) == "-1 s (starts only here to 0 s)"


def test_not_enough_in_words() -> None:
    """If there are not enough runs, the text says so, with the number needed."""
    assert NotEnough(0.25, 35, 36).words(seconds) == "0.25 s (not enough runs: 35 of 36)"
    assert NotEnough(inf, 35, 36).words(seconds) == "never (not enough runs: 35 of 36)"
    assert NotEnough(None, 0, 2).words(seconds) == "not enough runs: 0 of 2"


@pytest.mark.parametrize(
    ("interval", "half", "relative"),
    [
        (Interval(2, 1, 4), 1.5, 0.75),
        (Interval(-2, -4, -1), 1.5, 0.75),
        (Interval(2, 2, 2), 0, 0),
        (Interval(0, 0, 0), 0, 0),
        (Interval(0, 0, 1), 0.5, inf),
        (Interval(2, 1, inf), inf, inf),
        (Interval(inf, 1, inf), inf, inf),
        (Interval(1, -inf, 2), inf, inf),
        (Interval(inf, inf, inf), 0, 0),
    ],
)
def test_half_width(interval: Interval, half: float, relative: float) -> None:
    """The half width is infinite if one end is, and 0 if both are."""
    assert (half, relative) == (interval.half_width, interval.relative_half_width)


def test_half_width_of_not_enough() -> None:
    """Without an interval, the half width is infinite, so that no sweep stops there."""
    assert inf == NotEnough(0.25, 35, 36).relative_half_width


# Probabilities


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("count", "runs"), [(0, 1), (1, 1), (0, 50), (50, 50), (7, 50), (49, 50)])
def test_probability(count: int, runs: int, confidence: float) -> None:
    """The interval contains SciPy's exact interval of a single look."""
    once = stats.binomtest(count, runs).proportion_ci(confidence, "exact")
    got = probability(count, runs, confidence)

    assert count / runs == got.estimate
    assert 0 <= got.low <= once.low
    assert once.high <= got.high <= 1
    assert (got.high - got.low) < 3.5 * (once.high - once.low)


@pytest.mark.parametrize("runs", [1, 10, 100])
def test_probability_covers(runs: int) -> None:
    """The coverage is never below the confidence, whatever the true probability is."""
    intervals = [probability(count, runs) for count in range(runs + 1)]
    for truth in np.linspace(0, 1, 501):
        chances = stats.binom.pmf(range(runs + 1), runs, truth)
        held = sum(p for p, i in zip(chances, intervals, strict=True) if holds(i, float(truth)))

        assert held >= 0.95 - 1e-9, truth


def test_mean_share() -> None:
    """For zeros and ones it equals a probability; for equal shares it is narrow."""
    assert probability(2, 5) == mean_share([0, 1, 0, 1, 0])
    equal = mean_share([0.25] * 100)

    assert equal.estimate == 0.25
    assert 0.2 < equal.low < 0.25 < equal.high < 0.3


@pytest.mark.parametrize(("count", "runs"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts(count: int, runs: int) -> None:
    """Zero runs, or a count above the number of runs, is refused."""
    with pytest.raises(ValueError, match=f"not {count} of {runs}"):
        probability(count, runs)


# Quantiles


@pytest.mark.parametrize(
    ("q", "runs"), [(0.5, 7), (0.9, 44), (0.99, 461), (0.999, 4628), (0.1, 44), (0.01, 461)]
)
def test_least_runs(q: float, runs: int) -> None:
    """A tail needs many runs; with one fewer, the result is `NotEnough`."""
    times = [i / 8 for i in range(runs)]

    assert runs == least_runs(q)
    assert isinstance(quantile(times, q), Interval)
    middle = times[ceil((runs - 1) * q - 1e-9) - 1]
    assert NotEnough(middle, runs - 1, runs) == quantile(times[:-1], q)


@given(PART, CONFIDENCE)
def test_least_runs_are_least(q: float, confidence: float) -> None:
    """Ranks exist from that many runs on, and not for one fewer."""
    runs = least_runs(q, confidence)

    assert ranks(runs, q, confidence) is not None
    assert ranks(runs - 1, q, confidence) is None


@given(st.integers(1, 2000), PART, CONFIDENCE)
def test_ranks(runs: int, q: float, confidence: float) -> None:
    """The low rank is the first not shown to be too low; the high one is shown to suffice."""
    found = ranks(runs, q, confidence)
    if found is None:
        assert runs < least_runs(q, confidence)
        return
    low, high = found

    assert probability(low - 1, runs, confidence).high <= q + 1e-9
    assert probability(low, runs, confidence).high >= q - 1e-9
    assert probability(high, runs, confidence).low >= q - 1e-9
    assert probability(high - 1, runs, confidence).low <= q + 1e-9


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9, 0.95])
@pytest.mark.parametrize("runs", [100, 101, 1000])
def test_as_scipy_has_it(runs: int, q: float) -> None:
    """The interval contains that of SciPy's quantile test, which is for a single look."""
    random = Random(runs)
    times = [random.expovariate(1.0) for _ in range(runs)]
    once = stats.quantile_test(times, p=q).confidence_interval(0.95)
    got = quantile(times, q)

    assert isinstance(got, Interval)
    assert got.low <= once.low < once.high <= got.high
    assert got.high - got.low < 4 * (once.high - once.low)


def test_runs_that_never_came() -> None:
    """Runs without a time are last: the quantile, or an end of its interval, may be infinite."""
    times = [*[None] * 38, *(float(i) for i in range(1, 63))]

    found = [ranks(100, q) for q in (0.5, 0.6, 0.7, 0.9)]

    assert found == [(33, 68), (43, 77), (54, 86), (78, 99)]
    assert Interval(40, 24, 58) == quantile(times, 0.4)
    assert Interval(50, 33, inf) == quantile(times, 0.5)
    assert Interval(60, 43, inf) == quantile(times, 0.6)
    assert Interval(inf, 54, inf) == quantile(times, 0.7)
    assert Interval(inf, inf, inf) == quantile(times, 0.9)
    assert Interval(inf, inf, inf) == quantile([None] * 40, 0.5)


@pytest.mark.parametrize(
    ("q", "rank"), [(0.07, 7), (0.07000001, 8), (0.29, 29), (0.5, 50), (0.9, 90), (0.99, 99)]
)
def test_estimate(q: float, rank: int) -> None:
    """The estimate is the first time by which a fraction `q` has come, exactly."""
    estimate = quantile(range(1, 101), q).estimate

    assert rank == estimate


def test_no_runs() -> None:
    """Without runs, there is no quantile."""
    assert NotEnough(None, 0, 44) == quantile([], 0.9)


@pytest.mark.parametrize("q", [0, 1, 50, -0.5])
def test_impossible_quantile(q: float) -> None:
    """A quantile must be a fraction, not a percentage."""
    refused: list[Callable[[], object]] = [
        lambda: quantile([1.0], q),
        lambda: ranks(9, q),
        lambda: least_runs(q),
    ]
    for refuse in refused:
        with pytest.raises(ValueError, match=f"quantile should be between 0 and 1, not {q}"):
            refuse()


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_impossible_confidence(confidence: float) -> None:
    """A confidence must be a fraction, not a percentage."""
    refused: list[Callable[[], object]] = [
        lambda: quantile([1.0], 0.5, confidence),
        lambda: probability(1, 2, confidence),
        lambda: mean_share([0.5], confidence),
    ]
    for refuse in refused:
        with pytest.raises(ValueError, match=f"confidence should be .* not {confidence}"):
            refuse()


def exponential(random: Random) -> float:
    """Return an exponential time."""
    return random.expovariate(1.0)


def hang_sometimes(random: Random) -> float | None:
    """Return an exponential time, or never, once in five times."""
    return None if random.random() < 0.2 else random.expovariate(1.0)


def few_values(random: Random) -> float:
    """Return one of four times: 0 (40%), 1 (30%), 2 (20%), 3 (10%)."""
    return (0, 0, 0, 0, 1, 1, 1, 2, 2, 3)[int(random.random() * 10)]


@pytest.mark.parametrize(
    ("draw", "q", "truth"),
    [
        (exponential, 0.5, log(2)),
        (exponential, 0.9, log(10)),
        (hang_sometimes, 0.5, -log(1 - 0.5 / 0.8)),
        (hang_sometimes, 0.75, -log(1 - 0.75 / 0.8)),
        (hang_sometimes, 0.85, inf),
        (few_values, 0.6, 1),
        (few_values, 0.85, 2),
    ],
)
def test_quantile_covers(draw: Callable[[Random], float | None], q: float, truth: float) -> None:
    """The interval covers the true quantile as often as it claims, with hung runs and ties."""
    random = Random(928)
    repetitions = 1500
    held = sum(
        holds(quantile([draw(random) for _ in range(50)], q), truth) for _ in range(repetitions)
    )

    assert least_often(repetitions) <= held


@pytest.mark.slow
@pytest.mark.parametrize(("q", "runs"), [(0.99, 500), (0.999, 5000)])
def test_tails_are_covered(q: float, runs: int) -> None:
    """The interval covers quantiles in the tails, where a bootstrap does not."""
    random = np.random.default_rng(928)
    repetitions = 3000
    times = random.exponential(size=(repetitions, runs))
    held = sum(holds(quantile(some, q), -log(1 - q)) for some in times)

    assert least_often(repetitions) <= held


@given(TIMES, PART, PART)
def test_quantiles_rise(times: list[float | None], one: float, other: float) -> None:
    """A higher quantile is never lower; an estimate lies in its interval."""
    lower, higher = (quantile(times, q) for q in sorted((one, other)))
    for found in (lower, higher):
        if isinstance(found, Interval):
            assert found.low <= found.estimate <= found.high
    if lower.estimate is not None and higher.estimate is not None:
        assert lower.estimate <= higher.estimate
    if isinstance(lower, Interval) and isinstance(higher, Interval):
        assert lower.low <= higher.low
        assert lower.high <= higher.high


@given(TIMES.filter(bool), CONFIDENCE, CONFIDENCE, PART)
def test_more_confidence(times: list[float | None], one: float, other: float, q: float) -> None:
    """More confidence never makes an interval narrower, and may need more runs."""
    less, more = sorted((one, other))
    for narrow, wide in ((quantile(times, q, less), quantile(times, q, more)),):
        if isinstance(wide, Interval):
            assert isinstance(narrow, Interval)
            assert wide.low <= narrow.low
            assert narrow.high <= wide.high


@given(TIMES.filter(bool), PART, st.randoms())
def test_in_any_order(times: list[float | None], q: float, random: Random) -> None:
    """The order of the runs changes nothing, not even the last bit."""
    shuffled = random.sample(times, len(times))

    assert quantile(times, q) == quantile(shuffled, q)


def four_times(found: Interval | NotEnough) -> Interval | NotEnough:
    """Return the result for four times the times."""
    if isinstance(found, Interval):
        return Interval(4 * found.estimate, 4 * found.low, 4 * found.high)
    return NotEnough(
        None if found.estimate is None else 4 * found.estimate, found.runs, found.needed
    )


@given(TIMES.filter(bool), PART)
def test_scale(times: list[float | None], q: float) -> None:
    """Four times the times give exactly four times the estimate and the ends."""
    scaled = [None if time is None else 4 * time for time in times]

    assert four_times(quantile(times, q)) == quantile(scaled, q)


@given(TIMES.filter(bool), PART)
def test_one_more_that_never_comes(times: list[float | None], q: float) -> None:
    """One more run without a time never makes a quantile earlier."""
    before, after = quantile(times, q), quantile([*times, None], q)

    assert before.estimate is not None
    assert after.estimate is not None
    assert before.estimate <= after.estimate


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (0, "0%"),
        (1e-9, "under 0.1%"),
        (0.001, "0.1%"),
        (0.012345, "1.23%"),
        (0.5, "50%"),
        (0.9984, "99.8%"),
        (0.999, "99.9%"),
        (0.9996, "over 99.9%"),
        (1, "100%"),
    ],
)
def test_percent(part: float, text: str) -> None:
    """A probability close to 1 is not shown as 100 %."""
    assert text == percent(part)


# Pairs


def test_median_difference() -> None:
    """The median is over the run-by-run differences, where at least one of the two ended."""
    baseline = [5.0, 4.0, 3.0, None, None, 1.0, 2.0, inf, 6.0]
    other = [1.0, 1.0, 1.0, 1.0, None, None, 2.5, 9.0, 1.0]

    assert quantile([-4, -3, -2, -inf, inf, 0.5, -inf, -5], 0.5) == median_difference(
        baseline, other
    )


def test_nothing_to_compare() -> None:
    """If neither ever ends, there is no difference, and the result is `NotEnough`."""
    assert NotEnough(None, 0, 7) == median_difference([None, inf], [None, None])


def test_hang_against_none() -> None:
    """If only the other ends, and always, the difference is "starts only here"."""
    found = median_difference([None] * 50, [0.25] * 50)

    assert found.words(seconds) == "starts only here"


@pytest.mark.parametrize(("first", "second"), [([1.0], []), ([], [None])])
def test_not_as_many(first: list[float | None], second: list[float | None]) -> None:
    """Samples of different lengths cannot be paired."""
    with pytest.raises(ValueError, match="argument 2 is"):
        median_difference(first, second)


@given(st.lists(st.tuples(TIME, TIME), min_size=1, max_size=40))
def test_turned_round(pairs: list[tuple[float | None, float | None]]) -> None:
    """Swapping the two negates every difference."""
    one, other = [first for first, _ in pairs], [second for _, second in pairs]
    there, back = median_difference(one, other), median_difference(other, one)

    assert isinstance(there, Interval) == isinstance(back, Interval)
    if isinstance(there, Interval) and isinstance(back, Interval):
        assert (-there.high, -there.low) == (back.low, back.high)


def test_median_of_differences_covers() -> None:
    """The median of differences covers the truth as often as it claims, in both directions.

    The other is sooner by an exponential time, and each may hang.
    """
    random = Random(928)
    repetitions = 500
    held = 0
    for _ in range(repetitions):
        baseline, other = [], []
        for _ in range(30):
            grid = random.random()
            baseline.append(None if random.random() < 0.2 else grid + random.expovariate(1.0))
            other.append(None if random.random() < 0.2 else grid)
        # Of 24 pairs in 25 that differ, 4 are infinite each way, and 16 are exponential.
        held += holds(median_difference(baseline, other), -log(2))

    assert least_often(repetitions) <= held


def test_least_of_floats() -> None:
    """The smallest differences of times survive: an interval is not rounded."""
    times = [1.0, nextafter(1.0, 2.0)] * 50
    found = quantile(times, 0.5)

    assert Interval(1.0, 1.0, nextafter(1.0, 2.0)) == found


# z scores


@pytest.mark.parametrize(("runs", "part"), [(10, 0.3), (1000, 0.99), (50, 0.001)])
def test_z_of_count_is_the_binomial_tail(runs: int, part: float) -> None:
    """The z of a count is that of a normal number with the same tail, on the same side."""
    for count in range(runs + 1):
        z = z_of_count(count, runs, part)
        fewer, more = stats.binom.cdf(count, runs, part), stats.binom.sf(count - 1, runs, part)

        assert pytest.approx(min(fewer, more, 0.5), rel=1e-6, abs=1e-300) == stats.norm.sf(abs(z))
        assert z == 0 or (z < 0) == (fewer < more)


def test_z_of_impossible_counts() -> None:
    """A certain outcome has z = 0 or infinity, and zero has one sign."""
    assert [
        str(z_of_count(count, 10, part))
        for count, part in ((10, 1.0), (9, 1.0), (0, 0.0), (1, 0.0))
    ] == ["0.0", "-inf", "0.0", "inf"]


def test_z_of_mean() -> None:
    """The z of a mean is that of a normal number with the tail of Student's t."""
    times = [1.0, 2.0, 4.0, 5.0]
    t = stats.ttest_1samp(times, 1.0)
    z = z_of_mean(times, 1.0)

    assert z is not None
    assert pytest.approx(t.pvalue) == 2 * stats.norm.sf(z)
    assert pytest.approx(-z) == z_of_mean([-time for time in times], -1.0)


def test_z_of_few_means() -> None:
    """A single time has no z; equal times have 0 or infinity."""
    assert None is z_of_mean([1.0], 2.0)
    assert [0.0, -inf, inf] == [z_of_mean([1.0, 1.0], expected) for expected in (1.0, 2.0, 0.5)]
