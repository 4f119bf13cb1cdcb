"""Bets on a mean: what numbers between 0 and 1 show of the mean of the law behind them.

To claim that the mean is `limit` or less is to offer a game that is fair or favours the house: a
player puts a part of their capital on the next number, and gets back number / limit times that
part. If the claim is true, a capital of 1 ever grows to 40 with a probability of 1/40 at most
(Ville's inequality), so a capital of 40 refutes the claim with a risk of 2.5 %. That holds for all
moments together: one may look after each number, stop at will and go on later, and no risk is
spent. It holds for every law on [0, 1], rare bad numbers included (Waudby-Smith and Ramdas,
"Estimating means of bounded random variables by betting", JRSS B 86, 2024, 1-27).

The capital here is split over fixed bets, each of which puts the same part of what it has on every
number. The result depends on the numbers alone, not on their order.
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

#: Which part of its capital each bet stakes. Small parts are right where the mean is near the
#: limit, which many numbers show: the least is for ten million of them. All of it is right where
#: every number is good, as where no download fails.
_PARTS: Numbers = np.array(
    [*(0.5**k for k in range(18, 0, -1)), *(1 - 0.5**k for k in range(2, 6)), 1.0]
)

#: How the capital is split over the bets at the start: a fifth stakes everything, so that "no
#: failure" is shown with a quarter more runs than the least possible; of the rest the larger parts
#: have a little more. Chosen by measurement: for limits from 0.5 to 0.9999 it takes 1.25 (no
#: failure) to 4 times as many numbers as an interval of Clopper and Pearson that is looked at
#: once, after a number of runs that was settled beforehand.
_SHARES: Numbers = np.array(
    [*(1 / (3 + k) for k in range(18, 0, -1)), *[1 / 4] * 4],
)
_LOG_SHARES: Numbers = np.log([*(0.8 * _SHARES / _SHARES.sum()), 0.2])

#: Nobody takes more runs than this.
_MOST_RUNS = 10**9

#: So often a bracket of logarithms is halved, which leaves twelve digits.
_HALVINGS = 40


@dataclass(frozen=True, eq=False)
class Evidence:
    """Independent numbers between 0 and 1 from one law: `counts[i]` times each `values[i]`.

    Make it with `of` or `of_count`, which sort and check.
    """

    values: Numbers
    counts: Numbers

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Self:
        """Return what numbers show, one a run.

        Raises `ValueError` if there are none, or one is not between 0 and 1.
        """
        values, counts = np.unique(np.fromiter(numbers, float), return_counts=True)
        if not len(values) or not (values[0] >= 0 and values[-1] <= 1):
            raise ValueError(f"should be one number or more, from 0 to 1, not {values.tolist()}")
        return cls(values, counts.astype(float))

    @classmethod
    def of_count(cls, count: int, runs: int) -> Self:
        """Return what `count` ones show, and zeros for the other runs.

        Raises `ValueError` if there are no runs, or fewer than `count`.
        """
        if not 0 <= count <= runs or runs == 0:
            raise ValueError(f"should be some of 1 run or more, not {count} of {runs}")
        return cls(np.array([0.0, 1.0]), np.array([runs - count, count], dtype=float))

    @cached_property
    def runs(self) -> int:
        """How many numbers there are."""
        return int(self.counts.sum())

    @cached_property
    def mean(self) -> float:
        """Their mean."""
        return float(self.values @ self.counts) / self.runs

    @cached_property
    def _mirrored(self) -> Self:
        """What 1 less each number shows: that a mean is less than a limit."""
        return replace(self, values=1 - self.values)

    def log_capital(self, limit: float) -> float:
        """Return the logarithm of the capital that shows a mean over `limit`, between 0 and 1.

        It is less for a greater limit, and greater for greater numbers.
        """
        return _log_sum(_LOG_SHARES + self._log_gains(limit))

    def _log_gains(self, limit: float) -> Numbers:
        """Return the logarithm of what each bet has for each unit that it began with."""
        gains = xlog1py(self.counts, np.outer(_PARTS, self.values / limit - 1))
        return np.asarray(gains.sum(axis=1))

    def is_over(self, limit: float, confidence: float) -> bool | None:
        """Return whether the mean is over `limit`; None if the numbers do not show it.

        With a probability of at most half of `1 - confidence` this ever returns True for a
        limit that it is not over, whenever and however often one asks while numbers come in; it is
        the same for "under". Raises `ValueError` if either is not between 0 and 1.
        """
        enough = _log_enough(confidence)
        _check_part("a limit", limit)
        if self.mean > limit:
            return True if self.log_capital(limit) >= enough else None
        return False if self._mirrored.log_capital(1 - limit) >= enough else None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the interval of all limits for which `is_over` returns None.

        The mean lies between them at all times at once with a probability of `confidence` or
        more. Raises `ValueError` if that is not between 0 and 1.
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
        """Return how many runs in all `is_over` needs to decide, if they go on like these.

        None if a thousand million would not do: the mean is too near the limit. Raises
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
    """Return the logarithm of a sum; one term at least is finite."""
    most = logs.max()
    return float(most + np.log(np.exp(logs - most).sum()))


def _first(decided: Callable[[float], bool], most: int) -> int | None:
    """Return the first number of runs from 1 on of which it is true, as it is of all after it."""
    if not decided(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high


def _log_enough(confidence: float) -> float:
    """Return the logarithm of the capital that refutes a claim, one on each side."""
    _check_part("a confidence", confidence)
    return log(2 / (1 - confidence))


def _check_part(what: str, number: float) -> None:
    if not 0 < number < 1:
        raise ValueError(f"{what} should be between 0 and 1, not {number}")
