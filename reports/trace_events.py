"""A run as Chrome trace events: a file that opens in Perfetto and chrome://tracing.

Each server is a track of the process "servers"; requests are asynchronous events, which
may overlap. Source: Trace Event Format, Google, 2016.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from harness.simulate import Run


def trace_events(runs: Sequence[Run]) -> str:
    """Return the JSON of the runs, a process each; times are in microseconds."""
    events = [event for pid, run in enumerate(runs, 1) for event in _events(pid, run)]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, indent=1) + "\n"


def _events(pid: int, run: Run) -> Iterator[dict[str, Any]]:
    result, trace = run.result, run.trace
    name = f"{result.scenario}, {result.strategy}, seed {result.seed}"
    yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
    tids: dict[str, int] = {}
    for exchange in trace.exchanges:
        if exchange.server not in tids:
            tids[exchange.server] = len(tids) + 1
            yield {
                "ph": "M",
                "name": "thread_name",
                "pid": pid,
                "tid": tids[exchange.server],
                "args": {"name": exchange.server},
            }
        read = exchange.operation == "read"
        label = f"read share {exchange.share}" if read else "get_buckets"
        common = {
            "cat": exchange.server,  # events of one category and id are one request
            "id": f"{pid}.{exchange.number}",
            "name": f"{exchange.server} {label}",
            "pid": pid,
            "tid": tids[exchange.server],
        }
        where = {"offset": exchange.offset, "length": exchange.length} if read else {}
        yield {"ph": "b", "ts": exchange.sent * 1e6, "args": where, **common}
        if exchange.ended is not None:
            said = {"ok": exchange.ok, "answer": exchange.detail}
            yield {"ph": "e", "ts": exchange.ended * 1e6, "args": said, **common}
    if result.ttfb is not None:
        yield {
            "ph": "i",
            "s": "p",
            "ts": result.ttfb * 1e6,
            "name": "first block",
            "pid": pid,
            "tid": 0,
        }
