"""Estimates from many runs, each with its confidence interval.

The *time* of a run is when something happened in it, such as its first byte. It is None (or
infinity) for a run in which it never happened, because the run stalled, failed, or was cut off at
the deadline. Such a run is not left out: it counts as later than all others, and a quantile may be
"never".

Times are in any order, in seconds or any other unit. An interval contains the true value with a
probability of at least `confidence`, whatever the distribution, and *at all times together*: this
remains true if you evaluate it after each run, stop when an interval is narrow enough, or continue
later with more runs (see `betting`). Half of the risk is at each end. The probability applies to
each interval separately.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import copysign, inf, sqrt
from statistics import fmean, stdev

from scipy.special import bdtr, bdtrc, ndtri, stdtr, stdtrit

from firstk.harness.stats import figures
from firstk.harness.stats.betting import Evidence
from firstk.harness.stats.formats import seconds

#: The default probability that an interval contains the true value.
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the ends of the closed interval that contains the true value.

    For times, infinity means never; for differences, minus infinity means "starts only here".
    """

    estimate: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval's width; 0 if both ends are never, infinity if one is."""
        return 0.0 if self.low == self.high else (self.high - self.low) / 2

    @property
    def relative_half_width(self) -> float:
        """The half width as a fraction of the estimate: the precision at which a sweep stops.

        It is 0 if the ends are equal, even if both are never: more runs would show nothing new. It
        is infinite if only one end is never.
        """
        half = self.half_width
        if half in (0, inf):
            return half
        return half / abs(self.estimate) if self.estimate else inf

    def words(self, say: Callable[[float], str]) -> str:
        """Return the interval as text; `say` formats a number, by default as a time."""
        estimate, low, high = map(say, (self.estimate, self.low, self.high))
        return estimate if estimate == low == high else f"{estimate} ({low} to {high})"


@dataclass(frozen=True, slots=True)
class NotEnough:
    """Too few runs for an interval: how many there are, and how many it needs.

    Only runs that can show something count. `estimate` is None if there are none.
    """

    estimate: float | None
    runs: int
    needed: int

    @property
    def relative_half_width(self) -> float:
        """Infinity: the error of the estimate is unknown."""
        return inf

    def words(self, say: Callable[[float], str]) -> str:
        """Return the estimate as text, like that of an interval."""
        why = f"not enough runs: {self.runs} of {self.needed}"
        return why if self.estimate is None else f"{say(self.estimate)} ({why})"


def in_words(estimate: Interval | NotEnough | None, say: Callable[[float], str] = seconds) -> str:
    """Return an estimate with its interval as text; `say` formats a number.

    If there are too few runs for an interval, the estimate follows a "~". The text is "-" if there
    is no estimate at all.
    """
    if estimate is None or estimate.estimate is None:
        return "-"
    return estimate.words(say) if isinstance(estimate, Interval) else f"~ {say(estimate.estimate)}"


def difference_in_words(estimate: Interval | NotEnough) -> str:
    """Return a difference of times as text; "never in either" if no run has one."""
    return "never in either" if estimate.estimate is None else in_words(estimate)


def probability(count: int, runs: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the probability of an event that occurred in `count` of `runs` independent runs.

    Raises `ValueError` if there are no runs, or fewer than `count`.
    """
    found = Evidence.of_count(count, runs)
    return Interval(found.mean, *found.interval(confidence))


def mean_share(shares: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the mean of shares between 0 and 1, one from each independent run.

    Raises `ValueError` if there are none, or one is not between 0 and 1.
    """
    found = Evidence.of(shares)
    return Interval(found.mean, *found.interval(confidence))


def mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | NotEnough:
    """Return the mean of independent values without an upper limit, by Student's t distribution.

    Unlike the other intervals, this one is for a number of values that was fixed beforehand, and
    for means that are almost normally distributed: no interval for means is valid in general.
    """
    if len(values) < 2:
        return NotEnough(values[0] if values else None, len(values), 2)
    middle = fmean(values)
    off = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * stdev(values) / sqrt(len(values))
    return Interval(middle, middle - off, middle + off)


def quantile(
    times: Iterable[float | None], q: float, confidence: float = CONFIDENCE
) -> Interval | NotEnough:
    """Return the time by which a fraction `q` of the runs are done: 0.5 for the median.

    The estimate is the time of one run, the first by which that many runs were done: there is no
    value halfway between a time and never. The ends, given by `ranks`, are times of runs as well.
    `times` may also be differences, including minus infinity.
    Raises `ValueError` if `q` is not between 0 and 1.
    """
    ordered = sorted(inf if time is None else time for time in times)
    runs = len(ordered)
    found = ranks(runs, q, confidence)
    middle = figures.quantile(ordered, q)
    if found is None or middle is None:
        return NotEnough(middle, runs, least_runs(q, confidence))
    low, high = found
    return Interval(middle, ordered[low - 1], ordered[high - 1])


@lru_cache(maxsize=1000)  # many cells of a table have equal numbers of runs
def ranks(runs: int, q: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Return the ranks of the runs whose times are the ends of a quantile's interval, from 1.

    At the true quantile the probability of being done is `q`, or more with ties. The low end is the
    first time at which the number of runs that are done does not refute that the quantile is before
    it; the high end is the first time at which the number confirms it. This holds for every
    distribution. None if there are fewer runs than `least_runs`.
    Raises `ValueError` if `q` is not between 0 and 1.
    """
    if runs < least_runs(q, confidence):
        return None

    def shown(done: int) -> bool | None:
        return Evidence.of_count(done, runs).is_over(q, confidence)

    every = range(runs + 1)
    low = bisect_left(every, True, key=lambda done: shown(done) is not False)
    return low, bisect_left(every, True, key=lambda done: shown(done) is True)


@lru_cache(maxsize=1000)
def least_runs(q: float, confidence: float = CONFIDENCE) -> int:
    """Return the number of runs that the interval of a quantile needs: at 95 %, 461 for 0.99.

    Raises `ValueError` if `q` is not between 0 and 1.
    """
    _check_part("a quantile", q)
    runs = Evidence.of_count(1, 1).runs_to_tell(max(q, 1 - q), confidence)
    assert runs is not None
    return runs


def median_difference(
    baseline: Iterable[float | None],
    other: Iterable[float | None],
    confidence: float = CONFIDENCE,
) -> Interval | NotEnough:
    """Return the median, over the runs, of how much later `other` is than the baseline.

    Both are in the order of the runs: each pair has the same seed and the same grid, so effects of
    the grid on both cancel out. A difference is negative if `other` is earlier, infinity if only
    `other` is never done, and minus infinity if only the baseline is never done. Runs in which
    neither is ever done do not count. The result is not the difference of the medians, and says
    nothing about the tails.
    Raises `ValueError` if the numbers of runs differ.
    """
    pairs = [
        (inf if first is None else first, inf if second is None else second)
        for first, second in zip(baseline, other, strict=True)
    ]
    differences = [second - first for first, second in pairs if min(first, second) < inf]
    return quantile(differences, 0.5, confidence)


def z_of_count(count: int, runs: int, part: float) -> float:
    """Return by how many standard errors `count` of `runs` differs from the expected part.

    It is the exact tail of the binomial distribution, converted to a normal quantile. So 4 has its
    usual meaning even for few runs, and near 0 and 1. Infinity means impossible.
    """
    fewer, more = float(bdtr(count, runs, part)), float(bdtrc(count - 1, runs, part))
    off = abs(float(ndtri(min(fewer, more, 0.5))))
    return -off if fewer < more and off else off


def z_of_mean(times: Sequence[float], expected: float) -> float | None:
    """Return by how many standard errors the mean of times differs from the expected value.

    It is the tail of Student's t distribution, converted to a normal quantile. It is as accurate as
    the normal approximation of the mean. None if there are fewer than two times.
    """
    if len(times) < 2:
        return None
    error = stdev(times) / sqrt(len(times))
    off = fmean(times) - expected
    if not error:
        return copysign(inf, off) if off else 0.0
    tail = float(stdtr(len(times) - 1, -abs(off) / error))
    return copysign(float(ndtri(tail)), off)


def _check_part(what: str, number: float) -> None:
    if not 0 < number < 1:
        raise ValueError(f"{what} should be between 0 and 1, not {number}")
