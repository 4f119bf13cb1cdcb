"""The kinds of servers in a proof, by name: good, hung and so on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, get_args

from pydantic import TypeAdapter

from firstk.downloader.names import did_you_mean
from firstk.downloader.text import shown
from firstk.scenarios.faults import Corrupt, Fault

#: The number of bytes that a truncated share has left: just its header.
_TRUNCATED = 36

#: The additional round-trip time of a slow server, in seconds.
_SLOW = 1.0

#: Reads a fault from its table.
FAULT: TypeAdapter[Any] = TypeAdapter(Fault)


@dataclass(frozen=True)
class Kind:
    """A kind of server.

    `table` is its fault as in a scenario file, or None. `good` is True if it answers everything
    correctly. A `copy` holds share 0 instead of its own.
    """

    name: str
    table: Mapping[str, Any] | None = field(default=None, hash=False)
    good: bool = False
    copy: bool = False

    @cached_property
    def faults(self) -> list[Any]:
        """Its fault, as a list."""
        return [] if self.table is None else [FAULT.validate_python(dict(self.table))]


_PARTS: tuple[str, ...] = get_args(Corrupt.model_fields["part"].annotation)

_ALL = (
    Kind("good", good=True),
    Kind("hung", {"kind": "hung"}),
    Kind("hung-query", {"kind": "hung", "on": ["get_buckets"]}),
    Kind("hung-read", {"kind": "hung", "on": ["read"]}),
    Kind("broken", {"kind": "broken"}),
    Kind("read-error", {"kind": "read-error"}),
    Kind("disconnect", {"kind": "disconnect"}),
    Kind("empty", {"kind": "empty"}),
    Kind("copy", good=True, copy=True),
    Kind("slow", {"kind": "slow", "extra": _SLOW}, good=True),
    Kind("truncated", {"kind": "truncated", "length": _TRUNCATED}),
    Kind("corrupt", {"kind": "corrupt", "part": "block"}),
    *(
        Kind(f"corrupt-{part}", {"kind": "corrupt", "part": part})
        for part in _PARTS
        if part != "block"
    ),
)

#: The kinds of servers by name.
KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})

#: The default kinds of a proof.
DEFAULT = ("good", "hung", "hung-read", "broken", "corrupt")


def find_kinds(names: Iterable[str]) -> list[Kind]:
    """Return the kinds with these names; NAME@SECONDS is one whose fault begins then.

    NAME@SECONDS-SECONDS is one whose fault also ends.

    Raises `ValueError` for a name that does not exist, and for one that appears twice.

    >>> [kind.table for kind in find_kinds(["good", "disconnect@0.3"])]
    [None, {'kind': 'disconnect', 'start': 0.3}]
    """
    found: dict[str, Kind] = {}
    for name in names:
        if name in found:
            raise ValueError(f"{shown(name)} appears twice")
        found[name] = _find(name)
    if not found:
        raise ValueError("name at least one kind of server")
    return list(found.values())


def _find(name: str) -> Kind:
    plain, at, start = name.partition("@")
    kind = KINDS.get(plain)
    if kind is None:
        raise ValueError(
            f"no kind of server is called {shown(plain)}; {did_you_mean(plain, KINDS)}there are"
            f" {', '.join(KINDS)}, and each fault as NAME@SECONDS"
        )
    if not at:
        return kind
    if kind.table is None:
        raise ValueError(f"{shown(name)}: {plain} is not a fault, and cannot begin later")
    begin, to, end = start.partition("-")
    times = [_seconds(name, text) for text in ([begin, end] if to else [begin])]
    if to and times[1] <= times[0]:
        raise ValueError(f"{shown(name)}: a fault should end after it begins")
    return Kind(name, {**kind.table, **dict(zip(("start", "end"), times, strict=False))}, kind.good)


def _seconds(name: str, text: str) -> float:
    """Parse a time in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{shown(name)}: {shown(text)} is not a time in seconds, 0 or more")
    return seconds
