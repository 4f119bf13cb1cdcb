"""Estimates of rare events from weighted runs.

The event occurs in run i, whose choices have the weight `w_i`, or not. The mean of the weights of
the runs in which it occurs, with 0 for the others, is an unbiased estimate of its probability. The
interval is that of the mean of bounded numbers (see `betting`), which is valid for every
distribution and however many runs there are. The bound is the greatest weight of the choices with
which the event occurred in any run. So the interval rests on one assumption: that the event does
not occur with choices of greater weight, which are the likelier ones in the scenario, such as those
of fewer failed servers than in any run in which it did. `least` and `fewer` of an estimate say how
far the runs support this.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from firstk.harness.rare.choices import Choices
from firstk.harness.rare.proposal import Numbers
from firstk.harness.stats.betting import Evidence
from firstk.harness.stats.estimates import CONFIDENCE, Interval


@dataclass(frozen=True, slots=True)
class RareEstimate:
    """The estimate of a probability, or of a time that is exceeded with a given one.

    The event occurred in `events` of `runs` weighted runs, after `pilots` more runs that only
    chose the proposal. `worth` is the number of runs of plain Monte Carlo with the same variance.
    The event occurred with `least` selected units or more; `fewer` runs had fewer.
    """

    estimate: Interval
    runs: int
    pilots: int
    events: int
    worth: float
    least: int
    fewer: int


def probability(
    occurs: Sequence[bool], weights: Numbers, choices: Sequence[Choices], bound: float, pilots: int
) -> RareEstimate:
    """Return the probability of an event; `bound` is the greatest weight with which it occurs.

    If it never occurred, `bound` is that of all weights.
    """
    hits = np.array(occurs)
    masses = np.where(hits, weights, 0.0)
    low, high = Evidence.of(np.minimum(1.0, masses / bound)).interval(CONFIDENCE)
    mean = float(masses.mean())
    counts = np.array([one.count for one in choices])
    least = int(counts[hits].min()) if hits.any() else 0
    return RareEstimate(
        Interval(mean, low * bound, min(1.0, high * bound)),
        len(masses),
        pilots,
        int(hits.sum()),
        _worth(masses, mean),
        least,
        int((counts < least).sum()),
    )


def _worth(masses: Numbers, mean: float) -> float:
    """Return the number of plain runs whose mean has the same variance."""
    variance = float(masses.var(ddof=1))
    return mean * (1 - mean) * len(masses) / variance if variance else inf


def quantile(
    times: Sequence[float],
    tail: float,
    weights: Numbers,
    choices: Sequence[Choices],
    bound: float,
    pilots: int,
) -> RareEstimate:
    """Return the time that a download exceeds with the probability `tail`; infinity is never.

    The ends are times of runs. The low end is the greatest that is shown to be exceeded more often
    than that, and the high end the smallest that is shown to be exceeded less often. `bound` is
    the greatest weight with which times near the quantile are exceeded.
    """
    late = np.array(times)
    levels = [0.0, *sorted({float(time) for time in times if 0 < time < inf}), inf]

    def estimate(level: float) -> float:
        return float(weights[late > level].sum()) / len(late)

    def shown(level: float) -> bool | None:
        """Return whether it is exceeded more often; None if the runs do not show it."""
        masses = np.where(late > level, weights, 0.0)
        most = max(bound, float(masses.max()))
        if level == inf or tail >= most:
            return False
        return Evidence.of(masses / most).is_over(tail / most, CONFIDENCE)

    middle = next(level for level in levels if estimate(level) <= tail)
    more = _last(levels, lambda level: shown(level) is True)
    less = _last(levels, lambda level: shown(level) is not False)
    high = levels[min(len(levels) - 1, less + 1)]
    over = late >= middle
    most = max(bound, float(weights[over].max(initial=0.0)))
    about = probability(over.tolist(), weights, choices, most, pilots)
    return replace(about, estimate=Interval(middle, levels[max(0, more)], high))


def _last(levels: Sequence[float], holds: Callable[[float], bool]) -> int:
    """Return the index of the last level for which `holds` is True, -1 if there is none."""
    return bisect_left(range(len(levels)), True, key=lambda i: not holds(levels[i])) - 1
