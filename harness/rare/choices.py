"""The random choices of a scenario that importance sampling makes itself, and their scenarios.

Two kinds of choices decide whether a download is slow or never ends: which servers an entry with
`select = { probability = ... }` selects, and how long the first round trip to each server takes.
Once they are made, the rest of a run is drawn by its seed, as always.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from firstk.harness.kernel.rng import stream
from firstk.scenarios.model import Scenario, groups_of
from firstk.scenarios.selection import Count, Probability, ServerSet


@dataclass(frozen=True, slots=True)
class Unit:
    """Servers that an entry of `[[servers]]` selects together, with their probability."""

    entry: int
    servers: Sequence[int]
    probability: float


@dataclass(frozen=True, slots=True)
class Choices:
    """What was chosen for one run.

    `selected` says for each unit whether it is selected. `ranks` has the rank of each server's
    first round trip, between 0 (the slowest possible) and 1, or nothing if they are not chosen.
    """

    selected: Sequence[bool]
    ranks: Sequence[float] = ()

    @property
    def count(self) -> int:
        """The number of selected units."""
        return sum(self.selected)


def units_of(scenario: Scenario) -> list[Unit]:
    """Return the units that a scenario selects with a probability other than 0 and 1."""
    return list(_units(scenario))


def _units(scenario: Scenario) -> Iterator[Unit]:
    for number, entry in enumerate(scenario.servers):
        select = entry.select
        if not isinstance(select, Probability) or select.probability in (0, 1):
            continue
        if select.group is None:
            sets = [ServerSet(f"s{i}", (i,)) for i in range(scenario.grid.servers)]
        else:
            sets = groups_of(select.group, scenario.grid, scenario.servers)
        for one in sets:
            yield Unit(number, one.servers, select.probability)


def has_random_times(scenario: Scenario) -> bool:
    """Return whether round-trip times are random."""
    laws = [scenario.grid.rtt, *(entry.rtt for entry in scenario.servers if entry.rtt)]
    return any(law.law != "constant" for law in laws)


def chosen_scenario(scenario: Scenario, units: Sequence[Unit], choices: Choices) -> Scenario:
    """Return a copy of a scenario in which entries name the selected servers.

    It is a scenario like any other, so a run of it can be repeated and examined.
    """
    servers: dict[int, list[int]] = {unit.entry: [] for unit in units}
    for unit, selected in zip(units, choices.selected, strict=True):
        if selected:
            servers[unit.entry] += unit.servers
    entries = [
        entry
        if number not in servers
        else entry.model_copy(update={"select": _named(servers[number])})
        for number, entry in enumerate(scenario.servers)
    ]
    return scenario.model_copy(update={"servers": entries, "expect": {}})


def _named(servers: Sequence[int]) -> str | Count:
    return ",".join(f"s{number}" for number in servers) if servers else Count(count=0)


class _Begun(Random):
    """A stream whose first number is given; the others are those of its seed."""

    def __init__(self, seed: int, first: float) -> None:
        super().__init__(seed)
        self._first: float | None = first

    def _take(self) -> float | None:
        first, self._first = self._first, None
        return first

    def random(self) -> float:
        """Return a number from 0 to 1, without 1."""
        first = self._take()
        return super().random() if first is None else first

    def getrandbits(self, bits: int, /) -> int:
        """Return a number with so many random bits."""
        first = self._take()
        return super().getrandbits(bits) if first is None else int(first * 2**bits)


def first_round_trips(seed: int, ranks: Sequence[float]) -> Mapping[tuple[str, ...], Random]:
    """Return the stream of round-trip times of each server, by its purpose, with its first rank.

    Every law draws its times by inversion, so that a number near 1 is a long time.
    """
    return {
        (f"s{number}", "rtt"): _Begun(stream(seed, f"s{number}", "rtt").getrandbits(64), 1 - rank)
        for number, rank in enumerate(ranks)
    }
