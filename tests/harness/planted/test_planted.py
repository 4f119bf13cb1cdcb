"""Planted defects are found, proven and explained; correct downloaders are not accused."""

from __future__ import annotations

from typing import Any

import pytest

from firstk.harness.explain.explanation import explain
from firstk.harness.fuzz.explained import explain_violation
from firstk.harness.fuzz.fuzzer import Fuzzer
from firstk.harness.fuzz.kinds import Kinds
from firstk.harness.prove.cases import Space
from firstk.harness.prove.kinds import find_kinds
from firstk.harness.prove.prover import Proof, Prover
from firstk.scenarios.model import Scenario

_FIVE = "good,hung,hung-read,broken,corrupt"

#: The defects that `fuzz` finds without options; the first ones take only a few scenarios.
QUICK = ["last_answer", "cuts_padding", "never_another", "ends_early"]
OTHERS = [
    *("keeps_padding", "counts_duplicates", "gives_up", "same_again", "caches_rejected"),
    *("cancels_all", "reads_twice", "needs_one_more", "stops_at_empty", "clock_of_start"),
    *("leaks_readers", "first_queried", "Player"),
]

#: Those that only the property `survives` finds: some downloads behave so on purpose.
FRAGILE = ["never_times_out", "forgets_late"]

#: The kinds of servers that expose a defect, if the usual five do not.
KINDS = {"counts_duplicates": "good,copy", "stops_at_empty": "good,empty"}

#: What is said of a defect that is in no line: an error that is passed on without being raised, and
#: a Deferred that nothing fires.
NO_LINE = {"clock_of_start": "no line is known", "leaks_readers": "no line of the code waits"}

CORRECT = ["awaiting", "yielding", "chaining"]


def slowly(names: list[str]) -> list[Any]:
    """Return parameters of slow tests."""
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


def defective(name: str) -> str:
    """Return the name of a defective downloader."""
    return f"tests.harness.planted.defective:{name}"


def correct(name: str) -> str:
    """Return the name of a correct downloader."""
    return f"tests.harness.planted.correct:{name}"


def prove(subject: str, n: int, k: int, kinds: str = _FIVE, *, every: bool = False) -> Proof:
    """Return the proof of a downloader."""
    return Prover(Space(n, k, find_kinds(kinds.split(",")), every), subject, timeout=10.0).prove()


@pytest.mark.parametrize("name", [*QUICK, *slowly(OTHERS)])
def test_fuzz(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect is found within 600 scenarios, which take less than ten seconds."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 0.0)

    assert Fuzzer(subjects=[defective(name)]).search(scenarios=600) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAGILE)
def test_fuzz_survives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that a few hung servers stop is found only with `survives`, else counted."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 0.0)
    plain = Fuzzer(subjects=[defective(name)])
    asked = Fuzzer(subjects=[defective(name)], kinds=Kinds(only=["survives"]))

    assert plain.search(scenarios=100) is None
    assert plain.counts.stopped > 0
    assert asked.search(scenarios=600) is not None


@pytest.mark.parametrize("name", [QUICK[0], *slowly([*QUICK[1:], *OTHERS[:-1], *FRAGILE])])
def test_prove(name: str) -> None:
    """A proof of three servers in one order finds the defect, and explains its line and cause."""
    proof = prove(defective(name), 3, 2, KINDS.get(name, _FIVE))
    tables = proof.tables()
    assert tables is not None
    scenario = Scenario.model_validate(tables)
    found = explain(scenario, defective(name), timeout=10.0) or explain_violation(
        scenario, defective(name), timeout=10.0
    )

    assert not proof.holds
    assert found is not None
    assert NO_LINE.get(name, "tests/harness/planted/") in found.where
    assert found.cause


def test_explains_violation() -> None:
    """A download that succeeds, but reads twice, is explained by its reads."""
    space = Space(2, 1, find_kinds(["good", "corrupt"]), every_order=False)
    found = explain_violation(space.scenario(space[0]), defective("reads_twice"))
    assert found is not None

    assert found.where.startswith("tests/harness/planted/shares.py:")
    assert found.chain.startswith("reads_twice, no-rereads: 1288 bytes of share 0 on s0 ")
    assert found.cause.startswith("not the servers: ")
    assert explain_violation(space.scenario(space[0]), correct("awaiting")) is None


@pytest.mark.parametrize("name", CORRECT)
def test_correct(name: str) -> None:
    """Fuzzing and a proof, also with late answers, find nothing in a correct downloader."""
    fuzzer = Fuzzer(subjects=[correct(name)])

    assert fuzzer.search(scenarios=15) is None
    assert prove(correct(name), 2, 1, "good,hung,corrupt", every=True).holds


@pytest.mark.slow
@pytest.mark.parametrize("name", CORRECT)
def test_correct_in_all_orders(name: str) -> None:
    """1,000 scenarios and three servers in all orders find nothing in a correct downloader."""
    assert Fuzzer(1, subjects=[correct(name)]).search(scenarios=1000) is None
    assert prove(correct(name), 3, 2, every=True).holds
