"""What the runs of an experiment say about a published number."""

from __future__ import annotations

from collections.abc import Sequence

from firstk.harness.reproduce.exact import quantile_of
from firstk.harness.run.sample import Sample
from firstk.harness.stats.estimates import (
    Interval,
    NotEnough,
    mean,
    mean_share,
    probability,
    quantile,
)
from firstk.scenarios.model import Scenario


def measured(scenario: Scenario, measure: str, samples: Sequence[Sample]) -> Interval | NotEnough:
    """Return the estimate of a measure, with its interval; times are in seconds."""
    match measure:
        case "mean":
            return mean(_means(samples))
        case "located":
            return probability(_located(samples), len(samples))
        case "late":
            return probability(len(samples) - _located(samples), len(samples))
        case "extra queries":
            return _extra(scenario, samples)
    return quantile([sample.located for sample in samples], quantile_of(measure))


def _means(samples: Sequence[Sample]) -> list[float]:
    """Return the times of the runs, or the mean times of their downloads."""
    times = [s.located if s.load is None else s.load.located.mean for s in samples]
    return [float("inf") if time is None else time for time in times]


def _located(samples: Sequence[Sample]) -> int:
    return sum(sample.located is not None for sample in samples)


def _extra(scenario: Scenario, samples: Sequence[Sample]) -> Interval:
    """Return the mean number of queries beyond K, which is at most the number of other servers."""
    k = scenario.file.k
    most = scenario.grid.servers - k
    share = mean_share(((sample.queries or k) - k) / most for sample in samples)
    return Interval(most * share.estimate, most * share.low, most * share.high)
