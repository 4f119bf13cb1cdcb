"""Whether a candidate of a plan meets the target, as far as its runs tell.

All looks at a candidate together give each condition a wrong verdict with a probability of 5 %
at most, half of it on either side: a look that takes a part of the risk has intervals that are
as much wider. The verdict on a candidate that is told to meet the target is wrong less often
still, as all its conditions are told to be met. Candidates and conditions are each for
themselves: of many, some verdicts may be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from statistics import fmean

from harness.load_result import LoadResult
from harness.store import CRASHED, NO_NUMBERS, Sample
from reports.statistics import (
    CONFIDENCE,
    Interval,
    NotEnough,
    is_over,
    mean,
    mean_or_never,
    probability,
    quantile,
    runs_to_tell,
)
from scenarios.plan import Condition, Look, Plan, Target

Estimate = Interval | NotEnough


@dataclass(frozen=True, slots=True)
class Finding:
    """What runs tell of a condition.

    `met` is None if they do not tell whether it is, and `needed` says how many runs it takes
    in all if they go on like these: None if it is told, or would not be in any number of runs.
    """

    condition: Condition
    estimate: Estimate
    met: bool | None
    needed: int | None

    @property
    def excess(self) -> float:
        """How many times what is asked for: more than 1 if the condition seems unmet.

        Of a time it is that over its limit, of a probability how often it is missed over how
        often that is allowed.
        """
        estimate, limit = self.estimate.estimate, self.condition.limit
        if estimate is None:
            return inf
        return estimate / limit if self.condition.quantile else (1 - estimate) / (1 - limit)


@dataclass(frozen=True, slots=True)
class Judged:
    """What runs of a candidate tell. `crashed` of them came to nothing, and ended their process."""

    runs: int
    findings: Sequence[Finding]
    requests: Estimate
    crashed: int
    wrong: int

    @property
    def met(self) -> bool | None:
        """Whether the target is met: None if the runs do not tell."""
        told = [finding.met for finding in self.findings]
        return False if False in told else None if None in told else True

    @property
    def cost(self) -> float:
        """How many requests a download sends in the mean; infinity if there was none."""
        found = self.requests.estimate
        return inf if found is None else found

    @property
    def excess(self) -> float:
        """How many times what is asked for, in the condition that is met the least."""
        return max(finding.excess for finding in self.findings)

    @property
    def needed(self) -> int | None:
        """How many runs it takes in all to tell, if they go on like these.

        None if it is told, or no number is likely to tell. One condition that comes out as
        unmet will do, and all must come out as met.
        """
        if self.met is not None:
            return None
        open_ = [finding for finding in self.findings if finding.met is None]
        missing = [finding.needed for finding in open_ if finding.excess > 1]
        if missing:
            return min((needed for needed in missing if needed is not None), default=None)
        needed = [finding.needed for finding in open_]
        return None if None in needed else max(n for n in needed if n is not None)


def judge(target: Target, samples: Sequence[Sample], look: Look) -> Judged:
    """Return what the runs of a candidate tell at a look at it.

    A run that never comes to its first block, as it stalls, fails or crashes, is later than any
    limit. Where a run is many downloads, success is the part of them that end well and a
    quantile is that of the run, and both are means over the runs.
    """
    confidence = 1 - (1 - CONFIDENCE) * look.risk
    find = _of_loads if any(sample.load for sample in samples) else _of_downloads
    requests = [
        sample.load.requests if sample.load else (sample.queries or 0) + (sample.reads or 0)
        for sample in samples
        if sample.outcome not in NO_NUMBERS
    ]
    return Judged(
        len(samples),
        [find(condition, samples, confidence) for condition in target.conditions],
        mean(requests, confidence),
        sum(sample.outcome == CRASHED for sample in samples),
        sum(sample.content_ok is False for sample in samples),
    )


#: The confidence of the last look, that is what more runs would be held against.
_AT_LAST = 1 - (1 - CONFIDENCE) / 2


def least_runs(plan: Plan) -> int:
    """Return how many runs it takes to tell that a target is met if all of them are good."""
    alone = _least_runs(plan.target, CONFIDENCE)
    if len(replace(plan, max_runs=alone).looks) == 1:
        return alone
    return _least_runs(plan.target, _AT_LAST)


def _least_runs(target: Target, confidence: float) -> int:
    limits = (condition.quantile or condition.limit for condition in target.conditions)
    needed = (runs_to_tell(1, 1, limit, confidence) for limit in limits)
    return max(runs for runs in needed if runs is not None)


def _of_downloads(condition: Condition, samples: Sequence[Sample], confidence: float) -> Finding:
    runs = len(samples)
    if condition.quantile is None:
        good = sum(_ended_well(sample) for sample in samples)
        least = condition.limit
        estimate: Estimate = probability(good, runs, confidence)
    else:
        times = [sample.ttfb for sample in samples]
        # The quantile is below the limit if it is more probable than the quantile says that a
        # run is: this tells with fewer runs than an interval with two ends takes.
        good = sum(time is not None and time < condition.limit for time in times)
        least = condition.quantile
        estimate = quantile(times, condition.quantile, confidence)
    met = is_over(good, runs, least, confidence)
    needed = runs_to_tell(good, runs, least, _AT_LAST) if met is None else None
    return Finding(condition, estimate, met, needed)


def _ended_well(sample: Sample) -> bool:
    return sample.outcome == "ok" and sample.content_ok is not False


def _of_loads(condition: Condition, samples: Sequence[Sample], confidence: float) -> Finding:
    loads = [sample.load for sample in samples]
    if condition.quantile is None:
        parts = [0.0 if load is None else load.part_ok for load in loads]
        return _of_parts(condition, parts, [load for load in loads if load], confidence)
    times = [_time(load, condition.quantile) for load in loads]
    estimate = mean_or_never(times, confidence)
    met = None
    if isinstance(estimate, Interval):
        met = _side(estimate.low >= condition.limit, estimate.high < condition.limit)
    needed = None if met is not None else _runs_of_mean(times, condition.limit)
    return Finding(condition, estimate, met, needed)


def _of_parts(
    condition: Condition,
    parts: Sequence[float],
    loads: Sequence[LoadResult],
    confidence: float,
) -> Finding:
    """Return what is known of how many downloads end well.

    Where hardly one of them ends otherwise the parts of the runs are nearly equal, and their
    mean seems to be known better than it can be: it is known no better than if no download had
    to do with another.
    """
    downloads = sum(load.downloads for load in loads)
    good = sum(load.outcomes.get("ok", 0) for load in loads)
    limit = condition.limit
    estimate = mean(parts, confidence)
    if isinstance(estimate, NotEnough) or not downloads:
        return Finding(condition, estimate, None, None)
    alone = probability(good, downloads, confidence)
    estimate = Interval(
        estimate.estimate,
        max(0.0, min(estimate.low, alone.low)),
        min(1.0, max(estimate.high, alone.high)),
    )
    met = _side(estimate.high < limit, estimate.low > limit)
    if met is not None:
        return Finding(condition, estimate, met, None)
    by_runs = _runs_of_mean(parts, limit)
    by_downloads = runs_to_tell(good, downloads, limit, _AT_LAST)
    if by_runs is None or by_downloads is None:
        return Finding(condition, estimate, met, None)
    return Finding(
        condition, estimate, met, max(by_runs, ceil(by_downloads / downloads * len(parts)))
    )


def _side(missed: bool, met: bool) -> bool | None:
    return True if met else False if missed else None


def _runs_of_mean(numbers: Sequence[float], limit: float) -> int | None:
    """Return about how many runs it takes until the interval of a mean is all on one side.

    It becomes narrower with the square root of the runs.
    """
    now = mean(numbers, _AT_LAST)
    gap = abs(fmean(numbers) - limit)
    if isinstance(now, NotEnough) or not gap:
        return None
    return max(len(numbers), ceil(len(numbers) * (now.half_width / gap) ** 2))


def _time(load: LoadResult | None, q: float) -> float:
    """Return a quantile of the times to first block in a run; infinity is never."""
    found = None if load is None else load.ttfb.quantile(q)
    return inf if found is None else found
