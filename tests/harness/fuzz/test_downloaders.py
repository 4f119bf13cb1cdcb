"""Other downloaders are fuzzed: defects are found, and correct ones are not accused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstk.harness.fuzz.any_downloader import last_heard
from firstk.harness.fuzz.fuzzer import Fuzzer
from firstk.harness.fuzz.generate import Generator
from firstk.harness.fuzz.invariants import broken
from firstk.harness.fuzz.kinds import Kinds
from firstk.harness.fuzz.observed import CheckedRun, ScenarioRuns
from firstk.harness.kernel.watchdog import StuckError
from firstk.scenarios.load import load_scenario
from tests.harness.making import scenario
from tests.marks import few

WHERE = "tests.harness.fuzz.downloaders"

#: The downloaders with a defect, and the invariants that each breaks.
DEFECTS = {
    "waits_for_nothing": {"honest-silence"},
    "logs": {"quiet"},
    "reads_thrice": {"no-rereads", "over"},
    "reads_forty_times": {"no-rereads", "few-reads", "over"},
    "gives_up": {"honest-failure"},
    "reads_on": {"over"},
    "spins": {"moves-on"},
    "remembers": {"repeatable"},
}

CORRECT = ["hedged", "first_k", "gathering", "one_by_one"]

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: Patch) -> None:
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 0.0)
    monkeypatch.setattr("firstk.harness.kernel.livelock.MOST_AT_ONCE", 10_000)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "spins")) for n in DEFECTS]
)
def test_found(name: str) -> None:
    """Each defect is found within 150 scenarios."""
    found = Fuzzer(subjects=[f"{WHERE}:{name}"]).search(scenarios=150)
    assert found is not None

    assert found.broken.invariant.name in DEFECTS[name]


@pytest.mark.parametrize("name", few(2, CORRECT))
def test_correct(name: str) -> None:
    """A correct downloader is never accused, whatever its style."""
    fuzzer = Fuzzer(subjects=[f"{WHERE}:{name}"])

    assert fuzzer.search(scenarios=60) is None
    assert fuzzer.counts.scenarios == 60


def test_ranges() -> None:
    """Only a downloader that accepts ranges is asked for one."""
    asked = {}
    for name in ("hedged", "first_k"):
        generator = Generator(0, [f"{WHERE}:{name}"])
        asked[name] = any("offset" in generator.make(n)["file"] for n in range(60))

    assert asked == {"hedged": True, "first_k": False}


def test_reads_and_troubles_of_the_client() -> None:
    """Downloaders with ranges are also tried with several reads, and all with slow clients."""
    made = {
        name: str([Generator(0, [f"{WHERE}:{name}"]).make(number) for number in range(300)])
        for name in ("hedged", "first_k")
    }

    for key in ("pause", "cpu_per_byte", "clock", "compute"):
        assert f"'{key}'" in made["first_k"]
    for key in ("reads", "cancel"):
        assert [f"'{key}'" in made[name] for name in ("hedged", "first_k")] == [True, False]


def test_several_reads() -> None:
    """Invariants of single downloads are not checked for several reads; the others are."""
    several = scenario(
        file={"size": 1000, "k": 1, "n": 2, "segment_size": 500},
        grid={"servers": 2},
        reads=[{"length": 400}, {"offset": 500, "start": 0.0}],
    )
    found = {}
    for name in ("fuzz.downloaders:hedged", "planted.defective:Player"):
        case = ScenarioRuns(several.with_runs(strategies=[f"tests.harness.{name}"]))
        found[name] = {one.invariant.name for one in broken(case)}

    assert found == {
        "fuzz.downloaders:hedged": set(),
        "planted.defective:Player": {"honest-silence"},
    }


def test_cancelled_read_may_stay() -> None:
    """A cancelled read may never end, nor a read that waits for it."""
    cancelled = scenario(
        {"select": "all", "fault": {"kind": "hung"}},
        reads=[{"cancel": 1.0}, {"length": 10}],
    ).with_runs(strategies=[f"{WHERE}:waits_for_nothing"])
    trial = CheckedRun(ScenarioRuns(cancelled), f"{WHERE}:waits_for_nothing")

    assert trial.end == "fired"


@pytest.mark.parametrize(("hung", "names"), [(None, {"no-crash", "honest-failure"}), ("0", set())])
def test_no_crash(hung: str | None, names: set[str]) -> None:
    """An error that ends a download breaks an invariant if K good shares are available."""
    faults = [{"select": hung, "fault": {"kind": "hung"}}] if hung else []
    copies = scenario(
        {"select": "1", "shares": [0]},
        *faults,
        file={"size": 100, "k": 2, "n": 3},
        grid={"servers": 3},
    ).with_runs(strategies=["tests.harness.planted.defective:counts_duplicates"])

    assert {one.invariant.name for one in broken(ScenarioRuns(copies))} == names


def test_late_shares_count() -> None:
    """A download that reads from late servers knows their shares."""
    three = scenario(
        file={"size": 1000, "k": 3, "n": 3, "segment_size": 300}, grid={"servers": 3}
    ).with_runs(strategies=["tests.harness.planted.defective:needs_one_more"])

    assert [one.invariant.name for one in broken(ScenarioRuns(three))] == ["honest-failure"]


def test_place_where_time_ran_out() -> None:
    """The place where real time ran out is random, so the last answered request is used."""
    case = ScenarioRuns(scenario().with_runs(strategies=[f"{WHERE}:first_k"]))
    run = replace(case.run(f"{WHERE}:first_k"), failure=StuckError("no end"))

    assert last_heard(CheckedRun(case, f"{WHERE}:first_k", run)).count("StuckError") == 0


def test_ends_in_time(monkeypatch: Patch) -> None:
    """Shrinking a find takes no longer than the search may take."""
    given: list[float] = []

    def shrink(made: dict[str, Any], judge: object, seconds: float) -> dict[str, Any]:
        given.append(seconds)
        return made

    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 60.0)
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.shrink", shrink)
    Fuzzer(subjects=[f"{WHERE}:logs"]).search(seconds=40)

    assert len(given) == 1
    assert 5 <= given[0] <= 40


def test_survives() -> None:
    """That a hung server does not stop a download is checked only on demand."""
    hung = scenario(
        {"select": "9", "fault": {"kind": "hung"}},
        file={"size": 100, "k": 3, "n": 10},
        grid={"servers": 10},
    ).with_runs(strategies=[f"{WHERE}:gathering", f"{WHERE}:hedged"])
    case = ScenarioRuns(hung)
    named = broken(case, Kinds(only=["survives"]).invariants)

    assert list(broken(case)) == []
    assert [(b.invariant.name, b.strategy) for b in named] == [("survives", f"{WHERE}:gathering")]


def test_known() -> None:
    """Known finds are skipped, by invariant and place."""
    subjects = [f"{WHERE}:logs"]
    found = Fuzzer(subjects=subjects).search(scenarios=100)
    assert found is not None
    known = {found.broken.same}
    again = Fuzzer(subjects=subjects, known=known).search(scenarios=40)

    assert again is None or again.broken.same not in known


def test_keep_going() -> None:
    """With `keep_going`, it continues until it has that many different finds."""
    kinds = Kinds(without=["honest-silence"])
    fuzzer = Fuzzer(subjects=[f"{WHERE}:logs"], kinds=kinds, keep_going=2)
    fuzzer.search(scenarios=100)
    same = [find.broken.same for find in fuzzer.finds]

    assert len(set(same)) == len(same)
    assert fuzzer.counts.scenarios > 1


@pytest.mark.parametrize(
    ("kinds", "there", "gone"),
    [
        (Kinds(without=["hung", "truncated"]), "'corrupt'", "'truncated'"),
        (Kinds(only=["hung-read"]), "['read']", "'corrupt'"),
        (Kinds(only=["flaky"], without=["survives"]), "'flaky'", "'hung'"),
    ],
)
def test_kinds_of_faults(kinds: Kinds, there: str, gone: str) -> None:
    """Only the selected kinds of faults are tried."""
    generator = Generator(0, [f"{WHERE}:hedged"], kinds)
    made = str([generator.make(number) for number in range(200)])

    assert there in made
    assert gone not in made


def test_kinds_of_invariants() -> None:
    """An excluded invariant is not checked; with `only`, the named ones are checked."""
    left = {invariant.name for invariant in Kinds(without=["quiet"]).invariants}

    assert "quiet" not in left
    assert "survives" not in left
    assert "right-bytes" in left
    assert [i.name for i in Kinds(only=["survives", "hung"]).invariants] == ["survives"]


@pytest.mark.slow
def test_small(monkeypatch: Patch, tmp_path: Path) -> None:
    """A find is shrunk, in its text and in time."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 10.0)
    found = Fuzzer(subjects=[f"{WHERE}:waits_for_nothing"]).search(scenarios=150)
    assert found is not None
    made = found.tables
    case = ScenarioRuns(load_scenario(found.write(tmp_path)))

    assert made["file"]["size"] == 1
    assert made["grid"]["servers"] <= 2
    assert len(made["servers"]) == 1
    assert case.scenario.name.startswith("fuzz-honest-silence-")
    assert CheckedRun(case, f"{WHERE}:waits_for_nothing").result.ended <= 0.1
