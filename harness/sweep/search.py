"""Searches a plan for the cheapest candidate that meets its target, with few runs.

A candidate is cheaper if it takes less disk space, or the same space and fewer requests. A
candidate that takes more disk space than one that meets the target is not run. The result depends
only on the plan, not on the number of workers or on interruptions. With a larger `max_runs`, the
search continues from the runs in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from math import inf

from firstk.harness.run.sample import Sample
from firstk.harness.sweep.decision import Decision, decide
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Progress, Sweep
from firstk.harness.sweep.workers import Workers
from firstk.scenarios.plan import Candidate, Plan

#: Shows the progress of a named part of the search.
ShowProgress = Callable[[str], AbstractContextManager[Callable[[Progress], None]]]


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """The result for a candidate; `decision` is None if it was not run.

    `finished` is True if it was run until it was decided, or had all its runs. Otherwise it costs
    more than one that meets the target, or the search was interrupted.
    """

    candidate: Candidate
    decision: Decision | None
    finished: bool


#: Makes runs; the arguments are a description, the number of runs, the points, the strategies.
_Make = Callable[[str, int, Sequence[int], Sequence[str]], None]

#: Returns the given number of runs of a candidate, from the first.
_Samples = Callable[[Candidate, int], Sequence[Sample]]


def search_plan(
    plan: Plan, store: Store, workers: Callable[[], Workers], show_progress: ShowProgress
) -> list[CandidateResult]:
    """Search a plan; return the results of all candidates, the cheapest first.

    The store keeps the plan and every run. `workers` is called whenever there is something to
    run. Raises the same errors as `Sweep.run`. Committed runs stay in the store even if an error
    is raised.
    """
    store.begin(plan.experiment)
    store.note_plan(plan)

    def make(what: str, runs: int, points: Sequence[int], strategies: Sequence[str]) -> None:
        experiment = replace(plan.experiment, runs=runs)
        with show_progress(what) as on_progress:
            Sweep(experiment, store, None, on_progress, points, strategies).run(workers)

    def samples(candidate: Candidate, runs: int) -> list[Sample]:
        return store.samples(candidate.point, candidate.strategy, runs)

    return _search(plan, make, samples)


def results_so_far(plan: Plan, store: Store) -> list[CandidateResult]:
    """Return the results of a plan from the runs in a store; nothing is run."""

    def make(*_: object) -> None:
        pass

    def samples(candidate: Candidate, most: int) -> list[Sample]:
        there = store.samples(candidate.point, candidate.strategy)[:most]
        return [sample for i, sample in enumerate(there) if sample.run == i]

    return _search(plan, make, samples)


def _search(plan: Plan, make: _Make, samples: _Samples) -> list[CandidateResult]:
    found: list[CandidateResult] = []
    done = False
    for level in plan.levels:
        if done:
            found += [CandidateResult(candidate, None, False) for candidate in level]
            continue
        for candidate, decision in _first_look(plan, level, make, samples):
            is_dearer = done
            if not done:
                decision = _finish(plan, candidate, decision, make, samples)
                done = decision is not None and decision.met is True
            finished = decision is not None and (
                decision.met is not None or (decision.runs == plan.looks[-1] and not is_dearer)
            )
            found.append(CandidateResult(candidate, decision, finished))
    return found


def _first_look(
    plan: Plan, level: Sequence[Candidate], make: _Make, samples: _Samples
) -> list[tuple[Candidate, Decision | None]]:
    """Return what a few runs show of each candidate, ordered by the number of requests."""
    first, expansion = plan.looks[0], level[0].expansion
    points = list(dict.fromkeys(candidate.point for candidate in level))
    make(f"{expansion:.2f} times the file", first, points, plan.experiment.strategies)
    decisions = [(candidate, _decide(plan, samples(candidate, first))) for candidate in level]
    return sorted(decisions, key=lambda pair: inf if pair[1] is None else pair[1].cost)


def _finish(
    plan: Plan,
    candidate: Candidate,
    decision: Decision | None,
    make: _Make,
    samples: _Samples,
) -> Decision | None:
    """Run a candidate until it is decided or has all its runs; return its last decision."""
    for runs in plan.looks[1:]:
        if decision is not None and decision.met is not None:
            break
        make(str(candidate), runs, [candidate.point], [candidate.strategy])
        decision = _decide(plan, samples(candidate, runs))
    return decision


def _decide(plan: Plan, samples: Sequence[Sample]) -> Decision | None:
    return decide(plan.target, samples) if samples else None
