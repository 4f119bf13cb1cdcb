"""The timeline as text."""

from __future__ import annotations

from typing import Any

import pytest

from firstk.harness.run.simulate import simulate
from firstk.harness.testing.timeline import MAX_LINES, text_timeline
from tests.reports.samples import BROKEN, HUNG, scenario


def told(
    *entries: dict[str, Any], strategy: str = "wait-for-all", **tables: Any
) -> tuple[str, dict[str, str], str]:
    """Return the timeline of a run, and its lines by their servers."""
    text = text_timeline(simulate(scenario(entries=entries, **tables), strategy))
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  s")]
    return text, {words[0]: words[1] for words in lines}, text.splitlines()[-1]


def entry(select: str, kind: str, **keys: Any) -> dict[str, Any]:
    """Return an entry that gives servers a fault."""
    return {"select": select, "fault": {"kind": kind, **keys}}


def test_hung() -> None:
    """The server that hangs is named before all, and its line says what was not answered."""
    text, lines, _ = told({"select": "7", **HUNG})

    assert text.startswith("wait-for-all: stalls forever\nnever answered: s7\n")
    assert lines["s7"] == "=...............................  asked at 0, never answered"
    assert lines["s3"] == f"{'=' * 32}  asked at 0, answered at 0.05: share 3"
    assert [f"s{i}" for i in range(10)] == list(lines)


def test_hung_read() -> None:
    """One that answers the query and then hangs is named too, with what was read."""
    text, lines, _ = told(entry("1", "hung", on=["read"]), strategy="first-k")

    assert "never answered: s1\n" in text
    assert lines["s1"].endswith(
        "answered at 0.05: share 1; 1 read of share 1 at 0.05, never answered"
    )
    assert lines["s1"].startswith("======#....")


def test_good() -> None:
    """Where all answer nothing else is said; queries and reads are told apart."""
    text, lines, _ = told(strategy="first-k")

    assert "never answered:" not in text
    assert lines["s0"].startswith("======##########################  asked at 0")
    assert lines["s0"].endswith("share 0; 5 reads of share 0 answered, the last at 0.25")
    assert lines["s9"] == "======" + " " * 28 + "asked at 0, answered at 0.05: share 9"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (entry("0", "broken"), "asked at 0, failed at 0.05: the server is broken"),
        (entry("0", "empty"), "asked at 0, answered at 0.05: no shares"),
        (entry("0", "read-error"), "answered at 0.05: share 0; 1 read failed: "),
        (entry("0", "corrupt", part="ueb"), "of share 0 answered with wrong bytes"),
        ({"select": "0", "shares": list(range(10))}, "shares 0, 1, 2, 3, 4, 5, 6, 7, ..."),
    ],
)
def test_faults(fault: dict[str, Any], said: str) -> None:
    """What a server did is told in words."""
    assert said in told(fault)[1]["s0"]


def test_failure_is_marked() -> None:
    """A request that fails ends in a cross."""
    assert told({"select": "0", **BROKEN}, strategy="first-k")[1]["s0"].startswith("=====x ")


def test_deadline() -> None:
    """What may still be answered after the deadline is not said to be silent forever."""
    text, lines, _ = told(entry("4", "slow", extra=99), deadline=10.0)

    assert "never" not in text
    assert "no answer by the deadline: s4\n" in text
    assert lines["s4"].endswith("asked at 0, no answer by the deadline")


def test_later_than_the_download() -> None:
    """An answer that comes after the end of the download is told, and its bar is full."""
    _, lines, _ = told(entry("4", "slow", extra=99), strategy="first-k")

    assert lines["s4"] == f"{'=' * 32}  asked at 0, answered at 99.05: share 4"


def test_wide() -> None:
    """Of many servers those that were silent are shown, then those that were read from."""
    text, lines, last = told({"select": "70", **HUNG}, count=100, strategy="first-k")

    assert len(lines) == MAX_LINES
    assert {"s0", "s1", "s2", "s70"} < lines.keys()
    assert last == "  76 more servers were asked, and not shown"
    assert "never answered: s70\n" in text


def test_many_silent() -> None:
    """Of very many names the first are told, and how many more there are."""
    text, _, _ = told({"select": "0-49", **HUNG}, count=100)

    assert "never answered: s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11 and 38 more\n" in text


def test_not_asked() -> None:
    """How many servers were not asked at all is told."""
    hung = {"select": "all", **HUNG}

    assert (
        told(hung, count=12, strategy="windowed", deadline=5.0)[2] == "  2 servers were not asked"
    )
    assert told(hung, count=11, strategy="windowed", deadline=5.0)[2] == "  1 server was not asked"
