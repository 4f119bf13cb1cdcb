"""The timeline as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import gatherResults

from firstk import IStorageServer, parse_cap
from firstk.downloader.cap import CHKCap
from firstk.harness.run.simulate import simulate
from firstk.harness.testing.timeline import MAX_LINES, text_timeline
from tests.reports.samples import BROKEN, HUNG, scenario


def lines_of(
    *entries: dict[str, Any], strategy: str = "wait-for-all", **tables: Any
) -> tuple[str, dict[str, str], str]:
    """Return the timeline of a run, its lines by server, and its last line."""
    text = text_timeline(simulate(scenario(entries=entries, **tables), strategy))
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  s")]
    return text, {words[0]: words[1] for words in lines}, text.splitlines()[-1]


def entry(select: str, kind: str, **keys: Any) -> dict[str, Any]:
    """Return an entry that gives servers a fault."""
    return {"select": select, "fault": {"kind": kind, **keys}}


def test_hung() -> None:
    """The hung server is listed first, and its line shows what was not answered."""
    text, lines, _ = lines_of({"select": "7", **HUNG})

    assert text.startswith("wait-for-all: stalls forever\nnever answered: s7\n")
    assert lines["s7"] == "=...............................  asked at 0, never answered"
    assert lines["s3"] == f"{'=' * 32}  asked at 0, answered at 0.05: share 3"
    assert [f"s{i}" for i in range(10)] == list(lines)


def test_hung_read() -> None:
    """A server that hangs on reads is listed too, with its read."""
    text, lines, _ = lines_of(entry("1", "hung", on=["read"]), strategy="first-k")

    assert "never answered: s1\n" in text
    assert lines["s1"].endswith(
        "answered at 0.05: share 1; 1 read of share 1 at 0.05, never answered"
    )
    assert lines["s1"].startswith("======#....")


def test_good() -> None:
    """If all servers answer, none is listed; queries and reads differ."""
    text, lines, _ = lines_of(strategy="first-k")

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
    """Each fault's effect is described in words."""
    assert said in lines_of(fault)[1]["s0"]


def test_failure_is_marked() -> None:
    """A failed request ends with a cross."""
    assert lines_of({"select": "0", **BROKEN}, strategy="first-k")[1]["s0"].startswith("=====x ")


def test_deadline() -> None:
    """At the deadline, an unanswered request is not called silent forever."""
    text, lines, _ = lines_of(entry("4", "slow", extra=99), deadline=10.0)

    assert "never" not in text
    assert "no answer by the deadline: s4\n" in text
    assert lines["s4"].endswith("asked at 0, no answer by the deadline")


def test_later_than_the_download() -> None:
    """An answer after the end of the download is shown, and its bar is full."""
    _, lines, _ = lines_of(entry("4", "slow", extra=99), strategy="first-k")

    assert lines["s4"] == f"{'=' * 32}  asked at 0, answered at 99.05: share 4"


def test_wide() -> None:
    """Of many servers, silent ones are shown first, then those that were read from."""
    text, lines, last = lines_of({"select": "70", **HUNG}, count=100, strategy="first-k")

    assert len(lines) == MAX_LINES
    assert {"s0", "s1", "s2", "s70"} < lines.keys()
    assert last == "  76 more servers were asked, and not shown"
    assert "never answered: s70\n" in text


def test_many_silent() -> None:
    """Of very many names, the first are listed and the rest are counted."""
    text, _, _ = lines_of({"select": "0-49", **HUNG}, count=100)

    assert "never answered: s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11 and 38 more\n" in text


def test_not_asked() -> None:
    """Servers that were not queried are counted."""
    hung = {"select": "all", **HUNG}

    for count, said in (12, "2 servers were not asked"), (11, "1 server was not asked"):
        *_, last = lines_of(hung, count=count, strategy="windowed", deadline=5.0)
        assert last == f"  {said}"


def asks_all(reactor: Any, servers: Sequence[IStorageServer], cap: str, consumer: Any) -> Any:
    """Query all servers, and wait for every answer."""
    read_cap = parse_cap(cap)
    assert isinstance(read_cap, CHKCap)
    index = read_cap.storage_index
    return gatherResults([server.get_buckets(index) for server in servers])


def test_line_of_the_code_under_test() -> None:
    """A request that was never answered has the line that sent it."""
    hung = scenario(entries=[{"select": "4", **HUNG}])
    text = text_timeline(simulate(hung, asks_all))
    line = asks_all.__code__.co_firstlineno + 5

    assert f"asked at 0 by tests/harness/testing/test_timeline.py:{line}, never answered" in text
    assert text.count(" by tests") == 1
