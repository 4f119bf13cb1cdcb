"""Searches of plans: which runs of which candidate are made, and that nothing else decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import pytest

from firstk.harness.run.sample import Sample
from firstk.harness.sweep import search
from firstk.harness.sweep.batch import Batch
from firstk.harness.sweep.search import CandidateResult, results_so_far, search_plan
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Progress
from firstk.reports.model.plan_words import cheapest
from firstk.reports.tables.plan import as_json
from firstk.scenarios.plan import Plan
from tests.harness.experiments import Here
from tests.harness.plans import loaded, plan

#: The runs of the first look, if there are twice as many.
FEW = 10

EXITING = "tests.harness.downloaders:exiting"


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstk.scenarios.plan._FIRST_LOOK", FEW)


class ShownProgress:
    """A progress display that keeps its calls."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.ends: list[int] = []

    @contextmanager
    def __call__(self, what: str) -> Iterator[Callable[[Progress], None]]:
        self.parts.append(what)
        last = Progress()

        def tell(progress: Progress) -> None:
            nonlocal last
            last = progress

        yield tell
        assert last.done == last.total
        self.ends.append(last.done)


@dataclass(frozen=True)
class Opinion:
    """The verdict that a test returns."""

    met: bool | None
    cost: float = 1.0
    runs: int = 0


def searched(
    of: Plan,
    path: Path,
    opinion: Callable[[Sequence[Sample]], Opinion],
    progress: ShownProgress | None = None,
) -> list[CandidateResult]:
    """Return the results of a search whose verdicts are given by `opinion`."""
    with pytest.MonkeyPatch.context() as patch, Store(path, write=True) as store:
        patch.setattr(
            search, "decide", lambda _, samples: replace(opinion(samples), runs=len(samples))
        )
        return search_plan(of, store, Here, progress or ShownProgress())


def found(of: Plan, path: Path, workers: Here | None = None) -> list[CandidateResult]:
    """Return the results of a search."""
    with Store(path, write=True) as store:
        return search_plan(of, store, lambda: workers or Here(), ShownProgress())


def runs(path: Path) -> dict[tuple[int, str], int]:
    """Return the number of runs in a store for each point and strategy."""
    with Store(path) as store:
        rows = list(store.rows())
    keys = dict.fromkeys((row.point, row.strategy) for row in rows)
    return {key: sum((r.point, r.strategy) == key for r in rows) for key in keys}


def verdicts(of: Sequence[CandidateResult]) -> dict[str, bool | str | None]:
    """Return the verdict on each candidate."""
    return {
        str(one.candidate): one.decision.met if one.decision and one.finished else "costlier"
        for one in of
    }


def test_winner(tmp_path: Path) -> None:
    """The cheapest candidate that meets the target is found; costlier ones are not run."""
    one = plan(tmp_path)
    looked = found(one, tmp_path / "s")
    best = cheapest(looked)

    assert best is not None
    assert str(best.candidate) == "2-of-4 with hedged"
    assert [of.decision.met for of in looked[:3] if of.decision] == [False] * 3
    assert {(point, s): 80 for point in (0, 1) for s in one.experiment.strategies} == runs(
        tmp_path / "s"
    )
    assert [of.decision for of in looked[6:]] == [None] * 3


@pytest.mark.usefixtures("_few")
def test_order_of_requests(tmp_path: Path) -> None:
    """At equal disk space, fewer requests go first, and the costlier candidate is not finished."""
    one = plan(tmp_path, ("max_runs = 80", "max_runs = 20"), ("[2, 4, 5]", "[2]"))
    costs = {"windowed": 3.0, "hedged": 2.0, "hedged+1": 1.0}
    asked: list[int] = []

    def by(samples: Sequence[Sample]) -> Opinion:
        asked.append(len(samples))
        # The first three looks are at all of them, in their order.
        cost = list(costs.values())[len(asked) - 1] if len(asked) <= 3 else 1.0
        return Opinion(None if len(asked) < 5 else True, cost)

    progress = ShownProgress()
    looked = searched(one, tmp_path / "s", by, progress)

    assert verdicts(looked) == {
        "2-of-2 with hedged+1": None,
        "2-of-2 with hedged": True,
        "2-of-2 with windowed": "costlier",
    }
    assert asked == [10] * 3 + [20] * 2
    assert runs(tmp_path / "s") == {(0, "windowed"): 10, (0, "hedged"): 20, (0, "hedged+1"): 20}
    assert progress.parts == ["1.00 times the file", "2-of-2 with hedged+1", "2-of-2 with hedged"]
    assert progress.ends == [30, 20, 20]


def test_told_beside_the_winner(tmp_path: Path) -> None:
    """A verdict from the first look is kept, even if a cheaper candidate meets the target."""
    one = plan(tmp_path, ("max_runs = 80", "max_runs = 2"), ("[2, 4, 5]", "[2]"))
    told = iter([True, False, None])
    looked = searched(one, tmp_path / "s", lambda samples: Opinion(next(told)))

    assert list(verdicts(looked).values()) == [True, False, "costlier"]


@pytest.mark.usefixtures("_few")
def test_none(tmp_path: Path) -> None:
    """If none meets the target, each is dropped at its first look."""
    one = plan(tmp_path, ("max_runs = 80", "max_runs = 80"), ("[2, 4, 5]", "[2, 3]"))
    looked = searched(one, tmp_path / "s", lambda samples: Opinion(False))

    assert set(verdicts(looked).values()) == {False}
    assert set(runs(tmp_path / "s").values()) == {10}


def test_undecided(tmp_path: Path) -> None:
    """A candidate that is undecided with all runs stays so, and the search continues."""
    one = plan(tmp_path, ("max_runs = 80", "max_runs = 3"), ("[2, 4, 5]", "[2, 3]"))
    looked = searched(one, tmp_path / "s", lambda samples: Opinion(None, inf))

    assert set(verdicts(looked).values()) == {None}
    assert len(looked) == 6


@pytest.mark.slow
def test_workers_and_interruptions(tmp_path: Path) -> None:
    """Any number of workers gives the same results, and so does an interrupted search."""
    one = plan(tmp_path)
    undisturbed = as_json(one, found(one, tmp_path / "whole"))
    for after in (1, 5):
        workers = Here(count=2)

        def interrupt(batch: Batch, workers: Here = workers, after: int = after) -> bool:
            if len(workers.batches) > after:
                raise KeyboardInterrupt
            return False

        workers._dies = interrupt
        with pytest.raises(KeyboardInterrupt):
            found(one, tmp_path / "s", workers)

    assert undisturbed == as_json(one, found(one, tmp_path / "s", Here(count=3)))
    workers = Here()
    assert undisturbed == as_json(one, found(one, tmp_path / "s", workers))
    assert workers.batches == []


@pytest.mark.slow
def test_another_target(tmp_path: Path) -> None:
    """Another target, or more runs, reuses the existing runs."""
    found(plan(tmp_path), tmp_path / "s")
    before = runs(tmp_path / "s")
    workers = Here()
    found(plan(tmp_path, ("p90 = 0.5", "p50 = 0.5")), tmp_path / "s", workers)
    assert workers.batches == []

    found(plan(tmp_path, ("max_runs = 80", "max_runs = 85")), tmp_path / "s", workers)
    assert dict.fromkeys(before, 85) == runs(tmp_path / "s")


def test_crashes(tmp_path: Path) -> None:
    """Runs that crash do not succeed, and are counted."""
    one = plan(tmp_path, ("[2, 4, 5]", "[4]"), ('on = ["read"]', "start = 1000"))
    one = replace(one, experiment=replace(one.experiment, strategies=(EXITING,)))
    (looked,) = found(one, tmp_path / "s")

    assert looked.decision is not None
    assert looked.decision.crashed
    assert looked.decision.findings[1].estimate.estimate == 1 - looked.decision.crashed / 80


@pytest.mark.slow
def test_more_runs(tmp_path: Path) -> None:
    """A greater max_runs continues from the existing runs, to the same result as from scratch."""
    change = ("[2, 4, 5]", "[2, 4]")
    few, many = (plan(tmp_path, change, ("max_runs = 80", f"max_runs = {n}")) for n in (20, 60))
    assert cheapest(found(few, tmp_path / "s")) is None
    raised = found(many, tmp_path / "s")

    assert cheapest(raised) is not None
    assert set(runs(tmp_path / "s").values()) == {60}
    assert as_json(many, raised) == as_json(many, found(many, tmp_path / "other"))
    assert runs(tmp_path / "s") == runs(tmp_path / "other")


@pytest.mark.slow
def test_workload(tmp_path: Path) -> None:
    """With a workload, a run is many downloads, and all of them count."""
    one = plan(tmp_path, loaded(5), ("max_runs = 80", "max_runs = 50"), ("[2, 4, 5]", "[2, 4]"))
    looked = found(one, tmp_path / "s")
    best = cheapest(looked)

    assert best is not None
    assert str(best.candidate) == "2-of-4 with hedged"
    assert best.decision is not None
    assert best.decision.runs == 50
    assert 0.9 < best.decision.findings[1].estimate.low < 1  # type: ignore[union-attr]
    assert {count for (point, _), count in runs(tmp_path / "s").items() if point == 0} == {10}


@pytest.mark.slow
def test_results_so_far(tmp_path: Path) -> None:
    """The results of a search can be read from its store, without running anything."""
    one = plan(tmp_path)
    looked = found(one, tmp_path / "s")

    with Store(tmp_path / "s") as store:
        assert store.plan is not None
        assert store.plan.target == one.target.model_dump(by_alias=True, exclude_none=True)
        assert store.plan.max_runs == one.max_runs
        assert results_so_far(one, store) == looked


def test_interrupted(tmp_path: Path) -> None:
    """In an interrupted search, candidates that were not run have no decision."""
    one = plan(tmp_path)
    with Store(tmp_path / "s", write=True) as store:
        store.begin(one.experiment)
        assert {of.decision for of in results_so_far(one, store)} == {None}
        assert not any(of.finished for of in results_so_far(one, store))
