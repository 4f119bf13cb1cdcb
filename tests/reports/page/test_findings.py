"""Sentences state exactly what the results show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from firstk.harness.run.sample import OVERLOADED, Sample
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.stats.estimates import in_words
from firstk.reports.model.cases import Case, case_of
from firstk.reports.page import findings
from tests.reports.cases import loaded
from tests.reports.samples import (
    BROKEN,
    DEADLINE,
    FAILED,
    HUNG,
    OK,
    STALLED,
    compared,
    made,
    scenario,
    summary,
    took,
)


def case(*strategies: Sequence[Any], **tables: Any) -> Case:
    """Return a case of strategies a, b and so on with these results."""
    names = ["wait-for-all", "first-k", "hedged"]
    summaries = [summary(*of, strategy=name) for name, of in zip(names, strategies, strict=False)]
    return case_of(made(summaries, **tables))


def at(values: dict[str, Any], *strategies: Sequence[Any]) -> Case:
    """Return a case that is a point of an experiment."""
    words = ", ".join(f"{key} = {value}" for key, value in values.items())
    return replace(case(*strategies), values=values, name=words)


def test_headline() -> None:
    """The headline is that of the design review, computed from a simulation."""
    hung = scenario(entries=[{"select": "3", **HUNG}])

    assert (
        findings.headline(case_of(compared(hung)))
        == "With 1 of 10 servers hung, wait-for-all never starts; first-k starts after 0.25 s."
    )


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "With all 10 servers good"),
        ([{"select": {"count": 3}, **HUNG}], "With 3 of 10 servers hung"),
        (
            [{"select": {"probability": 0.2}, **HUNG}],
            "With each of 10 servers hung with probability 20%",
        ),
        (
            [{"select": "0", "fault": {"kind": "hung", "on": ["read"]}}],
            "With 1 of 10 servers hung on reads",
        ),
        (
            [{"select": "0", "fault": {"kind": "hung", "end": 5.0}}],
            "With 1 of 10 servers hung for a time",
        ),
        (
            [{"select": "0-1", **HUNG}, {"select": "4", **BROKEN}],
            "With 2 of 10 servers hung and 1 of 10 servers broken",
        ),
        ([{"select": "0-1", **HUNG}, {"select": "1", **BROKEN}], "In t"),
        ([{"select": "0", "shares": [1]}], "In t"),
        ([{"select": {"count": 2}, **HUNG}, {"select": {"count": 2}, **BROKEN}], "In t"),
    ],
)
def test_circumstances(entries: list[dict[str, Any]], words: str) -> None:
    """The faults of servers are described in a few words, if those are correct."""
    assert words == findings.circumstances(case([OK], entries=entries))


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([STALLED], "wait-for-all never starts."),
        ([FAILED], "wait-for-all fails after 0.05 s: have 2, need 3."),
        ([DEADLINE], "wait-for-all had not started by the deadline."),
        ([replace(OK, outcome="stalled")], "starts after 0.25 s, then stalls forever."),
        ([STALLED] * 10, "wait-for-all never starts, in none of 10 runs (so in 36.8% at most)."),
        ([took(0.1)] * 4 + [STALLED] * 6, "starts in 40% (4.59% to 86.3%) of the runs only."),
        ([took(0.1)] * 6 + [STALLED] * 4, "and never in 40% (4.59% to 86.3%) of the runs."),
        (
            [took(0.1)] * 9 + [replace(took(0.1), outcome="failed")],
            "(1 of 10 start and do not end well)",
        ),
    ],
)
def test_came_to(results: list[Any], words: str) -> None:
    """Stalls, failures and runs that were cut off are described as such."""
    assert words in findings.headline(case(results))


def test_alike() -> None:
    """Strategies with the same result share a part of the sentence."""
    one, both, none = ([took(0.1)], [took(0.2)], [STALLED])

    assert findings.headline(case(one, one, none)).endswith(
        "wait-for-all and first-k start after 0.1 s; hedged never starts."
    )
    assert findings.headline(case(both, both, both)).endswith("every strategy starts after 0.2 s.")


def test_along() -> None:
    """The sentences along an axis report where most downloads stop starting."""
    good, none = [took(0.1)] * 10, [STALLED] * 10
    points = [at({"x": i}, of) for i, of in enumerate([good, [took(0.2)] * 10, none, none])]
    holes = [at({"x": i}, of) for i, of in enumerate([good, none, good])]

    assert list(findings.along(points, "x")) == [
        "As x goes from 0 to 1, the median of wait-for-all goes from 0.1 s to 0.2 s;"
        " from 2 on most downloads never start."
    ]
    assert "; at 1 most downloads never start." in next(findings.along(holes, "x"))
    assert list(findings.along(points[2:], "x")) == [
        "wait-for-all never starts in most runs, whatever x is."
    ]


def test_load() -> None:
    """The sentences about loads report which the grid carries, and where it saturates."""
    used = {20: (0.2, 0.1, 0.96), 60: (0.9, 0.4, 0.99), 90: (0.96, 0.5, 0.99)}
    names = ("first-k", "hedged", "windowed")
    points = [loaded(rate, **dict(zip(names, of, strict=True))) for rate, of in used.items()]

    assert list(findings.along(points, "workload.arrivals.rate"))[:3] == [
        "With first-k the grid saturates between 60 and 90 downloads per second: the busiest"
        " resource is in use 90% of the time at 60 and 96% at 90.",
        "With hedged the grid carries every load swept, up to 90 downloads per second: the busiest"
        " resource is in use 50% of the time there.",
        "With windowed the grid saturates at 20 downloads per second already.",
    ]


def test_over() -> None:
    """For several axes, the best and the worst point are reported, and how many stall."""
    cells = [[took(0.1)] * 10, [took(0.3)] * 10, [STALLED] * 10]
    points = [at({"x": i, "y": 0}, of) for i, of in enumerate(cells)]
    (said,) = findings.over(points)

    assert "0.1 s at best (x = 0, y = 0) and 0.3 s at worst (x = 1, y = 0)" in said
    assert "at 1 of 3 points most downloads never start" in said


def test_fewest() -> None:
    """If some downloads never start, the smallest share that does is reported with the median."""
    some = [took(0.1)] * 9 + [STALLED]
    points = [at({"x": i, "y": 0}, of) for i, of in enumerate([[took(0.1)] * 10, some])]
    words = "; at x = 1, y = 0 only 90% (41.9% to over 99.9%) of the downloads start."

    assert next(findings.along(points, "x")).endswith(words)
    assert next(findings.over(points)).endswith(words)


def test_order() -> None:
    """An axis is described from its least value to its greatest, in whatever order it was given."""
    points = [at({"x": i}, [took(i)] * 10) for i in (3, 1, 2)]

    assert (
        next(findings.along(points, "x"))
        == "As x goes from 1 to 3, the median of wait-for-all goes from 1 s to 3 s."
    )


def test_gain() -> None:
    """A gain is reported only if its interval excludes chance."""
    slow, fast = [took(0.2 + i / 100) for i in range(10)], [took(0.1)] * 10

    assert "first-k starts 0.15 s (" in str(findings.gain(case(slow, fast)))
    assert findings.gain(case(fast, slow)) is None
    assert (
        findings.gain(case([STALLED] * 10, fast))
        == "In most runs first-k starts where wait-for-all never does."
    )


def test_estimate_in_words() -> None:
    """An estimate with too few runs for an interval is marked, and infinity is shown as never."""
    assert in_words(case([STALLED]).strategies[0].quantile(0.5)) == "~ never"
    assert in_words(None) == "-"


def test_overloaded() -> None:
    """An overload is reported by itself."""
    one = Sample(0, OVERLOADED, None, None, None, None, None, None, None)
    words = "lets downloads pile up faster than the grid can carry them"

    assert f"{words}, in the run" == findings.one_came_to(StrategyRuns("first-k", [one]))
    assert f"{words}, in 2 of 2 runs" == findings.one_came_to(StrategyRuns("first-k", [one, one]))
