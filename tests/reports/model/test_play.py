"""The course of a run: its requests and their lines, and the progress at each time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from firstk.harness.explain.alternatives import Gone, alternatives
from firstk.harness.explain.traits import traits_of
from firstk.harness.run.simulate import observe
from firstk.reports.model import play
from firstk.reports.model.play import (
    Course,
    Sent,
    asked_of,
    course_of,
    same_runs,
    segments_of,
    spells_of,
)
from firstk.scenarios.model import Scenario
from tests.reports.samples import HUNG, compared, scenario

LATE = {"select": "0", "fault": {"kind": "hung", "start": 0.01}}


def course(strategy: str, *entries: dict[str, Any], **tables: Any) -> Course:
    """Return the course of a run."""
    return course_of(observe(scenario(entries=entries, **tables), strategy, sources=True))


def find(found: Course, **about: Any) -> Sent:
    """Return the first request with these attributes."""
    return next(
        one for one in found.requests if all(getattr(one, key) == v for key, v in about.items())
    )


def test_progress() -> None:
    """The course has the known shares, the written bytes and segments, and the phases."""
    found = course("first-k", file={"segment_size": 300, "size": 700})

    assert found.known == [(0.05, 10)]
    assert [(size, segments) for _, size, segments in found.written] == [
        (300, 1), (600, 2), (700, 3),
    ]  # fmt: skip
    assert [name for _, name in found.phases][1:3] == [
        "locating shares", "reading the file's hashes (UEB)",
    ]  # fmt: skip
    assert found.end == found.written[-1][0]


def test_requests() -> None:
    """A request has its answer, and the line of code that sent it, with its text."""
    found = course("first-k", {"select": "9", **HUNG})
    first, last = find(found, server="s0", kind="query"), find(found, server="s9")

    assert (first.what, first.answer, first.ending) == ("query", "share 0", "answered")
    assert (last.answer, last.ending, last.ended) == ("no answer", "open", None)
    assert first.line.startswith("firstk/downloader/locate.py:")
    assert first.line.endswith(" in ask_more")
    assert first.code == "self._query(len(self._answers))"
    assert find(found, kind="read").what == "read of share 0: 68 bytes at 0"


@pytest.mark.parametrize(
    ("fault", "about"),
    [
        ({"kind": "broken"}, {"ending": "failed", "answer": "failed: the server is broken"}),
        ({"kind": "empty"}, {"ending": "answered", "answer": "no shares"}),
        (
            {"kind": "corrupt", "part": "block"},
            {"ending": "corrupt", "answer": "334 corrupt bytes"},
        ),
    ],
)
def test_endings(fault: dict[str, Any], about: dict[str, Any]) -> None:
    """Answers are described in words, whether right, wrong or failed."""
    found = course("first-k-late", {"select": "0", "fault": fault})

    assert find(found, server="s0", **about)


def test_hedge() -> None:
    """A hedge shows which server it hedges, and a cancelled request is marked."""
    found = course("hedged", {"select": "0", "fault": {"kind": "hung", "on": ["read"]}})

    assert find(found, kind="hedge").what.endswith(", hedging a read from s0")
    late = find(found, server="s0", kind="read")
    assert late.overdue is not None
    assert (late.ending, late.answer) == ("cancelled", "cancelled")


def test_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many requests, the first are shown and the others counted."""
    monkeypatch.setattr(play, "MOST_REQUESTS", 4)
    found = course("wait-for-all", {"select": "9", **HUNG})

    assert (len(found.requests), found.left_out) == (4, 6)


def test_ranges() -> None:
    """For a range, only its own segments count; for several reads and real files, none do."""
    part = scenario(file={"size": 1000, "segment_size": 300, "offset": 400, "length": 300})
    several = scenario(reads=[{"offset": 0, "length": 5}, {"offset": 9, "length": 5}])

    assert asked_of(part) == 300
    assert [segments_of(part, size) for size in (0, 199, 200, 299, 300)] == [0, 0, 1, 1, 2]
    assert asked_of(several) is None
    assert segments_of(several, 5) is None


def test_spells() -> None:
    """A fault has the times of each occurrence; a permanent one has no end."""
    again = {"kind": "hung", "start": 1.0, "end": 2.0, "every": 3.0}
    made = scenario(entries=[LATE, {"select": "1", "fault": again}])
    found = list(spells_of(made, traits_of(made, 0), until=5.0))

    assert [(one.server, one.begin, one.end) for one in found] == [
        ("s0", 0.01, None), ("s1", 1.0, 2.0), ("s1", 4.0, 5.0),
    ]  # fmt: skip


def test_same_runs() -> None:
    """Runs that differ when they are repeated cannot be played."""
    made = scenario(entries=[LATE], strategies=["first-k"])
    first = compared(made)
    played = alternatives(made)
    other = replace(first, first_runs=played.runs[Gone([0])])

    assert same_runs(played, first)
    assert not same_runs(played, other)


def test_scenario_is_played_as_it_is() -> None:
    """The first alternative is the scenario itself."""
    made: Scenario = scenario(entries=[LATE], strategies=["first-k"])

    assert alternatives(made).entries[Gone()] == []
