"""What many runs tell of the truth behind them: estimates, each with its interval.

A *time* is when a run came to something, its first block for one; it is None (infinity does
as well) for a run that never came to it: it stalled, failed, or was cut off at the deadline,
and all that is known is that it is later than any that came (its time is *censored*). It is
not left out: it is the last in the order of the quantiles, and "never" may be what they say.
The mean of those that came says nothing without how many did: the two come together.

Times are in any order, in seconds or any other unit. An interval holds the true value with
a probability of `confidence` or more; where it can be less, the function says so.
Each interval is for itself, and for a number of runs that was settled beforehand. Whoever
adds runs until an interval is narrow enough loses a little of the confidence, the less the
more runs there are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, copysign, inf, log, sqrt
from statistics import fmean, stdev

from scipy.special import bdtr, bdtrc, betainc, betaincinv, ndtri, stdtr, stdtrit

#: With what probability an interval holds the true value, where nothing else is said.
CONFIDENCE = 0.95

#: Probabilities that are equal but for the last bits are equal.
_NEARLY = 1 + 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the ends between which the true value lies, they themselves included.

    Of times, infinity is never; of differences, minus infinity is "instead of never".
    """

    estimate: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of what lies between the ends; 0 if both are never, infinity if one is."""
        return 0.0 if self.low == self.high else (self.high - self.low) / 2

    @property
    def relative_half_width(self) -> float:
        """The half width as a part of the estimate: the precision that a sweep stops at.

        It is 0 where the ends are equal, which is so too where nearly all runs never came:
        more of them would tell nothing new. It is infinite while one end is never.
        """
        half = self.half_width
        if half in (0, inf):
            return half
        return half / abs(self.estimate) if self.estimate else inf

    def words(self, say: Callable[[float], str]) -> str:
        """Return it as text; `say` formats a number: `reports.summary.seconds` for a time."""
        estimate, low, high = map(say, (self.estimate, self.low, self.high))
        return estimate if estimate == low == high else f"{estimate} ({low} to {high})"


@dataclass(frozen=True, slots=True)
class NotEnough:
    """There are not enough runs for an interval: so many there are, and so many are needed.

    Counted are the runs that can tell something. `estimate` is None where not even that
    can be had.
    """

    estimate: float | None
    runs: int
    needed: int

    @property
    def relative_half_width(self) -> float:
        """Infinity: nothing is known of how far the estimate is off."""
        return inf

    def words(self, say: Callable[[float], str]) -> str:
        """Return it for reading, as that of an interval."""
        why = f"not enough runs: {self.runs} of {self.needed}"
        return why if self.estimate is None else f"{say(self.estimate)} ({why})"


def percent(part: float) -> str:
    """Return a probability for reading; only what is certain is told as 0% or 100%."""
    if 0 < part < 0.001:
        return "under 0.1%"
    if 0.999 < part < 1:
        return "over 99.9%"
    return f"{100 * part:.3g}%"


def probability(count: int, runs: int, confidence: float = CONFIDENCE) -> Interval:
    """Return how probable it is that a run comes to what `count` of so many runs came to.

    The interval is that of Clopper and Pearson (Biometrika 26, 1934, 404-413), which never
    covers too little. Wilson's is narrower, but near 0 and 1, where successes are, it covers
    much less than it says for some probabilities (Brown, Cai and DasGupta, Statistical
    Science 16, 2001, 101-133).
    Raises `ValueError` if there are no runs, or fewer than `count`.
    """
    if not 0 <= count <= runs or runs == 0:
        raise ValueError(f"should be some of 1 run or more, not {count} of {runs}")
    tail = _tail(confidence)
    low = betaincinv(count, runs - count + 1, tail) if count > 0 else 0.0
    high = betaincinv(count + 1, runs - count, 1 - tail) if count < runs else 1.0
    return Interval(count / runs, float(low), float(high))


def is_over(count: int, runs: int, limit: float, confidence: float = CONFIDENCE) -> bool | None:
    """Tell whether it is more probable than `limit` that a run comes to what `count` came to.

    None if so many runs do not tell. This is the interval of `probability` held against the
    limit: at each side the risk to be wrong is half of `1 - confidence` at most.
    Raises `ValueError` if there are no runs, or fewer than `count`, or if `limit` is not between
    0 and 1.
    """
    if not 0 <= count <= runs or runs == 0:
        raise ValueError(f"should be some of 1 run or more, not {count} of {runs}")
    _check_part("a limit", limit)
    tail = _tail(confidence)
    if _at_least(count, runs, limit) <= tail:
        return True
    return False if _at_most(count, runs, limit) <= tail else None


def runs_to_tell(count: int, runs: int, limit: float, confidence: float = CONFIDENCE) -> int | None:
    """Return how many runs it takes in all until `is_over` tells, if they go on like these.

    To show that success is over 99.99 % at 95 % takes 36,887 runs of which none fails.
    None if a thousand million would not do: the limit is where the estimate is.
    Raises `ValueError` as `is_over` does.
    """
    _check_part("a limit", limit)
    part = probability(count, runs).estimate
    tail_of = _at_least if part > limit else _at_most
    tail = _tail(confidence)

    def told(total: int) -> bool:
        return tail_of(part * total, total, limit) <= tail

    if part == limit or not told(_MOST_RUNS):
        return None
    return bisect_left(range(_MOST_RUNS), True, key=told, lo=1)


#: More runs than this nobody takes.
_MOST_RUNS = 10**9


def _at_least(count: float, runs: int, p: float) -> float:
    """Return how probable `count` or more of so many runs are; `count` need not be whole."""
    return float(betainc(count, runs - count + 1, p)) if count > 0 else 1.0


def _at_most(count: float, runs: int, p: float) -> float:
    return float(betainc(runs - count, count + 1, 1 - p)) if count < runs else 1.0


def success(times: Iterable[float | None], confidence: float = CONFIDENCE) -> Interval:
    """Return how probable it is that a run comes to it, as `probability` does."""
    everything = _sorted(times)
    return probability(_came(everything), len(everything), confidence)


def quantile(
    times: Iterable[float | None], q: float, confidence: float = CONFIDENCE
) -> Interval | NotEnough:
    """Return the time by which a part `q` of the runs comes to it: 0.5 for the median.

    The estimate is the time of one run, the first by which so many came: halfway between a
    time and never there is nothing. The ends are times of runs as well, at `ranks`. They
    hold for every distribution, with ties too (David and Nagaraja, Order Statistics, 3rd
    edition, 7.1). A bootstrap would do with fewer runs, and cover too little in the tails.
    Differences can be given as well, from minus infinity on.
    Raises `ValueError` if `q` is not between 0 and 1.
    """
    ordered = _sorted(times)
    runs = len(ordered)
    found = ranks(runs, q, confidence)
    middle = ordered[ceil(runs * q / _NEARLY) - 1] if runs else None
    if found is None or middle is None:
        return NotEnough(middle, runs, least_runs(q, confidence))
    low, high = found
    return Interval(middle, ordered[low - 1], ordered[high - 1])


def ranks(runs: int, q: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Return which runs, in the order of their times, are the ends of a quantile's interval.

    The first is 1. How many of the runs lie below the quantile is binomial, so that it is
    known how probable it is that the quantile lies outside. Of all pairs of ranks it is the
    closest with at most half of `1 - confidence` at each side: each end is a bound by itself.
    None if there is no such pair: there are fewer than `least_runs`.
    Raises `ValueError` if `q` is not between 0 and 1.
    """
    _check_part("a quantile", q)
    tail = _tail(confidence) * _NEARLY
    low = bisect_right(range(runs), tail, key=lambda below: float(bdtr(below, runs, q)))
    high = 1 + bisect_left(range(runs), -tail, key=lambda below: -float(bdtrc(below, runs, q)))
    return (low, high) if low > 0 and high <= runs else None


def least_runs(q: float, confidence: float = CONFIDENCE) -> int:
    """Return how many runs the interval of a quantile needs: at 95%, 368 for 0.99.

    Raises `ValueError` if `q` is not between 0 and 1.
    """
    _check_part("a quantile", q)
    return ceil(log(_tail(confidence)) / log(max(q, 1 - q)) / _NEARLY)


def mean(times: Iterable[float], confidence: float = CONFIDENCE) -> Interval | NotEnough:
    """Return the mean of times that are all finite, with Student's t interval.

    It needs two, and many if their distribution is skewed: it covers what it says only in
    so far as the mean of so many is normal. A law without a variance (Pareto with an alpha
    of 2 and less) has no such interval; take quantiles.
    """
    finite = list(times)
    if len(finite) < 2:
        return NotEnough(finite[0] if finite else None, len(finite), 2)
    middle = fmean(finite)
    quantile_of_t = float(stdtrit(len(finite) - 1, 1 - _tail(confidence)))
    half = quantile_of_t * stdev(finite) / sqrt(len(finite))
    return Interval(middle, middle - half, middle + half)


def mean_or_never(times: Iterable[float], confidence: float = CONFIDENCE) -> Interval | NotEnough:
    """Return the mean of times as `mean` does; it is never if one of them is."""
    found = list(times)
    return Interval(inf, inf, inf) if inf in found else mean(found, confidence)


@dataclass(frozen=True, slots=True)
class GivenSuccess:
    """The mean of the times of the runs that came to it, and how probable it is to be one."""

    success: Interval
    mean: Interval | NotEnough

    def words(self, say: Callable[[float], str]) -> str:
        """Return both for reading: one without the other says too little."""
        return f"{self.mean.words(say)} in {self.success.words(percent)} of the runs"


def mean_given_success(
    times: Iterable[float | None], confidence: float = CONFIDENCE
) -> GivenSuccess:
    """Return the mean time of the runs that came to it, as `mean` does, beside their part.

    Raises `ValueError` if there are no runs.
    """
    ordered = _sorted(times)
    came = ordered[: _came(ordered)]
    return GivenSuccess(success(ordered, confidence), mean(came, confidence))


@dataclass(frozen=True, slots=True)
class Paired:
    """What another strategy made of the same runs as the baseline, run by run.

    The first four are numbers of runs: which of the two came to it. A *difference* is how
    much later the other came, less than 0 where it came sooner. It is infinite where it alone
    never came, minus infinity where it alone came, and there is none where neither did.

    `median` is the median of the differences, of those runs that have one. It is not the
    difference of the medians, nor does it tell of the tails.
    `mean` is the mean of the differences where both came to it.
    `success` is by how much more probable it is that the other comes to it.
    """

    both: int
    only_baseline: int
    only_other: int
    neither: int
    median: Interval | NotEnough
    mean: Interval | NotEnough
    success: Interval


def paired(
    baseline: Iterable[float | None],
    other: Iterable[float | None],
    confidence: float = CONFIDENCE,
) -> Paired:
    """Hold the times of a strategy against those of the baseline in the same runs.

    Both are in the order of the runs: the pairs have the same seed and met the same grid,
    so that what the grid does to both falls out of the difference.
    The median has the interval of the sign test, which is that of `quantile`, the mean that
    of `mean`, and the success that of `difference_of_success`.
    Raises `ValueError` if there are no runs, or not as many of each.
    """
    pairs = [
        (inf if first is None else first, inf if second is None else second)
        for first, second in zip(baseline, other, strict=True)
    ]
    both = [second - first for first, second in pairs if first < inf and second < inf]
    only_baseline = sum(first < second == inf for first, second in pairs)
    only_other = sum(second < first == inf for first, second in pairs)
    return Paired(
        len(both),
        only_baseline,
        only_other,
        len(pairs) - len(both) - only_baseline - only_other,
        quantile([*both, *[inf] * only_baseline, *[-inf] * only_other], 0.5, confidence),
        mean(both, confidence),
        difference_of_success(only_baseline, only_other, len(pairs), confidence),
    )


def difference_of_success(
    only_baseline: int, only_other: int, runs: int, confidence: float = CONFIDENCE
) -> Interval:
    """Return by how much more probable success is with the other strategy, from pairs.

    Only the pairs count in which one of the two came to it alone.
    The interval is that of Bonett and Price (Journal of Educational and Behavioral Statistics
    37, 2012, 479-488): Wald's with a pair of each kind more, which Fagerland, Lydersen and
    Laake (Statistics in Medicine 33, 2014, 2850-2875) recommend. At 95% it covers 93.5% at
    the worst, and on average more than it says.
    Raises `ValueError` if there are no runs, or fewer than those counted.
    """
    if min(only_baseline, only_other) < 0 or not 0 < max(1, only_baseline + only_other) <= runs:
        raise ValueError(
            f"should be some of 1 run or more, not {only_baseline} + {only_other} of {runs}"
        )
    estimate = (only_other - only_baseline) / runs
    gained, lost = ((count + 1) / (runs + 2) for count in (only_other, only_baseline))
    centre = gained - lost
    z = float(ndtri(1 - _tail(confidence)))
    half = z * sqrt((gained + lost - centre**2) / (runs + 2))
    return Interval(
        estimate,
        max(-1.0, min(centre - half, estimate)),
        min(1.0, max(centre + half, estimate)),
    )


def z_of_count(count: int, runs: int, part: float) -> float:
    """Return by how many standard errors `count` of so many runs is off, if a `part` should be.

    It is the exact tail of the binomial distribution, said as that of a normal one: 4 means
    what it says however few runs there are, and near 0 and 1 too. Infinity is impossible.
    """
    fewer, more = float(bdtr(count, runs, part)), float(bdtrc(count - 1, runs, part))
    off = abs(float(ndtri(min(fewer, more, 0.5))))
    return -off if fewer < more and off else off


def z_of_mean(times: Sequence[float], expected: float) -> float | None:
    """Return by how many standard errors the mean of times is off what it should be.

    It is the tail of Student's t distribution, said as that of a normal one; see `mean`. None
    if there are fewer than two times.
    """
    if len(times) < 2:
        return None
    error = stdev(times) / sqrt(len(times))
    off = fmean(times) - expected
    if not error:
        return copysign(inf, off) if off else 0.0
    tail = float(stdtr(len(times) - 1, -abs(off) / error))
    return copysign(float(ndtri(tail)), off)


def runs_needed(now: Interval | NotEnough, runs: int, within: float) -> int:
    """Return about how many runs it takes in all until the relative half width is `within`.

    `now` is what so many runs gave. Intervals become narrower with the square root of the
    runs. Where an end is still never, it is twice as many runs: nothing is known of how much
    is missing.
    Raises `ValueError` if `within` is not more than 0.
    """
    if not within > 0:
        raise ValueError(f"should be more than 0, not {within}")
    if isinstance(now, NotEnough):
        return ceil(runs * now.needed / now.runs) if now.runs else max(2 * runs, now.needed)
    times_too_wide = now.relative_half_width / within
    if times_too_wide == inf:
        return 2 * runs
    return max(runs, ceil(runs * times_too_wide**2))


def _sorted(times: Iterable[float | None]) -> list[float]:
    return sorted(inf if time is None else time for time in times)


def _came(ordered: Sequence[float]) -> int:
    """Return how many of sorted times are no never."""
    return bisect_left(ordered, inf)


def _tail(confidence: float) -> float:
    """Return with what probability the truth may lie on one side of an interval."""
    _check_part("a confidence", confidence)
    return (1 - confidence) / 2


def _check_part(what: str, number: float) -> None:
    if not 0 < number < 1:
        raise ValueError(f"{what} should be between 0 and 1, not {number}")
