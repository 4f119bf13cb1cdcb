"""Fuzzing: random scenarios, until one breaks an invariant; that one is made small.

Hypothesis makes the scenarios and shrinks what is found: it knows how a scenario was drawn,
and so it can make a found one smaller. That takes about an eighth of the time.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import tomli_w
from hypothesis import HealthCheck, Phase, Verbosity, configuration, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from firstk.harness.fuzz.generate import tables
from firstk.harness.fuzz.invariants import ScenarioRuns, Violation, broken
from firstk.scenarios.model import Scenario

#: How many scenarios Hypothesis makes at a time: it remembers them all.
BATCH = 100

#: How long it may take to make a find smaller, in seconds.
SHRINKING = 60.0


@dataclass(slots=True)
class Counts:
    """How much was tried, and how the runs ended."""

    scenarios: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, case: ScenarioRuns) -> None:
        """Count a scenario and its runs."""
        self.scenarios += 1
        self.outcomes.update(run.result.outcome for run in case.runs)

    def __str__(self) -> str:
        outcomes = [f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items())]
        plural = "" if self.scenarios == 1 else "s"
        return f"{self.scenarios} scenario{plural}, {self.outcomes.total()} runs" + (
            f": {', '.join(outcomes)}" if outcomes else ""
        )


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A scenario that breaks an invariant, as a scenario file has it."""

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


class _FoundError(Exception):
    """A scenario broke an invariant."""


class _Enough(BaseException):
    """The time is up; Hypothesis lets this pass, as it is no `Exception`."""


@dataclass(slots=True)
class Fuzzer:
    """Tries random scenarios; the sequence follows from the seed.

    `tried` is called after each. `counts` is true at every moment.
    """

    seed: int = 0
    tried: Callable[[], None] = lambda: None
    counts: Counts = field(default_factory=Counts)
    _find: Counterexample | None = None
    _smallest: Counterexample | None = None
    _end: float = inf

    @property
    def doing(self) -> str:
        """What it is doing, in a word."""
        return "fuzzing" if self._find is None else "shrinking"

    @property
    def found(self) -> Counterexample | None:
        """What was found, as small as it is by now; None if nothing was."""
        return None if self._find is None else _named(self._find)

    def search(self, seconds: float = inf, scenarios: float = inf) -> Counterexample | None:
        """Try scenarios for some time, or a number of them; return a small counterexample."""
        self._end = monotonic() + seconds
        batch = 0
        try:
            while self.counts.scenarios < scenarios and self._find is None:
                self._try(batch, int(min(BATCH, scenarios - self.counts.scenarios)))
                batch += 1
        except _Enough:
            self._find = self._smallest
        except KeyboardInterrupt:
            self._find = self._smallest
            raise
        return self.found

    def _try(self, batch: int, scenarios: int) -> None:
        """Try a batch of scenarios; if one is found, make it small."""

        @seed(f"{self.seed} {batch}")
        @settings(
            max_examples=scenarios,
            phases=[Phase.generate, Phase.shrink],
            database=None,
            deadline=None,
            derandomize=False,  # whatever a profile says
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            verbosity=Verbosity.quiet,
            print_blob=False,
        )
        @given(st.randoms(use_true_random=False))
        def run(random: Any) -> None:
            if monotonic() > self._end:
                raise _Enough
            self._check(tables(random.randrange))

        try:
            run()
        except _FoundError:
            pass
        except Flaky:  # it was not found again: equal seeds gave unequal runs
            self._find = self._smallest

    def _check(self, made: dict[str, Any]) -> None:
        """Run a scenario; raise `_FoundError` if it breaks an invariant, the same as before."""
        before = self._find
        if before is not None:
            made |= {"strategies": [before.broken.strategy]}
        try:
            case = ScenarioRuns(Scenario.model_validate(made))
            found = [
                one
                for one in broken(case)
                if before is None or one.invariant is before.broken.invariant
            ][:1]
        except Exception as e:  # a defect, but none of the downloader's
            e.add_note(f"The scenario was:\n{tomli_w.dumps(made)}")
            raise
        if before is None:
            self.counts.add(case)
        self.tried()
        if not found:
            return
        one = found[0]
        self._find = Counterexample(one, made | {"strategies": [one.strategy]})
        if before is None:
            self._end = monotonic() + SHRINKING
        if self._smallest is None or len(self._find.toml) <= len(self._smallest.toml):
            self._smallest = self._find
        raise _FoundError


def _named(find: Counterexample) -> Counterexample:
    """Return a find whose scenario says what it is, and what would have been right."""
    one = find.broken
    named = {"name": "", "description": f"{one.strategy}: {one.invariant.sentence}"}
    made = named | {key: value for key, value in find.tables.items() if key != "name"}
    if one.invariant.name == "succeeds":
        made["expect"] = {one.strategy: {"outcome": "ok"}}
    mark = sha256(tomli_w.dumps(made).encode()).hexdigest()[:8]
    return Counterexample(one, made | {"name": f"fuzz-{one.invariant.name}-{mark}"})


def check(scenario: Scenario, counts: Counts) -> Iterator[Violation]:
    """Yield what the strategies of a scenario break, in all its runs."""
    for number in range(scenario.runs):
        case = ScenarioRuns(scenario, number)
        yield from broken(case)
        counts.add(case)


@contextmanager
def no_traces() -> Iterator[None]:
    """Let Hypothesis keep what it keeps in a folder that goes away, not in the current one."""
    with tempfile.TemporaryDirectory() as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(None)
