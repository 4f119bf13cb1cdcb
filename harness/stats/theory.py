"""Theory: exact values that a simulation must reproduce.

Two models have closed forms. A `Stage` is phase 1 of a download: all servers are asked at once, and
enough of them answer. A `ForkJoin` is a whole grid under load: each download asks all servers,
which process one request at a time, and uses the first answers. Times are in seconds, rates per
second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from math import comb, inf
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import bdtrc, betaln

from firstk.scenarios.laws import (
    Exponential,
    Law,
    Lognormal,
    Pareto,
    ShiftedExponential,
    Uniform,
)


@dataclass(frozen=True)
class Stage:
    """Servers that are asked at once; each answers after an independent time, or is hung.

    `enough[m]` is the probability that the first m answers are enough, for m from 0 to the
    number of servers; `distinct` computes it. The times are independent draws of `law`. Exactly
    `hung` servers never answer, and each of the others does not answer with `probability`,
    independently.

    T is when enough servers have answered. It is the m-th answer with the probability
    `enough[m] - enough[m - 1]`, and the k-th of n answers has the distribution of an order
    statistic (David and Nagaraja, Order Statistics, 3rd edition, 2.1).
    """

    law: Law
    enough: Sequence[float]
    hung: int = 0
    probability: float = 0.0

    @property
    def success(self) -> float:
        """The probability that enough servers ever answer."""
        return self._by_now(1.0)

    def cdf(self, time: float) -> float:
        """Return the probability that T is at most `time`; it never exceeds `success`."""
        return self._by_now(float(distribution(self.law).cdf(time)))

    def quantile(self, q: float) -> float:
        """Return the quantile `q` of T among the successes; infinity if there are none."""
        if self.success == 0:
            return inf
        wanted = q * self.success
        answered = brentq(
            lambda part: self._by_now(part) - wanted, 0.0, 1.0, xtol=1e-15, rtol=1e-14
        )
        return float(distribution(self.law).ppf(answered))

    @cached_property
    def mean(self) -> float:
        """The mean of T among the successes; infinity if there are none."""
        if self.success == 0:
            return inf
        whole = sum(part * mean_of_kth(self.law, k, n) for part, k, n in self._ways)
        return whole / self.success

    @cached_property
    def variance(self) -> float:
        """The variance of T among the successes; infinity if it has none."""
        return self._spread(2)

    @cached_property
    def skewness(self) -> float:
        """The third central moment over the cube of the standard deviation; infinity if none."""
        third = self._spread(3)
        return third / self.variance**1.5 if third < inf else inf

    def _spread(self, power: int) -> float:
        """Return a central moment of T among the successes."""
        if (centre := self.mean) == inf:
            return inf
        whole = sum(part * about(self.law, k, n, centre, power) for part, k, n in self._ways)
        return whole / self.success

    @cached_property
    def _ways(self) -> list[tuple[float, int, int]]:
        """The probability that T is the k-th of n answers, for each k and n."""
        answering = stats.binom.pmf(range(self._asked + 1), self._asked, 1 - self.probability)
        return [
            (float(probability) * step, k, n)
            for n, probability in enumerate(answering)
            for k, step in enumerate(self._steps[1 : n + 1], 1)
            if step and probability
        ]

    @property
    def _asked(self) -> int:
        """The number of servers that may answer."""
        return len(self.enough) - 1 - self.hung

    @cached_property
    def _steps(self) -> list[float]:
        """The probability that exactly m answers are needed, for each possible m."""
        enough = self.enough[: self._asked + 1]
        return [enough[0], *(after - before for before, after in pairwise(enough))]

    def _by_now(self, part: float) -> float:
        """Return the probability that enough have answered by this quantile of the law."""
        fewer = range(-1, self._asked)
        so_many = bdtrc(fewer, self._asked, (1 - self.probability) * part)
        return float(so_many @ self._steps)


def distinct(copies: Sequence[int], k: int) -> list[float]:
    """Return, for each m, the probability that the first m answers hold k distinct shares.

    `k` is at least 1. `copies` has a number for each share: the number of servers that hold it.
    Each of these servers holds no other share.
    """
    return covering([(count, 1) for count in copies], k)


def covering(groups: Iterable[tuple[int, int]], k: int) -> list[float]:
    """Return the same for groups of servers: the number of servers and of shares of each group.

    The servers of a group hold the same shares, possibly none, and no other group holds any of
    them. All sets of m servers are equally likely to be the first, so the function counts those
    sets.
    """
    # The keys: the size of a set of servers, and its number of distinct shares, at most k.
    sets = {(0, 0): 1}
    servers = 0
    for count, held in groups:
        servers += count
        more: dict[tuple[int, int], int] = {}
        for (size, shares), ways in sets.items():
            for chosen in range(count + 1):
                key = size + chosen, min(k, shares + (held if chosen else 0))
                more[key] = more.get(key, 0) + ways * comb(count, chosen)
        sets = more
    return [sets.get((m, k), 0) / comb(servers, m) for m in range(servers + 1)]


def mean_of_kth(law: Law, k: int, n: int) -> float:
    """Return the mean of the k-th smallest of n times.

    Closed forms: David and Nagaraja, Order Statistics, 3rd edition, 3.1, and for the Pareto
    law Arnold, Pareto Distributions, 2nd edition, 3.4. Infinity if there is no mean.
    Raises `ValueError` for a law that is not supported here.
    """
    match law:
        case Exponential():
            return law.mean * _harmonic(n, k)
        case ShiftedExponential():
            return law.shift + law.mean * _harmonic(n, k)
        case Uniform():
            return law.low + (law.high - law.low) * k / (n + 1)
        case Pareto():
            less = 1 / law.alpha
            if n - k + 1 <= less:
                return inf
            # Rising factorials instead of gamma functions, which overflow for large n.
            product = law.scale
            for i in range(n - k + 1, n + 1):
                product *= i / (i - less)
            return product
        case _:
            distribution(law)  # returns a distribution, or raises
            return about(law, k, n, 0.0, 1)


def about(law: Law, k: int, n: int, centre: float, power: int) -> float:
    """Return the mean of (T - centre)**power, where T is the k-th smallest of n times.

    The k-th of n uniform numbers is beta distributed. The integral is over the normal quantiles
    of these numbers, where tails are short. Infinity if there is no such mean. `law` is one that
    `mean_of_kth` supports.
    """
    if isinstance(law, Pareto) and n - k + 1 <= power / law.alpha:
        return inf
    density, below, above = _normal()
    logarithms = density + (k - 1) * below + (n - k) * above - betaln(k, n - k + 1)
    there = logarithms > -700
    with np.errstate(over="ignore"):
        offs = (_times(law)[there] - centre) ** power
        return float(offs @ np.exp(logarithms[there])) * _STEP


#: The quantiles of a normal distribution at which `about` evaluates times.
_STEP = 0.01
_PLACES = np.arange(-37.5, 37.5, _STEP)


@cache
def _normal() -> tuple[Any, Any, Any]:
    """Return the logarithms of the normal density, and of the parts below and above each place."""
    normal = stats.norm
    return normal.logpdf(_PLACES), normal.logcdf(_PLACES), normal.logsf(_PLACES)


@lru_cache(maxsize=8)
def _times(law: Law) -> Any:
    """Return the times of a law at those quantiles."""
    below, above = (_PLACES[side] for side in (_PLACES < 0, _PLACES >= 0))
    # From the middle on, the upper tail is known more precisely than the part below.
    times = distribution(law)
    return np.concatenate([times.ppf(stats.norm.cdf(below)), times.isf(stats.norm.sf(above))])


def _harmonic(n: int, k: int) -> float:
    """Return the sum of 1/i for the k largest i up to n."""
    return sum(1 / i for i in range(n - k + 1, n + 1))


def distribution(law: Law) -> Any:
    """Return SciPy's distribution of a law.

    Raises `ValueError` if SciPy has no such distribution, or if the law is always the same time.
    """
    match law:
        case Uniform() if law.low < law.high:
            return stats.uniform(law.low, law.high - law.low)
        case Exponential():
            return stats.expon(scale=law.mean)
        case ShiftedExponential():
            return stats.expon(law.shift, law.mean)
        case Lognormal() if law.sigma > 0:
            return stats.lognorm(law.sigma, scale=law.median)
        case Pareto():
            return stats.pareto(law.alpha, scale=law.scale)
        case _:
            raise ValueError(f"the law {law.law!r} has no closed form")


@dataclass(frozen=True, slots=True)
class ForkJoin:
    """Downloads arrive at random and ask n servers each; the first k answers complete one.

    They arrive as a Poisson process with the rate `arrivals`. A server processes one request at a
    time, in order, with exponential service times of the rate `service`. With `purging`, requests
    that a download no longer needs are dropped at once, at no cost; without it, the servers
    process all requests.
    All figures are mean times from the arrival of a download to its k-th answer. Infinity means
    that the grid is given more work than it can do.
    """

    n: int
    k: int
    arrivals: float
    service: float
    purging: bool = True

    @property
    def load(self) -> float:
        """The offered work over the servers' capacity; a load of 1 or more is too much."""
        served = self.k / self.n if self.purging else 1.0
        return self.arrivals * served / self.service

    @property
    def lower(self) -> float:
        """A lower bound; with purging it is exact for k = 1.

        Joshi, Liu and Soljanin, On the Delay-Storage Trade-off in Content Download from
        Coded Distributed Storage Systems, IEEE JSAC 32, 2014, 989-997: k stages, each of which
        waits for one more answer, with all remaining servers at work.

        Without purging, no request is answered sooner. Nor is the k-th answer before the first of
        any n - k + 1 servers, whose response times are associated: the mean of the least is at
        least what it would be if they were independent (Esary, Proschan and Walkup, Association
        of Random Variables, Annals of Mathematical Statistics 38, 1967, 1466-1474).
        """
        if self.load >= 1:
            return inf
        purging = sum(1 / ((self.n - j) * self.service - self.arrivals) for j in range(self.k))
        return purging if self.purging else max(purging, self._alone / (self.n - self.k + 1))

    @property
    def upper(self) -> float:
        """An upper bound.

        With purging, also from Joshi, Liu and Soljanin: no server starts before all can start
        together. This split-merge queue is M/G/1, with the k-th smallest of n as its service time
        (Pollaczek and Khinchine). It has less capacity, and may be overloaded when fork-join is
        not.

        Without purging, it is the lesser of two bounds. The k-th answer does not come after the
        last of any k servers, whose mean is at most what it would be if they were independent
        (Nelson and Tantawi, below). And the k-th answer and the n - k later ones sum to at most
        the sum of all n.
        """
        if not self.purging:
            return self._alone * min(_harmonic(self.k, self.k), self.n / (self.n - self.k + 1))
        last = range(self.n - self.k + 1, self.n + 1)
        mean = sum(1 / i for i in last) / self.service
        variance = sum(1 / i**2 for i in last) / self.service**2
        busy = self.arrivals * mean
        if busy >= 1:
            return inf
        return mean + self.arrivals * (variance + mean**2) / (2 * (1 - busy))

    @property
    def exact(self) -> float | None:
        """The mean, where it is known.

        With purging and k = 1, the n servers act as one that is n times as fast. A single server is
        M/M/1. For both of two servers: Flatto and Hahn, Two Parallel Queues Created by Arrivals
        with Two Demands I, SIAM Journal on Applied Mathematics 44, 1984, 1041-1053; the mean is in
        Nelson and Tantawi, Approximate Analysis of Fork/Join Synchronization in Parallel
        Queues, IEEE Transactions on Computers 37, 1988, 739-743. The first and the last answer
        of two sum to two answers of M/M/1, which gives the first without purging.
        """
        if self.k == 1 and (self.purging or self.n == 1):
            return self.lower
        if self.n == 2:
            last = (1.5 - self.load / 8) * self._alone
            if self.k == 2:
                return last
            return 2 * self._alone - last if self.load < 1 else inf
        return None

    @property
    def _alone(self) -> float:
        """The mean response time of a server that processes every request: M/M/1."""
        return inf if self.arrivals >= self.service else 1 / (self.service - self.arrivals)
