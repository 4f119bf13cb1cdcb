"""Random scenarios: any file, grid and faults that a scenario file can say, small ones mostly.

A scenario is made from whole numbers, always as many and in the same order, whatever they
are. So each can be made smaller by itself, and what is all zeros is the plainest scenario:
this is what lets Hypothesis shrink one well. What would need a file beside the scenario is
left out: real shares, and the law `empirical`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from firstk.harness.fuzz.kinds import Kinds, kind_of
from firstk.harness.fuzz.transport import with_transport
from firstk.harness.run.under_test import takes_ranges

T = TypeVar("T")

#: Returns a whole number from 0 up to, and without, the one that it is given.
Draw = Callable[[int], int]

#: So late that nothing but a heavy tail is still busy then, in virtual seconds.
LATE = 1e6

#: The strategies that each scenario is tried with, and with one that has spares.
STRATEGIES = ("wait-for-all", "first-k", "first-k-late", "windowed", "hedged")
_SPARING = ("hedged+1", "hedged+2", "hedged+5")

_K = (1, 2, 3, 3, 3, 4, 5, 8)
_MORE = (0, 1, 2, 3, 4, 5, 7, 9)  # shares made, or servers, beyond K or N
_SEGMENTS = (1, 1, 1, 2, 3, 5, 8, 17)
_TIMES = (0.25, 0.05, 0.1, 0.5, 1.0, 2.0, 7.0, 30.0)
_STARTS = (0.0, 0.0, 0.0, 0.0, 0.05, 0.1, 0.15, 0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 12.0, 70.0)
_LASTING = (None, None, None, 0.05, 0.2, 0.5, 1.0, 5.0, 20.0, 100.0)
_RATES = (1000.0, 100.0, 10_000.0, 100_000.0, 1e6)
_PARTS = ("block", "ueb", "share-hashes", "block-hashes", "crypttext-hashes", "header")
_OPERATIONS = (["get_buckets", "read"], ["read"], ["get_buckets"])
_LARGE = 200_000  # a few times what a consumer's buffer holds
_ENTRIES = 5
_FAULTS = 3


class Generator:
    """Makes the scenarios of a seed: each by itself, whichever were made before.

    They suit all the `subjects`, other downloaders or, by default, our strategies, and have faults
    of the `kinds` only.
    """

    def __init__(self, seed: int, subjects: Sequence[str] = (), kinds: Kinds | None = None) -> None:
        self._seed = seed
        self._external = bool(subjects)
        self._ranges = all(map(takes_ranges, subjects))
        self._faults = (kinds or Kinds()).faults

    def make(self, number: int) -> dict[str, Any]:
        """Return the scenario with this number in the sequence."""
        made = tables(Random(f"{self._seed} {number}").randrange)
        if self._external:
            del made["strategies"]
        if not self._ranges:
            made["file"] = {k: v for k, v in made["file"].items() if k not in ("offset", "length")}
        for entry in made.get("servers", ()):
            self._keep_faults(entry)
        return made

    def _keep_faults(self, entry: dict[str, Any]) -> None:
        """Leave out the faults that are of other kinds."""
        if (found := entry.pop("fault", None)) is not None:
            several = found if isinstance(found, list) else [found]
            kept = [fault for fault in several if kind_of(fault) in self._faults]
            if kept:
                entry["fault"] = kept[0] if len(kept) == 1 else kept


def tables(draw: Draw) -> dict[str, Any]:
    """Return a scenario as a scenario file has it, made from the numbers that `draw` returns."""
    file = _file(draw)
    grid = _grid(draw, file["n"])
    made: dict[str, Any] = {
        "name": "fuzz",
        "strategies": [*STRATEGIES, _of(_SPARING, draw)],
        "seed": draw(1000),
        "deadline": _of((LATE,) * 15 + (3.0,), draw),
        "stop": _of(("complete", "complete", "first-block"), draw),
        "file": file,
        "grid": grid,
    }
    entries = [_entry(draw, grid["servers"], file["n"]) for _ in range(_ENTRIES)]
    different = [entry for entry in entries if len(entry) > 1]
    made |= {"servers": different} if different else {}
    return with_transport(draw, made | _consumer(draw, file))


def _of(values: Sequence[T], draw: Draw) -> T:
    """Return one of the values; the first is the plainest."""
    return values[draw(len(values))]


def _file(draw: Draw) -> dict[str, Any]:
    k, more = _of(_K, draw), _of(_MORE, draw)
    if draw(128) == 127:
        k, more = 5 * k, 12 * more
    size, unit = 1 + draw(1000), (1,) * 5 + (5, 5, 60)
    size *= _of(unit, draw)
    file = {"size": size, "k": k, "n": k + more}
    if (segments := _of(_SEGMENTS, draw)) > 1:
        file["segment_size"] = -(-size // segments)
    ranged, begin, length = draw(4) == 3, draw(11), draw(11)
    if ranged:
        file["offset"] = size * begin // 10
        file["length"] = (size - file["offset"]) * length // 10
    return file


def _grid(draw: Draw, n: int) -> dict[str, Any]:
    other, few, more = draw(4), 1 + draw(9), draw(9)
    servers = {2: few, 3: n + more}.get(other, n)
    return {
        "servers": servers,
        "rtt": _law(draw),
        **_sometimes(draw, 3, "rtt_per", "server"),
        **_sometimes(draw, 3, "order", _of(("permuted", "shuffled"), draw)),
        **_limits(draw, 8),
        **_sometimes(draw, 10, "client_bandwidth", _of(_RATES, draw)),
    }


def _consumer(draw: Draw, file: dict[str, Any]) -> dict[str, Any]:
    """Return now and then a slow consumer, and a file that is larger than its buffer."""
    consumer = _sometimes(draw, 10, "consumer", {"bandwidth": _of(_RATES, draw)})
    if not consumer:
        return {}
    times = 1 + _LARGE // file["size"]
    sizes = ("size", "segment_size", "offset", "length")
    larger = {key: value * times for key, value in file.items() if key in sizes}
    return {**consumer, "file": file | larger}


def _limits(draw: Draw, rarely: int) -> dict[str, Any]:
    """Return what slows servers down, each with a small probability."""
    return {
        **_sometimes(draw, rarely, "bandwidth", _of(_RATES, draw)),
        **_sometimes(draw, rarely, "service", _law(draw)),
        **_sometimes(draw, rarely, "concurrency", 1 + draw(3)),
    }


def _sometimes(draw: Draw, rarely: int, key: str, value: Any) -> dict[str, Any]:
    """Return a key with its value, with a small probability."""
    return {key: value} if draw(rarely) == rarely - 1 else {}


def _law(draw: Draw) -> dict[str, Any]:
    kind, time, other, form = draw(9), _of(_TIMES, draw), _of(_TIMES, draw), draw(4)
    match kind:
        case 1:
            return {"law": "uniform", "low": min(time, other), "high": max(time, other)}
        case 2:
            return {"law": "exponential", "mean": time}
        case 3:
            return {"law": "shifted-exponential", "shift": time, "mean": other}
        case 4:
            return {"law": "lognormal", "median": time, "sigma": float(form)}
        case 5:
            return {"law": "pareto", "alpha": 0.5 + form / 2, "scale": time}
        case 6:
            laws = [{"law": "constant", "value": time}, {"law": "exponential", "mean": other}]
            return {"law": "mixture", "weights": [1 + form, 1], "laws": laws}
        case 7 if form == 3:
            return {"law": "constant", "value": 0.0}
    return {"law": "constant", "value": time}


def _entry(draw: Draw, servers: int, n: int) -> dict[str, Any]:
    there = draw(3) > 0
    entry = {
        "select": _select(draw, servers),
        **_faults(draw),
        **_shares(draw, n),
        **_sometimes(draw, 6, "rtt", _law(draw)),
        **_sometimes(draw, 12, "rtt_per", _of(("request", "server"), draw)),
        **_limits(draw, 12),
    }
    return entry if there else {}


def _select(draw: Draw, servers: int) -> str | dict[str, Any]:
    how = draw(8)
    some = sorted({draw(16) % servers for _ in range(3)})
    match how:
        case 0 | 1:
            return str(some[0])
        case 2 | 3:
            return f"{some[0]}-{some[-1]}"
        case 4 | 5:
            return ",".join(map(str, some))
        case 6:
            return {"count": some[-1]}
    return {"probability": some[-1] / servers}


def _shares(draw: Draw, n: int) -> dict[str, Any]:
    """Return now and then which shares each of the servers has, perhaps one twice or none."""
    there, many = draw(5) == 4, draw(5)
    numbers = [draw(16) % n for _ in range(4)]
    return {"shares": numbers[:many]} if there else {}


def _faults(draw: Draw) -> dict[str, Any]:
    """Return sometimes what is wrong with the servers: one fault, or several."""
    found = [fault for _ in range(_FAULTS) if (fault := _fault(draw))]
    if not found:
        return {}
    return {"fault": found[0] if len(found) == 1 else found}


def _fault(draw: Draw) -> dict[str, Any] | None:
    kind, detail, time = draw(20), draw(12), _of(_TIMES, draw)
    start, lasting = _of(_STARTS, draw), _of(_LASTING, draw)
    fault: dict[str, Any]
    match kind:
        case 1 | 2:
            fault = {"kind": "hung", "on": _OPERATIONS[detail % 3]}
        case 3:
            fault = {"kind": "slow", "factor": (2.0, 0.1, 20.0)[detail % 3], "extra": time}
        case 4:
            fault = {"kind": "broken"}
        case 5:
            fault = {"kind": "empty"}
        case 6:
            fault = {"kind": "read-error"}
        case 7:
            fault = {"kind": "disconnect"}
        case 8:
            fault = {"kind": "flaky", "probability": detail / 11}
        case 9 | 10:
            fault = {"kind": "corrupt", "part": _PARTS[detail % 6]}
        case 11:
            fault = {"kind": "truncated", "length": 60 * detail}
        case _:
            return None
    if start:
        fault["start"] = start
    if lasting:
        fault["end"] = start + lasting
    return fault
