"""Fuzzing: random scenarios, until one breaks an invariant; that one is made small."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf
from time import monotonic
from typing import Any

import tomli_w
from pydantic import ValidationError

from firstk.harness.fuzz.finds import Counterexample, Counts, in_time
from firstk.harness.fuzz.generate import Generator
from firstk.harness.fuzz.invariants import Violation, broken
from firstk.harness.fuzz.kinds import Kinds
from firstk.harness.fuzz.shrink import shrink
from firstk.scenarios.model import Scenario

#: How long it may take to make a find smaller, in seconds.
SHRINKING = 60.0

#: Checks that need further runs are made in one of so many scenarios of another downloader.
_SELDOM = 4


@dataclass(slots=True)
class Fuzzer:
    """Tries random scenarios; the sequence follows from the seed.

    Each is tried with `subjects`, by default our strategies. It goes on until there are
    `keep_going` different finds; breaches in `known` are no finds (see `Violation.same`).
    `tried` is called after each scenario, and `on_find` with each find when it is small.
    `counts` and `finds` are true at every moment.
    """

    seed: int = 0
    subjects: Sequence[str] = ()
    kinds: Kinds = field(default_factory=Kinds)
    known: Collection[tuple[str, str, str]] = ()
    keep_going: int = 1
    tried: Callable[[], None] = lambda: None
    on_find: Callable[[Counterexample], None] = lambda find: None
    doing: str = "fuzzing"
    counts: Counts = field(default_factory=Counts)
    finds: list[Counterexample] = field(default_factory=list)

    @property
    def found(self) -> Counterexample | None:
        """What was found first, with a name; None if nothing was."""
        return self.finds[0].named if self.finds else None

    def search(
        self, seconds: float = inf, scenarios: float = inf, step: int = 1, first: int = 0
    ) -> Counterexample | None:
        """Try scenarios for some time, or a number of them; return the first find.

        Of the sequence every `step`th is tried, from the `first` on.
        """
        end = monotonic() + seconds
        generator = Generator(self.seed, self.subjects, self.kinds)
        known = set(self.known)
        for number in count(first, step):
            done = self.counts.scenarios >= scenarios or len(self.finds) >= self.keep_going
            if done or monotonic() > end:
                return self.found
            made = generator.make(number)
            for one in self._try(generator, made, number):
                if one.same not in known:
                    known.add(one.same)
                    known.add(self._add(made, one).broken.same)
                    break
        raise AssertionError("the sequence has no end")

    def _try(self, generator: Generator, made: dict[str, Any], number: int) -> list[Violation]:
        """Run a scenario, and return what it breaks."""
        chosen = self.kinds.invariants
        if self.subjects and number % _SELDOM:
            chosen = [invariant for invariant in chosen if invariant.alone]
        try:
            case = in_time(self._scenario(made))
            found = list(broken(case, chosen))
            generator.learn(made, case)
        except Exception as e:  # a defect, but none of the downloader's
            e.add_note(f"The scenario was:\n{tomli_w.dumps(made)}")
            raise
        self.counts.add(case)
        self.tried()
        return found

    def _scenario(self, made: dict[str, Any]) -> Scenario:
        scenario = Scenario.model_validate(made)
        return scenario.with_runs(strategies=self.subjects) if self.subjects else scenario

    def _add(self, made: dict[str, Any], one: Violation) -> Counterexample:
        """Make a find small, and keep it as it is at every moment."""
        if not self.subjects:
            made = made | {"strategies": [one.strategy]}
        place = len(self.finds)
        self.finds.append(Counterexample(one, made))

        def judge(candidate: dict[str, Any]) -> float | None:
            try:
                scenario = self._scenario(candidate)
            except ValidationError:
                return None
            case = in_time(scenario)
            for other in broken(case, [one.invariant]):
                if other.same == one.same:
                    self.finds[place] = Counterexample(other, candidate)
                    return case.run(one.strategy).result.ended
            return None

        self.doing = "shrinking"
        small = shrink(made, judge, SHRINKING)
        self.doing = "fuzzing"
        judge(small)
        self.on_find(self.finds[place].named)
        return self.finds[place]
