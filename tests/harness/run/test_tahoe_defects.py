"""The defects of Tahoe-LAFS in the library: each is shown, and our strategies survive it."""

from __future__ import annotations

import pytest

from firstk.harness.fuzz.invariants import INVARIANTS, broken_by
from firstk.harness.fuzz.observed import CheckedRun, ScenarioRuns
from firstk.harness.run.comparison import expectation
from firstk.harness.run.result import unmet
from firstk.harness.run.simulate import simulate
from firstk.scenarios.library import load_all
from firstk.scenarios.model import Scenario
from tests.harness.making import needs_tahoe

SCENARIOS = load_all(["tahoe-defects"])

#: The invariant that each of them breaks, and a part of the message.
BROKEN = {
    "dead-share-picked": ("honest-silence", "stalled"),
    "short-share": ("few-reads", "reads of share 0 on s0"),
    "answer-while-decoding": ("quiet", "an error was logged"),
    "reads-behind-the-end": ("no-rereads", "were asked for again"),
    "small-segments": ("reads-once", "were asked for again"),
    "reads-after-its-failure": ("over", "sent something afterwards"),
}

EACH = pytest.mark.parametrize("made", SCENARIOS, ids=lambda made: str(made.name))


@EACH
def test_survived(made: Scenario) -> None:
    """Our strategies meet the scenario's expectations."""
    for strategy in made.strategies:
        expected = expectation(made, strategy)
        assert expected is not None

        assert list(unmet(expected, simulate(made, strategy).result)) == []


@needs_tahoe
@EACH
def test_shown(made: Scenario) -> None:
    """Tahoe-LAFS meets the scenario's expectation, and breaks an invariant."""
    checked = CheckedRun(ScenarioRuns(made), "tahoe")
    expected = expectation(made, "tahoe")
    assert expected is not None
    found = {one.invariant.name: one.got for one in broken_by(checked, INVARIANTS)}
    name, got = BROKEN[made.name]

    assert list(unmet(expected, checked.result)) == []
    assert got in found[name]
