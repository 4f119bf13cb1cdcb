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

from firstk.harness.sweep.decision import Decision, decide
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Progress, Sweep
from firstk.harness.sweep.workers import Workers
from firstk.scenarios.plan import Candidate, Plan

#: Shows the progress of a named part of the search.
ShowProgress = Callable[[str], AbstractContextManager[Callable[[Progress], None]]]


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """What the search found out about a candidate; `decision` is None if it was not run.

    `finished` is True if it was run until it was decided, or had all its runs. The others cost
    more than one that meets the target.
    """

    candidate: Candidate
    decision: Decision | None
    finished: bool


class PlanSearch:
    """One search of a plan, which keeps its runs in a store.

    `workers` is called whenever there is something to run.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        workers: Callable[[], Workers],
        show_progress: ShowProgress,
    ) -> None:
        self._plan = plan
        self._store = store
        self._workers = workers
        self._show_progress = show_progress

    def run(self) -> list[CandidateResult]:
        """Search; return the results of all candidates, the cheapest first.

        Raises what `Sweep.run` does. What was committed is in the store whatever is raised.
        """
        results: list[CandidateResult] = []
        found = False
        for level in self._plan.levels:
            if found:
                results += [CandidateResult(candidate, None, False) for candidate in level]
                continue
            for candidate, decision in self._first_look(level):
                if found:
                    decided = decision.met is not None
                    results.append(CandidateResult(candidate, decision, decided))
                    continue
                decision = self._finish(candidate, decision)
                results.append(CandidateResult(candidate, decision, True))
                found = decision.met is True
        return results

    def _first_look(self, level: Sequence[Candidate]) -> list[tuple[Candidate, Decision]]:
        """Return what a few runs show of candidates, those with the fewest requests first."""
        first, expansion = self._plan.looks[0], level[0].expansion
        points = list(dict.fromkeys(candidate.point for candidate in level))
        strategies = self._plan.experiment.strategies
        self._run(f"{expansion:.2f} times the file", first, points, strategies)
        decisions = [(candidate, self._decide(candidate, first)) for candidate in level]
        return sorted(decisions, key=lambda pair: pair[1].cost)

    def _finish(self, candidate: Candidate, decision: Decision) -> Decision:
        """Run a candidate until it is decided, or has all its runs."""
        for runs in self._plan.looks[1:]:
            if decision.met is not None:
                break
            self._run(str(candidate), runs, [candidate.point], [candidate.strategy])
            decision = self._decide(candidate, runs)
        return decision

    def _run(self, what: str, runs: int, points: Sequence[int], strategies: Sequence[str]) -> None:
        experiment = replace(self._plan.experiment, runs=runs)
        with self._show_progress(what) as on_progress:
            Sweep(experiment, self._store, None, on_progress, points, strategies).run(self._workers)

    def _decide(self, candidate: Candidate, runs: int) -> Decision:
        samples = self._store.samples(candidate.point, candidate.strategy, runs)
        return decide(self._plan.target, samples)
