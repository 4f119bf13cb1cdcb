"""Searching a plan for the cheapest candidate that meets its target, with few runs.

Cheaper is what takes less disk space, and then what sends fewer requests. What takes more disk
space than a candidate that meets the target is not run. The result depends on the plan alone,
neither on the number of workers nor on interruptions. A greater `max_runs` goes on from the runs in
the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from firstk.harness.run.sample import Sample
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Progress, Sweep
from firstk.harness.sweep.workers import Workers
from firstk.scenarios.plan import Candidate, Plan


class Judged(Protocol):
    """What some runs show of a candidate."""

    @property
    def met(self) -> bool | None:
        """Whether it meets the target; None if they do not show it."""

    @property
    def cost(self) -> float:
        """How many requests a download sends; infinity where it is not known."""


J = TypeVar("J", bound=Judged)

#: Judges a candidate by its runs, in their order.
Judge = Callable[[Sequence[Sample]], J]

#: Shows the progress of a named part of the search.
Telling = Callable[[str], AbstractContextManager[Callable[[Progress], None]]]


@dataclass(frozen=True, slots=True)
class Looked(Generic[J]):
    """What was found out of a candidate: None if it was not looked at.

    It was `pursued` if it was looked at until it was decided or had all its runs; the others
    are dearer than one that meets the target.
    """

    candidate: Candidate
    judged: J | None
    pursued: bool


class Search(Generic[J]):
    """One search of a plan, which keeps its runs in a store.

    `workers` is called whenever there is something to run.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        judge: Judge[J],
        workers: Callable[[], Workers],
        telling: Telling,
    ) -> None:
        self._plan = plan
        self._store = store
        self._judge = judge
        self._workers = workers
        self._telling = telling

    def run(self) -> list[Looked[J]]:
        """Search; return what was found out of all candidates, the cheapest first.

        Raises what `Sweep.run` does. What was committed is in the store whatever is raised.
        """
        looked: list[Looked[J]] = []
        found = False
        for level in self._plan.levels:
            if found:
                looked += [Looked(candidate, None, False) for candidate in level]
                continue
            for candidate, judged in self._first_look(level):
                if found:
                    looked.append(Looked(candidate, judged, judged.met is not None))
                    continue
                judged = self._pursue(candidate, judged)
                looked.append(Looked(candidate, judged, True))
                found = judged.met is True
        return looked

    def _first_look(self, level: Sequence[Candidate]) -> list[tuple[Candidate, J]]:
        """Return what a few runs show of candidates, those with the fewest requests first."""
        first, expansion = self._plan.looks[0], level[0].expansion
        points = list(dict.fromkeys(candidate.point for candidate in level))
        strategies = self._plan.experiment.strategies
        self._run(f"{expansion:.2f} times the file", first, points, strategies)
        judged = [(candidate, self._look(candidate, first)) for candidate in level]
        return sorted(judged, key=lambda pair: pair[1].cost)

    def _pursue(self, candidate: Candidate, judged: J) -> J:
        """Return what is known of a candidate when it is decided, or has all its runs."""
        for runs in self._plan.looks[1:]:
            if judged.met is not None:
                break
            self._run(str(candidate), runs, [candidate.point], [candidate.strategy])
            judged = self._look(candidate, runs)
        return judged

    def _run(self, what: str, runs: int, points: Sequence[int], strategies: Sequence[str]) -> None:
        experiment = replace(self._plan.experiment, runs=runs)
        with self._telling(what) as tell:
            Sweep(experiment, self._store, None, tell, points, strategies).run(self._workers)

    def _look(self, candidate: Candidate, runs: int) -> J:
        return self._judge(self._store.samples(candidate.point, candidate.strategy, runs))
