"""Bets on a mean: what numbers between 0 and 1 show about the mean of their distribution.

The claim that the mean is at most `limit` offers a game that is fair or favours the house: a player
stakes a part of their capital on the next number, and is paid number / limit times the stake. If
the claim is true, the probability that a capital of 1 ever grows to 40 is at most 1/40 (Ville's
inequality), so a capital of 40 refutes the claim with a risk of 2.5 %. This holds for all times
together: one may evaluate the capital after each number, stop at will and continue later, at no
additional risk. It holds for every distribution on [0, 1], including those with rare bad numbers
(Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86,
2024, 1-27).

The capital here is split over fixed bets. Each stakes the same part of its capital on every number.
The result depends only on the numbers, not on their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import xlog1py

Numbers = npt.NDArray[np.float64]

#: The part of its capital that each bet stakes. Small parts suit a mean near the limit, which takes
#: many numbers to show: the smallest suits ten million of them. Staking everything suits data in
#: which every number is good, as when no download fails.
_PARTS: Numbers = np.array(
    [*(0.5**k for k in range(18, 0, -1)), *(1 - 0.5**k for k in range(2, 6)), 1.0]
)

#: How the capital is split over the bets at the start. A fifth stakes everything, so that "no
#: failure" is shown with a quarter more runs than the minimum; of the rest, larger parts get a
#: little more. Chosen by measurement: for limits from 0.5 to 0.9999 this takes between 1.25 (no
#: failure) and 4 times as many numbers as a Clopper-Pearson interval that is evaluated once, after
#: a number of runs that was fixed in advance.
_SHARES: Numbers = np.array(
    [*(1 / (3 + k) for k in range(18, 0, -1)), *[1 / 4] * 4],
)
_LOG_SHARES: Numbers = np.log([*(0.8 * _SHARES / _SHARES.sum()), 0.2])

#: The largest number of runs that is considered.
_MOST_RUNS = 10**9

#: How often a bracket of logarithms is halved, which leaves twelve digits.
_HALVINGS = 40


@dataclass(frozen=True, eq=False)
class Evidence:
    """Independent numbers in [0, 1] from one distribution: each `values[i]`, `counts[i]` times.

    Make it with `of` or `of_count`, which sort and check.
    """

    values: Numbers
    counts: Numbers

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Self:
        """Return the evidence of a sequence of numbers, one per run.

        Raises `ValueError` if there are none, or one is not between 0 and 1.
        """
        values, counts = np.unique(np.fromiter(numbers, float), return_counts=True)
        if not len(values) or not (values[0] >= 0 and values[-1] <= 1):
            raise ValueError(f"should be one number or more, from 0 to 1, not {values.tolist()}")
        return cls(values, counts.astype(float))

    @classmethod
    def of_count(cls, count: int, runs: int) -> Self:
        """Return the evidence of `count` ones, and zeros for the other runs.

        Raises `ValueError` if there are no runs, or fewer than `count`.
        """
        if not 0 <= count <= runs or runs == 0:
            raise ValueError(f"should be some of 1 run or more, not {count} of {runs}")
        return cls(np.array([0.0, 1.0]), np.array([runs - count, count], dtype=float))

    @cached_property
    def runs(self) -> int:
        """The number of numbers."""
        return int(self.counts.sum())

    @cached_property
    def mean(self) -> float:
        """The mean of the numbers."""
        return float(self.values @ self.counts) / self.runs

    @cached_property
    def _mirrored(self) -> Self:
        """The evidence of 1 minus each number, which shows that a mean is under a limit."""
        return replace(self, values=1 - self.values)

    def log_capital(self, limit: float) -> float:
        """Return the logarithm of the capital that bets on a mean over `limit`, between 0 and 1.

        It decreases with the limit, and increases with the numbers.
        """
        return _log_sum(_LOG_SHARES + self._log_gains(limit))

    def _log_gains(self, limit: float) -> Numbers:
        """Return the logarithm of each bet's capital, relative to its capital at the start."""
        gains = xlog1py(self.counts, np.outer(_PARTS, self.values / limit - 1))
        return np.asarray(gains.sum(axis=1))

    def is_over(self, limit: float, confidence: float) -> bool | None:
        """Return whether the mean is over `limit`; None if the numbers do not show it.

        The probability of ever returning True if the mean is not over the limit is at most half of
        `1 - confidence`, however often one asks while numbers arrive. The same holds for False and
        "under". Raises `ValueError` if `limit` or `confidence` is not between 0 and 1.
        """
        enough = _log_enough(confidence)
        _check_part("a limit", limit)
        if self.mean > limit:
            return True if self.log_capital(limit) >= enough else None
        return False if self._mirrored.log_capital(1 - limit) >= enough else None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the interval of all limits for which `is_over` returns None.

        The probability that the mean is in the interval, at all times together, is at least
        `confidence`. Raises `ValueError` if that is not between 0 and 1.
        """
        enough = _log_enough(confidence)
        return self._low(enough), 1 - self._mirrored._low(enough)

    def _low(self, enough: float) -> float:
        """Return the greatest limit that the mean is shown to be over, rounded down."""
        if not self.mean:
            return 0.0

        def shown(log_limit: float) -> bool:
            limit = float(np.exp(log_limit))
            return limit == 0 or self.log_capital(limit) >= enough

        high = log(self.mean)  # at the mean no bet gains
        low = high - 1
        while not shown(low):
            low = high - 2 * (high - low)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if shown(middle) else (low, middle)
        return float(np.exp(low))

    def runs_to_tell(self, limit: float, confidence: float) -> int | None:
        """Return the total number of runs that `is_over` needs, if further runs are like these.

        None if a thousand million would not suffice: the mean is too near the limit. Raises
        `ValueError` as `is_over` does.
        """
        enough = _log_enough(confidence)
        _check_part("a limit", limit)
        over = self.mean > limit
        gains = self._log_gains(limit) if over else self._mirrored._log_gains(1 - limit)
        each = gains / self.runs

        def decided(runs: float) -> bool:
            return _log_sum(_LOG_SHARES + runs * each) >= enough

        return _first(decided, _MOST_RUNS)


def _log_sum(logs: Numbers) -> float:
    """Return the logarithm of a sum, given its terms' logarithms; at least one term is finite."""
    most = logs.max()
    return float(most + np.log(np.exp(logs - most).sum()))


def _first(decided: Callable[[float], bool], most: int) -> int | None:
    """Return the first number of runs, from 1, for which `decided` is True, by bisection."""
    if not decided(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high


def _log_enough(confidence: float) -> float:
    """Return the logarithm of the capital that refutes a claim, with half the risk on each side."""
    _check_part("a confidence", confidence)
    return log(2 / (1 - confidence))


def _check_part(what: str, number: float) -> None:
    if not 0 < number < 1:
        raise ValueError(f"{what} should be between 0 and 1, not {number}")
