"""Histograms: quantiles of many times in little memory."""

from __future__ import annotations

from math import ceil, inf, nextafter
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.harness.stats.histogram import Histogram, least

TIMES = st.lists(st.floats(0, 1e9), min_size=1, max_size=200)


def counted(*times: float | None) -> Histogram:
    """Return a histogram of times."""
    histogram = Histogram()
    for time in times:
        histogram.add(time)
    return histogram


@given(TIMES, st.floats(0.01, 1))
def test_quantile(times: list[float], q: float) -> None:
    """A quantile is that of the times, to within 0.2 %, and never below it."""
    exact = sorted(times)[max(1, ceil(q * len(times) - 1e-9)) - 1]
    found = counted(*times).quantile(q)

    assert found is not None
    assert exact <= found <= exact * 1.002
    assert found in times


@given(TIMES)
def test_mean(times: list[float]) -> None:
    """The mean is exact."""
    assert pytest.approx(fmean(times), rel=1e-12) == counted(*times).mean


@given(TIMES)
def test_order(times: list[float]) -> None:
    """The order of the times does not change the quantiles."""
    assert counted(*times).bins == counted(*reversed(times)).bins


def test_never() -> None:
    """A missing time is later than all times, and not part of the mean."""
    histogram = counted(1.0, None, 3.0, None)

    assert (histogram.count, histogram.never, histogram.mean) == (4, 2, 2.0)
    assert [1.0, 3.0, inf, inf] == [histogram.quantile(q) for q in (0.25, 0.5, 0.51, 1)]


def test_none() -> None:
    """An empty histogram has no mean and no quantile."""
    assert (Histogram().mean, Histogram().quantile(0.5)) == (None, None)
    assert counted(None).mean is None


def test_constant() -> None:
    """A constant time is exact."""
    histogram = counted(*[0.1] * 1000)

    assert (histogram.quantile(0.5), histogram.quantile(0.999)) == (0.1, 0.1)
    assert pytest.approx(0.1, rel=1e-15) == histogram.mean


def test_little_memory() -> None:
    """However many times there are, the bins are few."""
    random = Random(0)
    histogram = counted(*(random.lognormvariate(0, 1) for _ in range(50_000)))

    assert len(histogram.bins) < 5_000


def test_json() -> None:
    """A histogram survives JSON unchanged."""
    histogram = counted(0.25, 0.25, None, 7.0)

    again = Histogram.from_json(histogram.to_json())

    assert (histogram.bins, histogram.mean, histogram.count, histogram.never) == (
        again.bins,
        again.mean,
        again.count,
        again.never,
    )


def test_merge() -> None:
    """Merging equals counting all times at once."""
    one, other = counted(1.0, None), counted(2.0, 3.0)
    both = counted(1.0, None, 2.0, 3.0)

    one.merge(other)

    assert (both.bins, both.count, both.never, both.mean) == (
        one.bins,
        one.count,
        one.never,
        one.mean,
    )


@given(TIMES, st.floats(0, 1e9))
def test_before(times: list[float], limit: float) -> None:
    """The number of times below a limit is known except for those in the limit's bin."""
    exact = sum(time < limit for time in times)
    sure, most = counted(*times, None).before(limit)

    assert sure <= exact <= most
    assert most - sure <= sum(limit / 1.002 <= time < limit * 1.002 for time in times)


@given(st.floats(0, 1e9))
def test_least(time: float) -> None:
    """The least time of a bin is in the bin, and any smaller one is not."""
    (place,) = counted(time).bins

    assert least(place) <= time
    assert [place] == list(counted(least(place)).bins)
    assert least(place) == 0 or [place] != list(counted(nextafter(least(place), 0)).bins)
