"""The scenario model: a file, a grid of servers, their faults, and the expected outcomes.

The fields are the keys of a scenario file, and their docstrings the descriptions in its schema.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from firstk.downloader.cap import CHKCap, parse_cap
from firstk.downloader.errors import BadCapError, CorruptShareError, DownloadError
from firstk.downloader.layout import served_data, share_data
from firstk.downloader.names import did_you_mean
from firstk.downloader.strategy import ONE_ROUND, STRATEGIES, find_strategy
from firstk.downloader.text import shown
from firstk.downloader.ueb import DEFAULT_SEGMENT_SIZE, read_uri_extension
from firstk.scenarios.base import MAX_MADE_UP_SIZE, Seconds, Table, mistakes, relative_path
from firstk.scenarios.client import Client
from firstk.scenarios.faults import Fault
from firstk.scenarios.laws import Law, PositiveSeconds
from firstk.scenarios.reading import SHARE, read_bytes
from firstk.scenarios.reads import Read, read_problems
from firstk.scenarios.seeds import MAX_RUNS, MAX_SEED, beyond, seed_of
from firstk.scenarios.selection import (
    MACHINE,
    MAX_SERVERS,
    Count,
    Group,
    Grouping,
    GroupName,
    Select,
    ServerSet,
    grouping_problem,
    groups,
    select_problem,
    selected,
    with_single,
)
from firstk.scenarios.text import listed
from firstk.scenarios.transport import OBJECTS, Transport, transport_problems
from firstk.scenarios.workload import Workload


def _found_out(info: ValidationInfo, **facts: Any) -> None:
    """Record facts that later tables are checked against, even if this table is invalid."""
    if info.context is not None:
        info.context.update(facts)


def _known_strategy(name: str) -> str:
    try:
        return find_strategy(name).name
    except ValueError as e:
        raise mistakes([("", str(e))]) from e


#: The names of strategies, for a JSON schema.
_STRATEGY: list[Any] = [
    {"enum": [*STRATEGIES, ONE_ROUND.name]},
    {
        "pattern": r"^hedged(\+([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
        r"(,quantile=[0-9.]+)?(,lateness=[0-9.]+)?(,give_up=[0-9.]+)?$"
    },
    {"pattern": r"^first-k(-late)?,delay=[0-9.]+$"},
]

StrategyName = Annotated[
    str,
    AfterValidator(_known_strategy),
    WithJsonSchema({"type": "string", "anyOf": _STRATEGY}),
]


def _distinct(names: list[str]) -> list[str]:
    """Reject a name that appears twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise mistakes([("", f"{name!r} appears twice")])
        seen.add(name)
    return names


_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,79}"


def _fit_for_a_file(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        problem = (
            "should be up to 80 letters, digits, dots, dashes and underscores,"
            f" a letter or a digit first, not {shown(name)}"
        )
        raise mistakes([("", problem)])
    return name


#: The name of a scenario.
Name = Annotated[
    str,
    AfterValidator(_fit_for_a_file),
    WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"}),
]

#: A list of distinct strategies.
Strategies = Annotated[
    list[StrategyName],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]

#: The name under which a scenario states what it expects of any external downloader under test.
OTHER = "downloader"

#: The downloader of Tahoe-LAFS. Expectations for it take precedence over those for `OTHER`.
TAHOE = "tahoe"


def _expecting(name: str) -> str:
    if name in (OTHER, TAHOE):
        return name
    try:
        return find_strategy(name).name
    except ValueError:
        known = (*STRATEGIES, OTHER, TAHOE)
        problem = (
            f"no strategy is called {shown(name)}; {did_you_mean(name, known)}there are"
            f" {', '.join(known)}, and hedged+1, hedged+2, ..."
        )
        raise mistakes([("", problem)]) from None


class _Range(Table):
    """The requested range of bytes of the file."""

    offset: int = Field(default=0, ge=0)
    """The offset of the first byte to read."""
    length: int | None = Field(default=None, ge=0)
    """The number of bytes to read; default up to the end of the file."""


def _range_mistakes(size: int, info: ValidationInfo) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in the requested range of a file of `size` bytes."""
    offset, length = info.data.get("offset", 0), info.data.get("length") or 0
    if offset > size:
        yield "../offset", f"should be {size} (the file's size) or less, not {offset}"
    elif offset + length > size:
        rest = size - offset
        yield "../length", f"should be {rest} (what the file has left) or less, not {length}"


class MadeUpFile(_Range):
    """A file that is generated from the seed, and encoded as Tahoe-LAFS does."""

    size: int = Field(ge=1, le=MAX_MADE_UP_SIZE)
    """The size of the file in bytes."""
    k: int = Field(ge=1, le=256)
    """The number of distinct shares needed to decode the file."""
    n: int = Field(ge=1, le=256)
    """The number of shares made."""
    segment_size: int = Field(default=DEFAULT_SEGMENT_SIZE, ge=1)
    """The maximum segment size in bytes; it is rounded up to a multiple of k."""

    @field_validator("size")
    @classmethod
    def _range_fits(cls, size: int, info: ValidationInfo) -> int:
        if found := list(_range_mistakes(size, info)):
            raise mistakes(found)
        return size

    @field_validator("n")
    @classmethod
    def _possible(cls, n: int, info: ValidationInfo) -> int:
        _found_out(info, numbers=list(range(n)))
        if info.data.get("k", 0) > n:
            raise mistakes([("../k", f"should be {n} (n) or less, not {info.data['k']}")])
        return n

    @property
    def numbers(self) -> list[int]:
        """The sorted numbers of the shares."""
        return list(range(self.n))


class UnopenedShare(bytes):
    """The empty data of a share file that its server cannot open; `reason` says why."""

    reason = ""

    @classmethod
    def because(cls, reason: str) -> Self:
        """Return an instance with a reason."""
        share = cls()
        share.reason = reason
        return share


class RealFile(_Range):
    """A file whose shares are in a folder, in the format of a Tahoe-LAFS storage server."""

    shares: str
    """A folder, relative to the scenario file, with one file per share, named by its number."""
    cap: str
    """The file's read-cap."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """The SHA-256 of the plaintext, in hexadecimal."""
    damaged: Literal["serve"] | None = None
    """"serve": damaged share files are served unchanged; by default they are an error."""
    _cap: CHKCap = PrivateAttr()
    _data: dict[int, bytes] = PrivateAttr(default_factory=dict)

    @field_validator("shares")
    @classmethod
    def _there(cls, shares: str, info: ValidationInfo) -> str:
        try:
            _share_numbers(relative_path(shares, info))
        except OSError as e:
            raise mistakes([("", f"{shares}: {e.strerror}")]) from e
        return shares

    @field_validator("cap")
    @classmethod
    def _readable(cls, text: str, info: ValidationInfo) -> str:
        try:
            cap = parse_cap(text)
        except BadCapError as e:
            raise mistakes([("", str(e))]) from e
        if not isinstance(cap, CHKCap):
            raise mistakes([("", "a literal cap holds the whole file: no server has a part in it")])
        if found := list(_range_mistakes(cap.size, info)):
            raise mistakes(found)
        return text

    @model_validator(mode="after")
    def _load(self, info: ValidationInfo) -> Self:
        cap = parse_cap(self.cap)
        assert isinstance(cap, CHKCap)
        self._cap = cap
        try:
            self._read_shares(relative_path(self.shares, info), info)
        except (OSError, CorruptShareError) as e:
            reason = e.strerror if isinstance(e, OSError) else e
            raise mistakes([("shares", f"{self.shares}: {reason}")]) from e
        if not any(_matches(cap, data) for data in self._data.values()):
            problem = f"does not match the shares in {self.shares}: they are of another file"
            if self.damaged:
                problem += ", or no UEB is undamaged"
            raise mistakes([("cap", problem)])
        return self

    def _read_shares(self, folder: Path, info: ValidationInfo) -> None:
        """Read the shares, if their numbers fit the cap."""
        cap, numbers = self._cap, _share_numbers(folder)
        _found_out(info, numbers=numbers)
        if len(numbers) < cap.k:
            problem = f"has {len(numbers)} share files (named 0 to {cap.n - 1})"
            raise mistakes([("shares", f"{self.shares}: {problem}; the file needs {cap.k}")])
        if numbers[-1] >= cap.n:
            problem = f"has a share {numbers[-1]}, and the cap says 0 to {cap.n - 1}"
            raise mistakes([("shares", f"{self.shares}: {problem}")])
        for number in numbers:
            read = served_data if self.damaged else share_data
            try:
                self._data[number] = read(read_bytes(folder / str(number), SHARE))
            except CorruptShareError as e:
                if not self.damaged:
                    hint = 'damaged = "serve" serves it as it is'
                    raise CorruptShareError(f"share {number}: {e}; {hint}") from e
                self._data[number] = UnopenedShare.because(f"share {number}: {e}")
            except OSError as e:
                raise OSError(e.errno, f"share {number}: {e.strerror}") from e

    @property
    def parsed_cap(self) -> CHKCap:
        """The read-cap."""
        return self._cap

    @property
    def data(self) -> Mapping[int, bytes]:
        """The share data by share number, without the share containers."""
        return self._data

    @property
    def numbers(self) -> list[int]:
        """The sorted numbers of the shares in the folder."""
        return list(self._data)

    @property
    def k(self) -> int:
        """The number of distinct shares needed to decode the file."""
        return self._cap.k

    @property
    def n(self) -> int:
        """The number of shares made."""
        return self._cap.n


def _share_numbers(folder: Path) -> list[int]:
    """Return the sorted numbers that are names of files in `folder`. Raises `OSError`."""
    names = (path.name for path in folder.iterdir())
    return sorted(int(name) for name in names if re.fullmatch(r"0|[1-9]\d{0,2}", name))


def _matches(cap: CHKCap, share: bytes) -> bool:
    try:
        read_uri_extension(share, cap)
    except DownloadError:
        return False
    return True


def _which_file(table: Any) -> str:
    real = isinstance(table, RealFile) or (
        isinstance(table, Mapping) and bool({"shares", "cap", "sha256", "damaged"} & table.keys())
    )
    return "@real" if real else "@made-up"


FileTable = Annotated[
    Annotated[MadeUpFile, Tag("@made-up")] | Annotated[RealFile, Tag("@real")],
    Discriminator(_which_file),
]


#: A bandwidth in bytes per second.
Bandwidth = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Limits(Table):
    """Limits of the servers: for all of them in `[grid]`, for some of them in `[[servers]]`."""

    bandwidth: Bandwidth | None = None
    """The bandwidth of a server's uplink in bytes/s; default unlimited."""
    service: Law | None = None
    """The time that a server works on each request; default no time."""
    concurrency: int | None = Field(default=None, ge=1)
    """The number of requests that a server works on at once; default unlimited."""
    connect: Law | None = None
    """The time to set up a connection, before the first request; default no time."""


class Grid(_Limits):
    """The servers, named s0, s1 and so on."""

    rtt: Law
    """The round-trip time of one request."""
    rtt_per: Literal["request", "server"] = "request"
    """Whether `rtt` is drawn for each request, or once per server in a run."""
    client_bandwidth: Bandwidth | None = None
    """The bandwidth of the client's downlink in bytes/s, for all servers together; default
    unlimited."""
    servers: int = Field(ge=1, le=MAX_SERVERS)
    """The number of servers."""
    order: Literal["listed", "permuted", "shuffled"] = "listed"
    """The order in which the downloader receives the servers: as listed, permuted by the storage
    index as Tahoe-LAFS does, or shuffled by the seed."""

    subset: int | None = Field(default=None, ge=1)
    """The number of servers that each download gets, drawn at random and in random order; default
    all."""
    tied: bool | None = None
    """Whether the queries of a download are tied: once servers have begun to work on as many as
    the file needs shares, the others are withdrawn, at no cost."""
    reading_queries: bool | None = None
    """Whether servers can read a share in the round trip of the query, for strategies that use
    this (`one-round`). A server with a fault that concerns reads only answers the query."""

    groups: dict[GroupName, Grouping] | None = None
    """Groups of servers, by the name of a kind: the number of consecutive servers in a group, or
    lists of members. Servers of one `machine` share an uplink and a queue; other kinds, such as
    racks, are for `select`. A server that is not listed is a group of its own."""

    @field_validator("servers")
    @classmethod
    def _note(cls, servers: int, info: ValidationInfo) -> int:
        _found_out(info, servers=servers)
        return servers

    transport: Transport | None = None
    """How servers are reached: as "objects", the default, or by "tahoe-https", Tahoe-LAFS's own
    HTTP storage servers and client over simulated TCP and TLS (extra `tahoe`)."""

    @field_validator("groups")
    @classmethod
    def _grouped(
        cls, kinds: dict[str, Grouping] | None, info: ValidationInfo
    ) -> dict[str, Grouping] | None:
        servers = info.data.get("servers", MAX_SERVERS)
        problems = ((kind, grouping_problem(of, servers)) for kind, of in (kinds or {}).items())
        if found := [(kind, problem) for kind, problem in problems if problem]:
            raise mistakes(found)
        return kinds

    @model_validator(mode="after")
    def _routed(self) -> Self:
        found = []
        if self.subset is not None and self.subset > self.servers:
            found.append(("subset", f"should be {self.servers} (servers) or less"))
        if self.subset is not None and self.order != "listed":
            found.append(("order", "contradicts `subset`, whose servers come in random order"))
        if self.tied and self.service is None:
            found.append(("tied", "needs a `service`: without it no query waits for its turn"))
        if found:
            raise mistakes(found)
        return self


class Consumer(Table):
    """The consumer of the file. Like a Twisted transport, it has a buffer that it drains."""

    bandwidth: Bandwidth
    """The number of bytes that it drains per second. It pauses a push producer when its buffer
    has more than 64 KiB, and resumes it when the buffer is empty."""


def _shares_problem(shares: list[int] | None, numbers: list[int] | None) -> str | None:
    """Return what is wrong with the shares of an entry, if the file's share numbers are known."""
    missing = [n for n in shares or [] if numbers is not None and n not in numbers]
    if not missing:
        return None
    return f"there is no share {listed(missing)}; the file has {listed(numbers or [])}"


def _which_fault(value: Any) -> str:
    return "@several" if isinstance(value, list) else "@one"


Faults = Annotated[
    Annotated[Fault, Tag("@one")] | Annotated[list[Fault], Tag("@several")],
    Discriminator(_which_fault),
]


class Servers(_Limits):
    """An entry of `[[servers]]`: how some servers differ from the others."""

    select: Select
    """The servers: "all", "0,3-5", names, { count = 7 } or { probability = 0.1 }. The last two may
    have a `group`, such as "rack", whose servers are drawn together."""
    fault: Faults | None = None
    """One fault, or several."""
    shares: list[Annotated[int, Field(ge=0)]] | None = None
    """The shares that each holds; default share i on server i modulo the number of servers."""
    rtt: Law | None = None
    """Their round-trip time, instead of the grid's."""
    rtt_per: Literal["request", "server"] | None = None
    """How often it is drawn, instead of the grid's setting."""
    machine: GroupName | None = None
    """The machine that they run on: servers on one machine share its uplink and its queue."""

    @field_validator("machine")
    @classmethod
    def _named(cls, machine: str | None, info: ValidationInfo) -> str | None:
        if machine is not None and not isinstance(info.data.get("select", ""), str):
            raise mistakes([("", "is of servers that `select` names, not of ones that are drawn")])
        return machine

    @field_validator("select")
    @classmethod
    def _within_the_grid(cls, select: Select, info: ValidationInfo) -> Select:
        if problem := select_problem(select, (info.context or {}).get("servers")):
            raise mistakes([("", problem)])
        return select

    @field_validator("shares")
    @classmethod
    def _in_the_file(cls, shares: list[int] | None, info: ValidationInfo) -> list[int] | None:
        if problem := _shares_problem(shares, (info.context or {}).get("numbers")):
            raise mistakes([("", problem)])
        return shares

    @property
    def faults(self) -> list[Fault] | None:
        """The faults as a list; None if the entry does not set them."""
        if self.fault is None or isinstance(self.fault, list):
            return self.fault
        return [self.fault]


class Expectation(Table):
    """What is expected of one strategy, in every run."""

    outcome: Literal["ok", "failed", "stalled", "deadline"] | None = None
    """The outcome of the download."""
    error: str | None = None
    """The name of the error's class, or of one of its base classes."""
    message: str | None = None
    """A text that the error's message contains."""
    ttfb: Seconds | None = None
    """The time to first byte, in seconds."""
    ttfb_min: Seconds | None = None
    """The minimum time to first byte, in seconds."""
    ttfb_max: Seconds | None = None
    """The maximum time to first byte, in seconds."""
    requests_max: int | None = Field(default=None, ge=0)
    """The maximum number of requests: queries and reads."""
    outstanding_max: int | None = Field(default=None, ge=0)
    """The maximum number of requests outstanding at one time."""
    bytes_outstanding_max: int | None = Field(default=None, ge=0)
    """The maximum number of bytes requested by outstanding reads at one time."""
    outcomes: list[Literal["ok", "failed", "stalled", "deadline"]] | None = None
    """The outcome of each of the scenario's `[[reads]]`, in order."""

    @field_validator("error", "message")
    @classmethod
    def _of_a_failure(cls, text: str | None, info: ValidationInfo) -> str | None:
        outcome = info.data.get("outcome")
        if text is not None and outcome not in (None, "failed"):
            problem = f"contradicts outcome = {outcome!r}: only a failure has one"
            raise mistakes([("", problem)])
        return text

    @field_validator("ttfb_min", "ttfb_max")
    @classmethod
    def _possible(cls, bound: float | None, info: ValidationInfo) -> float | None:
        least, exact = info.data.get("ttfb_min"), info.data.get("ttfb")
        if bound is None:
            return None
        if info.field_name == "ttfb_min" and exact is not None and exact < bound:
            raise mistakes([("", f"should be {exact} (ttfb) or less, not {bound}")])
        if info.field_name == "ttfb_max":
            for key, other in ("ttfb_min", least), ("ttfb", exact):
                if other is not None and other > bound:
                    raise mistakes([("", f"should be {other} ({key}) or more, not {bound}")])
        return bound


def _fits(entry: Servers, info: ValidationInfo) -> Servers:
    """Check an entry of `[[servers]]` against the grid and the file.

    If a scenario file is read, the entry's own validators have already done this one by one.
    """
    found = []
    grid, file = info.data.get("grid"), info.data.get("file")
    if grid and (problem := select_problem(entry.select, grid.servers)):
        found.append(("select", problem))
    if file and (problem := _shares_problem(entry.shares, file.numbers)):
        found.append(("shares", problem))
    for fault in entry.faults or ():
        if file and (problem := _shares_problem(fault.shares, file.numbers)):
            found.append(("fault", problem))
    if found:
        raise mistakes(found)
    return entry


def _together(entries: list[Servers], info: ValidationInfo) -> list[Servers]:
    """Check the groups and machines of entries against the grid and against one another."""
    grid = info.data.get("grid")
    if grid is None:
        return entries
    found: list[tuple[str | tuple[int | str, ...], str]] = []
    kinds = {**(grid.groups or {}), **dict.fromkeys(_machine_key(entries))}
    for i, entry in enumerate(entries):
        if entry.machine is not None and grid.groups and MACHINE in grid.groups:
            found.append(((i, MACHINE), "`grid.groups` says already which machines there are"))
        group = None if isinstance(entry.select, str) else entry.select.group
        if isinstance(group, str) and group not in kinds:
            there = f"there are {listed(kinds)}" if kinds else "`grid.groups` has none"
            problem = f"no groups are called {shown(group)}; {did_you_mean(group, kinds)}{there}"
            found.append(((i, "select", "group"), problem))
        elif isinstance(group, str) and isinstance(entry.select, Count):
            there_are = len(groups_of(group, grid, entries))
            if entry.select.count > there_are:
                problem = f"selects {entry.select.count} of {there_are} groups"
                found.append(((i, "select", "count"), problem))
    if not found:
        found += _divided(entries, grid)
    if found:
        raise mistakes(found)
    return entries


def _machine_key(entries: Sequence[Servers]) -> list[str]:
    return [MACHINE] if any(entry.machine is not None for entry in entries) else []


def _divided(entries: Sequence[Servers], grid: Grid) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield the places where an entry sets a limit for only some servers of one machine."""
    machines = [one.servers for one in groups_of(MACHINE, grid, entries) if len(one.servers) > 1]
    place = {number: i for i, servers in enumerate(machines) for number in servers}
    for i, entry in enumerate(entries if machines else ()):
        keys = [key for key in _Limits.model_fields if getattr(entry, key) is not None]
        if keys and any(
            count < len(machines[machine])
            for unit in _units(entry.select, grid, entries)
            for machine, count in Counter(place[n] for n in unit if n in place).items()
        ):
            yield (i, keys[0]), "is of a whole machine: select all servers of each, or none"


def _units(select: Select, grid: Grid, entries: Sequence[Servers]) -> Iterable[Sequence[int]]:
    """Return the sets of servers that an entry can only select together."""
    if isinstance(select, str):
        return [selected(select, grid.servers)]
    return (one.servers for one in groups_of(select.group or 1, grid, entries))


def groups_of(group: Group, grid: Grid, entries: Sequence[Servers]) -> list[ServerSet]:
    """Return the groups of a kind, or of consecutive servers, ordered by their first servers.

    For an unknown kind, every server is a group of its own.
    """
    if isinstance(group, int):
        return groups(f"{group} in a row", group, grid.servers)
    if group == MACHINE and _machine_key(entries):
        machine = {
            number: entry.machine
            for entry in entries
            if entry.machine is not None and isinstance(entry.select, str)
            for number in selected(entry.select, grid.servers)
        }
        members: dict[str, list[int]] = {}
        for number in sorted(machine):
            members.setdefault(f"{MACHINE} {machine[number]}", []).append(number)
        return with_single([ServerSet(*one) for one in members.items()], grid.servers)
    return groups(group, (grid.groups or {}).get(group, 1), grid.servers)


def _readable(reads: list[Read], info: ValidationInfo) -> list[Read]:
    """Check reads against the file, and against the amount that is downloaded."""
    file = info.data.get("file")
    if info.data.get("stop", "complete") != "complete":
        raise mistakes([("", "each goes on to its end: take away `stop`")])
    if file is not None and (file.offset or file.length is not None):
        raise mistakes(
            [("", "say which bytes are asked for: take `offset` and `length` off [file]")]
        )
    size = file.size if isinstance(file, MadeUpFile) else file.parsed_cap.size if file else inf
    if found := list(read_problems(reads, size)):
        raise mistakes(found)
    return reads


def _loads(workload: Workload, info: ValidationInfo) -> Workload:
    """Check a workload against the file."""
    file = info.data.get("file")
    if info.data.get("reads") is not None:
        raise mistakes([("", "a load is of whole downloads: it goes without [[reads]]")])
    if workload.sizes_differ and file is not None and (file.offset or file.length is not None):
        raise mistakes([("", "files of several sizes have no common `offset` and `length`")])
    if isinstance(file, RealFile) and (workload.files or workload.sizes_differ):
        raise mistakes([("", "other files cannot be made from real shares")])
    return workload


class Scenario(Table):
    """A scenario: one download from a grid, several reads, or a workload, for each strategy."""

    name: Name
    """The name: up to 80 letters, digits, dots, dashes and underscores, starting with a letter or
    a digit."""
    description: str = ""
    """A one-line description of what it shows."""
    strategies: Strategies = Field(default=["wait-for-all", "first-k"])
    """The strategies to run."""
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    """The seed of the first run. The seed of the last run must not exceed 2**63 - 1."""
    runs: int = Field(default=1, ge=1, le=MAX_RUNS)
    """The number of independent runs; their seeds are seed, seed + 1 and so on."""
    deadline: PositiveSeconds = 3600.0
    """When a run that is still busy is cut off, in virtual seconds."""
    stop: Literal["located", "first-block", "complete"] = "complete"
    """When the download ends; with `located` it ends at K distinct shares, and reads nothing."""
    file: FileTable
    """The file, and the range to download."""
    grid: Grid
    """The servers."""
    servers: Annotated[
        list[Annotated[Servers, AfterValidator(_fits)]], AfterValidator(_together)
    ] = Field(default=[])
    """How some servers differ from the others; later entries override earlier ones."""
    reads: Annotated[list[Read], Field(min_length=1), AfterValidator(_readable)] | None = None
    """Several reads of the file by one downloader, instead of one download."""
    client: Client | None = None
    """Delays and pauses of the client itself; by default it has none."""
    consumer: Consumer | None = None
    """The consumer of the file; by default it accepts everything at once."""
    workload: Annotated[Workload, AfterValidator(_loads)] | None = None
    """Many downloads instead of one."""
    expect: dict[Annotated[str, AfterValidator(_expecting)], Expectation] = Field(
        default={},
        json_schema_extra={
            "propertyNames": {"anyOf": [*_STRATEGY, {"enum": [OTHER, TAHOE]}]},
        },
    )
    """The expectations for each strategy; `downloader` stands for a downloader of your own, and
    `tahoe` for that of Tahoe-LAFS."""
    _source: str | None = PrivateAttr(default=None)
    _given_transport: Transport | None = PrivateAttr(default=None)

    @field_validator("runs")
    @classmethod
    def _seeded(cls, runs: int, info: ValidationInfo) -> int:
        if problem := beyond(info.data.get("seed", 0), runs):
            raise mistakes([("", problem)])
        return runs

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if found := list(transport_problems(self)):
            raise mistakes(found)
        return self

    @property
    def notes(self) -> list[str]:
        """Notes on settings that are valid but may be unintended."""
        idle = [name for name in self.expect if name not in (OTHER, *self.strategies)]
        found = [
            f"[expect.{name}] is not looked at: `strategies` does not have {name}" for name in idle
        ]
        if len(self.file.numbers) < self.file.n:
            found.append(f"the folder has only the shares {', '.join(map(str, self.file.numbers))}")
        return found

    def with_runs(
        self,
        *,
        strategies: Sequence[str] | None = None,
        seed: int | None = None,
        runs: int | None = None,
    ) -> Self:
        """Return a copy with other strategies, seed or number of runs; None keeps the value.

        A file can only name strategies; here external downloaders are allowed too.
        Raises `ValueError` if a seed would be out of range.
        """
        seed, runs = self.seed if seed is None else seed, runs or self.runs
        if seed < 0 or (problem := beyond(seed, runs)):
            raise ValueError(problem if seed >= 0 else f"a seed should be 0 or more, not {seed}")
        names = self.strategies if strategies is None else list(strategies)
        return self.model_copy(update={"strategies": names, "seed": seed, "runs": runs})

    def with_transport(self, transport: Transport, name: str | None = None) -> Self:
        """Return a copy that uses another transport, with the name `name`.

        The copy has no expectations, since these hold only for the original transport. Raises
        `ValueError` if the transport does not support the scenario.
        """
        if transport == (self.grid.transport or OBJECTS):
            return self
        grid = self.grid.model_copy(update={"transport": transport})
        of_another = {"grid": grid, "name": name or self.name, "expect": {}}
        changed = self.model_copy(update=of_another)
        if found := list(transport_problems(changed)):
            raise ValueError("; ".join(f"{key} {problem}" for key, problem in found))
        changed._given_transport = transport
        return changed

    @property
    def given_transport(self) -> Transport | None:
        """The transport set by `with_transport`, which overrides that of the file; else None."""
        return self._given_transport

    def seed_of(self, run: int) -> int:
        """Return the seed of run number `run`; the first run is 0."""
        return seed_of(self.seed, run)

    @property
    def source(self) -> str:
        """The file that it was loaded from, as named on a command line; else its name."""
        return self._source or self.name


def one_read(scenario: Scenario, read: Read) -> Scenario:
    """Return the scenario with only one of its reads."""
    asked = {"offset": read.offset, "length": read.length}
    file = scenario.file.model_copy(update=asked)
    return scenario.model_copy(update={"file": file, "reads": None})
