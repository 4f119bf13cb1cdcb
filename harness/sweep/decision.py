"""Whether the runs of a candidate of a plan show that it meets the target.

Every condition is a claim about a share of downloads: p90 < 0.5 s says that more than 90 % of all
downloads have their first byte before 0.5 s. The risk of a wrong "met" is at most 2.5 %, and so is
the risk of a wrong "missed", however often the runs are evaluated and however many are added later
(see `betting`). The risk that a candidate is wrongly said to meet the whole target is even smaller,
since all conditions must be met. Each candidate and each condition is judged separately: among
many, some verdicts may be wrong.

If a run is many downloads, the share is that of all downloads of all runs: the mean of the runs'
shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean

from firstk.harness.run import pooled
from firstk.harness.run.sample import CRASHED, NO_NUMBERS, Sample
from firstk.harness.run.workload_result import WorkloadResult
from firstk.harness.stats.betting import Evidence
from firstk.harness.stats.estimates import (
    CONFIDENCE,
    Interval,
    NotEnough,
    mean_share,
    probability,
    quantile,
)
from firstk.scenarios.condition import Condition
from firstk.scenarios.plan import Target

Estimate = Interval | NotEnough


@dataclass(frozen=True, slots=True)
class Finding:
    """What the runs show about a condition.

    `met` is None if the runs do not show whether it is met. `needed` is then the approximate
    total number of runs that would show it, if further runs are like these. `needed` is None if
    the condition is decided, or if no number of runs is likely to decide it.
    """

    condition: Condition
    estimate: Estimate
    met: bool | None
    needed: int | None

    @property
    def excess(self) -> float:
        """The ratio of the result to the limit: more than 1 if the condition seems unmet.

        For a time or a utilisation, it is this over its limit; for a probability, it is the
        observed rate of misses over the permitted rate.
        """
        estimate, limit = self.estimate.estimate, self.condition.limit
        if estimate is None:
            return inf
        if self.condition.quantile or self.condition.is_busy:
            return estimate / limit
        return (1 - estimate) / (1 - limit)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the runs of a candidate show.

    `requests` is the mean number of requests of a download, or None if all runs crashed.
    `crashed` runs ended their process, and `wrong` runs wrote wrong bytes.
    """

    runs: int
    findings: Sequence[Finding]
    requests: float | None
    crashed: int
    wrong: int

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if the runs do not show it."""
        met = [finding.met for finding in self.findings]
        return False if False in met else None if None in met else True

    @property
    def cost(self) -> float:
        """The mean number of requests of a download; infinity if it is not known."""
        return inf if self.requests is None else self.requests

    @property
    def excess(self) -> float:
        """The ratio of the result to the limit, in the condition with the greatest ratio."""
        return max(finding.excess for finding in self.findings)

    @property
    def needed(self) -> int | None:
        """The approximate total number of runs that decide it, if further runs are like these.

        None if it is decided, or if no number of runs is likely to decide it. Missing one condition
        misses the target; meeting the target takes all conditions.
        """
        if self.met is not None:
            return None
        open_ = [finding for finding in self.findings if finding.met is None]
        missing = [finding.needed for finding in open_ if finding.excess > 1]
        if missing:
            return min((needed for needed in missing if needed is not None), default=None)
        needed = [finding.needed for finding in open_]
        return None if None in needed else max(n for n in needed if n is not None)


def decide(target: Target, samples: Sequence[Sample]) -> Decision:
    """Return what the runs of a candidate show; `samples` must not be empty.

    A run without a first byte, because it stalled, failed or crashed, counts as later than any
    limit. If a run is many downloads, all downloads of all runs count.
    """
    find = _of_loads if any(sample.load for sample in samples) else _of_downloads
    requests = [
        sample.load.requests if sample.load else (sample.queries or 0) + (sample.reads or 0)
        for sample in samples
        if sample.outcome not in NO_NUMBERS
    ]
    return Decision(
        len(samples),
        [find(condition, samples) for condition in target.conditions],
        fmean(requests) if requests else None,
        sum(sample.outcome == CRASHED for sample in samples),
        sum(sample.content_ok is False for sample in samples),
    )


def least_runs(target: Target) -> int:
    """Return the number of runs that shows that a target is met if every download is good."""
    good = Evidence.of_count(1, 1)
    needed = (good.runs_to_tell(_least(one), CONFIDENCE) for one in target.conditions)
    return max(runs for runs in needed if runs is not None)


def _least(condition: Condition) -> float:
    """Return the share of downloads that must be good, or of the time that must be idle."""
    if condition.is_busy:
        return 1 - condition.limit
    return condition.limit if condition.quantile is None else condition.quantile


def _of_downloads(condition: Condition, samples: Sequence[Sample]) -> Finding:
    runs = len(samples)
    if condition.quantile is None:
        good = sum(_ended_well(sample) for sample in samples)
        estimate: Estimate = probability(good, runs)
    else:
        times = [sample.ttfb for sample in samples]
        good = sum(time is not None and time < condition.limit for time in times)
        estimate = quantile(times, condition.quantile)
    found = Evidence.of_count(good, runs)
    return _finding(condition, estimate, found, found)


def _ended_well(sample: Sample) -> bool:
    return sample.outcome == "ok" and sample.content_ok is not False


def _of_loads(condition: Condition, samples: Sequence[Sample]) -> Finding:
    loads = [sample.load for sample in samples]
    if condition.is_busy:
        idle = Evidence.of(0.0 if load is None else 1 - _in_use(load) for load in loads)
        found = mean_share(1.0 if load is None else _in_use(load) for load in loads)
        return _finding(condition, found, idle, idle)
    if condition.quantile is None:
        parts = Evidence.of(0.0 if load is None else load.success_fraction for load in loads)
        return _finding(
            condition, pooled.share(loads, lambda load: load.success_fraction), parts, parts
        )
    sure, most = map(Evidence.of, pooled.shares_before(loads, condition.limit))
    return _finding(condition, pooled.quantile(loads, condition.quantile), sure, most)


def _in_use(load: WorkloadResult) -> float:
    """Return the utilisation of the busiest resource in a run; 0 if nothing has a limit."""
    return min(1.0, load.utilisation or 0.0)


def _finding(condition: Condition, estimate: Estimate, sure: Evidence, most: Evidence) -> Finding:
    """Return what the shares show: `sure` of certainly good downloads, `most` of possible ones."""
    least = _least(condition)
    if sure.is_over(least, CONFIDENCE):
        return Finding(condition, estimate, True, None)
    if most.is_over(least, CONFIDENCE) is False:
        return Finding(condition, estimate, False, None)
    if sure.mean <= least < most.mean:  # the limit is inside a histogram bin
        return Finding(condition, estimate, None, None)
    nearer = sure if sure.mean > least else most
    return Finding(condition, estimate, None, nearer.runs_to_tell(least, CONFIDENCE))
