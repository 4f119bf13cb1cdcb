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
number in progress grow even if the load is carried (see `settling`). A load saturates the grid only
if more pile up than that. Far from saturation the number in progress differs from run to run by
more than what piles up, but resources with time to spare show that nothing does.
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
from firstk.scenarios.model import Scenario

#: The share of the arriving downloads that may pile up in a grid that carries its load.
TOLERANCE = 0.02

#: A grid carries a load for certain if its busiest resource is used less than this.
SPARE = 0.9

#: The least share of the downloads that have piled up in a run that was ended early.
OVERLOADED = 0.25

#: The result of a run; None if it was ended, since too many downloads were in progress.
Load = WorkloadResult | None


@dataclass(frozen=True, slots=True)
class Criterion:
    """What is required of a load: that the mean of `of` over runs is less than `limit`.

    `of` returns a number of one run. If `above` is True, the mean must be greater. Since a run
    begins with an empty grid, the mean may exceed what it is in the long run by `settling` standard
    deviations. If `with_spare` is True, it is enough that all resources have time to spare, unless
    the mean shows the contrary.
    """

    name: str
    of: Callable[[Load], float]
    limit: float
    above: bool = False
    settling: float = 0.0
    with_spare: bool = False


def stability(scenario: Scenario) -> Criterion:
    """Return the criterion that the grid of a scenario carries its workload."""
    load, client = scenario.workload, scenario.client
    assert load is not None
    # The utilisation of the client itself is not measured.
    with_spare = client is None or not (client.takes_time or client.compute)
    excess = settling(load.warmed_up, load.counted)
    return Criterion("saturates", piled_up, TOLERANCE, settling=excess, with_spare=with_spare)


def settling(warmup: int, downloads: int) -> float:
    """Return by how many standard deviations the number in progress grows at saturation.

    This is the mean growth over `downloads` after a warm-up, relative to the standard deviation
    between runs. In heavy traffic the number in progress is a reflected Brownian motion
    (Whitt, Stochastic-Process Limits, 2002, 5.7). For the growth D = |B(r)| - |B(1)| over the part
    after the warm-up, where r is the length of a run relative to its warm-up, E[D] is
    sqrt(2 / pi) (sqrt(r) - 1), and E[D^2] is r + 1 - 4 / pi (sqrt(r - 1) + asin(sqrt(1 / r))).

    >>> f"{settling(100, 200):.4f} {settling(0, 100):.4f}"
    '0.5635 1.3236'
    """
    if not warmup:
        return sqrt(2 / (pi - 2))  # the limit
    r = 1 + downloads / warmup
    mean = sqrt(2 / pi) * (sqrt(r) - 1)
    return mean / sqrt(r + 1 - 4 / pi * (sqrt(r - 1) + asin(sqrt(1 / r))) - mean**2)


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
    risk = (1 - CONFIDENCE) / 2 / looks
    found = mean_of_runs(numbers, risk)
    less = found.high < criterion.limit
    more = found.low - criterion.settling * stdev(numbers) > criterion.limit
    met = more if criterion.above else less
    missed = less if criterion.above else more
    if criterion.with_spare and not missed:
        met = met or mean_of_runs([busy(load) for load in loads], risk).high < SPARE
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
