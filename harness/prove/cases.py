"""The cases of a proof: the kind and speed of each server, and which cases are equivalent.

A download can distinguish two servers only by their answers to what it asks them. A server that is
never read from is the same whether it would have corrupted its blocks or not, and a hung server is
the same whatever its round-trip time. So one run stands for all cases in which every server would
have given the same answers in that run. These cases form a box: a set of settings for each server.
The boxes of all runs partition the cases. This is exact for deterministic downloaders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import islice, permutations
from math import factorial
from operator import eq
from typing import Any, NamedTuple

from firstk.harness.grid.files import GridFile
from firstk.harness.grid.timing import plan_request
from firstk.harness.grid.trace import Exchange, Trace
from firstk.harness.prove.kinds import FAULT, Kind
from firstk.scenarios.faults import Operation
from firstk.scenarios.model import Scenario, Servers

#: The fastest server's round-trip time in seconds; the second's is twice as long, and so on.
RTT = 0.05

#: The sizes of the file's two segments in bytes. The first is rounded up to a multiple of K, and
#: the last is a prime number: it is padded for every K but 1.
_SEGMENT, _TAIL = 500, 491


#: A space with more cases than `_MANY` is divided into at most `_MOST_PARTS` parts.
_MANY, _MOST_PARTS = 2000, 12


#: How many answers and entries are kept for other cases.
_KEPT = 20_000

#: The operation of a request, when it was sent, the share, and the range of a read.
_Request = tuple[Operation, float, int | None, int, int]


class Setting(NamedTuple):
    """What one server is: the index of its kind, and its rank by speed, 0 being the fastest."""

    kind: int
    rank: int


class Delay(NamedTuple):
    """A delay, in seconds, of one server's answers to what it is sent at one time."""

    server: int
    sent: float
    seconds: float


@dataclass(frozen=True)
class Case:
    """One case: a setting for each server, and the delays of single answers."""

    settings: tuple[Setting, ...]
    delays: tuple[Delay, ...] = ()

    @property
    def placement(self) -> tuple[int, ...]:
        """The kinds of the servers, as indices."""
        return tuple(setting.kind for setting in self.settings)

    def of(self, server: int) -> tuple[int, tuple[Delay, ...]]:
        """Return the rank of a server, and the delays of its answers."""
        late = tuple(delay for delay in self.delays if delay.server == server)
        return self.settings[server].rank, late


@dataclass(frozen=True)
class Space:
    """All cases: every placement of some kinds of servers, in every order of speeds or only one.

    Each of `n` servers holds one share of a file that needs `k` of them. Part `part` of `parts`
    has the orders whose number modulo `parts` is `part`.
    """

    n: int
    k: int
    kinds: Sequence[Kind]
    every_order: bool
    part: int = 0
    parts: int = 1

    @property
    def placements(self) -> int:
        """The number of placements."""
        return int(len(self.kinds) ** self.n)

    @cached_property
    def orders(self) -> int:
        """The number of orders of the servers' speeds, in all parts."""
        return factorial(self.n) if self.every_order else 1

    @cached_property
    def _orders(self) -> list[tuple[int, ...]]:
        """The rank of each server, in every order of this part; the listed order is the first."""
        ranks = range(self.n)
        orders = permutations(ranks) if self.every_order else [tuple(ranks)]
        return list(islice(orders, self.part, None, self.parts))

    @property
    def listed(self) -> int:
        """The number of cases in the listed order, which come first; 0 in all parts but part 0."""
        return self.placements if self.part == 0 else 0

    def divided(self) -> list[Space]:
        """Return the parts of the space; only a space with many cases has more than one."""
        parts = min(self.orders, _MOST_PARTS) if len(self) > _MANY else 1
        return [replace(self, part=part, parts=parts) for part in range(parts)]

    def __len__(self) -> int:
        return self.placements * len(self._orders)

    def __getitem__(self, number: int) -> Case:
        order, rest = divmod(number, self.placements)
        kinds = []
        for _ in range(self.n):
            rest, kind = divmod(rest, len(self.kinds))
            kinds.append(kind)
        ranks = self._orders[order]
        return Case(tuple(map(Setting, kinds, ranks)))

    def box(self, sets: Sequence[set[Setting]]) -> Iterator[int]:
        """Yield the numbers of the cases in which each server has one of its settings."""
        base = len(self.kinds)
        for place, ranks in enumerate(self._orders):
            numbers = [place * self.placements]
            for server, rank in enumerate(ranks):
                weight = base**server
                kinds = [s.kind * weight for s in sets[server] if s.rank == rank]
                numbers = [number + kind for number in numbers for kind in kinds]
                if not numbers:
                    break
            yield from numbers

    def size(self, case: Case) -> tuple[int, int, Any]:
        """Return the sort key of a case: its faulty servers, delays, then the order and kinds."""
        faulty = sum(self.kinds[kind].table is not None for kind in case.placement)
        ranks = [setting.rank for setting in case.settings]
        return faulty, len(case.delays), (ranks, case.placement, case.delays)

    def good_shares(self, case: Case) -> int:
        """Return the number of distinct shares on servers that answer everything correctly."""
        kinds = [self.kinds[kind] for kind in case.placement]
        return len({0 if kind.copy else i for i, kind in enumerate(kinds) if kind.good})

    def tables(self, case: Case) -> dict[str, Any]:
        """Return a case as the tables of a scenario file."""
        servers = range(self.n)
        entries = [_entry(i, self.kinds[case.settings[i].kind], case.of(i)) for i in servers]
        return {**self._common, "servers": entries}

    @property
    def _common(self) -> dict[str, Any]:
        """The tables that all cases have in common."""
        segment = -(-_SEGMENT // self.k) * self.k
        size = segment + _TAIL
        return {
            "file": {"size": size, "k": self.k, "n": self.n, "segment_size": segment},
            "grid": {"servers": self.n, "rtt": _constant(RTT)},
        }

    @cached_property
    def _plain(self) -> Scenario:
        """The scenario of all cases, without its servers."""
        return Scenario.model_validate({"name": "proof", **self._common})

    def scenario(self, case: Case) -> Scenario:
        """Return a case as a scenario."""
        kinds = (self.kinds[setting.kind] for setting in case.settings)
        entries = [_validated(i, kind, case.of(i)) for i, kind in enumerate(kinds)]
        return self._plain.model_copy(update={"servers": entries})

    def same(self, case: Case, trace: Trace, file: GridFile) -> list[set[Setting]]:
        """Return, for each server, the settings with which the run would have been the same."""
        asked: list[list[Exchange]] = [[] for _ in range(self.n)]
        for exchange in trace.exchanges:
            asked[int(exchange.server[1:])].append(exchange)
        return [self._same(case, i, exchanges, file) for i, exchanges in enumerate(asked)]

    def _same(
        self, case: Case, server: int, asked: Sequence[Exchange], file: GridFile
    ) -> set[Setting]:
        """Return the settings with which a server would have given the same answers."""
        setting, kinds, ranks = case.settings[server], range(len(self.kinds)), range(self.n)
        late = case.of(server)[1]
        if not asked:
            return {Setting(kind, rank) for kind in kinds for rank in ranks}
        answers = list(self._answers(server, setting, late, asked, file))
        if any(exchange.ended is not None for exchange in asked):
            ranks = range(setting.rank, setting.rank + 1)  # others answer at other times
        return {
            other
            for kind in kinds
            for rank in ranks
            if (other := Setting(kind, rank)) == setting
            or all(map(eq, answers, self._answers(server, other, late, asked, file)))
        }

    def _answers(
        self,
        server: int,
        setting: Setting,
        late: tuple[Delay, ...],
        asked: Sequence[Exchange],
        file: GridFile,
    ) -> Iterator[object]:
        """Yield the answers of a server to the requests of a run, with their times."""
        kind = self.kinds[setting.kind]
        held = 0 if kind.copy else server
        data = file.shares[held]
        for e in asked:
            request = e.operation, e.sent, e.share, e.offset, e.length
            yield _answer(kind, setting.rank, late, held, data, request)


def _entry(server: int, kind: Kind, of: tuple[int, tuple[Delay, ...]]) -> dict[str, Any]:
    """Return the entry of a server in a scenario file."""
    rank, late = of
    entry: dict[str, Any] = {"select": str(server), "rtt": _constant(_rtt(rank))}
    if kind.copy:
        entry["shares"] = [0]
    faults = [] if kind.table is None else [dict(kind.table)]
    faults += map(_slow, late)
    if faults:
        entry["fault"] = faults[0] if len(faults) == 1 else faults
    return entry


@lru_cache(maxsize=_KEPT)
def _validated(server: int, kind: Kind, of: tuple[int, tuple[Delay, ...]]) -> Servers:
    """Return the validated entry of a server."""
    return Servers.model_validate(_entry(server, kind, of))


@lru_cache(maxsize=_KEPT)
def _answer(
    kind: Kind, rank: int, late: tuple[Delay, ...], held: int, data: bytes, request: _Request
) -> object:
    """Return the time and contents of the answer of a server that holds one share."""
    operation, sent, share, offset, length = request
    faults = [*kind.faults, *(FAULT.validate_python(_slow(delay)) for delay in late)]
    course = plan_request(faults, operation, sent, _rtt(rank), [1.0] * len(faults), share)
    ends = min(course.ends(), course.lost)
    if ends == float("inf") or course.lost <= course.ends() or course.failure:
        return ends, course.failure
    if operation == "get_buckets":
        shown: Sequence[int] = [held]
        for fault in course.faults:
            shown = fault.buckets(shown)
        return ends, list(shown)
    if share != held:
        return ends, "gone"
    read = data[offset : offset + length]
    for fault in course.faults:
        read = fault.alter(data, offset, read)
    return ends, read


def _rtt(rank: int) -> float:
    return RTT * (rank + 1)


def _constant(value: float) -> dict[str, Any]:
    return {"law": "constant", "value": value}


def _slow(delay: Delay) -> dict[str, Any]:
    """Return the fault that delays the answers to what is sent at one time."""
    _, sent, seconds = delay
    return {"kind": "slow", "extra": seconds, "start": sent, "end": sent + 1e-9}
