"""Whether a candidate of a plan meets the target, as far as its runs show.

Every condition is a claim about a share of downloads: p90 < 0.5 s says that more than 90 % of all
downloads have their first byte before 0.5 s. The risk of a wrong "met" is 2.5 % at most, and so is
that of a wrong "missed", however often the runs are looked at and however many more are taken later
(see `betting`). That a candidate meets the target is wrong less often still, as all
conditions must be met. Candidates and conditions are each for themselves: of many, some verdicts
may be wrong.

Where a run is many downloads the share is that of all downloads of all runs: the mean, over the
runs, of the share of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean

from firstk.harness.run import pooled
from firstk.harness.run.sample import CRASHED, NO_NUMBERS, Sample
from firstk.harness.stats.betting import Evidence
from firstk.harness.stats.estimates import CONFIDENCE, Interval, NotEnough, probability, quantile
from firstk.scenarios.plan import Condition, Target

Estimate = Interval | NotEnough


@dataclass(frozen=True, slots=True)
class Finding:
    """What runs show of a condition.

    `met` is None if they do not show whether it is, and `needed` is about how many runs in all
    that takes, if they go on like these: None if it is shown, or is not likely to be in any
    number of runs.
    """

    condition: Condition
    estimate: Estimate
    met: bool | None
    needed: int | None

    @property
    def excess(self) -> float:
        """The ratio to what is asked for: more than 1 if the condition seems unmet.

        Of a time it is that over its limit, of a probability how often it is missed over how
        often that is allowed.
        """
        estimate, limit = self.estimate.estimate, self.condition.limit
        if estimate is None:
            return inf
        return estimate / limit if self.condition.quantile else (1 - estimate) / (1 - limit)


@dataclass(frozen=True, slots=True)
class Decision:
    """What runs of a candidate show.

    `requests` is the mean of what a download sends, None if all runs crashed; `crashed` runs
    ended the process that they ran in, and `wrong` ones wrote wrong bytes.
    """

    runs: int
    findings: Sequence[Finding]
    requests: float | None
    crashed: int
    wrong: int

    @property
    def met(self) -> bool | None:
        """Whether the target is met: None if the runs do not show it."""
        met = [finding.met for finding in self.findings]
        return False if False in met else None if None in met else True

    @property
    def cost(self) -> float:
        """The mean number of requests of a download; infinity if there was none."""
        return inf if self.requests is None else self.requests

    @property
    def excess(self) -> float:
        """The ratio to what is asked for, in the condition that is met the least."""
        return max(finding.excess for finding in self.findings)

    @property
    def needed(self) -> int | None:
        """The number of runs, about, that it takes to decide, if they go on like these.

        None if it is decided, or no number is likely to decide it. One condition that is missed
        is enough to miss the target, and all must be met to meet it.
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
    """Return what the runs of a candidate show; there is one at least.

    A run that never has its first byte, as it stalls, fails or crashes, is later than any
    limit. Where a run is many downloads, all downloads of all runs count.
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
    """Return how many runs it takes to show that a target is met if every download is good."""
    good = Evidence.of_count(1, 1)
    needed = (good.runs_to_tell(_least(one), CONFIDENCE) for one in target.conditions)
    return max(runs for runs in needed if runs is not None)


def _least(condition: Condition) -> float:
    """Return which share of downloads must be good, or more."""
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
    if condition.quantile is None:
        parts = Evidence.of(0.0 if load is None else load.success_fraction for load in loads)
        return _finding(
            condition, pooled.share(loads, lambda load: load.success_fraction), parts, parts
        )
    sure, most = map(Evidence.of, pooled.shares_before(loads, condition.limit))
    return _finding(condition, pooled.quantile(loads, condition.quantile), sure, most)


def _finding(condition: Condition, estimate: Estimate, sure: Evidence, most: Evidence) -> Finding:
    """Return what good downloads show: those that are surely good, and those that may be."""
    least = _least(condition)
    if sure.is_over(least, CONFIDENCE):
        return Finding(condition, estimate, True, None)
    if most.is_over(least, CONFIDENCE) is False:
        return Finding(condition, estimate, False, None)
    if sure.mean <= least < most.mean:  # the limit is too near times that the bins do not part
        return Finding(condition, estimate, None, None)
    nearer = sure if sure.mean > least else most
    return Finding(condition, estimate, None, nearer.runs_to_tell(least, CONFIDENCE))
