"""Pooled estimates over all downloads of all runs are right even if runs are correlated."""

from __future__ import annotations

from math import ceil, inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.harness.run import pooled
from firstk.harness.stats.estimates import Interval, NotEnough, mean_share, probability
from firstk.harness.stats.histogram import Histogram
from tests.reports.loads import load, parted

TIME = st.none() | st.floats(0, 100).map(lambda t: round(t, 3))
RUNS = st.integers(1, 6).flatmap(
    lambda each: st.lists(st.lists(TIME, min_size=each, max_size=each), min_size=1, max_size=60)
)
Q = st.sampled_from([0.1, 0.5, 0.9])


def test_share() -> None:
    """A share of all downloads is the mean over the runs; a crashed run counts as 0."""
    runs = [parted(100), parted(50), None, parted(90)]

    assert mean_share([1.0, 0.5, 0.0, 0.9]) == pooled.share(runs, lambda one: one.success_fraction)


def test_busy() -> None:
    """Utilisation is averaged over the runs that have one, and rounding does no harm."""
    assert None is pooled.busy([load([0.1]), None])
    assert mean_share([0.5, 1.0]) == pooled.busy(
        [load([0.1], 0.5), load([0.1]), load([0.1], 1 + 1e-15)]
    )


@given(RUNS, Q)
def test_quantile(runs: list[list[float | None]], q: float) -> None:
    """The estimate is the quantile of all downloads, and lies in its interval."""
    whole = Histogram()
    for times in runs:
        whole.merge(load(times).ttfb)
    found = pooled.quantile([load(times) for times in runs], q)

    assert whole.quantile(q) == found.estimate
    if isinstance(found, Interval):
        assert found.low <= found.estimate <= found.high


@given(RUNS, Q)
def test_ends(runs: list[list[float | None]], q: float) -> None:
    """The ends follow from the share of downloads that are done, within a bin of 0.2 %."""
    found = pooled.quantile([load(times) for times in runs], q)
    if not isinstance(found, Interval):
        return

    def share(end: float) -> Interval:
        """Return the share of downloads done by a time."""
        return mean_share(
            sum(time is not None and time <= end for time in times) / len(times) for times in runs
        )

    if found.high < inf:
        assert share(found.high).low >= q - 1e-9
    assert share(found.low / 1.000001 - 1e-9).high <= q + 1e-9
    every = sorted(time for times in runs for time in times if time is not None)
    before = [time for time in every if time < found.high / 1.002]
    if before:
        assert share(before[-1]).low <= q + 1e-9
    after = [time for time in every if time > found.low * 1.002]
    if after:
        assert share(after[0]).high >= q - 1e-9


def test_single_downloads() -> None:
    """If each run is one download, the quantile is that of single downloads, within a bin."""
    times = [0.1 + i / 1000 for i in range(200)]
    found = pooled.quantile([load([time]) for time in times], 0.9)
    assert isinstance(found, Interval)

    expected = [times[ceil(0.9 * 200) - 1], times[166 - 1], times[191 - 1]]
    assert expected == pytest.approx([found.estimate, found.low, found.high], rel=0.03)


def test_never() -> None:
    """If too many downloads never start, a quantile is infinite, and so may its ends be."""
    assert Interval(inf, inf, inf) == pooled.quantile([parted(0)] * 50, 0.5)
    half = pooled.quantile([parted(100), parted(0), parted(0), parted(100), parted(100)] * 4, 0.5)
    assert isinstance(half, Interval)
    assert (0.1, inf) == (half.estimate, half.high)


def test_crashed() -> None:
    """The downloads of a run that crashed never start."""
    found = pooled.quantile([parted(100)] * 6 + [None] * 14, 0.5)

    assert inf == found.estimate
    assert inf == pooled.quantile([None], 0.9).estimate


def test_few_runs() -> None:
    """However many downloads a run has, few runs have no interval: a bad run may be rare."""
    times = [0.1 + i / 10_000 for i in range(10_000)]

    for q, runs in ((0.5, 7), (0.9, 44)):
        one = load(times)
        assert NotEnough(one.ttfb.quantile(q), runs - 1, runs) == pooled.quantile(
            [one] * (runs - 1), q
        )
        assert isinstance(pooled.quantile([one] * runs, q), Interval)


def test_bins() -> None:
    """An end is the outer edge of a bin, since the times in it are unknown."""
    one = pooled.quantile([load([0.1, 0.1])] * 30, 0.5)
    assert isinstance(one, Interval)

    assert 0.1 == one.estimate == one.high
    assert 0.0998 < one.low < 0.1


def test_shares_before() -> None:
    """The share before a limit is known except for the bin that contains the limit."""
    runs = [load([0.1, 0.2, 0.3, None]), None, load([0.1, 0.2499, 0.25001, 0.2501])]

    assert pooled.shares_before(runs, 0.25005) == ([0.5, 0, 0.5], [0.5, 0, 0.75])
    assert pooled.shares_before(runs, 0.5) == ([0.75, 0, 1.0], [0.75, 0, 1.0])


def test_rare_bad_runs_are_covered() -> None:
    """If a tenth of the runs are slow, intervals from a few runs still cover the truth.

    Of all downloads a tenth is late, so that p90 is just below 1 s, and p50 is about 0.1 s. The
    mean of the quantiles of the runs, with Student's t, would be far off.
    """
    random = np.random.default_rng(928)
    good, bad = load([0.1 + i / 1e5 for i in range(50)]), load([1 + i / 1e5 for i in range(50)])
    missed = {0.5: 0, 0.9: 0}
    repetitions = 200
    for _ in range(repetitions):
        runs = [bad if slow else good for slow in random.random(60) < 0.1]
        for q in missed:
            found = pooled.quantile(runs, q)
            assert isinstance(found, Interval)
            truth = good.ttfb.quantile(0.5 / 0.9 if q == 0.5 else 1.0)
            assert truth is not None
            missed[q] += not found.low <= truth <= found.high

    assert max(missed.values()) <= 0.05 * repetitions + 4 * (0.05 * 0.95 * repetitions) ** 0.5
    assert probability(0, 60).high > 0.05  # a bad run may well be in none of sixty
