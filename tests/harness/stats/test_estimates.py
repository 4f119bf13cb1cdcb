"""Intervals hold the truth as often as they say, and runs that never came are not left out."""

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

#: Times of runs: some never came to it. They are far enough from the ends of what floats
#: can be that four times and a quarter of them are exact.
TIME = st.none() | st.floats(0, 1e9).map(lambda t: round(t, 6))
TIMES = st.lists(TIME, max_size=80)
FINITE = st.lists(st.floats(0, 1e9).map(lambda t: round(t, 6)), min_size=2, max_size=40)
PART = st.floats(0.01, 0.99)
CONFIDENCE = st.floats(0.5, 0.999)


def holds(interval: Interval | NotEnough, truth: float) -> bool:
    """Return whether the truth lies in an interval."""
    assert isinstance(interval, Interval)
    return interval.low <= truth <= interval.high


def least_often(repetitions: int, confidence: float = 0.95) -> float:
    """Return how often at least an interval holds the truth, but once in ten thousand times."""
    return float(stats.binom.ppf(1e-4, repetitions, confidence))


# Intervals


def test_words() -> None:
    """An interval is told with its ends; one that is a single point is told as that."""
    assert Interval(0.25, 0.2, 0.3).words(seconds) == "0.25 s (0.2 s to 0.3 s)"
    assert Interval(0.998, 0.991, 0.9999).words(percent) == "99.8% (99.1% to over 99.9%)"
    assert Interval(0.25, 0.25, 0.25).words(seconds) == "0.25 s"


def test_never_in_words() -> None:
    """Never has no number of seconds; a difference may be to never, or from it."""
    assert Interval(5.2, 0.25, inf).words(seconds) == "5.2 s (0.25 s to never)"
    assert Interval(inf, inf, inf).words(seconds) == "never"
    assert Interval(-1, -inf, 0).words(seconds) == "-1 s (starts only here to 0 s)"


def test_not_enough_in_words() -> None:
    """That there are not enough runs is said, with how many are needed."""
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
    """It is infinite while one end is never, and 0 once both are: that is known well."""
    assert (half, relative) == (interval.half_width, interval.relative_half_width)


def test_half_width_of_not_enough() -> None:
    """Without an interval nothing is known, so that no sweep stops there."""
    assert inf == NotEnough(0.25, 35, 36).relative_half_width


# Probabilities


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("count", "runs"), [(0, 1), (1, 1), (0, 50), (50, 50), (7, 50), (49, 50)])
def test_probability(count: int, runs: int, confidence: float) -> None:
    """It holds all that the exact interval of a single look holds, as SciPy has that, and more."""
    once = stats.binomtest(count, runs).proportion_ci(confidence, "exact")
    got = probability(count, runs, confidence)

    assert count / runs == got.estimate
    assert 0 <= got.low <= once.low
    assert once.high <= got.high <= 1
    assert (got.high - got.low) < 3.5 * (once.high - once.low)


@pytest.mark.parametrize("runs", [1, 10, 100])
def test_probability_covers(runs: int) -> None:
    """It never covers less than it says, whatever the true probability is."""
    intervals = [probability(count, runs) for count in range(runs + 1)]
    for truth in np.linspace(0, 1, 501):
        chances = stats.binom.pmf(range(runs + 1), runs, truth)
        held = sum(p for p, i in zip(chances, intervals, strict=True) if holds(i, float(truth)))

        assert held >= 0.95 - 1e-9, truth


def test_mean_share() -> None:
    """Of zeros and ones it is a probability; of equal shares it is sure as far as bounds allow."""
    assert probability(2, 5) == mean_share([0, 1, 0, 1, 0])
    equal = mean_share([0.25] * 100)

    assert equal.estimate == 0.25
    assert 0.2 < equal.low < 0.25 < equal.high < 0.3


@pytest.mark.parametrize(("count", "runs"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts(count: int, runs: int) -> None:
    """Without runs there is no probability, and no more come than there are."""
    with pytest.raises(ValueError, match=f"not {count} of {runs}"):
        probability(count, runs)


# Quantiles


@pytest.mark.parametrize(
    ("q", "runs"), [(0.5, 7), (0.9, 44), (0.99, 461), (0.999, 4628), (0.1, 44), (0.01, 461)]
)
def test_least_runs(q: float, runs: int) -> None:
    """A tail needs many runs; with one fewer it is said that there are not enough."""
    times = [i / 8 for i in range(runs)]

    assert runs == least_runs(q)
    assert isinstance(quantile(times, q), Interval)
    middle = times[ceil((runs - 1) * q - 1e-9) - 1]
    assert NotEnough(middle, runs - 1, runs) == quantile(times[:-1], q)


@given(PART, CONFIDENCE)
def test_least_runs_are_least(q: float, confidence: float) -> None:
    """There are ranks from so many runs on, and for none fewer."""
    runs = least_runs(q, confidence)

    assert ranks(runs, q, confidence) is not None
    assert ranks(runs - 1, q, confidence) is None


@given(st.integers(1, 2000), PART, CONFIDENCE)
def test_ranks(runs: int, q: float, confidence: float) -> None:
    """Ends are the first runs whose count is not shown to be too small, or shown to be enough."""
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
    """The interval holds that of SciPy's test of a quantile, which is for a single look."""
    random = Random(runs)
    times = [random.expovariate(1.0) for _ in range(runs)]
    once = stats.quantile_test(times, p=q).confidence_interval(0.95)
    got = quantile(times, q)

    assert isinstance(got, Interval)
    assert got.low <= once.low < once.high <= got.high
    assert got.high - got.low < 4 * (once.high - once.low)


def test_runs_that_never_came() -> None:
    """They are the last: the quantile, or one end of its interval, may be never."""
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
    """The estimate is the first time by which so many came, for any fraction of floats."""
    estimate = quantile(range(1, 101), q).estimate

    assert rank == estimate


def test_no_runs() -> None:
    """Of no runs there is no quantile."""
    assert NotEnough(None, 0, 44) == quantile([], 0.9)


@pytest.mark.parametrize("q", [0, 1, 50, -0.5])
def test_impossible_quantile(q: float) -> None:
    """A quantile is a part, not a percentage."""
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
    """So is a confidence."""
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
    """It holds the true quantile as often as it says, with hung runs and with ties."""
    random = Random(928)
    repetitions = 1500
    held = sum(
        holds(quantile([draw(random) for _ in range(50)], q), truth) for _ in range(repetitions)
    )

    assert least_often(repetitions) <= held


@pytest.mark.slow
@pytest.mark.parametrize(("q", "runs"), [(0.99, 500), (0.999, 5000)])
def test_tails_are_covered(q: float, runs: int) -> None:
    """In the tails too, where a bootstrap does not."""
    random = np.random.default_rng(928)
    repetitions = 3000
    times = random.exponential(size=(repetitions, runs))
    held = sum(holds(quantile(some, q), -log(1 - q)) for some in times)

    assert least_often(repetitions) <= held


@given(TIMES, PART, PART)
def test_quantiles_rise(times: list[float | None], one: float, other: float) -> None:
    """A higher quantile is nowhere lower; an estimate lies in its interval."""
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
    """More confidence makes no interval narrower, and may need more runs."""
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
    """Return what four times the times would give."""
    if isinstance(found, Interval):
        return Interval(4 * found.estimate, 4 * found.low, 4 * found.high)
    return NotEnough(
        None if found.estimate is None else 4 * found.estimate, found.runs, found.needed
    )


@given(TIMES.filter(bool), PART)
def test_scale(times: list[float | None], q: float) -> None:
    """Four times the times make four times the estimate and the ends, exactly."""
    scaled = [None if time is None else 4 * time for time in times]

    assert four_times(quantile(times, q)) == quantile(scaled, q)


@given(TIMES.filter(bool), PART)
def test_one_more_that_never_comes(times: list[float | None], q: float) -> None:
    """One more run that never comes makes no quantile earlier."""
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
    """What is nearly certain is not told as certain."""
    assert text == percent(part)


# Pairs


def test_median_difference() -> None:
    """It is over the runs of which one of the two was done; the differences are run by run."""
    baseline = [5.0, 4.0, 3.0, None, None, 1.0, 2.0, inf, 6.0]
    other = [1.0, 1.0, 1.0, 1.0, None, None, 2.5, 9.0, 1.0]

    assert quantile([-4, -3, -2, -inf, inf, 0.5, -inf, -5], 0.5) == median_difference(
        baseline, other
    )


def test_nothing_to_compare() -> None:
    """Where neither is ever done there is no difference, and it is said."""
    assert NotEnough(None, 0, 7) == median_difference([None, inf], [None, None])


def test_hang_against_none() -> None:
    """Where the other alone is done, always, the difference is "starts only here"."""
    found = median_difference([None] * 50, [0.25] * 50)

    assert found.words(seconds) == "starts only here"


@pytest.mark.parametrize(("first", "second"), [([1.0], []), ([], [None])])
def test_not_as_many(first: list[float | None], second: list[float | None]) -> None:
    """Runs that have no counterpart cannot be paired."""
    with pytest.raises(ValueError, match="argument 2 is"):
        median_difference(first, second)


@given(st.lists(st.tuples(TIME, TIME), min_size=1, max_size=40))
def test_turned_round(pairs: list[tuple[float | None, float | None]]) -> None:
    """Held the other way round, every difference is its opposite."""
    one, other = [first for first, _ in pairs], [second for _, second in pairs]
    there, back = median_difference(one, other), median_difference(other, one)

    assert isinstance(there, Interval) == isinstance(back, Interval)
    if isinstance(there, Interval) and isinstance(back, Interval):
        assert (-there.high, -there.low) == (back.low, back.high)


def test_median_of_differences_covers() -> None:
    """The median of differences holds the truth as often as it says, one way or the other.

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


# How far off


@pytest.mark.parametrize(("runs", "part"), [(10, 0.3), (1000, 0.99), (50, 0.001)])
def test_z_of_count_is_the_binomial_tail(runs: int, part: float) -> None:
    """A count is off as much as a normal number with the same tail, on its side."""
    for count in range(runs + 1):
        z = z_of_count(count, runs, part)
        fewer, more = stats.binom.cdf(count, runs, part), stats.binom.sf(count - 1, runs, part)

        assert pytest.approx(min(fewer, more, 0.5), rel=1e-6, abs=1e-300) == stats.norm.sf(abs(z))
        assert z == 0 or (z < 0) == (fewer < more)


def test_z_of_impossible_counts() -> None:
    """What is certain is so without exception, and zero has one sign."""
    assert [
        str(z_of_count(count, 10, part))
        for count, part in ((10, 1.0), (9, 1.0), (0, 0.0), (1, 0.0))
    ] == ["0.0", "-inf", "0.0", "inf"]


def test_z_of_mean() -> None:
    """A mean is off as much as a normal number with the tail of Student's t."""
    times = [1.0, 2.0, 4.0, 5.0]
    t = stats.ttest_1samp(times, 1.0)
    z = z_of_mean(times, 1.0)

    assert z is not None
    assert pytest.approx(t.pvalue) == 2 * stats.norm.sf(z)
    assert pytest.approx(-z) == z_of_mean([-time for time in times], -1.0)


def test_z_of_few_means() -> None:
    """One time tells nothing of how far it is off; equal ones are off altogether, or not."""
    assert None is z_of_mean([1.0], 2.0)
    assert [0.0, -inf, inf] == [z_of_mean([1.0, 1.0], expected) for expected in (1.0, 2.0, 0.5)]
