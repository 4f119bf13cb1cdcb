"""The names of an experiment's axes in pictures and sentences, with units."""

from __future__ import annotations

import re

from firstk.scenarios.model import Scenario

_NAMES = {
    "grid.servers": "number of servers",
    "grid.rtt": "round-trip time",
    "grid.bandwidth": "uplink bandwidth of a server (bytes/s)",
    "grid.client_bandwidth": "bandwidth of the client (bytes/s)",
    "grid.service": "service time",
    "grid.concurrency": "requests that a server works on at once",
    "grid.subset": "servers that each download gets",
    "file.size": "file size (bytes)",
    "file.segment_size": "segment size (bytes)",
    "file.k": "shares needed (k)",
    "file.n": "shares made (n)",
    "workload.arrivals.rate": "load (downloads per second)",
    "workload.arrivals.clients": "number of clients",
    "consumer.bandwidth": "bandwidth of the consumer (bytes/s)",
}

#: The parameters of latency laws that are times.
_TIMES = {
    "value": "",
    "mean": "mean ",
    "median": "median ",
    "scale": "least ",
    "shift": "least ",
    "low": "least ",
    "high": "greatest ",
}

_FAULT_KEYS = {
    "start": "start of the fault on {what} servers (s)",
    "end": "end of the fault on {what} servers (s)",
    "extra": "extra round-trip time of {what} servers (s)",
    "factor": "factor on the round-trip time of {what} servers",
    "probability": "probability that a request to a {what} server fails",
    "length": "bytes left in the shares of {what} servers",
}


def axis_name(key: str, scenario: Scenario | None) -> str:
    """Return the name of an axis, with its unit; its key if there is no better name.

    `scenario` is one of those along the axis; it shows which fault the selected servers have.
    """
    if name := _NAMES.get(key):
        return name
    if found := re.fullmatch(r"grid\.(rtt|service)\.(\w+)", key):
        time = "round-trip time" if found[1] == "rtt" else "service time"
        if found[2] in _TIMES:
            return f"{_TIMES[found[2]]}{time} (s)"
        return f"{time}: {found[2]}"
    if found := re.fullmatch(r"servers\.(\d+)\.(select|fault)\.(\w+)", key):
        what = _what(int(found[1]), scenario)
        if found[2] == "fault":
            return _FAULT_KEYS.get(found[3], key).format(what=what)
        if found[3] == "count":
            return f"number of {what} servers"
        if found[3] == "probability":
            return f"probability that a server is {what}"
    return key


def _what(entry: int, scenario: Scenario | None) -> str:
    """Return what the servers of an entry have in common."""
    if scenario is None or entry >= len(scenario.servers):
        return "selected"
    kinds = dict.fromkeys(fault.kind for fault in scenario.servers[entry].faults or ())
    return " and ".join(kinds) or "selected"
