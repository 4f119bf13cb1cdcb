"""The result of a search, as a sentence, a table and JSON."""

from __future__ import annotations

import io
import json
from math import inf
from pathlib import Path

import pytest
from rich.console import Console

from firstk.harness.stats.estimates import Interval
from firstk.harness.sweep.decision import Decision, Finding
from firstk.harness.sweep.search import CandidateResult
from firstk.reports.model.plan_words import cheapest, headline, nines, notes, verdict
from firstk.reports.tables.plan import as_json, as_markdown, table
from firstk.scenarios.condition import Condition
from firstk.scenarios.plan import Candidate
from tests.harness.plans import plan

P90, SUCCESS = Condition("p90", 0.9, 0.5), Condition("success", None, 0.9)

GOOD_TIME = Finding(P90, Interval(0.2, 0.18, 0.25), True, None)
GOOD = Finding(SUCCESS, Interval(1.0, 0.99, 1.0), True, None)
LATE = Finding(P90, Interval(0.75, 0.7, 0.8), False, None)
NEVER = Finding(P90, Interval(inf, inf, inf), False, None)
BAD = Finding(SUCCESS, Interval(0.7, 0.6, 0.8), False, None)
OPEN = Finding(P90, Interval(0.4, 0.3, 0.6), None, 43_819)
NEAR = Finding(P90, Interval(0.5, 0.4, 0.6), None, None)


def looked(n: int, *findings: Finding, finished: bool = True, crashed: int = 0) -> CandidateResult:
    """Return the result of 2-of-n with hedged; without findings, it has no decision."""
    decision = Decision(40, findings, 14.12, crashed, 0) if findings else None
    return CandidateResult(
        Candidate(2, n, "hedged", 0), decision, finished and decision is not None
    )


#: The advice to raise max_runs.
GO_ON = (
    "with a greater max_runs the same command goes on from the runs in the store, and the risk of a"
    " wrong verdict stays 2.5 % a side"
)

WINNER = looked(4, GOOD_TIME, GOOD)


@pytest.mark.parametrize(
    ("found", "said", "sentence", "lines"),
    [
        (
            [looked(3, LATE, BAD), WINNER, looked(5), looked(6)],
            "found",
            "2-of-4 with hedged is the cheapest that meets p90 < 0.5 s and success > 90 %:"
            " expansion 2.00, 14.1 requests a download",
            ["2 candidates with more expansion were not run"],
        ),
        (
            [looked(3, OPEN, GOOD), WINNER, looked(4, OPEN, GOOD, finished=False)],
            "found",
            "2-of-4 with hedged is the cheapest that is known to meet p90 < 0.5 s and"
            " success > 90 %: expansion 2.00, 14.1 requests a download",
            ["2-of-3 with hedged needs about 43,819 runs; max_runs is 80", GO_ON],
        ),
        (
            [looked(3, LATE, BAD), looked(4, LATE, GOOD), looked(5, NEVER, BAD)],
            "none",
            "none of 3 candidates meets p90 < 0.5 s and success > 90 %: the nearest is"
            " 2-of-4 with hedged, with p90 0.75 s (0.7 s to 0.8 s)",
            [],
        ),
        (
            [looked(3, LATE, BAD), looked(4, OPEN, GOOD), looked(5, NEAR, GOOD)],
            "undecided",
            "more runs are needed: of 3 candidates 2-of-4 with hedged and 1 more may meet"
            " p90 < 0.5 s and success > 90 %",
            [
                "2-of-4 with hedged needs about 43,819 runs; max_runs is 80",
                "2-of-5 with hedged is so near the target that more runs are not likely to decide"
                " it; max_runs is 80",
                GO_ON,
            ],
        ),
    ],
)
def test_headline(
    found: list[CandidateResult], said: str, sentence: str, lines: list[str], tmp_path: Path
) -> None:
    """The headline says whether a candidate meets the target, none does, or it is undecided."""
    one = plan(tmp_path)

    assert said == verdict(found)
    assert sentence == headline(one, found)
    assert lines == notes(one, found)
    assert (WINNER if WINNER in found else None) == cheapest(found)


def test_table(tmp_path: Path) -> None:
    """The table has a row with the verdict for each candidate, even if it was not run."""
    found = [
        looked(2, NEVER, BAD),
        looked(3, LATE, GOOD),
        looked(3, OPEN, GOOD),
        looked(3, NEAR, GOOD),
        WINNER,
        looked(4, GOOD_TIME, GOOD, finished=False),
        looked(4, OPEN, GOOD, finished=False),
        looked(5),
    ]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in as_markdown(plan(tmp_path), found).splitlines()
    ]

    assert (rows[0]) == [
        "k-of-n",
        "strategy",
        "expansion",
        "runs",
        "p90",
        "success",
        "requests",
        "verdict",
    ]
    assert [row[-1] for row in rows[2:]] == [
        "misses p90: never, success by 20 points",
        "misses p90 by 0.25 s",
        "more runs are needed: about 43,819",
        "too near to decide",
        "meets: the cheapest",
        "meets, dearer",
        "not run further: needs more requests",
        "not run",
    ]
    assert rows[6] == [
        "2-of-4",
        "hedged",
        "2.00",
        "40",
        "0.2 s (0.18 s to 0.25 s)",
        "100% (99% to 100%)",
        "14.1",
        "meets: the cheapest",
    ]
    console = Console(file=io.StringIO(), width=200)
    console.print(table(plan(tmp_path), found))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(row[-1] in printed for row in rows[2:])


def test_crashed(tmp_path: Path) -> None:
    """If runs crashed, there is a column for them."""
    text = as_markdown(plan(tmp_path), [looked(3, LATE, BAD, crashed=7), WINNER])

    assert "| requests | crashed | verdict |" in text
    assert "| 7 | misses" in text
    assert "| 0 | meets" in text


def test_json(tmp_path: Path) -> None:
    """JSON has all candidates; "inf" means never, and null unknown."""
    found = [looked(2, NEVER, BAD), looked(3, OPEN, GOOD), WINNER, looked(5)]
    told = json.loads(as_json(plan(tmp_path), found))

    assert (
        told["plan"],
        told["verdict"],
        told["target"],
    ) == ("p", "found", {"p90": 0.5, "success": 0.9})
    assert told["cheapest"] == {"k": 2, "n": 4, "strategy": "hedged"}
    assert told["basis"] == [
        "2-of-4 with hedged: 40 runs (seeds 0 to 39)",
        "p90 0.2 s (0.18 s to 0.25 s) meets p90 < 0.5 s",
        "success 100% (99% to 100%) meets success > 90 %",
    ]
    rows = told["candidates"]
    assert [row["verdict"] for row in rows] == ["misses", "undecided", "meets", "dearer"]
    assert [row["runs_needed"] for row in rows] == [None, 43_819, None, None]
    assert [row["p90"] for row in rows] == ["inf", 0.4, 0.2, None]
    assert [row["requests"] for row in rows] == [None, 14.12, 14.12, 14.12][::-1]
    assert (rows[2]["p90_low"], rows[2]["p90_high"]) == (0.18, 0.25)
    assert len({tuple(row) for row in rows}) == 1


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.5, "50%"),
        (0.9, "90%"),
        (0.985, "98.5%"),
        (0.9999, "99.99%"),
        (0.999915, "99.9915%"),
        (0.0001, "0%"),
    ],
)
def test_nines(part: float, text: str) -> None:
    """A probability has as many nines as distinguish it from 1."""
    assert text == nines(part)
