"""The checks of a run in a proof: the invariants that fit its subject and need no other run."""

from __future__ import annotations

from collections.abc import Iterator

from firstk.harness.fuzz.invariants import INVARIANTS, Violation, broken_by
from firstk.harness.fuzz.observed import CheckedRun, ScenarioRuns
from firstk.harness.run.finish import Run

#: Without `survives`: the proof itself checks that a download with K good shares succeeds.
_CHOSEN = [invariant for invariant in INVARIANTS if invariant.alone and invariant.demanded]


def broken_in(run: Run, subject: str) -> Iterator[Violation]:
    """Yield the violations in a run; the subject names a strategy or another downloader."""
    yield from broken_by(CheckedRun(ScenarioRuns(run.scenario), subject, run), _CHOSEN)
