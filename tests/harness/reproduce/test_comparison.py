"""A published number agrees, is explained or differs, by its digits and our runs."""

from __future__ import annotations

from typing import Any

import pytest

from firstk.harness.reproduce.comparison import Reproduced, compare
from firstk.harness.reproduce.numbers import Number, Paper, PublishedNumber
from firstk.harness.reproduce.run import reproduce
from firstk.harness.run.sample import Sample
from tests.harness.experiments import Here
from tests.harness.reproduce.cases import scenario_of


def published(digits: str, by: str = "formula", **changes: Any) -> PublishedNumber:
    """Return a number for 2 of 4 pieces: 0.9963 is exact, and 0.9921 is Poisson's."""
    row = {
        "id": "n",
        "case": "2 of 4",
        "where": "here",
        "published": [digits],
        "by": by,
        "experiment": "storj-small",
        "measure": "located",
    }
    number = Number.model_validate(row | changes)
    paper = Paper(id="p", title="P", source="s", sure="A", numbers=[number])
    return PublishedNumber("p/n", paper, number, digits)


POISSON: dict[str, Any] = {"misprint": {"kind": "poisson", "reason": "Poisson gives {value}"}}


def found(
    of: PublishedNumber, located: int = 996, runs: int = 1000, queries: int = 4
) -> Reproduced:
    """Return the comparison with runs of which `located` located their shares."""
    samples = [
        Sample(run, "ok", 0.01 if run < located else None, None, queries, 0, 0, None, None)
        for run in range(runs)
    ]
    return compare(of, scenario_of(of), samples)


@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        (published("0.996"), "agrees"),
        (published("0.997"), "agrees"),  # rounded from 0.9963 it is 0.996, and one more is allowed
        (published("0.9963"), "agrees"),
        (published("0.998"), "differs"),
        (published("0.9920736681327461"), "differs"),
        (published("0.9920736681327461", **POISSON), "explained"),
        (published("0.9930736681327461", **POISSON), "differs"),
        (published("0.9963", **POISSON), "agrees"),
        (published("0.995", by="simulation"), "agrees"),
        (published("0.95", by="simulation"), "differs"),
        (published("0.95", by="simulation", **POISSON), "differs"),
    ],
)
def test_verdict(of: PublishedNumber, verdict: str) -> None:
    """A formula is compared with the exact value, a simulation with our interval."""
    one = found(of)

    assert one.verdict == verdict
    assert one.exact == pytest.approx(0.9963)
    assert one.low is not None
    assert one.high is not None
    assert one.low < 0.996 < one.high


def test_reason() -> None:
    """The reason says what the number is instead, with its digits."""
    assert found(published("0.9920736681327461", **POISSON)).reason == (
        "Poisson gives 0.9920736681327461"
    )
    assert found(published("0.9963", **POISSON)).reason is None


def test_our_defect() -> None:
    """If the exact value is outside our interval, the number differs, whatever was published."""
    one = found(published("0.9963"), located=900)

    assert one.verdict == "differs"
    assert one.reason is not None
    assert "firstk is wrong" in one.reason


def test_too_few_runs() -> None:
    """Without an interval, the verdict is undecided."""
    of = published("0.01", by="simulation", measure="p99.9")
    one = found(of, located=10, runs=10)

    assert (one.verdict, one.low, one.high) == ("undecided", None, None)
    assert one.ours == 0.01


def test_units_and_never() -> None:
    """Times are in the unit of the number, and null if infinite."""
    of = published("10", by="simulation", unit="ms", measure="p50")
    one = found(of, located=520)

    assert one.ours == pytest.approx(10)
    assert one.low == pytest.approx(10)
    assert one.high is None
    assert one.to_json()["high"] is None


def test_extra_queries() -> None:
    """The queries beyond K are counted, and the exact number is known for a delay."""
    of = published(
        "0.042",
        by="simulation",
        measure="extra queries",
        experiment="bailis-requests",
        point=2,
        strategy="first-k,delay=0.008",
    )
    one = found(of, queries=1)

    assert one.ours == 0.0
    assert one.exact == pytest.approx(0.0421, abs=1e-4)
    assert one.verdict == "differs"  # for no run has any


def test_json() -> None:
    """A row has the documented keys, in this order, and more."""
    row = found(published("0.9963")).to_json()

    assert list(row)[:8] == ["id", "case", "published", "exact", "ours", "low", "high", "verdict"]
    assert (row["id"], row["case"], row["published"], row["ours"]) == (
        "p/n",
        "2 of 4",
        0.9963,
        0.996,
    )
    assert row["experiment"] == "published/storj-small"


def test_run() -> None:
    """Only the requested points and strategies are run, and as often as requested."""
    workers = Here()
    delayed: dict[str, Any] = {
        "experiment": "bailis-requests",
        "measure": "p50",
        "unit": "ms",
        "point": 2,
    }
    numbers = [
        published("0.9963"),
        published("3.5", by="simulation", **delayed),
        published("3.5", by="simulation", **delayed, strategy="first-k,delay=0.008"),
    ]
    rows = list(reproduce(numbers, lambda: workers, runs=30))
    keys = [key for batch in workers.batches for part in batch.parts for key in part.places]
    ran = {(key.point, key.strategy) for key in keys}

    assert [row.runs for row in rows] == [30] * 3
    assert ran == {(0, "first-k"), (2, "first-k"), (2, "first-k,delay=0.008")}
    assert rows[1].ours is not None
    assert rows[2].ours is not None
    assert rows[1].ours < rows[2].ours  # the second request is sent later
    assert [row.verdict for row in rows] == ["agrees"] * 3
