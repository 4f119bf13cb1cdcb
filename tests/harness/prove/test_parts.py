"""Proofs in parts, and in several processes."""

from __future__ import annotations

import pytest

from firstk.harness.prove import cases
from firstk.harness.prove.cases import Space
from firstk.harness.prove.kinds import find_kinds
from firstk.harness.prove.parts import prove
from firstk.harness.sweep.workers import WorkersError

#: A small space that can be divided into parts.
SPACE = Space(3, 2, find_kinds(["good", "hung-read"]), True)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide even small spaces."""
    monkeypatch.setattr(cases, "_MANY", 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_as_one(jobs: int, parts: None) -> None:
    """With any number of processes, the parts find the same as the whole."""
    found = prove(SPACE, "first-k", jobs)
    whole = Space(3, 2, SPACE.kinds, True)
    cases._MANY = 2000
    expected = prove(whole, "first-k")

    assert len(SPACE) == found.cases == expected.cases == 48
    assert (found.not_ok, found.delayed) == (expected.not_ok, expected.delayed)
    assert (found.tables(), found.slowest) == (expected.tables(), expected.slowest)


def test_divided(parts: None) -> None:
    """The parts contain each order once."""
    divided = SPACE.divided()
    orders = [part[0] for part in divided]

    assert [len(part) for part in divided] == [8] * 6
    assert [SPACE[8 * number] for number in range(6)] == orders


def test_stuck() -> None:
    """A run that does not end in real time is a counterexample, and ends the proof."""
    proof = prove(SPACE, "tests.harness.downloaders:spinning", timeout=0.2)

    assert (proof.stuck, proof.holds, proof.runs) == (True, False, 1)
    assert proof.tables() is not None


def test_lost(parts: None) -> None:
    """A downloader that ends its process is reported."""
    with pytest.raises(WorkersError, match="a process ended in which tests"):
        prove(SPACE, "tests.harness.prove.downloaders:ends", 2)
