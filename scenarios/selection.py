"""Selection of the servers of an entry of `[[servers]]`, and groups that fail together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from firstk.downloader.text import shown
from firstk.scenarios.base import Table, mistakes

#: The maximum number of servers in a grid.
MAX_SERVERS = 1_000_000

#: The kind of groups whose servers share an uplink and a queue.
MACHINE = "machine"

_RANGE = r"\s*s?\d{1,7}(-s?\d{1,7})?\s*"

_SELECTION = WithJsonSchema({"type": "string", "pattern": f"^(all|{_RANGE}(,{_RANGE})*)$"})

_WORD = "[A-Za-z][A-Za-z0-9_-]{0,39}"


def _a_word(name: str) -> str:
    if not re.fullmatch(_WORD, name):
        problem = "should be up to 40 letters, digits, dashes and underscores, a letter first"
        raise mistakes([("", f"{problem}, not {shown(name)}")])
    return name


#: The name of a kind of groups, or of a machine.
GroupName = Annotated[
    str, AfterValidator(_a_word), WithJsonSchema({"type": "string", "pattern": f"^{_WORD}$"})
]

Size = Annotated[int, Field(ge=1, le=MAX_SERVERS)]


def _which_group(value: Any) -> str:
    return "@kind" if isinstance(value, str) else "@size"


#: Servers that are drawn together: a kind of groups, or the number of consecutive servers in each.
Group = Annotated[
    Annotated[GroupName, Tag("@kind")] | Annotated[Size, Tag("@size")],
    Discriminator(_which_group),
]


def _which_members(value: Any) -> str:
    return "@members" if isinstance(value, list) else "@size"


#: How servers are grouped: the number of consecutive servers in each, or the members of each.
Grouping = Annotated[
    Annotated[list[Annotated[str, _SELECTION]], Field(min_length=1), Tag("@members")]
    | Annotated[Size, Tag("@size")],
    Discriminator(_which_members),
]


class Count(Table):
    """A number of servers, drawn by the seed."""

    count: int = Field(ge=0)
    """The number of servers or, with `group`, of groups."""
    group: Group | None = None
    """Draw whole groups instead of single servers: a kind from `grid.groups`, "machine", or the
    number of consecutive servers in a group."""


class Probability(Table):
    """Each server with this probability, drawn by the seed."""

    probability: float = Field(ge=0, le=1)
    """The probability of each server."""
    group: Group | None = None
    """Draw whole groups instead of single servers: a kind from `grid.groups`, "machine", or the
    number of consecutive servers in a group."""


def _which_select(value: Any) -> str:
    if isinstance(value, Probability) or (isinstance(value, Mapping) and "probability" in value):
        return "@probability"
    return "@count" if isinstance(value, Count | Mapping) else "@names"


Select = Annotated[
    Annotated[str, _SELECTION, Tag("@names")]
    | Annotated[Count, Tag("@count")]
    | Annotated[Probability, Tag("@probability")],
    Discriminator(_which_select),
]


class ServerSet(NamedTuple):
    """Servers that are drawn together: the numbers of those in a group, or of a single server.

    `name` identifies the group in random draws.
    """

    name: str
    servers: Sequence[int]


def selected(select: str, servers: int) -> list[int]:
    """Return the numbers of the servers that a text selects: "all", "0,3-5" or "s1,s7".

    Raises `ValueError` if it is malformed or includes servers that are not in the grid.
    """
    chosen: list[int] = []
    for first, last in sorted(_ranges(select, servers)):
        # Ranges may overlap, and there may be thousands of them: each server is added once.
        chosen += range(max(first, chosen[-1] + 1 if chosen else 0), last + 1)
    return chosen


def _ranges(select: str, servers: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last server of each range. Raises `ValueError` as `selected` does."""
    if select == "all":
        yield 0, servers - 1
        return
    for part in select.split(","):
        match = re.fullmatch(r"\s*s?(\d{1,7})(?:-s?(\d{1,7}))?\s*", part)
        if not match:
            raise ValueError(f'should be "all", or like "0,3-5" or "s1,s7", not {shown(select)}')
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise ValueError(f"{shown(part.strip())} runs backwards")
        if last >= servers:
            raise ValueError(
                f"{shown(part.strip())} is beyond the grid: its servers are 0 to {servers - 1}"
            )
        yield first, last


def select_problem(select: Select, servers: int | None) -> str | None:
    """Return what is wrong with a selection from `servers` (None if unknown), or None."""
    servers = servers or MAX_SERVERS
    if isinstance(select, str):
        try:
            for _ in _ranges(select, servers):
                pass
        except ValueError as e:
            return str(e)
    elif isinstance(select, Count):
        most = -(-servers // select.group) if isinstance(select.group, int) else servers
        if select.count > most:
            what = "servers" if most == servers else f"groups of {select.group} servers"
            return f"selects {select.count} of {most} {what}"
    return None


def grouping_problem(grouping: Grouping, servers: int) -> str | None:
    """Return what is wrong with a grouping of `servers`, or None."""
    seen: set[int] = set()
    for members in grouping if isinstance(grouping, list) else ():
        try:
            chosen = selected(members, servers)
        except ValueError as e:
            return str(e)
        if twice := [number for number in chosen if number in seen]:
            return f"has server {twice[0]} in two groups"
        seen.update(chosen)
    return None


def groups(kind: str, grouping: Grouping, servers: int) -> list[ServerSet]:
    """Return the groups of `servers`; each server that is not listed is a group of its own."""
    if isinstance(grouping, int):
        starts = range(0, servers, grouping)
        return [
            ServerSet(f"{kind} {i}", range(start, min(start + grouping, servers)))
            for i, start in enumerate(starts)
        ]
    found = [ServerSet(f"{kind} {i}", selected(text, servers)) for i, text in enumerate(grouping)]
    return with_single(found, servers)


def with_single(found: Sequence[ServerSet], servers: int) -> list[ServerSet]:
    """Add a group for each server that is in none, and sort all groups by their first servers."""
    grouped = {number for one in found for number in one.servers}
    single = [ServerSet(f"s{i}", (i,)) for i in range(servers) if i not in grouped]
    return sorted([*found, *single], key=lambda one: one.servers[0])
