"""A summary of the runs of one strategy through one scenario, in numbers and in text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean

from firstk.harness.run.result import Result
from firstk.harness.stats.figures import median_time, quantile, ratio_to_bound
from firstk.harness.stats.formats import multiple, seconds

#: Fewer runs than this have no 99th percentile worth the name.
_ENOUGH_FOR_P99 = 100


@dataclass(frozen=True, slots=True)
class BoundRatios:
    """The ratios of what the runs of a strategy took to the least possible, sorted.

    A run without a result has an infinite ratio. Left out are only the
    runs in which no strategy could have one; `runs` counts all.
    """

    ratios: Sequence[float]
    runs: int

    @classmethod
    def of(cls, runs: Iterable[tuple[float | None, float | None]]) -> BoundRatios:
        """Return the ratios of runs, each with what it took and the least that is possible."""
        ratios = [ratio_to_bound(took, least) for took, least in runs]
        return cls(sorted(ratio for ratio in ratios if ratio is not None), len(ratios))

    @property
    def median(self) -> float | None:
        """The median; None if nothing was possible."""
        return quantile(self.ratios, 0.5)

    @property
    def p99(self) -> float | None:
        """The 99th percentile, by nearest rank; None if there are fewer than 100 runs."""
        return None if self.runs < _ENOUGH_FOR_P99 else quantile(self.ratios, 0.99)

    def __str__(self) -> str:
        words = ["-" if self.median is None else multiple(self.median)]
        if self.p99 is not None:
            words.append(f"p99 {multiple(self.p99)}")
        if 0 < len(self.ratios) < self.runs:
            words.append(f"of {len(self.ratios)} runs")
        return ", ".join(words)

    @property
    def mean(self) -> str:
        """The mean as text. Unlike the median it reflects a rare slow run."""
        return multiple(fmean(self.ratios)) if self.ratios else "-"


def verdict(results: Sequence[Result]) -> str:
    """Return a description of the runs of one strategy."""
    if len(results) == 1:
        return _single(results[0])
    words = []
    came = sorted(r.ttfb for r in results if r.ttfb is not None)
    if came:
        words.append(median_and_range(results))
        if len(came) < len(results):
            words.append(f"starts in {len(came)} of {len(results)} runs")
    outcomes = Counter(r.outcome for r in results)
    later = Counter(r.outcome for r in results if r.ttfb is not None)
    words += [
        f"{_OUTCOMES[outcome]} in {count} of {len(results)} runs{_after(later[outcome], count)}"
        for outcome, count in sorted(outcomes.items())
        if outcome != "ok"
    ]
    return ", ".join(words) or _NOTHING


def _after(later: int, count: int) -> str:
    """Return how many of the runs that did not succeed had their first byte before."""
    if not later:
        return ""
    return f" ({'' if later == count else f'{later} of them '}after the first byte)"


def median_ttfb(results: Sequence[Result]) -> float:
    """Return the median time to first byte; a run that has none counts as infinite."""
    return median_time(r.ttfb for r in results)


def median_and_range(results: Sequence[Result]) -> str:
    """Return the median and, in brackets, the range of the times to first byte of all runs.

    A run that has none is later than all others in both.
    """
    times = [inf if r.ttfb is None else r.ttfb for r in results]
    low, high = seconds(min(times)), seconds(max(times))
    return low if low == high else f"{seconds(median_ttfb(results))} [{low} to {high}]"


#: The description of a download that asks for no bytes.
_NOTHING = "ok, nothing was asked for"

_OUTCOMES = {
    "stalled": "stalls forever",
    "failed": "fails",
    "deadline": "is still busy at the deadline",
}


def _single(result: Result) -> str:
    words = [] if result.ttfb is None else [seconds(result.ttfb)]
    match result.outcome:
        case "stalled":
            words.append("stalls forever")
        case "failed":
            when = "" if result.finished is None else f" after {seconds(result.finished)}"
            words.append(f"fails{when}: {reason(result)}")
        case "deadline":
            words.append(f"is still busy after {seconds(result.ended)}")
    return ", then ".join(words) or _NOTHING


def reason(result: Result) -> str:
    """Return why a download failed, in a few words."""
    first = (result.message or "").partition("\n")[0]
    if result.error in ("NotEnoughSharesError", "NoSharesError"):
        ours = first.removeprefix("not enough shares: ")
        # Where it is not ours, all that it knows may follow, on the same line.
        return ours if ours != first else re.split("[:.] ", first)[0][:80]
    return f"{result.error}: {first}"[:80]
