"""What one run of a proof breaks: the invariants that fit its subject, and need no other run."""

from __future__ import annotations

from collections.abc import Iterator

from firstk.harness.fuzz.invariants import INVARIANTS, Violation, broken_by
from firstk.harness.fuzz.observed import CheckedRun, ScenarioRuns
from firstk.harness.run.simulate import Run

#: That a download succeeds where K good shares are on good servers is what a proof is about.
_CHOSEN = [invariant for invariant in INVARIANTS if invariant.alone and invariant.demanded]


def broken_in(run: Run, subject: str) -> Iterator[Violation]:
    """Yield what a run breaks of what holds for a subject: the name of a strategy, or another."""
    yield from broken_by(CheckedRun(ScenarioRuns(run.scenario), subject, run), _CHOSEN)
