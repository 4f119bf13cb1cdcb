"""Races: requests that may differ in their laws and in their starts, and the k-th of their answers.

`Stage` in `theory` is about servers that are all alike; this is for the others, such as requests
that are sent later than the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from math import inf

import numpy as np
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from firstk.harness.stats.survival import Survival, survival
from firstk.scenarios.laws import Law


@dataclass(frozen=True)
class Runners:
    """A number of requests that are alike.

    They are sent at `start`, in seconds, and answered after independent draws of `law`; each is
    never answered with the probability `silent`.
    """

    count: int
    law: Law
    start: float = 0.0
    silent: float = 0.0


@dataclass(frozen=True)
class Race:
    """T is the time of the k-th answer to some requests. Times are in seconds.

    The number of answers by a time is a sum of binomial numbers, one for each kind of `runners`.
    """

    k: int
    runners: Sequence[Runners]

    @cached_property
    def _survivals(self) -> list[Survival]:
        return [survival(each.law) for each in self.runners]

    def cdf(self, time: float) -> float:
        """Return the probability that T is at most `time`."""
        return self._enough(
            [
                max(0.0, 1 - of(time - each.start)) if time >= each.start else 0.0
                for each, of in zip(self.runners, self._survivals, strict=True)
            ]
        )

    @property
    def success(self) -> float:
        """The probability that enough requests are ever answered."""
        return self._enough([1.0] * len(self.runners))

    def _enough(self, answered: Sequence[float]) -> float:
        """Return the probability of k answers, given that of an answer for each kind."""
        parts = [
            stats.binom.pmf(range(each.count + 1), each.count, (1 - each.silent) * part)
            for each, part in zip(self.runners, answered, strict=True)
        ]
        return float(min(1.0, reduce(np.convolve, parts)[self.k :].sum()))

    def quantile(self, q: float) -> float:
        """Return the time by which T has come with probability `q`; infinity if it never has."""
        if self.success <= q:
            return inf
        high = 1e-6
        while self.cdf(high) < q:
            high *= 2
        return float(brentq(lambda time: self.cdf(time) - q, 0.0, high, xtol=1e-12, rtol=1e-12))

    @cached_property
    def mean(self) -> float:
        """The mean of T; infinity if T may never come."""
        if self.success < 1:
            return inf
        places = [*sorted({0.0, *(each.start for each in self.runners)}), inf]
        return sum(
            float(quad(lambda time: 1 - self.cdf(time), low, high, epsrel=1e-10, limit=200)[0])
            for low, high in pairwise(places)
        )
