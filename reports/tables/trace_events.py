"""A run as Chrome trace events: a file that opens in Perfetto and chrome://tracing.

Each run is a process, with a track for the phases of the download and one for each server. Events
of a track must nest, but simultaneous requests do not, so further ones have tracks of their own
below the first track of the server. An arrow leads from an overdue read to its hedged request. A
request that was never answered begins and does not end. Source: Trace Event Format, Google, 2016.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import count
from math import inf
from typing import Any

from firstk.harness.run.finish import Run
from firstk.reports.model.requests import Bar, bars_of
from firstk.reports.model.source_lines import line_of

Event = dict[str, Any]


def trace_events(runs: Sequence[Run]) -> str:
    """Return the JSON of the runs, each as a process; times are in microseconds."""
    events = [event for pid, run in enumerate(runs, 1) for event in _events(pid, run)]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, indent=1) + "\n"


def _events(pid: int, run: Run) -> Iterator[Event]:
    result = run.result
    name = f"{result.scenario}, {result.strategy}, seed {result.seed}"
    yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
    yield from _phases(pid, run)
    bars = bars_of(run)
    rows = _rows(bars)
    for (server, row), track in rows.items():
        yield from _thread(pid, track, f"{server}, {row + 1} at once" if row else server)
    places = zip(bars, _places(bars), strict=True)
    of = {bar.exchange.number: rows[place] for bar, place in places}
    for bar in bars:
        yield from _request(pid, of[bar.exchange.number], bar)
    for bar in bars:
        if bar.hedge_of is not None:
            yield from _arrow(pid, of[bar.hedge_of.number], of[bar.exchange.number], bar)
    if result.ttfb is not None:
        yield {
            "ph": "i",
            "s": "p",
            "ts": _us(result.ttfb),
            "name": "first byte",
            "pid": pid,
            "tid": 0,
        }


def _places(bars: Sequence[Bar]) -> list[tuple[str, int]]:
    """Return the server and the row of each request; a row is reused when its request has ended."""
    free: dict[str, list[float]] = {}
    places = []
    for bar in bars:
        exchange = bar.exchange
        rows = free.setdefault(exchange.server, [])
        row = next((i for i, time in enumerate(rows) if time <= exchange.sent), len(rows))
        rows[row : row + 1] = [inf if exchange.ended is None else exchange.ended]
        places.append((exchange.server, row))
    return places


def _rows(bars: Sequence[Bar]) -> dict[tuple[str, int], int]:
    """Return the track number of each row; the rows of a server are adjacent."""
    servers = list(dict.fromkeys(bar.exchange.server for bar in bars))
    rows = sorted(set(_places(bars)), key=lambda place: (servers.index(place[0]), place[1]))
    return dict(zip(rows, count(1), strict=False))


def _thread(pid: int, tid: int, name: str) -> Iterator[Event]:
    """Yield the events that name a track and set its position."""
    of = {"ph": "M", "pid": pid, "tid": tid}
    yield {**of, "name": "thread_name", "args": {"name": name}}
    yield {**of, "name": "thread_sort_index", "args": {"sort_index": tid}}


def _phases(pid: int, run: Run) -> Iterator[Event]:
    """Yield the phases of the download, as far as it reports them. They never overlap.

    A phase that never ends lasts until the last event, and is marked as such.
    """
    phases = run.status.phases if run.status else []
    if not phases:
        return
    yield from _thread(pid, 0, "download")
    ends = [begin for _, begin in phases[1:]] + [run.result.ended]
    for (phase, begin), end in zip(phases, ends, strict=True):
        if end > begin:
            unending = phase == phases[-1][0] and run.result.finished is None
            yield {
                "ph": "X",
                "ts": _us(begin),
                "dur": _lasts(begin, end),
                "name": f"{phase} (never ends)" if unending else phase,
                "pid": pid,
                "tid": 0,
            }


def _request(pid: int, tid: int, bar: Bar) -> Iterator[Event]:
    """Yield the events of a request: from its sending to its answer, and when it was overdue."""
    exchange = bar.exchange
    read = exchange.operation == "read"
    of = {"pid": pid, "tid": tid, "cat": exchange.operation}
    args: Event = {"server": exchange.server}
    if read:
        args |= {"share": exchange.share, "offset": exchange.offset, "length": exchange.length}
    if bar.hedge:
        args["hedge"] = True
    if exchange.source is not None:
        args["sent by"] = line_of(exchange.source)
    name = f"read share {exchange.share}" if read else exchange.operation
    begin = {"ts": _us(exchange.sent), "name": name, **of}
    if exchange.ended is None:
        yield {"ph": "B", **begin, "args": args}
    else:
        args |= {"ok": exchange.ok, "answer": exchange.detail}
        if exchange.corrupt:
            args["corrupt"] = True
        if exchange.cancelled:
            args["saved"] = exchange.saved
        yield {"ph": "X", "dur": _lasts(exchange.sent, exchange.ended), **begin, "args": args}
    if bar.overdue is not None:
        yield {"ph": "i", "s": "t", "ts": _us(bar.overdue), "name": "overdue", **of}


def _arrow(pid: int, start: int, end: int, hedge: Bar) -> Iterator[Event]:
    """Yield an arrow from an overdue read to its hedged request, each on its track."""
    ts = _us(hedge.exchange.sent)
    of = {"cat": "hedge", "name": "hedge", "id": f"{pid}.{hedge.exchange.number}", "pid": pid}
    yield {"ph": "s", "ts": ts, "tid": start, **of}
    yield {"ph": "f", "bp": "e", "ts": ts, "tid": end, **of}


def _us(time: float) -> float:
    """Return a time in microseconds, rounded to the nanosecond as Perfetto stores it."""
    return round(time * 1e6, 3)


def _lasts(begin: float, end: float) -> float:
    """Return a duration, rounded so that it ends exactly when the next event begins."""
    return round(_us(end) - _us(begin), 3)
