"""Variations of a scenario that led somewhere new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

#: When something happened in the runs of a scenario, in virtual seconds.
Times = Sequence[float]

_Draw = Callable[[int], int]

#: A time just before another, and just after it.
_NEAR = (1.0, 0.999, 1.001)

#: Faults are the better part of what can be varied: so many of them at the most.
_MOST_ENTRIES = 8


def vary(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> dict[str, Any]:
    """Return a variation of a scenario; `other` is one whose parts may be taken over."""
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
    """Return the faults of a scenario that are not many times at once."""
    found = [entry["fault"] for entry in made.get("servers", ()) if "fault" in entry]
    return [fault for fault in found if isinstance(fault, dict) and "every" not in fault]


def _move_in_time(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Let a fault begin when something happened before, or just before or after that."""
    faults = _faults(made)
    if not faults or not times:
        return
    fault = faults[draw(len(faults))]
    start = times[draw(len(times))] * _NEAR[draw(3)]
    if "end" in fault:
        fault["end"] = start + fault["end"] - fault.get("start", 0.0)
    fault["start"] = start


def _take_entry(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Take over an entry, with its servers if they are there."""
    entries = [e for e in other.get("servers", ()) if "group" not in str(e) and "shares" not in e]
    servers = made["grid"]["servers"]
    if not entries or len(made.get("servers", ())) >= _MOST_ENTRIES:
        return
    entry = deepcopy(entries[draw(len(entries))])
    entry["select"] = str(draw(servers))
    made.setdefault("servers", []).insert(draw(1 + len(made["servers"])), entry)


def _drop_entry(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Leave out an entry."""
    if entries := made.get("servers"):
        del entries[draw(len(entries))]


def _other_draws(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Take another seed."""
    made["seed"] = other.get("seed", 0)


def _other_law(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Take other round trips."""
    made["grid"]["rtt"] = other["grid"]["rtt"]


def _other_segments(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Cut the file into more segments, or fewer."""
    file = made["file"]
    file["segment_size"] = max(1, file["size"] // (1, 2, 5, 20, 40)[draw(5)])


def _swap(made: dict[str, Any], times: Times, other: dict[str, Any], draw: _Draw) -> None:
    """Let two entries be about each other's servers."""
    entries = [e for e in made.get("servers", ()) if isinstance(e["select"], str)]
    if len(entries) > 1:
        a, b = entries[draw(len(entries))], entries[draw(len(entries))]
        a["select"], b["select"] = b["select"], a["select"]
