"""Packets as Chrome trace events: a file that opens in Perfetto and chrome://tracing.

Each host is a process, with a track for its state and one for each connection that it sends on.
A packet lasts from its sending to its arrival; those that are under way at once have tracks of
their own below. Source: Trace Event Format, Google, 2016.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from firstk.harness.net.packet import Packet
from firstk.harness.net.svg import History
from firstk.harness.net.unanswered import Unanswered

Event = dict[str, Any]


def trace_events(
    packets: Sequence[Packet],
    notes: Sequence[tuple[float, str]],
    histories: Mapping[str, History],
    outstanding: Iterable[Unanswered],
    end: float,
) -> str:
    """Return the JSON of packets, notes and states up to the time `end`; see `svg_diagram`.

    `outstanding` are the connections on which clients wait: each begins and does not end.
    """
    events: list[Event] = []
    pids = {name: pid for pid, name in enumerate(histories, 1)}
    for name, pid in pids.items():
        events.append(_meta(pid, 0, "process_name", name=name))
        events += _states(pid, histories[name], end)
        events += _sent(pid, [packet for packet in packets if packet.source == name])
    for one in outstanding:
        waits = {"ts": _us(one.opened), "name": f"waits for {one.host}", "args": {"why": str(one)}}
        events.append({"ph": "B", "pid": pids[one.client], "tid": 10**6 + one.client_port, **waits})
    for time, text in notes:
        note = {"ts": _us(time), "name": text, "pid": next(iter(pids.values()), 1), "tid": 0}
        events.append({"ph": "i", "s": "g", **note})
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, indent=1) + "\n"


def _states(pid: int, history: History, end: float) -> Iterator[Event]:
    """Yield when a host was not running."""
    yield _meta(pid, 0, "thread_name", name="state")
    ends = [time for time, _ in history[1:]] + [end]
    for (start, state), until in zip(history, ends, strict=True):
        if state != "running":
            yield _lasting(pid, 0, state, start, until)


def _sent(pid: int, packets: Sequence[Packet]) -> Iterator[Event]:
    """Yield the packets that a host has sent, each on a track where no other is under way."""
    free: dict[tuple[str, int], float] = {}  # until when the tracks of each connection are taken
    tids: dict[tuple[str, int], int] = {}
    numbers = count(1)
    for packet in packets:
        connection = f"{packet.source_port} > {packet.target}:{packet.target_port}"
        row = next(row for row in count() if free.get((connection, row), 0.0) <= packet.sent)
        track = connection, row
        if track not in tids:
            tids[track] = next(numbers)
            name = connection if row == 0 else f"{connection}, {row + 1} at once"
            yield _meta(pid, tids[track], "thread_name", name=name)
            yield _meta(pid, tids[track], "thread_sort_index", sort_index=tids[track])
        lost = packet.arrives is None
        arrives = packet.sent if packet.arrives is None else packet.arrives
        free[track] = arrives
        name = f"{packet.what}, lost" if lost else packet.what
        yield _lasting(pid, tids[track], name, packet.sent, arrives) | {
            "args": {"to": packet.target}
        }


def _meta(pid: int, tid: int, kind: str, **args: Any) -> Event:
    return {"ph": "M", "pid": pid, "tid": tid, "name": kind, "args": args}


def _lasting(pid: int, tid: int, name: str, start: float, end: float) -> Event:
    """Return what begins and ends; it ends when what follows begins."""
    dur = round(_us(end) - _us(start), 3)
    return {"ph": "X", "pid": pid, "tid": tid, "name": name, "ts": _us(start), "dur": dur}


def _us(time: float) -> float:
    """Return a time in microseconds, to the nanosecond as Perfetto keeps it."""
    return round(time * 1e6, 3)
