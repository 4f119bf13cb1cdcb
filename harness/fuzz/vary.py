"""Variations of a scenario that led to a new situation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

#: The times of the events in the runs of a scenario, in virtual seconds.
Times = Sequence[float]

_Draw = Callable[[int], int]

#: Factors for a time just before another, the same time, and just after it.
_NEAR = (1.0, 0.999, 1.001)

#: No entry of `[[servers]]` is added to a scenario that has this many.
_MOST_ENTRIES = 8


def vary(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> dict[str, Any]:
    """Return a variation of a scenario; parts of `other` may be copied into it."""
    made = deepcopy(made)
    for _ in range(1 + draw(3)):
        (
            _move_in_time,
            _move_in_time,
            _take_entry,
            _drop_entry,
            _other_draws,
            _other_law,
            _other_segments,
            _swap,
        )[draw(8)](made, times, other, draw)
    if not made.get("servers"):
        made.pop("servers", None)
    return made


def _faults(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the faults of a scenario that do not repeat."""
    found = [entry["fault"] for entry in made.get("servers", ()) if "fault" in entry]
    return [fault for fault in found if isinstance(fault, dict) and "every" not in fault]


def _move_in_time(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Move the start of a fault to the time of an event, or to just before or after it."""
    faults = _faults(made)
    if not faults or not times:
        return
    fault = faults[draw(len(faults))]
    start = times[draw(len(times))] * _NEAR[draw(3)]
    if "end" in fault:
        fault["end"] = start + fault["end"] - fault.get("start", 0.0)
    fault["start"] = start


def _take_entry(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Copy an entry from the other scenario, with its servers if they exist."""
    entries = [e for e in other.get("servers", ()) if "group" not in str(e) and "shares" not in e]
    servers = made["grid"]["servers"]
    if not entries or len(made.get("servers", ())) >= _MOST_ENTRIES:
        return
    entry = deepcopy(entries[draw(len(entries))])
    entry["select"] = str(draw(servers))
    made.setdefault("servers", []).insert(draw(1 + len(made["servers"])), entry)


def _drop_entry(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Remove an entry."""
    if entries := made.get("servers"):
        del entries[draw(len(entries))]


def _other_draws(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Change the seed."""
    made["seed"] = other.get("seed", 0)


def _other_law(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Change the law of round-trip times."""
    made["grid"]["rtt"] = other["grid"]["rtt"]


def _other_segments(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Change the number of segments."""
    file = made["file"]
    file["segment_size"] = max(1, file["size"] // (1, 2, 5, 20, 40)[draw(5)])


def _swap(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Swap the servers of two entries."""
    entries = [e for e in made.get("servers", ()) if isinstance(e["select"], str)]
    if len(entries) > 1:
        a, b = entries[draw(len(entries))], entries[draw(len(entries))]
        a["select"], b["select"] = b["select"], a["select"]
