"""Estimates from a set of runs of one strategy: a cell of a table of results.

A run without a first byte, because it stalled, failed, crashed or was cut off, counts as later than
any other run. No quantile ignores it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from firstk.harness.run import pooled
from firstk.harness.run.sample import CRASHED, NO_NUMBERS, OVERLOADED, OneRun
from firstk.harness.stats.estimates import (
    Interval,
    NotEnough,
    median_difference,
    probability,
    quantile,
)

Estimate = Interval | NotEnough

#: The quantiles of the time to first byte, by their names.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Cell:
    """The estimates for one strategy at one point. Times are in seconds.

    `against` is the median difference to the first strategy, None for that one itself;
    `requests` and `bytes` are None where no run has any: all crashed or were `overloaded`. `saved`
    is the mean of the bytes that were never sent, as their requests were cancelled; None if none
    was. Where a run has many downloads, `under_way` is how many there are at a time, and `busy` how
    much is in use of what is busiest.
    """

    point: int
    values: Mapping[str, Any]
    strategy: str
    runs: int
    ok: Estimate
    quantiles: Mapping[str, Estimate]
    against: Estimate | None
    requests: float | None
    bytes: float | None
    wrong: int
    crashed: int
    overloaded: int = 0
    saved: float | None = None
    under_way: float | None = None
    busy: float | None = None


def cell(
    point: int,
    values: Mapping[str, Any],
    strategy: str,
    samples: Sequence[OneRun],
    first: Sequence[OneRun] | None,
    *,
    loads: bool,
    saved: float | None = None,
) -> Cell:
    """Return the estimates from one or more runs, of many downloads each if `loads` is True.

    `first` are the same runs of the first strategy, None for that one itself.
    """
    make = partial(
        Cell,
        point=point,
        values=values,
        strategy=strategy,
        runs=len(samples),
        saved=saved,
        quantiles={name: quantile_of(samples, q) for name, q in QUANTILES.items()},
        wrong=sum(sample.content_ok is False for sample in samples),
        crashed=sum(sample.outcome == CRASHED for sample in samples),
        overloaded=sum(sample.outcome == OVERLOADED for sample in samples),
    )
    if not loads:
        there = [sample for sample in samples if sample.outcome not in NO_NUMBERS]
        times = [sample.ttfb for sample in samples]
        return make(
            ok=probability(sum(sample.outcome == "ok" for sample in samples), len(samples)),
            against=median_difference([s.ttfb for s in first], times) if first else None,
            requests=_mean([(s.queries or 0) + (s.reads or 0) for s in there]),
            bytes=_mean([s.bytes_received or 0 for s in there]),
        )
    loads_of = [sample.load for sample in samples if sample.load is not None]
    medians = [_median(sample) for sample in samples]
    return make(
        ok=pooled.share([sample.load for sample in samples], lambda load: load.success_fraction),
        against=median_difference(map(_median, first), medians) if first else None,
        requests=_mean([load.requests for load in loads_of]),
        bytes=_mean([load.bytes_received for load in loads_of]),
        under_way=_mean([n for load in loads_of if (n := load.in_system) is not None]),
        busy=_mean([load.utilisation for load in loads_of if load.utilisation is not None]),
    )


def _median(sample: OneRun) -> float | None:
    """Return the median of the times to first byte in a run of many downloads."""
    return None if sample.load is None else sample.load.ttfb.quantile(0.5)


def _mean(numbers: Sequence[float]) -> float | None:
    return fmean(numbers) if numbers else None


def quantile_of(samples: Sequence[OneRun], q: float) -> Estimate:
    """Return a quantile of the times to first byte over all downloads of all runs."""
    if any(sample.load for sample in samples):
        return pooled.quantile([sample.load for sample in samples], q)
    return quantile([sample.ttfb for sample in samples], q)
