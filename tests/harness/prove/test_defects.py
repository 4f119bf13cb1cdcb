"""Proofs find planted defects: of ticket #928, of strategies, of downloaders."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Any, Literal

import pytest

from firstk.downloader.strategy import STRATEGIES, Strategy
from firstk.harness.prove.cases import Space
from firstk.harness.prove.kinds import find_kinds
from firstk.harness.prove.prover import Proof, Prover
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario
from tests.harness.fuzz import test_fuzzer as ticket
from tests.harness.prove import downloaders
from tests.marks import few_rows

_FIVE = "good,hung,hung-read,broken,corrupt"


def space(n: int, k: int, kinds: str, orders: Literal["one", "all"] = "one") -> Space:
    """Return a space."""
    return Space(n, k, find_kinds(kinds.split(",")), orders == "all")


# What went wrong on the way to ticket #928


@pytest.mark.parametrize(
    ("defect", "subject", "kinds"),
    [
        (ticket.buckets_counted, "first-k", "good,copy"),
        (ticket.checked_for_each_bucket, "first-k", "good,empty"),
        (ticket.fired_twice, "wait-for-all", "good,read-error"),
        (ticket.responses_counted, "first-k", "good,broken"),
        (ticket.late_answers_ignored, "first-k-late", "good,corrupt"),
        (ticket.no_other_share, "first-k-late", "good,corrupt"),
        (ticket.k_shares_asked, "wait-for-all", "good,corrupt-ueb"),
    ],
)
def test_ticket(
    defect: ticket.Defect, subject: str, kinds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each defect is found, by an invariant or by a placement that stops the download."""
    where = space(3, 1 if "ueb" in kinds else 2, kinds)
    before = Prover(where, subject).prove()
    defect(monkeypatch)
    found = Prover(where, subject).prove()

    assert before.violations == 0
    assert found.violations > 0 or len(found.not_ok) > len(before.not_ok)
    assert found.smallest is not None


# Strategies with one field changed

_NARROW = replace(STRATEGIES["windowed"], window=1)

#: The values of a field, for each strategy, or for one in which the field matters.
MUTANTS: list[tuple[Strategy, str, list[Any]]] = [
    (STRATEGIES["wait-for-all"], "locating_ends", ["k-distinct"]),
    (STRATEGIES["wait-for-all"], "window", [1, 2]),
    (STRATEGIES["first-k"], "locating_ends", ["all-answered"]),
    (STRATEGIES["first-k"], "late_answers", ["used"]),
    (STRATEGIES["first-k"], "delay", [0.02, 0.5]),
    (STRATEGIES["first-k-late"], "late_answers", ["ignored"]),
    (_NARROW, "overdue", ["never", "adaptive", 3.0]),
    (STRATEGIES["windowed"], "window", [1, 2]),
    (STRATEGIES["windowed"], "hedge", [True]),
    (STRATEGIES["hedged"], "window", [1]),
    (STRATEGIES["hedged"], "asks_again", [not STRATEGIES["hedged"].asks_again]),
    (STRATEGIES["hedged"], "spares", [1, 2]),
    (STRATEGIES["hedged"], "quantile", [0.5]),
    (STRATEGIES["hedged"], "lateness", [3.0]),
    (STRATEGIES["hedged"], "give_up", [None, 90.0]),
    (replace(STRATEGIES["hedged"], window=1), "overdue", ["never", 10.0]),
]


def said(proof: Proof) -> tuple[Any, ...]:
    """Return the results of a proof."""
    times = proof.fastest, proof.slowest
    return proof.broken, proof.outcomes, proof.not_ok, times, proof.requests


@lru_cache
def _unchanged(strategy: Strategy, kinds: str) -> Proof:
    return Prover(space(3, 1, kinds), strategy).prove()


@pytest.mark.parametrize(
    ("strategy", "field", "values"), few_rows(5, MUTANTS), ids=lambda v: getattr(v, "name", str(v))
)
def test_mutants(strategy: Strategy, field: str, values: list[Any]) -> None:
    """With any field changed, at random by seed 928, the proof differs from the strategy's own."""
    again = field == "asks_again"
    kinds = "good,disconnect@0.02-1" if again else "good,hung,hung-read,corrupt-ueb"
    where = space(3, 1, kinds)
    before = _unchanged(strategy, kinds)
    value = Random(f"928 {strategy.name} {field}").choice(values)
    mutant = Prover(where, replace(strategy, **{field: value}), strategy.name).prove()

    assert before.violations == 0
    assert said(before) != said(mutant)


def test_every_field() -> None:
    """Some mutant changes every field of a strategy that matters to simulated servers."""
    names = set(Strategy.__dataclass_fields__) - {"name", "description", "speculates"}

    assert names == {field for _, field, _ in MUTANTS}


# Downloaders


@pytest.mark.parametrize(
    ("name", "n", "k", "kinds", "orders", "faults"),
    [
        ("counts_answers", 3, 2, "good,copy", "one", 0),
        ("no_other", 3, 2, _FIVE, "one", 1),
        ("in_order", 2, 1, "good", "all", 0),
        ("in_turn", 2, 1, "good", "all", 0),
        ("leaves_timer", 2, 1, _FIVE, "one", 1),
        ("unchecked", 2, 1, _FIVE, "one", 1),
    ],
)
def test_found(name: str, n: int, k: int, kinds: str, orders: Any, faults: int) -> None:
    """Each defect is found with the fewest faults that show it, and the file reproduces it."""
    subject = getattr(downloaders, name)
    proof = Prover(space(n, k, kinds, orders), subject).prove()
    tables = proof.tables()

    assert not proof.holds
    assert tables is not None
    scenario = Scenario.model_validate(tables)
    late = [f for entry in scenario.servers for f in entry.faults or () if f.kind == "slow"]
    assert faults == sum(len(entry.faults or ()) for entry in scenario.servers) - len(late)
    result = simulate(scenario, subject).result
    assert result.outcome != "ok" or proof.violations > 0


@pytest.mark.parametrize("name", ["in_order", "in_turn"])
def test_orders(name: str) -> None:
    """A defect that depends on the order of answers is not found in a single order."""
    assert Prover(space(2, 1, "good"), getattr(downloaders, name)).prove().holds


def test_late_answer() -> None:
    """A defect that depends on a late answer is not found by the orders alone."""
    proof = Prover(space(2, 1, "good", "all"), downloaders.in_turn).prove()

    assert proof.smallest is not None
    assert len(proof.smallest.case.delays) == 1


@pytest.mark.parametrize("orders", ["one", "all"])
def test_correct(orders: Any) -> None:
    """Nothing is found in a correct downloader."""
    proof = Prover(space(2, 1, f"{_FIVE},copy,empty", orders), downloaders.correct).prove()

    assert (proof.violations, proof.not_ok) == (0, set())
