"""Proposals: distributions of choices under which rare events are frequent, and their weights.

A proposal is a mixture. Each component selects the units of each entry with a probability of its
own, and makes the first round trip of a server one of the slowest with a probability of its own.
The weight of choices is the ratio of their probability in the scenario to that in the *mixture*,
whichever component made them (Owen and Zhou, "Safe and effective importance sampling", JASA 95,
2000, 135-143). One component is the scenario itself, so weights have an upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

import numpy as np
import numpy.typing as npt

from firstk.harness.rare.choices import Choices, Unit

Numbers = npt.NDArray[np.float64]

#: How far components go from the scenario's probabilities towards `_OFTEN`: 0 is not at all.
_TILTS = (0.0, 1 / 3, 2 / 3, 1.0)
_OFTEN = 0.9

#: The parts of a law that count as its slow end, and how often components draw from there.
_SLOW = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5)
_HOW_OFTEN = (0.25, 0.75)

#: The parts of the mixture that the scenario itself has, and all components together, evenly.
_ITSELF, _EVENLY = 0.25, 0.1

#: The most ways in which an event comes about that have components of their own.
_WAYS = 8

#: The number of steps in which the weights of components are improved.
_STEPS = 30


@dataclass(frozen=True, slots=True)
class Component:
    """The probabilities of a component.

    `selected` has that of each unit. First round trips are in the slowest part `slow` of their law
    with the probability `often`; these are equal if they are as in the scenario.
    """

    selected: tuple[float, ...]
    slow: float = 0.5
    often: float = 0.5

    def draw(self, random: Random, servers: int) -> Choices:
        """Return choices from this component; `servers` first round trips are chosen."""
        selected = [random.random() < probability for probability in self.selected]
        ranks = []
        for _ in range(servers):
            is_slow, place = random.random() < self.often, 1 - random.random()
            ranks.append(
                place * self.slow if is_slow else self.slow + place * (1 - self.slow) * _BELOW_1
            )
        return Choices(selected, ranks)


#: Keeps ranks below 1.
_BELOW_1 = 1 - 2**-40


class Proposal:
    """A mixture of components, for a scenario with these units and so many first round trips."""

    def __init__(
        self,
        units: Sequence[Unit],
        servers: int,
        components: Sequence[Component],
        parts: Sequence[float],
    ) -> None:
        self._units = units
        self._servers = servers
        self._components = components
        self._parts = np.array(parts)

    def draw(self, random: Random) -> Choices:
        """Return choices for a run."""
        (component,) = random.choices(self._components, self._parts.tolist())
        return component.draw(random, self._servers)

    def weights(self, choices: Sequence[Choices]) -> Numbers:
        """Return the weight of each of some choices: at most 1 over the scenario's own part."""
        return np.asarray(1 / (self._ratios(choices) @ self._parts))

    def _ratios(self, choices: Sequence[Choices]) -> Numbers:
        """Return the probability of choices in each component over that in the scenario.

        A row for each of the choices, a column for each component.
        """
        selected = np.array([one.selected for one in choices], dtype=float)
        ranks = np.array([one.ranks for one in choices], dtype=float)
        plain = np.array([unit.probability for unit in self._units])
        columns = []
        for component in self._components:
            tilted = np.array(component.selected)
            logs = selected @ np.log(tilted / plain)
            logs += (1 - selected) @ np.log((1 - tilted) / (1 - plain))
            slow = (ranks <= component.slow).sum(axis=1)
            logs += slow * np.log(component.often / component.slow)
            logs += (self._servers - slow) * np.log((1 - component.often) / (1 - component.slow))
            columns.append(np.exp(logs))
        return np.array(columns).T

    def improved(self, choices: Sequence[Choices], masses: Numbers) -> Proposal:
        """Return a proposal under which events are as frequent as these `choices` suggest.

        In these the event occurred, with `masses`, their weights. The new components are the
        scenario's distribution given the event, as far as it is known (the cross-entropy method:
        Rubinstein and Kroese, The Cross-Entropy Method, 2004, 3.3). The parts of all components
        are then improved by expectation maximisation.
        """
        masses = masses / masses.sum()
        components = [*self._components, *self._given(choices, masses)]
        found = Proposal(
            self._units, self._servers, components, [1 / len(components)] * len(components)
        )
        ratios, parts = found._ratios(choices), found._parts
        for _ in range(_STEPS):
            shares = ratios * parts
            parts = masses @ (shares / shares.sum(axis=1, keepdims=True))
        floor = np.full(len(components), _EVENLY / len(components))
        floor[0] += _ITSELF
        found._parts = floor + (1 - _ITSELF - _EVENLY) * parts
        return found

    def _given(self, choices: Sequence[Choices], masses: Numbers) -> list[Component]:
        """Return components as frequent as in these choices, and as in each of the main ways."""
        selected = np.array([one.selected for one in choices], dtype=float)
        ranks = np.array([one.ranks for one in choices])
        found = self._alike(selected, ranks, masses)
        ways = self._ways(selected, masses)
        if len(ways) > 1:
            for way in ways[:_WAYS]:
                part = masses[way] / masses[way].sum()
                found += self._alike(selected[way], ranks[way], part)
        return found

    def _ways(self, selected: Numbers, masses: Numbers) -> list[npt.NDArray[np.intp]]:
        """Return the indices of choices with equally many units of each entry, by their masses."""
        of_entries = [np.array([u.entry == e for u in self._units]) for e in self._entries]
        counts = [tuple(int(row[of].sum()) for of in of_entries) for row in selected]
        ways: dict[tuple[int, ...], list[int]] = {}
        for index, way in enumerate(counts):
            ways.setdefault(way, []).append(index)
        indices = [np.array(way) for _, way in sorted(ways.items())]
        return sorted(indices, key=lambda way: -float(masses[way].sum()))

    @property
    def _entries(self) -> list[int]:
        return sorted({unit.entry for unit in self._units})

    def _alike(self, selected: Numbers, ranks: Numbers, masses: Numbers) -> list[Component]:
        """Return components as frequent as in choices with these masses, whose sum is 1."""
        often = masses @ selected if self._units else np.array([])
        entries = np.array([unit.entry for unit in self._units])
        for entry in self._entries:  # the units of an entry are alike
            often[entries == entry] = often[entries == entry].mean()
        probabilities = tuple(np.clip(often, 1e-6, 0.97).tolist())
        found = [Component(probabilities)]
        if self._servers:
            plain = tuple(unit.probability for unit in self._units)
            for slow in _SLOW:
                part = float(masses @ (ranks <= slow).mean(axis=1))
                part = min(0.97, max(slow, part))
                found += [Component(probabilities, slow, part), Component(plain, slow, part)]
        return found


def first_proposal(units: Sequence[Unit], servers: int) -> Proposal:
    """Return a proposal for events of which nothing is known.

    The first of its components is the scenario itself.
    """
    ways = [tuple(u.probability ** (1 - tilt) * _OFTEN**tilt for u in units) for tilt in _TILTS]
    times = [(0.5, 0.5), *product(_SLOW, _HOW_OFTEN)] if servers else [(0.5, 0.5)]
    components = [
        Component(selected, slow, often)
        for selected, (slow, often) in product(ways if units else [()], times)
    ]
    return Proposal(units, servers, components, [1 / len(components)] * len(components))
