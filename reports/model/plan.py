"""The contents of a plan's store: its target, and the result of each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstk.harness.sweep.search import CandidateResult, results_so_far
from firstk.harness.sweep.store import Store
from firstk.reports.model.cases import Case
from firstk.scenarios.experiment import Experiment, Point
from firstk.scenarios.plan import Plan, Target


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A plan, and the results of its candidates, the cheapest first."""

    plan: Plan
    candidates: Sequence[CandidateResult]


def plan_of(store: Store, cases: Sequence[Case]) -> PlanResult | None:
    """Return what the runs of a store show about its plan.

    `cases` are those of the store. None if it has no plan, or if files that its scenarios need are
    missing.
    """
    stored, about = store.plan, store.about
    points = [Point(case.values, case.scenario) for case in cases if case.scenario is not None]
    if stored is None or len(points) < len(cases):
        return None
    experiment = Experiment(
        name=about.name,
        description=about.description,
        strategies=about.strategies,
        seed=about.seed,
        runs=stored.max_runs,
        precision=None,
        axes=about.axes,
        points=points,
    )
    plan = Plan(Target.model_validate(stored.target), experiment, stored.max_runs)
    return PlanResult(plan, results_so_far(plan, store))
