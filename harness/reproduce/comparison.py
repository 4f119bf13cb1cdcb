"""Comparison of a published number with the exact value, and with the runs of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from firstk.harness.reproduce.exact import as_printed, exact
from firstk.harness.reproduce.measures import measured
from firstk.harness.reproduce.numbers import PublishedNumber
from firstk.harness.run.sample import Sample
from firstk.harness.stats.estimates import Interval
from firstk.harness.sweep.oracle import NoOracleError
from firstk.scenarios.model import Scenario

#: How a published number compares.
Verdict = Literal["agrees", "explained", "differs", "undecided"]


#: The relative error of computed values that numbers with 16 digits are compared with.
_ROUNDING = 1e-15


@dataclass(frozen=True, slots=True)
class Reproduced:
    """A published number, and what was found. All values are in its unit.

    `exact` is None if it is not known, `ours` if there is no estimate, and `low` and `high`, the
    ends of its interval, if there are too few runs.

    The verdict is `agrees` if the number is right: within one unit of its last digit of the exact
    value, if it comes from a formula, or in our interval, if it comes from a simulation. Otherwise
    it is `explained` if a known mistake gives the printed digits, and `differs` if not. It is also
    `differs` if the exact value is outside our interval, since then firstk is wrong, and
    `undecided` if there are too few runs for an interval.
    """

    published: PublishedNumber
    runs: int
    exact: float | None
    ours: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON data."""
        of = self.published
        return {
            "id": of.id,
            "case": of.number.case,
            "published": of.value,
            "exact": self.exact,
            "ours": self.ours,
            "low": self.low,
            "high": self.high,
            "verdict": self.verdict,
            "reason": self.reason,
            "unit": of.number.unit,
            "printed": of.digits,
            "by": of.number.by,
            "measure": of.number.measure,
            "experiment": f"published/{of.number.experiment}",
            "point": of.number.point,
            "strategy": of.number.strategy,
            "runs": self.runs,
            "paper": of.paper.title,
            "where": of.number.where,
            "source": of.paper.source,
            "sure": of.paper.sure,
        }


def compare(of: PublishedNumber, scenario: Scenario, samples: list[Sample]) -> Reproduced:
    """Compare a published number with the runs of its experiment's point."""
    number, scale = of.number, 1000.0 if of.number.unit == "ms" else 1.0
    right = known(of, scenario)
    estimate = measured(scenario, number.measure, samples)
    ours = None if estimate.estimate is None else _finite(scale * estimate.estimate)
    low = high = None
    if isinstance(estimate, Interval):
        low, high = scale * estimate.low, _finite(scale * estimate.high)
    verdict, reason = _verdict(of, scenario, right, None if low is None else (low, high))
    return Reproduced(of, len(samples), right, ours, low, high, verdict, reason)


def known(of: PublishedNumber, scenario: Scenario) -> float | None:
    """Return the exact value of a published number, in its unit; None if it is not known."""
    scale = 1000.0 if of.number.unit == "ms" else 1.0
    try:
        return scale * exact(scenario, of.number.strategy, of.number.measure)
    except NoOracleError:
        return None


def _finite(value: float) -> float | None:
    return value if value < inf else None


def _verdict(
    of: PublishedNumber,
    scenario: Scenario,
    right: float | None,
    interval: tuple[float, float | None] | None,
) -> tuple[Verdict, str | None]:
    """Return how the number compares, and why."""
    if interval is None:
        return "undecided", "too few runs for an interval"
    low, high = interval[0], inf if interval[1] is None else interval[1]
    if right is not None and not low <= right <= high:
        return "differs", "the exact value is outside the interval of our runs: firstk is wrong"
    if right is not None and of.number.by != "simulation":
        if _same(of, right):
            return "agrees", None
    elif low - of.last_digit / 2 <= of.value <= high + of.last_digit / 2:
        return "agrees", None
    misprint = of.number.misprint
    if misprint is None:
        return "differs", None
    scale = 1000.0 if of.number.unit == "ms" else 1.0
    number = of.number
    printed = scale * as_printed(misprint.kind, scenario, number.strategy, number.measure)
    reason = misprint.reason.replace("{value}", _digits(printed, of))
    return ("explained" if _same(of, printed) else "differs"), reason


def _same(of: PublishedNumber, value: float) -> bool:
    """Return whether a number is printed for this value, whether it is rounded or cut."""
    return abs(of.value - value) <= of.last_digit + _ROUNDING * of.value


def _digits(value: float, of: PublishedNumber) -> str:
    """Return a value with one digit more than the number is printed with, at most 17."""
    _, _, fraction = of.digits.partition(".")
    return f"{value:.{min(16, len(fraction) + 1)}f}"
