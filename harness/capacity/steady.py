"""Whether a grid carries a load: a judgement on the mean of a number over independent runs.

A run is one long simulation of a load, of which the first part is a warm-up. Its numbers, such as
the share of its downloads that pile up, are averages over thousands of events, and so nearly
normal. Their mean over independent runs has an interval by Student's t: the method of independent
replications (Law, Simulation Modeling and Analysis, 5th edition, 9.5.2).

The load is *carried* if fewer than `TOLERANCE` of the arriving downloads pile up, that is, if the
grid completes downloads at the rate at which they arrive, up to this share. It *saturates* the
grid if more do. In a stable grid nothing piles up in the long run; beyond saturation at the rate
`c`, arrivals at the rate `r` pile up in the share `1 - c / r`.

Close to saturation a grid takes long to settle: a run that begins with an empty grid sees the
number in progress grow even if the load is carried. In the limit of heavy traffic this number is a
reflected Brownian motion (Whitt, Stochastic-Process Limits, 2002, 5.7), whose growth from one third
of a run to its end has a mean of `SETTLING` standard deviations. A load saturates the grid only
if more pile up than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import asin, pi, sqrt
from statistics import fmean, stdev
from typing import Literal

from scipy.special import stdtrit

from firstk.harness.run.workload_result import WorkloadResult
from firstk.harness.stats.estimates import CONFIDENCE, Interval
from firstk.harness.stats.histogram import Histogram
from firstk.scenarios.condition import Condition

#: The share of the arriving downloads that may pile up in a grid that carries its load.
TOLERANCE = 0.02

#: How many standard deviations between runs the number in progress grows on average at saturation,
#: after a warm-up of a third of the run: with the growth D = |B(3)| - |B(1)| of a Brownian motion,
#: E[D] = sqrt(2 / pi) (sqrt(3) - 1), and E[D^2] = 4 - 2 E|B(1) B(3)|, where E|B(1) B(3)| is
#: (2 / pi) (sqrt(2) + asin(1 / sqrt(3))).
_MEAN = sqrt(2 / pi) * (sqrt(3) - 1)
SETTLING = _MEAN / sqrt(4 - 4 / pi * (sqrt(2) + asin(1 / sqrt(3))) - _MEAN**2)

#: The least share of the downloads that have piled up in a run that was ended early.
OVERLOADED = 0.25

#: The result of a run; None if it was ended, since too many downloads were in progress.
Load = WorkloadResult | None


@dataclass(frozen=True, slots=True)
class Criterion:
    """What is required of a load: that the mean of `of` over runs is less than `limit`.

    `of` returns a number of one run. If `above` is True, the mean must be greater. Since a run
    begins with an empty grid, the mean may exceed what it is in the long run by `settling` standard
    deviations.
    """

    name: str
    of: Callable[[Load], float]
    limit: float
    above: bool = False
    settling: float = 0.0


def stability() -> Criterion:
    """Return the criterion that a grid carries the load."""
    return Criterion("saturates", piled_up, TOLERANCE, settling=SETTLING)


def piled_up(load: Load) -> float:
    """Return the share of a run's downloads that pile up; at least, if the run was ended early.

    Downloads that never end, because their servers hang, do not count: they need no capacity.
    """
    if load is None:
        return OVERLOADED
    endless = load.outcomes.get("deadline", 0) + load.outcomes.get("stalled", 0)
    return (load.piled_up - endless) / load.downloads


def busy(load: Load) -> float:
    """Return the utilisation of the busiest resource in a run."""
    return 1.0 if load is None else min(1.0, load.utilisation or 0.0)


def criterion_of(condition: Condition, times: Literal["ttfb", "located"]) -> Criterion:
    """Return a condition as a criterion; a quantile is a claim about a share of the downloads.

    `times` says which times of a download a quantile is about.
    """
    if condition.is_busy:
        return Criterion(f"misses {condition}", busy, condition.limit)
    if condition.quantile is None:
        return Criterion(f"misses {condition}", _succeeded, condition.limit, above=True)

    def in_time(load: Load) -> float:
        if load is None:
            return 0.0
        of: Histogram = getattr(load, times)
        sure, most = of.before(condition.limit)
        return (sure + most) / 2 / load.downloads

    return Criterion(f"misses {condition}", in_time, condition.quantile, above=True)


def _succeeded(load: Load) -> float:
    return 0.0 if load is None else load.success_fraction


@dataclass(frozen=True, slots=True)
class Finding:
    """What runs show about a criterion: the mean, and whether it is met; None if not shown."""

    criterion: Criterion
    estimate: Interval
    met: bool | None


def judge(criterion: Criterion, loads: Sequence[Load], looks: int) -> Finding:
    """Return what two or more runs show.

    Each verdict is wrong with a probability of at most 2.5 % (half of 1 - `CONFIDENCE`), shared
    between `looks` looks at ever longer runs.
    """
    numbers = [criterion.of(load) for load in loads]
    found = mean_of_runs(numbers, (1 - CONFIDENCE) / 2 / looks)
    less = found.high < criterion.limit
    more = found.low - criterion.settling * stdev(numbers) > criterion.limit
    met = more if criterion.above else less
    missed = less if criterion.above else more
    return Finding(criterion, found, True if met else False if missed else None)


def mean_of_runs(numbers: Sequence[float], risk: float = (1 - CONFIDENCE) / 2) -> Interval:
    """Return the mean of numbers of independent runs, and its interval by Student's t.

    Each end is wrong with the probability `risk`. There must be two numbers or more.

    >>> found = mean_of_runs([0.1, 0.2, 0.3, 0.4])
    >>> f"{found.estimate:.3f} {found.low:.3f} {found.high:.3f}"
    '0.250 0.045 0.455'
    """
    mean = fmean(numbers)
    half = stdtrit(len(numbers) - 1, 1 - risk) * stdev(numbers) / sqrt(len(numbers))
    return Interval(mean, mean - float(half), mean + float(half))
