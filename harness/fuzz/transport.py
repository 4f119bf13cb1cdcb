"""Adds faults of the transport to a random scenario: cut or trickling answers, connection set-up.

The same number of draws is made for every scenario, and zeros add nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: Returns a whole number from 0 up to, but not including, its argument.
Draw = Callable[[int], int]

_ENTRIES = 2
_TIMES = (0.25, 0.05, 1.0, 7.0)
_BYTES = (100, 0, 36, 1000, 5000)
_STARTS = (0.0, 0.0, 0.1, 0.5, 3.0)
_LASTING = (None, None, 0.2, 5.0, 100.0)
_OPERATIONS = (None, ["read"], ["get_buckets"], ["connect"])
_REQUESTS = (3, 0, 1, 10)

#: A file comes in no more pieces than this: each takes an event.
_MOST_PIECES = 200


def with_transport(draw: Draw, made: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scenario with cut or trickling answers, and connections that take time to set up.

    `made` are the tables of a scenario file.
    """
    grid, n = dict(made["grid"]), made["file"]["n"]
    has_law, time = draw(12) == 11, _TIMES[draw(4)]
    if has_law:
        law = {"law": "constant", "value": time}
        grid["connect"] = law if time != _TIMES[2] else {"law": "exponential", "mean": time}
    entries = [_entry(draw, grid["servers"], n) for _ in range(_ENTRIES)]
    servers = [*made.get("servers", ()), *(entry for entry in entries if entry is not None)]
    return {**made, "grid": grid} | ({"servers": servers} if servers else {})


def limit_pieces(made: Mapping[str, Any]) -> None:
    """Enlarge the pieces in which answers trickle: each takes an event, and a file has many bytes.

    Otherwise a run could take minutes: a large file, byte by byte, from many shares.
    """
    least = -(-made["file"]["size"] // _MOST_PIECES)
    for entry in made.get("servers", ()):
        several = entry.get("fault", [])
        for fault in several if isinstance(several, list) else [several]:
            if fault["kind"] == "trickle":
                fault["piece"] = max(fault["piece"], least)


def _entry(draw: Draw, servers: int, n: int) -> dict[str, Any] | None:
    there, first, last = draw(4) == 3, draw(16) % servers, draw(16) % servers
    fault = _fault(draw, n)
    if not there:
        return None
    return {"select": f"{min(first, last)}-{max(first, last)}", "fault": fault}


def _fault(draw: Draw, n: int) -> dict[str, Any]:
    kind, size, time, number = draw(10), _BYTES[draw(5)], _TIMES[draw(4)], draw(4)
    start, lasting, share, some = _STARTS[draw(5)], _LASTING[draw(5)], draw(16) % n, draw(4) == 3
    on, fails, until = _OPERATIONS[number], draw(3) == 2, draw(3) == 2
    fault: dict[str, Any]
    match kind:
        case 0:
            fault = {"kind": "trickle", "piece": 1 + size, "every": time}
        case 1:
            fault = {"kind": "stall", "after_bytes": size}
        case 2:
            fault = {"kind": "throttled", "bandwidth": 100.0 + 10 * size}
        case 3 | 4:
            fault = {"kind": ("hung", "disconnect")[kind - 3], "after_bytes": size}
        case 5 | 6:
            fault = {"kind": ("hung", "disconnect")[kind - 5], "after_requests": _REQUESTS[number]}
        case 7:
            fault = {"kind": "hung"}
        case 8:
            fault = {"kind": "slow", "extra": time}
        case _:
            fault = {"kind": "broken"}
    limits: dict[str, Any] = {"start": start} if start else {}
    limits |= {"end": start + lasting} if lasting else {}
    if fails and fault["kind"] in ("hung", "stall"):
        limits["fails_after"] = 10 * time
    if until and fault["kind"] in ("hung", "disconnect"):
        limits["until"] = "reconnect"
    if kind >= 7 and on is not None:
        limits["on"] = on
    elif some and fault["kind"] != "throttled":
        limits["shares"] = [share]
    return fault | limits
