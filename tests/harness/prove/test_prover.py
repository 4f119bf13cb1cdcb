"""Proofs: what they cover, what they find, and that defects do not pass."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from firstk.downloader.strategy import STRATEGIES
from firstk.harness.prove.cases import Case, Delay, Space
from firstk.harness.prove.kinds import DEFAULT, find_kinds
from firstk.harness.prove.prover import Proof, Prover, _after
from firstk.harness.run.finish import Run
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario


def prove(
    subject: str, n: int = 3, k: int = 2, kinds: str = ",".join(DEFAULT), every_order: bool = False
) -> Proof:
    """Return the proof of a subject."""
    return Prover(Space(n, k, find_kinds(kinds.split(",")), every_order), subject).prove()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_as_every_single_run(strategy: str) -> None:
    """A proof finds the same as a separate run for each case."""
    space = Space(2, 1, find_kinds(DEFAULT), True)
    cases = [space[number] for number in range(len(space))]
    able = [case for case in cases if space.good_shares(case) >= 1]
    runs = [simulate(space.scenario(case), strategy) for case in able]
    expected = {
        case.placement for case, run in zip(able, runs, strict=True) if run.result.outcome != "ok"
    }

    proof = Prover(space, strategy).prove()

    assert expected == proof.not_ok
    assert (proof.cases, proof.outcomes.total(), proof.violations) == (25 * 2, 25 * 2, 0)
    assert proof.slowest == max(run.result.ttfb or 0 for run in runs if run.result.outcome == "ok")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "stopped"),
    [("wait-for-all", 69), ("first-k", 56), ("first-k-late", 31), ("windowed", 31), ("hedged", 0)],
)
def test_ticket(strategy: str, stopped: int) -> None:
    """Of 625 placements, as many stop each strategy as separate runs have shown."""
    proof = prove(strategy, 4)

    assert (proof.cases, len(proof.not_ok), proof.violations) == (625, stopped, 0)


def test_smallest() -> None:
    """The counterexample has as few faults as possible, and its scenario reproduces it."""
    tables = prove("first-k", kinds="good,hung-read,corrupt,slow").tables()
    assert tables is not None
    scenario = Scenario.model_validate(tables)

    assert [sum(entry.fault is not None for entry in scenario.servers)] == [1]
    assert simulate(scenario, "first-k").result.outcome != scenario.expect["first-k"].outcome


def test_nothing_is_found() -> None:
    """If nothing stops a strategy, there is no counterexample."""
    proof = prove("hedged")

    assert (proof.holds, proof.tables()) == (True, None)


@pytest.mark.parametrize("strategy", ["first-k", "hedged"])
def test_late_answers(strategy: str) -> None:
    """With one late answer, all cases of a box have the same run, and each is counted once."""
    space = Space(2, 1, find_kinds(DEFAULT), True)
    prover = Prover(space, strategy)
    noted: dict[Case, str] = {}
    note = prover._note

    def noting(cases: Sequence[Case], run: Run) -> None:
        for case in cases:
            if case.delays:
                assert case not in noted
                noted[case] = run.result.digest
        note(cases, run)

    prover._note = noting  # type: ignore[method-assign]
    proof = prover.prove()

    assert 0 < proof.delayed == len(noted)
    for case, digest in noted.items():
        assert digest == simulate(space.scenario(case), strategy).result.digest


def test_overtaken() -> None:
    """A late answer comes just after the next outstanding one."""
    space = Space(2, 1, find_kinds(["good"]), True)
    case = space[0]
    run = simulate(space.scenario(case), "wait-for-all")
    late = Case(case.settings, (Delay(0, 0.0, 0.05 + 1e-6),))
    again = simulate(space.scenario(late), "wait-for-all")

    assert _after(run, Delay(0, 0.0, 0.0)) == pytest.approx(0.05)
    assert _after(run, Delay(1, 0.0, 0.0)) is None
    assert [e.server for e in run.trace.exchanges[:2]] == ["s0", "s1"]
    heard = [e.exchange.server for e in again.trace.events if e.kind == "answered" and e.exchange]
    assert heard[:2] == ["s1", "s0"]
