"""Counterexamples of fuzzing: scenarios that violate an invariant, and their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import tomli_w

from firstk.harness.fuzz.any_downloader import survives
from firstk.harness.fuzz.invariants import Invariant, Violation, broken
from firstk.harness.fuzz.observed import CheckedRun, ScenarioRuns
from firstk.harness.fuzz.swarm import LATE
from firstk.harness.kernel.watchdog import can_limit_time
from firstk.harness.run.under_test import is_external
from firstk.scenarios.model import OTHER, Scenario

#: The real time limit of another downloader's run, in seconds; most take hundredths of a second.
TIMEOUT = 20.0


#: The invariants that a download violates by not succeeding.
_WANT_SUCCESS = ("succeeds", "survives", "honest-failure", "no-crash")


@dataclass(slots=True)
class Counts:
    """How many scenarios and runs were tried, and how the runs ended.

    `stopped` counts the runs that violated `survives`, whether or not it is checked.
    """

    scenarios: int = 0
    stopped: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, case: ScenarioRuns) -> None:
        """Count a scenario and its runs."""
        self.scenarios += 1
        self.outcomes.update(run.result.outcome for run in case.runs)
        trials = (CheckedRun(case, subject) for subject in case.scenario.strategies)
        self.stopped += sum(trial.other and survives(trial) is not None for trial in trials)

    @classmethod
    def sum(cls, parts: Iterable[Counts]) -> Counts:
        """Return the sum of counts."""
        total = cls()
        for part in parts:
            total.scenarios += part.scenarios
            total.stopped += part.stopped
            total.outcomes.update(part.outcomes)
        return total

    def __str__(self) -> str:
        outcomes = [f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items())]
        plural = "" if self.scenarios == 1 else "s"
        return f"{self.scenarios} scenario{plural}, {self.outcomes.total()} runs" + (
            f": {', '.join(outcomes)}" if outcomes else ""
        )


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A scenario that violates an invariant, as the tables of a scenario file."""

    broken: Violation
    tables: dict[str, Any]

    @property
    def toml(self) -> str:
        """The text of the scenario file."""
        return tomli_w.dumps(self.tables)

    def write(self, folder: Path) -> Path:
        """Write the scenario file into a folder, and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.tables['name']}.toml"
        file.write_text(self.toml, encoding="utf-8")
        return file

    @property
    def named(self) -> Counterexample:
        """The same counterexample with a name, a description and the correct expectation."""
        one = self.broken
        named = {"name": "", "description": f"{one.strategy}: {one.invariant.sentence}"}
        made = named | {key: value for key, value in self.tables.items() if key != "name"}
        other = is_external(one.strategy)
        if one.invariant.name in _WANT_SUCCESS:
            made["expect"] = {OTHER if other else one.strategy: {"outcome": "ok"}}
            if "deadline" in made:  # without the defect, the download may take longer
                made["deadline"] = LATE
        mark = sha256(tomli_w.dumps(made).encode()).hexdigest()[:8]
        return Counterexample(one, made | {"name": f"fuzz-{one.invariant.name}-{mark}"})


def in_time(scenario: Scenario, number: int = 0) -> ScenarioRuns:
    """Return the runs of a scenario; those of other downloaders have a time limit."""
    limited = any(map(is_external, scenario.strategies)) and can_limit_time()
    return ScenarioRuns(scenario, number, TIMEOUT if limited else None)


def check(
    scenario: Scenario, counts: Counts, chosen: Sequence[Invariant] | None = None
) -> Iterator[Violation]:
    """Yield the violations in all runs of a scenario's subjects."""
    for number in range(scenario.runs):
        case = in_time(scenario, number)
        yield from broken(case, chosen)
        counts.add(case)
