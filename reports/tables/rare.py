"""Estimates of rare events as sentences, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import inf, isfinite
from typing import Any

from firstk.harness.rare.estimate import RareEstimate
from firstk.harness.rare.event import Event
from firstk.harness.stats.estimates import CONFIDENCE, Interval
from firstk.harness.stats.figures import rounded
from firstk.harness.stats.formats import seconds


def sentence(strategy: str, event: Event, found: RareEstimate) -> str:
    """Return an estimate as a sentence."""
    one = found.estimate
    if event.tail is not None:
        return f"{strategy}: {event.name} is {one.words(seconds)}"
    what = _WORDS.get(event.name, f"has {event.name}")
    if not one.estimate:
        return f"{strategy} {what} with a probability of at most {one.high:.2g}: it never did"
    return (
        f"{strategy} {what} once in {_once_in(one.estimate)} downloads: with the probability"
        f" {one.words(lambda p: f'{p:.3g}')}"
    )


_WORDS = {"hangs": "hangs", "fails": "fails or hangs"}


def _once_in(probability: float) -> str:
    """Return the inverse of a probability, to three digits."""
    return f"{float(f'{1 / probability:.3g}'):,.0f}"


def basis(event: Event, found: RareEstimate) -> str:
    """Return what an estimate rests on."""
    happened = "exceeded that time" if event.tail is not None else "met the event"
    words = [f"{found.events:,} of {found.runs:,} weighted runs {happened}"]
    words.append(f"{found.pilots:,} more chose how to weight them")
    if isfinite(found.worth) and found.worth:
        words.append(f"as precise as {float(f'{found.worth:.2g}'):,.0f} plain runs")
    if found.least:
        words.append(
            f"never with fewer than {found.least} of the random selections, in {found.fewer:,} runs"
            " with fewer: the interval assumes that this holds always"
        )
    return "; ".join(words)


def as_json(scenario: str, event: Event, found: Mapping[str, RareEstimate]) -> str:
    """Return a JSON list with an object per strategy: "inf" is never, or unlimited."""
    rows = [_row(scenario, strategy, event, one) for strategy, one in found.items()]
    return json.dumps(rows, indent=1) + "\n"


def _row(scenario: str, strategy: str, event: Event, found: RareEstimate) -> dict[str, Any]:
    return {
        "scenario": scenario,
        "strategy": strategy,
        "event": event.name,
        "confidence": CONFIDENCE,
        **_ends(found.estimate),
        "runs": found.runs,
        "pilots": found.pilots,
        "events": found.events,
        "plain_runs": _number(found.worth),
        "least_selected": found.least,
        "runs_with_fewer": found.fewer,
        "basis": basis(event, found),
    }


def _ends(found: Interval) -> dict[str, float | str]:
    ends = {"estimate": found.estimate, "low": found.low, "high": found.high}
    return {name: _number(number) for name, number in ends.items()}


def _number(number: float) -> float | str:
    return "inf" if number == inf else rounded(number)
