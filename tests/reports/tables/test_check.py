"""A check against a baseline reports what is worse, what is better, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from firstk.harness.run.result import Result
from firstk.reports.tables.baseline import Baseline, BaselineRow
from firstk.reports.tables.check import Checked, as_markdown, changes_table, check, headline, notes
from tests.reports.samples import DEADLINE, FAILED, OK, STALLED, took

OTHER_ERROR = replace(FAILED, error="ValueError")


def checked(
    before: Sequence[Result] | Result, now: Sequence[Result] | Result, tolerance: float = 0
) -> Checked:
    """Return the check of `now` against `before`."""
    both = ([of] if isinstance(of, Result) else of for of in (before, now))
    old, new = (Baseline(rows=[BaselineRow.of(one) for one in of]) for of in both)
    return check(old, new, tolerance)


def told(before: Result, now: Result, tolerance: float = 0) -> list[tuple[Any, ...]]:
    """Return the changes of one run."""
    found = checked(before, now, tolerance).changes
    return [(c.verdict, c.what, c.before, c.now, c.by) for c in found]


def test_equal() -> None:
    """Equal runs are equal, even if times differ in their last bits."""
    sums = checked(took(0.3), took(0.1 + 0.2))

    assert checked(STALLED, STALLED).equal == 1
    assert (sums.equal, sums.changes) == (1, [])


def test_time() -> None:
    """A longer time is worse, and a shorter one better."""
    longer = [
        ("worse", "first byte", "0.25 s", "0.3 s", "+0.05 s (+20%)"),
        ("worse", "finished", "0.25 s", "0.3 s", "+0.05 s (+20%)"),
    ]
    shorter = ("better", "first byte", "0.3 s", "0.25 s", "-0.05 s (-16.7%)")

    assert longer == told(took(0.25), took(0.3))
    assert shorter == told(took(0.3), took(0.25))[0]


def test_never() -> None:
    """An infinite time is longer than any other, whatever the tolerance."""
    none = replace(OK, ttfb=None)

    assert told(OK, none, 1e9) == [("worse", "first byte", "0.25 s", "never", "")]
    assert told(none, OK, 1e9) == [("better", "first byte", "never", "0.25 s", "")]


@pytest.mark.parametrize(
    ("changes", "what", "by"),
    [
        ({"reads": 14}, "requests", "+3 (+14.3%)"),
        ({"queries": 11}, "requests", "+1 (+4.76%)"),
        ({"bytes_received": 4118}, "bytes", "+1 (+0.0243%)"),
    ],
)
def test_costs(changes: dict[str, Any], what: str, by: str) -> None:
    """More requests or bytes are worse, fewer are better."""
    more = replace(OK, **changes)

    assert [("worse", what, by)] == [(v, w, b) for v, w, _, _, b in told(OK, more)]
    assert [verdict for verdict, *_ in told(more, OK)] == ["better"]


def test_from_nothing() -> None:
    """A change from zero has no percentage."""
    none = replace(OK, bytes_received=0)

    assert told(none, OK) == [("worse", "bytes", "0", "4117", "+4117")]


@pytest.mark.parametrize(
    ("before", "now", "tolerance"), [(100, 129, 0.29), (100, 71, 0.29), (20, 22, 0.1)]
)
def test_tolerance(before: int, now: int, tolerance: float) -> None:
    """A change within the tolerance does not count, up or down; a larger one does."""
    one, other = (replace(OK, bytes_received=count) for count in (before, now))
    further = replace(OK, bytes_received=now + (1 if now > before else -1))

    assert told(one, other, tolerance) == []
    assert len(told(one, further, tolerance)) == 1


def test_tolerated_times() -> None:
    """A time may grow by exactly the tolerance."""
    assert told(took(0.25), took(0.275), 0.1) == []
    assert len(told(took(0.25), took(0.276), 0.1)) == 2


@pytest.mark.parametrize(
    ("better", "worse"), [(OK, FAILED), (FAILED, DEADLINE), (DEADLINE, STALLED), (OK, STALLED)]
)
def test_outcomes(better: Result, worse: Result) -> None:
    """Success is better than an error, and an error is better than a hang, proven or not."""
    assert told(better, worse)[0][0] == "worse"
    assert told(worse, better)[0][0] == "better"


def test_outcome_decides() -> None:
    """If the outcome changed, times and costs are reported, but not judged."""
    stalled = replace(STALLED, reads=50)
    changes = told(stalled, OK)

    assert changes[0] == ("better", "outcome", "stalled", "ok", "")
    assert {what for _, what, *_ in changes[1:]} == {"first byte", "finished", "requests", "bytes"}
    assert {verdict for verdict, *_ in changes[1:]} == {None}
    assert checked(stalled, OK).worse == []


def test_another_error() -> None:
    """Failing with a different error is worse, in both directions."""
    assert told(FAILED, OTHER_ERROR) == [
        ("worse", "outcome", "failed: NotEnoughSharesError", "failed: ValueError", "")
    ]
    assert told(OTHER_ERROR, FAILED)[0][0] == "worse"


def test_wrong_bytes() -> None:
    """Wrong bytes are worse; writing nothing is not wrong."""
    wrong = replace(OK, content_ok=False)

    assert told(OK, wrong) == [("worse", "bytes written", "right", "wrong", "")]
    assert told(wrong, OK) == [("better", "bytes written", "wrong", "right", "")]
    assert told(OK, replace(OK, content_ok=None)) == []


def test_rows() -> None:
    """A row is worse if anything in it is; rows are matched by scenario, strategy and seed."""
    mixed = replace(took(0.2), reads=20)
    runs = [replace(OK, seed=seed) for seed in range(5)]
    found = checked(
        runs, [replace(mixed, seed=0), replace(took(0.1), seed=1), runs[2], replace(OK, seed=9)]
    )

    assert (
        [row.seed for row in found.worse],
        [row.seed for row in found.better],
        found.equal,
    ) == ([0], [1], 1)
    assert ([row.seed for row in found.new], [row.seed for row in found.gone]) == ([9], [3, 4])
    assert headline(found, "b") == "Against b: 1 worse, 1 better, 1 equal, 1 new, 2 gone."
    assert list(notes(found)) == ["new: t, 1 run of first-k", "gone: t, 2 runs of first-k"]


def test_many() -> None:
    """Of very many changes and scenarios, the first are listed, the worse ones before others."""
    names = [f"t{i}" for i in range(30)]
    before = [replace(OK, scenario=name) for name in names]
    now = [replace(OK, scenario=name, reads=10) for name in names[:-1]]
    now.append(replace(OK, scenario=names[-1], reads=12))
    found = checked(before, now)

    assert changes_table(found).row_count == 20
    assert "| **worse** | t29 |" in as_markdown(found, "b").splitlines()[4]
    assert list(notes(found)) == ["10 more changes are not shown."]
    assert (list(notes(checked(before, [])))[-2:]) == [
        "gone: t19, 1 run of first-k",
        "gone: 10 more scenarios",
    ]


def test_markdown() -> None:
    """Markdown has a summary, a table, and lists of what is new and gone."""
    gone = replace(OK, strategy="hedged")

    assert as_markdown(checked([OK, gone], [replace(OK, reads=12)]), "b.json") == (
        "**Against `b.json`: 1 worse, 0 better, 0 equal, 0 new, 1 gone.**\n"
        "\n"
        "|  | scenario | strategy | seed | what | before | now | change |\n"
        "| --- | --- | --- | ---: | --- | ---: | ---: | ---: |\n"
        "| **worse** | t | `first-k` | 0 | requests | 21 | 22 | +1 (+4.76%) |\n"
        "\n"
        "- gone: t, 1 run of hedged\n"
    )
    assert (
        as_markdown(checked(OK, OK), "b")
        == "**Against `b`: 0 worse, 0 better, 1 equal, 0 new, 0 gone.**\n"
    )
