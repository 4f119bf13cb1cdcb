"""Traces are Chrome trace events, which Perfetto can read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import Any, NoReturn

import pytest

from firstk.downloader.cap import CHKCap, parse_cap
from firstk.harness.run.finish import Run
from firstk.harness.run.simulate import simulate
from firstk.reports.tables.trace_events import trace_events
from tests.reports.samples import BROKEN, HUNG, scenario

GOOD = simulate(scenario(), "first-k")
HANGS = simulate(scenario(entries=[{"select": "3-9", **HUNG}]), "wait-for-all")
FAILS = simulate(scenario(entries=[{"select": "2-9", **BROKEN}]), "first-k")
RUNS = {"good": [GOOD], "hangs": [HANGS], "fails": [FAILS], "all": [GOOD, HANGS, FAILS]}


def no_constant(name: str) -> NoReturn:
    """Refuse constants that Python writes as JSON and no other program reads."""
    raise AssertionError(f"{name} is not JSON")


def events_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the events in the trace of these runs."""
    parsed = json.loads(trace_events(runs), parse_constant=no_constant)
    events: list[dict[str, Any]] = parsed["traceEvents"]
    return events


HEDGED = simulate(
    scenario(entries=[{"select": "0", "fault": {"kind": "hung", "on": ["read"]}}]), "hedged"
)
RUNS["hedged"] = [HEDGED]

#: The keys of an event by its phase, except name, ph, pid, tid (Trace Event Format, Google, 2016).
KEYS = {
    "M": {"args"},
    "X": {"ts", "dur"},
    "B": {"ts"},
    "i": {"ts", "s"},
    "s": {"ts", "cat", "id"},
    "f": {"ts", "cat", "id", "bp"},
}


def slices(events: Sequence[dict[str, Any]]) -> dict[tuple[int, int], list[tuple[float, float]]]:
    """Return the beginnings and ends of events on each track; open ones last forever."""
    found: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for e in events:
        if e["ph"] in "XB":
            end = e["ts"] + e["dur"] if e["ph"] == "X" else inf
            found.setdefault((e["pid"], e["tid"]), []).append((e["ts"], end))
    return found


def requests(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events that are requests."""
    return [e for e in events if e["ph"] in "XB" and e["tid"]]


@pytest.mark.parametrize("runs", RUNS.values(), ids=RUNS)
def test_format(runs: list[Run]) -> None:
    """Every event has the keys of its phase, and events on a track do not overlap."""
    events = events_of(runs)

    for e in events:
        assert {"name", "ph", "pid", "tid"} <= e.keys()
        assert KEYS[e["ph"]] <= e.keys()
    for track in slices(events).values():
        assert all(end <= begin + 1e-6 for (_, end), (begin, _) in pairwise(sorted(track)))


@pytest.mark.parametrize("run", [GOOD, HANGS, FAILS], ids=["good", "hangs", "fails"])
def test_complete(run: Run) -> None:
    """Every exchange is there with its times; an unanswered one has no end."""
    events, exchanges = requests(events_of([run])), run.trace.exchanges
    ended = [e["ts"] + e["dur"] for e in events if e["ph"] == "X"]

    assert [e["ts"] for e in events] == pytest.approx([x.sent * 1e6 for x in exchanges])
    assert ended == pytest.approx([x.ended * 1e6 for x in exchanges if x.ended is not None])


def test_hung() -> None:
    """The requests of a hung server begin and never end."""
    events = requests(events_of([HANGS]))

    assert {f"s{i}" for i in range(3, 10)} == {
        e["args"]["server"] for e in events if e["ph"] == "B"
    }
    assert {e["args"]["server"] for e in events if e["ph"] == "X"} == {"s0", "s1", "s2"}


def test_tracks() -> None:
    """Each run is a process with a name, and each of its servers is a named track."""
    events = events_of([HEDGED, HANGS])
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    tracks = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}

    assert list(processes.values()) == ["t, hedged, seed 0", "t, wait-for-all, seed 0"]
    assert [tracks.pop((pid, 0)) for pid in (1, 2)] == ["download", "download"]
    assert list(tracks.values()) == [f"s{i}" for i in range(10)] * 2
    assert all(e["args"]["server"] == tracks[e["pid"], e["tid"]] for e in requests(events))


def test_at_once() -> None:
    """Of two requests to a server at the same time, the second has its own track below."""
    events = events_of([GOOD])
    names = [e["args"]["name"] for e in events if e["name"] == "thread_name"]
    order = [e["args"]["sort_index"] for e in events if e["name"] == "thread_sort_index"]

    assert names[:5] == ["download", "s0", "s0, 2 at once", "s1", "s1, 2 at once"]
    assert order == list(range(len(names)))


def test_answers() -> None:
    """The answer is shown: the failure, or the content."""
    said = {e["args"]["server"]: e["args"] for e in requests(events_of([FAILS]))}

    assert said["s0"] == {"server": "s0", "ok": True, "answer": "0"}
    assert said["s9"] == {"server": "s9", "ok": False, "answer": "the server is broken"}


def test_reads() -> None:
    """A read has its share, offset and length."""
    reads = [e for e in requests(events_of([GOOD])) if e["cat"] == "read"]
    exchanges = [x for x in GOOD.trace.exchanges if x.operation == "read"]

    assert [(x.offset, x.length) for x in exchanges] == [
        (e["args"]["offset"], e["args"]["length"]) for e in reads
    ]
    assert [f"read share {x.share}" for x in exchanges] == [e["name"] for e in reads]


def test_source() -> None:
    """A request of a custom downloader has the line that sent it."""
    run = simulate(scenario(), asks)
    (event,) = requests(events_of([run]))

    assert str(event["args"]["sent by"]).endswith("in asks")
    assert "test_trace_events.py:" in event["args"]["sent by"]


def asks(reactor: Any, servers: Any, cap: Any, consumer: Any) -> Any:
    """Query the first server, and do no more."""
    found = parse_cap(cap)
    assert isinstance(found, CHKCap)
    return servers[0].get_buckets(found.storage_index)


def test_first_block() -> None:
    """The first byte is marked, if there is one."""
    assert [e["ts"] for e in events_of([GOOD]) if e["name"] == "first byte"] == [250000.0]
    assert [e for e in events_of([HANGS, FAILS]) if e["name"] == "first byte"] == []


def test_no_runs() -> None:
    """The trace of no runs is valid."""
    assert events_of([]) == []


def test_phases() -> None:
    """The phases follow one another without gaps, and an endless one is marked."""
    good, hangs = (
        [e for e in events_of([run]) if e["ph"] == "X" and not e["tid"]] for run in (GOOD, HANGS)
    )

    assert [e["name"] for e in good] == ["locating", "uri-extension", "crypttext-hashes", "blocks"]
    assert pytest.approx([e["ts"] for e in good] + [good[-1]["ts"] + good[-1]["dur"]]) == [
        0.0,
        50000.0,
        150000.0,
        200000.0,
        250000.0,
    ]
    assert [e["name"] for e in hangs] == ["locating (never ends)"]


def test_hedges() -> None:
    """An overdue request is marked, and an arrow leads to its hedge."""
    events = events_of([HEDGED])
    (overdue,) = [e for e in events if e["name"] == "overdue"]
    (hedge,) = [e for e in requests(events) if e["args"].get("hedge")]
    (start,) = [e for e in events if e["ph"] == "s"]
    (end,) = [e for e in events if e["ph"] == "f"]
    late = [e for e in requests(events) if e["tid"] == overdue["tid"]]
    late = [e for e in late if e["ts"] <= overdue["ts"] <= e["ts"] + e.get("dur", inf)]

    assert [e["args"]["server"] for e in late] == ["s0"]
    assert hedge["args"]["server"] != "s0"
    assert overdue["ts"] == hedge["ts"] == start["ts"] == end["ts"]
    assert (start["tid"], end["tid"]) == (overdue["tid"], hedge["tid"])
    assert (start["id"], start["cat"], start["name"]) == (end["id"], end["cat"], end["name"])


def test_corrupt() -> None:
    """A corrupt answer is marked."""
    alters = {"kind": "corrupt", "part": "block"}
    run = simulate(scenario(entries=[{"select": "0", "fault": alters}]), "hedged")
    corrupt = [e for e in events_of([run]) if e.get("args", {}).get("corrupt")]

    assert {e["args"]["server"] for e in corrupt} == {"s0"}
