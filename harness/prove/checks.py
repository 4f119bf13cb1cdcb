"""What one run of a proof breaks: the invariants that fit its subject, and need no other run."""

from __future__ import annotations

from collections.abc import Iterator

from firstk.harness.fuzz.invariants import INVARIANTS, Invariant, broken_by
from firstk.harness.fuzz.observed import CheckedRun, ScenarioRuns
from firstk.harness.run.simulate import Run
from firstk.scenarios.model import Scenario

_CHECKED = [invariant for invariant in INVARIANTS if invariant.alone and invariant.demanded]


def broken_in(scenario: Scenario, subject: str, run: Run) -> Iterator[tuple[Invariant, str]]:
    """Yield what a run of a subject breaks, with what happened instead."""
    for one in broken_by(CheckedRun(ScenarioRuns(scenario), subject, run), _CHECKED):
        yield one.invariant, one.got
