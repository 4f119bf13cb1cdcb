"""Traces are Chrome trace events, as Perfetto reads them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

import pytest

from firstk.harness.run.simulate import Run, simulate
from firstk.reports.tables.trace_events import trace_events
from tests.reports.samples import BROKEN, HUNG, scenario

GOOD = simulate(scenario(), "first-k")
HANGS = simulate(scenario(entries=[{"select": "3-9", **HUNG}]), "wait-for-all")
FAILS = simulate(scenario(entries=[{"select": "2-9", **BROKEN}]), "first-k")
RUNS = {"good": [GOOD], "hangs": [HANGS], "fails": [FAILS], "all": [GOOD, HANGS, FAILS]}


def no_constant(name: str) -> NoReturn:
    """Refuse what Python writes as JSON and no other program reads."""
    raise AssertionError(f"{name} is no JSON")


def events_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the events in the trace of these runs."""
    parsed = json.loads(trace_events(runs), parse_constant=no_constant)
    events: list[dict[str, Any]] = parsed["traceEvents"]
    return events


def request(event: dict[str, Any]) -> tuple[Any, Any]:
    """Return what tells which request an event is of, to whoever reads the trace."""
    return event["cat"], event["id"]


@pytest.mark.parametrize("runs", RUNS.values(), ids=RUNS)
def test_requests(runs: list[Run]) -> None:
    """Each request begins once, and ends once at most, at the same time or later."""
    events = events_of(runs)
    begun = Counter(request(e) for e in events if e["ph"] == "b")
    ended = Counter(request(e) for e in events if e["ph"] == "e")
    begins = {request(e): e["ts"] for e in events if e["ph"] == "b"}

    assert set(begun.values()) == {1}
    assert ended <= begun
    assert all(begins[request(e)] <= e["ts"] for e in events if e["ph"] == "e")


@pytest.mark.parametrize("run", [GOOD, HANGS, FAILS], ids=["good", "hangs", "fails"])
def test_complete(run: Run) -> None:
    """Every exchange is there with its times; one that was never answered has no end."""
    events, exchanges = events_of([run]), run.trace.exchanges
    begun = [e["ts"] for e in events if e["ph"] == "b"]
    ended = sorted(e["ts"] for e in events if e["ph"] == "e")

    assert [x.sent * 1e6 for x in exchanges] == begun
    assert sorted(x.ended * 1e6 for x in exchanges if x.ended is not None) == ended


def test_hung() -> None:
    """The requests of a hung server begin and never end."""
    events = [e for e in events_of([HANGS]) if e["ph"] in "be"]

    assert {f"s{i}" for i in range(10)} == {e["cat"] for e in events if e["ph"] == "b"}
    assert {e["cat"] for e in events if e["ph"] == "e"} == {"s0", "s1", "s2"}


def test_tracks() -> None:
    """Each run is a process with a name, and each server of it a track with its own."""
    events = events_of([GOOD, HANGS])
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    tracks = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}

    assert list(processes.values()) == ["t, first-k, seed 0", "t, wait-for-all, seed 0"]
    assert [tracks.pop((pid, 0)) for pid in (1, 2)] == ["download", "download"]
    assert len(tracks) == 20
    assert all(e["cat"] == tracks[e["pid"], e["tid"]] for e in events if e["ph"] in "be")


def test_answers() -> None:
    """What came back is told: that it failed, or what it was."""
    ends = [e for e in events_of([FAILS]) if e["ph"] == "e"]
    said = {e["cat"]: e["args"] for e in ends}

    assert said["s0"] == {"ok": True, "answer": "0"}
    assert said["s9"] == {"ok": False, "answer": "the server is broken"}


def test_reads() -> None:
    """A read says which share, and which of its bytes."""
    reads = [e for e in events_of([GOOD]) if e["ph"] == "b" and "read share" in e["name"]]
    exchanges = [x for x in GOOD.trace.exchanges if x.operation == "read"]

    assert [{"offset": x.offset, "length": x.length} for x in exchanges] == [
        e["args"] for e in reads
    ]
    assert [f"{x.server} read share {x.share}" for x in exchanges] == [e["name"] for e in reads]


def test_first_block() -> None:
    """The first byte is marked, if there was one."""
    assert [e["ts"] for e in events_of([GOOD]) if e["ph"] == "i"] == [250000.0]
    assert [e for e in events_of([HANGS, FAILS]) if e["ph"] == "i"] == []


def test_no_runs() -> None:
    """The trace of no runs is a trace."""
    assert events_of([]) == []


def test_phases() -> None:
    """The phases follow one another without a gap, and one that never ends says so."""
    good, hangs = ([e for e in events_of([run]) if e["ph"] == "X"] for run in (GOOD, HANGS))

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
    """An overdue request is told, and the hedge that begins then."""
    reads_hang = {"kind": "hung", "on": ["read"]}
    run = simulate(scenario(entries=[{"select": "0", "fault": reads_hang}]), "hedged")
    events = events_of([run])
    overdue = [e for e in events if e["ph"] == "n"]
    hedges = [e for e in events if e["ph"] == "b" and e["args"].get("hedge")]

    assert [e["cat"] for e in overdue] == ["s0"]
    assert [e["ts"] for e in overdue] == [e["ts"] for e in hedges]
    assert request(overdue[0]) in [request(e) for e in events if e["ph"] == "b"]


def test_corrupt() -> None:
    """A corrupt answer is told from a good one."""
    alters = {"kind": "corrupt", "part": "block"}
    run = simulate(scenario(entries=[{"select": "0", "fault": alters}]), "hedged")
    corrupt = [e for e in events_of([run]) if e["ph"] == "e" and e["args"].get("corrupt")]

    assert {e["cat"] for e in corrupt} == {"s0"}
