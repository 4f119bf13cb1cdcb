"""What one run of a proof breaks: the invariants that fit its subject, and need no other run."""

from __future__ import annotations

from collections.abc import Iterator

from firstk.harness.fuzz.invariants import INVARIANTS, Invariant
from firstk.harness.fuzz.observed import CheckedRun, ScenarioRuns
from firstk.harness.run.simulate import Run
from firstk.harness.run.under_test import is_external
from firstk.scenarios.model import Scenario

#: Those that simulate again.
_NOT_ALONE = {"repeatable", "first-k-first"}

#: Those that hold for any downloader.
_FOR_ANY = {"right-bytes", "all-bytes", "over", "heeds-pauses", "honest-silence", "not-early"}


def broken_in(scenario: Scenario, subject: str, run: Run) -> Iterator[tuple[Invariant, str]]:
    """Yield what a run of a subject breaks, with what happened instead."""
    case = ScenarioRuns(scenario)
    case._runs[subject] = run
    if is_external(subject):
        checked = CheckedRun.__new__(CheckedRun)
        checked.case, checked.run = case, run
    else:
        checked = CheckedRun(case, subject)
    for invariant in INVARIANTS:
        if invariant.name in _NOT_ALONE:
            continue
        if is_external(subject) and invariant.name not in _FOR_ANY:
            continue
        got = invariant.check(checked)
        if got is not None:
            yield invariant, got
