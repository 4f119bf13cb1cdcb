"""The fuzzer: tries random scenarios until one violates an invariant, and shrinks that one."""

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

#: The time limit for shrinking a counterexample, in seconds. A find at the end of the search has
#: less: `_LAST` seconds.
SHRINKING, _LAST = 60.0, 5.0

#: With another downloader, checks that need further runs are made in one of this many scenarios.
_SELDOM = 4


@dataclass(slots=True)
class Fuzzer:
    """Tries random scenarios, in a sequence that follows from the seed.

    Each is tried with `subjects`, by default our strategies. The search continues until there are
    `keep_going` different counterexamples; violations in `known` do not count (see
    `Violation.same`). `tried` is called after each scenario, and `on_find` with each
    counterexample after it was shrunk. `counts` and `finds` are up to date at every moment.
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
        """The first counterexample, with a name; None if there is none."""
        return self.finds[0].named if self.finds else None

    def search(
        self, seconds: float = inf, scenarios: float = inf, step: int = 1, first: int = 0
    ) -> Counterexample | None:
        """Try scenarios up to a time or number; return the first counterexample.

        Only every `step`th scenario of the sequence is tried, starting from number `first`.
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
                    left = max(_LAST, end - monotonic())
                    known.add(self._add(made, one, min(SHRINKING, left)).broken.same)
                    break
        raise AssertionError("the sequence has no end")

    def _try(self, generator: Generator, made: dict[str, Any], number: int) -> list[Violation]:
        """Run a scenario, and return its violations."""
        chosen = self.kinds.invariants
        if self.subjects and number % _SELDOM:
            chosen = [invariant for invariant in chosen if invariant.alone]
        try:
            case = in_time(self._scenario(made))
            found = list(broken(case, chosen))
            generator.learn(made, case)
        except Exception as e:  # a defect, but not one of the downloader
            e.add_note(f"The scenario was:\n{tomli_w.dumps(made)}")
            raise
        self.counts.add(case)
        self.tried()
        return found

    def _scenario(self, made: dict[str, Any]) -> Scenario:
        scenario = Scenario.model_validate(made)
        return scenario.with_runs(strategies=self.subjects) if self.subjects else scenario

    def _add(self, made: dict[str, Any], one: Violation, seconds: float) -> Counterexample:
        """Shrink a counterexample, and keep the current version at every moment."""
        if not self.subjects:
            made = made | {"strategies": [one.strategy]}
        place = len(self.finds)
        self.finds.append(Counterexample(one, made))
        judged: list[Counterexample] = []

        def judge(candidate: dict[str, Any]) -> float | None:
            try:
                scenario = self._scenario(candidate)
            except ValidationError:
                return None
            case = in_time(scenario)
            for other in broken(case, [one.invariant]):
                if other.same == one.same:
                    judged.append(Counterexample(other, candidate))
                    self.finds[place] = judged[-1]
                    return case.run(one.strategy).result.ended
            return None

        self.doing = "shrinking"
        small = shrink(made, judge, seconds)
        self.doing = "fuzzing"
        self.finds[place] = next((f for f in judged if f.tables is small), self.finds[place])
        self.on_find(self.finds[place].named)
        return self.finds[place]
