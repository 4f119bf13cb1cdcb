"""A run as Chrome trace events: a file that opens in Perfetto and chrome://tracing.

Each run is a process, with a track for each server and one for the phases of the download.
Requests overlap, and events of the kinds B, E and X must not: so they are asynchronous ones (b, n
for "overdue", e), which belong together by category and id. A request that was never answered has
no end. Source: Trace Event Format, Google, 2016.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from firstk.harness.run.simulate import Run
from firstk.reports.model.requests import Bar, bars_of


def trace_events(runs: Sequence[Run]) -> str:
    """Return the JSON of the runs, a process each; times are in microseconds."""
    events = [event for pid, run in enumerate(runs, 1) for event in _events(pid, run)]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, indent=1) + "\n"


def _events(pid: int, run: Run) -> Iterator[dict[str, Any]]:
    result = run.result
    name = f"{result.scenario}, {result.strategy}, seed {result.seed}"
    yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
    yield from _phases(pid, run)
    tids: dict[str, int] = {}
    for bar in bars_of(run):
        server = bar.exchange.server
        if server not in tids:
            tids[server] = len(tids) + 1
            yield _thread(pid, tids[server], server)
        yield from _request(pid, tids[server], bar)
    if result.ttfb is not None:
        yield {
            "ph": "i",
            "s": "p",
            "ts": result.ttfb * 1e6,
            "name": "first byte",
            "pid": pid,
            "tid": 0,
        }


def _thread(pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}


def _phases(pid: int, run: Run) -> Iterator[dict[str, Any]]:
    """Yield the phases of the download, as far as it reports them. They never overlap.

    Where one never ends it lasts until the last event, and says so.
    """
    phases = run.status.phases if run.status else []
    if not phases:
        return
    yield _thread(pid, 0, "download")
    ends = [begin for _, begin in phases[1:]] + [run.result.ended]
    for (phase, begin), end in zip(phases, ends, strict=True):
        if end > begin:
            unending = phase == phases[-1][0] and run.result.finished is None
            yield {
                "ph": "X",
                "ts": begin * 1e6,
                "dur": (end - begin) * 1e6,
                "name": f"{phase} (never ends)" if unending else phase,
                "pid": pid,
                "tid": 0,
            }


def _request(pid: int, tid: int, bar: Bar) -> Iterator[dict[str, Any]]:
    """Yield the events of a request, which share a category and an id."""
    exchange = bar.exchange
    read = exchange.operation == "read"
    label = f"read share {exchange.share}" if read else "get_buckets"
    common = {
        "cat": exchange.server,
        "id": f"{pid}.{exchange.number}",
        "name": f"{exchange.server} {label}",
        "pid": pid,
        "tid": tid,
    }
    asked: dict[str, Any] = {}
    if read:
        asked = {"offset": exchange.offset, "length": exchange.length}
    if bar.hedge:
        asked["hedge"] = True
    yield {"ph": "b", "ts": exchange.sent * 1e6, "args": asked, **common}
    if bar.overdue is not None:
        yield {"ph": "n", "ts": bar.overdue * 1e6, "args": {"overdue": True}, **common}
    if exchange.ended is not None:
        said: dict[str, Any] = {"ok": exchange.ok, "answer": exchange.detail}
        if exchange.corrupt:
            said["corrupt"] = True
        yield {"ph": "e", "ts": exchange.ended * 1e6, "args": said, **common}
