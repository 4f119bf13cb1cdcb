"""What the runs of one strategy through one scenario came to, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from harness.result import Result

#: The strategy that the others are held against, where it is among them.
BASELINE = "wait-for-all"


def seconds(time: float) -> str:
    """Return a time for reading: three significant digits, in seconds or milliseconds."""
    if 0 < time < 0.001:
        return f"{time * 1000:.3g} ms"
    return f"{_three_digits(time)} s"


def _three_digits(number: float) -> str:
    return f"{number:.0f}" if number >= 999.5 else f"{number:.3g}"


@dataclass(frozen=True)
class Summary:
    """The results of one strategy in one scenario, one or more, in the order of their runs."""

    results: Sequence[Result]

    @property
    def strategy(self) -> str:
        """The strategy."""
        return self.results[0].strategy

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return len(self.results)

    @cached_property
    def times(self) -> list[float]:
        """The times to first block of the runs that came to one, sorted, in seconds."""
        return sorted(r.ttfb for r in self.results if r.ttfb is not None)

    @property
    def typical(self) -> float | None:
        """The median time to first block; None unless every run came to one."""
        return median(self.times) if len(self.times) == self.runs else None

    @property
    def never_started(self) -> bool:
        """Whether no run came to a first block."""
        return not self.times

    @property
    def verdict(self) -> str:
        """What came of it, in words, the time to first block before all."""
        if self.runs == 1:
            return _single(self.results[0])
        words = []
        if self.times:
            low, high = seconds(self.times[0]), seconds(self.times[-1])
            spread = "" if low == high else f" ({low} to {high})"
            words.append(f"{seconds(median(self.times))}{spread}")
            if len(self.times) < self.runs:
                words.append(f"but only in {len(self.times)} of {self.runs} runs")
        outcomes = Counter(r.outcome for r in self.results)
        words += [
            f"{_OUTCOMES[outcome]} in {count} of {self.runs} runs"
            for outcome, count in sorted(outcomes.items())
            if outcome != "ok"
        ]
        return ", ".join(words) or _NOTHING


#: What a download comes to that asks for no bytes.
_NOTHING = "ok, nothing was asked for"

_OUTCOMES = {
    "stalled": "stalls for ever",
    "failed": "fails",
    "deadline": "is still busy at the deadline",
}


def _single(result: Result) -> str:
    words = [] if result.ttfb is None else [seconds(result.ttfb)]
    match result.outcome:
        case "stalled":
            words.append("stalls for ever")
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
        return first.removeprefix("not enough shares: ")
    return f"{result.error}: {first}"[:80]


def ratio(summary: Summary, baseline: Summary) -> str:
    """Return how many times sooner the first block came than with the baseline."""
    if summary is baseline:
        return ""
    if baseline.never_started and summary.typical is not None:
        return "∞"
    if baseline.typical is None or summary.typical is None:
        return "-"
    return f"{_three_digits(baseline.typical / summary.typical)} ×" if summary.typical else "-"


def baseline_of(summaries: Sequence[Summary]) -> Summary:
    """Return the summary that the others are held against: wait-for-all, or the first."""
    return next((s for s in summaries if s.strategy == BASELINE), summaries[0])
