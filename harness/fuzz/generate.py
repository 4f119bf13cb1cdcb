"""The sequence of scenarios that fuzzing tries.

Every other scenario is new; the rest are variations of one that led to a new situation. Each result
affects what comes next, but all of it follows from the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from pydantic import ValidationError

from firstk.harness.fuzz.kinds import Kinds
from firstk.harness.fuzz.observed import ScenarioRuns
from firstk.harness.fuzz.situations import Situation, situations
from firstk.harness.fuzz.swarm import Swarm
from firstk.harness.fuzz.vary import Times, vary
from firstk.harness.run.under_test import takes_ranges
from firstk.scenarios.model import Scenario

#: The number of scenarios kept for variation: those that led to the rarest situations.
_KEPT = 100


class Generator:
    """Generates the scenarios of a seed.

    The scenarios suit all `subjects` (other downloaders or, by default, our strategies), and have
    only faults of the `kinds`. `seen` counts how many scenarios led to each situation.
    """

    def __init__(self, seed: int, subjects: Sequence[str] = (), kinds: Kinds | None = None) -> None:
        self.seen: Counter[Situation] = Counter()
        self._seed = seed
        self._external = bool(subjects)
        self._ranges = all(map(takes_ranges, subjects))
        self._faults = (kinds or Kinds()).faults
        self._kept: list[tuple[dict[str, Any], Times]] = []

    def make(self, number: int) -> dict[str, Any]:
        """Return the scenario with this number in the sequence."""
        random = Random(f"{self._seed} {number}")
        draw = random.randrange
        swarm = Swarm(draw, self._faults, ranges=self._ranges, external=self._external)
        made = swarm.tables()
        if self._kept and draw(2):
            varied = vary(*self._kept[draw(len(self._kept))], made, draw)
            made = varied if _is_valid(varied) else made
        if self._external:
            made.pop("strategies", None)
        return made

    def learn(self, made: dict[str, Any], case: ScenarioRuns) -> None:
        """Keep a scenario whose runs led to a new situation."""
        found = situations(case)
        if any(self.seen[one] == 0 for one in found):
            times = sorted({e.time for run in case.runs for e in run.trace.events})
            self._kept.append((made, times))
            del self._kept[:-_KEPT]
        self.seen.update(found)


def _is_valid(made: dict[str, Any]) -> bool:
    try:
        Scenario.model_validate(made)
    except ValidationError:
        return False
    return True
