"""Why a download violates an invariant although it succeeds: by what line, and which faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from firstk.harness.explain.cause import Counterfactuals, cause_of
from firstk.harness.explain.explanation import Explanation, at_fault
from firstk.harness.explain.traits import Trait, without
from firstk.harness.fuzz.invariants import Invariant, broken
from firstk.harness.fuzz.observed import ScenarioRuns
from firstk.scenarios.model import Scenario


def explain_violation(
    scenario: Scenario, subject: str, timeout: float | None = None
) -> Explanation | None:
    """Return an explanation of the first invariant that a downloader violates, if it does.

    The cause is the minimal sets of faults without which the invariant holds.
    """
    scenario = scenario.with_runs(strategies=[subject])
    case = ScenarioRuns(scenario, timeout=timeout)
    found = next(broken(case), None)
    if found is None:
        return None
    run = case.run(subject)
    tried = _Counterfactuals(scenario, subject, 0, None, run, timeout, found.invariant)
    name = subject.rpartition(":")[2]
    return Explanation(
        who=at_fault(run.trace.exchanges),
        where=found.place or "no line is known",
        chain=f"{name}, {found.invariant.name}: {found.got}",
        cause=cause_of(tried),
        unmet=True,
    )


@dataclass(frozen=True)
class _Counterfactuals(Counterfactuals):
    """Counterfactuals in which all is well if the invariant holds."""

    invariant: Invariant | None = None

    def well(self, gone: Iterable[Trait], at: float = 0.0) -> bool:
        """Return whether the invariant holds without some traits."""
        changed = without(self.scenario, self.seed, gone, at)
        chosen = None if self.invariant is None else [self.invariant]
        return not any(broken(ScenarioRuns(changed, timeout=self.timeout), chosen))
