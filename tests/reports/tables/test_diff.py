"""The difference of two runs is shown from where they diverge."""

from __future__ import annotations

from collections.abc import Sequence

from firstk.harness.run.events import Event, Events, Request
from firstk.reports.tables.diff import diff_text, parting

S0, S1 = Request("s0"), Request("s1")

SENT = [Event(0.0, "sent", "", S0), Event(0.0, "sent", "", S1)]
ANSWERED = [Event(0.5, "answered", "0", S0), Event(1.25, "answered", "1", S1)]
ENDED = [Event(2.0, "wrote", "5 bytes at 0"), Event(2.0, "fired", "the download")]


def events(*some: Event, label: str = "A") -> Events:
    """Return the events of a run."""
    return Events(label, some)


def told(one: Sequence[Event], other: Sequence[Event]) -> list[str]:
    """Return the lines of the difference of two runs."""
    return diff_text(events(*one), events(*other, label="B")).splitlines()


def test_equal() -> None:
    """Equal runs do not diverge."""
    assert parting(events(*SENT), events(*SENT, label="B")) is None
    assert told(SENT, SENT) == ["The runs are equal in all 2 events."]


def test_parting() -> None:
    """The difference has both runs, their results, the place of divergence, and the answers."""
    failed = Event(1.25, "failed", "lost", S1)
    one = [*SENT, *ANSWERED, *ENDED]
    other = [*SENT, ANSWERED[0], failed, Event(1.25, "raised", "the download")]

    assert parting(events(*one), events(*other)) == 3
    assert told(one, other) == [
        "--- A: first byte at 2 s, ends well at 2 s, 2 requests",
        "+++ B: no block, fails at 1.25 s, 2 requests",
        "@@ 3 events are equal, and then the runs part @@",
        "     0 s  s0 is asked for its shares",
        "     0 s  s1 is asked for its shares",
        "   0.5 s  s0 answers that it has share 0",
        "- 1.25 s  s1 answers that it has share 1",
        "-    2 s  5 bytes at 0 of the file are written",
        "-    2 s  the download ends well",
        "+ 1.25 s  s1 fails to tell its shares: lost",
        "+ 1.25 s  the download fails",
        "@@ requests of both that were answered differently, at whatever time @@",
        "  s1 is asked for its shares",
        "-   1.25 s  s1 answers that it has share 1",
        "+   1.25 s  s1 fails to tell its shares: lost",
    ]


def test_one_ends() -> None:
    """If a run has no more events, that is shown, and which answers never come."""
    one = [*SENT, *ANSWERED]
    lines = told(one, one[:3])

    assert lines[1] == "+++ B: no block, never over, 2 requests"
    assert lines[6:8] == [
        "- 1.25 s  s1 answers that it has share 1",
        "+         nothing more happens",
    ]
    assert lines[-1] == "+   no answer comes"
    assert "-         nothing more happens" in told(one[:3], one)


def test_times_alone() -> None:
    """An answer at another time is a difference, but not a different end."""
    late = [*SENT, Event(0.75, "answered", "0", S0)]
    lines = told([*SENT, ANSWERED[0]], late)

    assert [" ".join(line.split()[:3]) for line in lines[-2:]] == ["- 0.5 s", "+ 0.75 s"]
    assert sum(line.startswith("@@") for line in lines) == 1


def test_an_extra_event() -> None:
    """An extra event is marked, and the common ones after it are not."""
    extra = Event(0.25, "sent", "", Request("s2"))
    lines = told([*SENT, *ANSWERED], [*SENT, extra, *ANSWERED])

    assert [line for line in lines[3:] if not line.startswith(" ")] == [
        "+ 0.25 s  s2 is asked for its shares"
    ]
    assert len(lines) == 8


def test_repeated() -> None:
    """A repeated request is compared with its repetition."""
    again = [SENT[0], ANSWERED[0], SENT[0]]
    empty = Event(3.0, "answered", "", S0)
    lines = told([*again, ANSWERED[0]], [*again, empty])

    assert "  s0 is asked for its shares, time 2" in lines
    assert lines[-1] == "+   3 s  s0 answers that it has no share"


def test_long() -> None:
    """Of a long difference, the beginning is shown, and that there is more."""
    asked = [Event(0.0, "sent", "", Request(f"s{i}")) for i in range(30)]
    full = [Event(1.0, "answered", "1", event.request) for event in asked]
    none = [Event(1.0, "answered", "", event.request) for event in asked]
    lines = told([*asked, *full], [*asked, *none])

    assert lines[2] == "@@ 30 events are equal, and then the runs part @@"
    assert [sum(line.startswith(f"{m} 1 s") for line in lines) or 3 for m in " -+"] == [3, 8, 8]
    assert sum(line.endswith("and more") for line in lines) == 2
    assert lines[-1] == "  and 20 more"
    assert len(lines) < 60
