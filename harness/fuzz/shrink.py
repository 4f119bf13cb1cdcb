"""Shrinks a scenario that violates an invariant: first in its contents, then in time.

Each step proposes slightly simpler scenarios, and continues from the first that has the same
violation. A scenario is a table, as in a file. Proposals need not be valid: the judge rejects
invalid ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from time import monotonic
from typing import Any

import tomli_w

from firstk.scenarios.selection import selected

#: Returns when the run ends, in virtual seconds, if it has the same violation; otherwise None.
Judge = Callable[[dict[str, Any]], float | None]

_Path = tuple[str | int, ...]

#: The number of seeds that a smaller grid is tried with, since other draws may be needed in it.
_SEEDS = 5

#: The shortest time that is tried, in virtual seconds.
_SHORTEST = 0.01

#: The keys that are times, or scale times.
_TIMES = {
    *("start", "end", "extra", "value", "low", "high", "mean", "median", "scale", "shift"),
    *("deadline", "at", "seconds", "cancel"),
}


def shrink(made: dict[str, Any], judge: Judge, seconds: float) -> dict[str, Any]:
    """Return the simplest scenario with the same violation found within a time limit."""
    end = monotonic() + seconds
    ended = judge(made)
    if ended is None:
        return made  # the violation is not reproducible
    made, ended = _simplify(made, ended, judge, end)
    return _hasten(made, ended, judge, end)


def _simplify(
    made: dict[str, Any], ended: float, judge: Judge, end: float
) -> tuple[dict[str, Any], float]:
    """Return a scenario that cannot be simplified any further."""
    refused: set[str] = set()
    simpler = True
    while simpler:
        simpler = False
        for candidate in _simpler(made):
            if monotonic() > end:
                return made, ended
            text = tomli_w.dumps(candidate)
            if text in refused or _weight(candidate) >= _weight(made):
                continue
            if (time := judge(candidate)) is None:
                refused.add(text)
                continue
            made, ended, simpler = candidate, time, True
            break
    return made, ended


def _hasten(made: dict[str, Any], ended: float, judge: Judge, end: float) -> dict[str, Any]:
    """Return a scenario that is no larger, and shows the same violation sooner."""
    sooner = True
    while sooner and monotonic() < end:
        sooner = False
        for candidate in _faster(made):
            time = judge(candidate) if monotonic() < end else None
            if time is not None and time < ended * 0.99:
                made, ended, sooner = candidate, time, True
                break
    return made


def _weight(made: dict[str, Any]) -> tuple[int, float, int, str]:
    """Return the sort key of a scenario: the number of keys and values, magnitudes, and text."""
    values = [value for path, value in _walk(made) if path != ("seed",)]
    sizes = sum(abs(v) for v in values if isinstance(v, int) and not isinstance(v, bool))
    text = tomli_w.dumps(made)
    return len(values), sizes, len(text), text


def _walk(table: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Yield everything in a table, containers before their contents."""
    items: Any = ()
    if isinstance(table, dict):
        items = table.items()
    elif isinstance(table, list):
        items = enumerate(table)
    for key, value in items:
        yield (*path, key), value
        yield from _walk(value, (*path, key))


def _changed(made: dict[str, Any], path: _Path, value: Any = None) -> dict[str, Any]:
    """Return a copy in which one value is replaced, or removed if the new one is None."""
    copy = deepcopy(made)
    table: Any = copy
    for key in path[:-1]:
        table = table[key]
    if value is None:
        del table[path[-1]]
    else:
        table[path[-1]] = value
    return copy


def _simpler(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield scenarios that are simpler by one step, large steps first."""
    places = list(_walk(made))
    for path, _ in places:
        yield _changed(made, path)
    for smaller in _smaller_grids(made):
        for seed in dict.fromkeys((made.get("seed", 0), *range(_SEEDS))):
            yield smaller | {"seed": seed}
    for path, value in places:
        for other in _plainer(value, str(path[-1]), made):
            yield _changed(made, path, other)


def _smaller_grids(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield scenarios with fewer servers, fewer shares, or a smaller file."""
    file, servers = made["file"], made["grid"]["servers"]
    for fewer in {servers // 2, servers - 1} - {0, servers}:
        copy = deepcopy(made)
        copy["grid"]["servers"] = fewer
        copy["file"]["n"] = max(1, file["n"] - (servers - fewer))
        copy["file"]["k"] = min(file["k"], copy["file"]["n"])
        _clip(copy, fewer)
        yield copy
    for fewer in range(1, file["k"]):
        copy = deepcopy(made)
        copy["file"] |= {"k": fewer, "n": file["n"] - file["k"] + fewer}
        yield copy
        copy = deepcopy(made)
        copy["file"]["k"] = fewer
        yield copy
    for part in (100, 10, 2):
        copy = deepcopy(made)
        for table in (copy["file"], *copy.get("reads", ())):
            for key in {"size", "segment_size", "offset", "length"} & table.keys():
                table[key] = max(1, table[key] // part)
        yield copy


def _clip(made: dict[str, Any], servers: int) -> None:
    """Remove servers and shares that no longer exist from all entries."""
    entries = []
    for entry in made.get("servers", ()):
        select = entry["select"]
        if isinstance(select, str):
            places = [i for i in selected(select, 10**6) if i < servers] if select != "all" else []
            if not places and select != "all":
                continue
            entry["select"] = select if select == "all" else ",".join(map(str, places))
        elif "count" in select:
            entry["select"] = {"count": min(select["count"], servers)}
        if "shares" in entry:
            last = made["file"]["n"] - 1
            entry["shares"] = sorted({min(number, last) for number in entry["shares"]})
        entries.append(entry)
    made["servers"] = entries


def _plainer(value: Any, key: str, made: dict[str, Any]) -> Iterator[Any]:
    """Yield simpler values that could replace this one."""
    match value:
        case bool():
            return
        case int():
            yield from (v for v in dict.fromkeys((0, 1, value // 10, value // 2, value - 1)))
        case float():
            rounded = float(f"{value:.1g}"), float(f"{value:.2g}")
            yield from (v for v in (1.0, 0.5, *rounded) if len(repr(v)) < len(repr(value)))
        case {"law": law} if law != "constant":
            times = [v for k, v in _walk(value) if isinstance(v, float) and k[-1] in _TIMES]
            for time in dict.fromkeys((*times, 0.1)):
                yield {"law": "constant", "value": time}
        case {"count": int(count)} if count:
            yield from ("0", f"0-{count - 1}" if count > 1 else "0")
        case {"probability": _}:
            yield from (str(i) for i in range(min(4, made["grid"]["servers"])))
        case [dict(only)] if key == "fault":
            yield only
        case str() if key == "select" and value != "0":
            servers = made["grid"]["servers"]
            yield from ("0", "all", *(str(i) for i in selected(value, servers)))


def _faster(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield scenarios whose times are shorter: all of them, or one."""
    places = [
        (path, value)
        for path, value in _walk(made)
        if isinstance(value, float) and path[-1] in _TIMES and value > _SHORTEST
    ]
    for part in (10, 2):
        copy = made
        for path, value in places:
            if path != ("deadline",):
                copy = _changed(copy, path, _shorter(value, part))
        yield copy
    for path, value in places:
        for part in (10, 2):
            yield _changed(made, path, _shorter(value, part))


def _shorter(time: float, part: int) -> float:
    return max(_SHORTEST, float(f"{time / part:.2g}"))
