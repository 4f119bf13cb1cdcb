"""Tuning: what the search keeps, and that its result uses runs that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import pytest

from firstk.downloader.strategy import STRATEGIES, find_strategy
from firstk.harness.run.sample import CRASHED, Sample
from firstk.harness.run.simulate import simulate
from firstk.harness.stats import figures
from firstk.harness.sweep import tuning
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Progress
from firstk.harness.sweep.tuning import (
    Objectives,
    Tuning,
    candidates,
    experiment_of,
    objectives,
    rounds_of,
    tune,
)
from firstk.scenarios.model import Scenario
from firstk.scenarios.seeds import MAX_SEED
from tests.harness.experiments import Here
from tests.harness.making import hung, scenario

#: Few settings; giving up earlier makes no difference if no server is silent.
FEW = {"spares": (0, 1), "quantile": (0.8,), "lateness": (1.25,), "give_up": (60.0, 10.0)}

RUNS = 10


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SETTINGS", FEW)


@contextmanager
def silently(what: str) -> Iterator[Callable[[Progress], None]]:
    """Show no progress."""
    yield lambda progress: None


def grid(*servers: dict[str, Any], **more: Any) -> Scenario:
    """Return a small file on a grid with a heavy tail; `servers` are its `[[servers]]`."""
    law = {"law": "lognormal", "median": 0.05, "sigma": 1.0}
    file = {"size": 400, "k": 1, "n": 4}
    return scenario(*servers, file=file, grid={"rtt": law, "servers": 4}, seed=7, **more)


def tuned(of: Scenario, path: Path, workers: Here | None = None, runs: int = RUNS) -> Tuning:
    """Return the result of tuning, run in this process."""
    with Store(path, write=True) as store:
        return tune(of, runs, store, lambda: workers or Here(), silently)


def layers(**found: tuple[float, float]) -> list[list[str]]:
    """Return the layers of candidates with these objectives."""
    return list(tuning._layers({name: Objectives(*pair) for name, pair in found.items()}))


def test_dominates() -> None:
    """Less time or fewer bytes dominates; with an infinite time, fewer bytes do not count."""
    one = Objectives(0.2, 1000)

    assert [
        one.dominates(Objectives(*pair)) for pair in ((0.2, 1001), (0.3, 999), (0.2, 1000))
    ] == [
        True,
        False,
        True,
    ]
    assert one.dominates(Objectives(inf, 10))
    assert not Objectives(inf, 10).dominates(one)
    assert Objectives(inf, 10).dominates(Objectives(inf, 11))


def test_layers() -> None:
    """The front comes first, then that of the rest; of equal candidates, the first."""
    found = layers(a=(1, 9), b=(1, 9), c=(2, 5), d=(3, 6), e=(9, 1), f=(inf, 0))

    assert found == [["a", "c", "e"], ["b", "d"], ["f"]]


@pytest.mark.parametrize(("count", "kept"), [(4, ["a", "b"]), (5, ["a", "b", "c"])])
def test_better_half(count: int, kept: list[str]) -> None:
    """Whole layers are kept, until at least half of the candidates are."""
    assert tuning._better_half(iter([["a", "b"], ["c"], ["d", "e"]]), count) == kept


def test_objectives() -> None:
    """A run that did not end is later than all; one that crashed has no bytes."""
    good = [Sample(i, "ok", None, 0.1 * i, 4, 2, 100 * i, True, None) for i in range(1, 3)]
    bad = Sample(3, CRASHED, None, None, None, None, None, None, None)

    assert objectives(good) == Objectives(0.2, 150)
    assert objectives([*good, bad]) == Objectives(inf, 150)


def test_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """All combinations are tried, hedged itself first, and each can be found by its name."""
    monkeypatch.undo()
    every = candidates()

    assert every[0] is STRATEGIES["hedged"]
    assert len({one.name for one in every}) == len(every) == 3 * 3 * 4 * 3
    assert [find_strategy(one.name) for one in every] == every
    assert {one.spares for one in every} == {0, 1, 2}


def test_few_runs() -> None:
    """A round has more runs than the previous one, and at least a few."""
    assert [rounds_of(runs) for runs in (1, 16, 40, 500)] == [
        [8],
        [8],
        [8, 10, 20],
        [31, 62, 125, 250],
    ]


def test_seeds_beyond() -> None:
    """The seeds of all runs must be valid."""
    last = MAX_SEED - 8 - RUNS + 1
    experiment_of(scenario(seed=last), RUNS)

    with pytest.raises(ValueError, match="the largest is"):
        experiment_of(scenario(seed=last + 1), RUNS)


@pytest.mark.parametrize("stop", ["first-block", "complete"])
def test_held_out(stop: str, tmp_path: Path) -> None:
    """Every figure comes from separate runs, whose seeds follow those of the search."""
    made = grid(stop=stop, consumer={"bandwidth": 1000.0})
    found = tuned(made, tmp_path / "s")

    assert (found.rounds[0].candidates, found.rounds[0].runs) == (4, 8)
    assert (found.seed, found.runs) == (7 + found.rounds[-1].runs, RUNS)
    assert {"first-k", "windowed", "hedged"} < {one.strategy.name for one in found.points}
    for point in found.points:
        runs = [
            simulate(made.with_runs(seed=found.seed), point.strategy.name, i).result
            for i in range(RUNS)
        ]
        ends = [r.ttfb if stop == "first-block" else r.finished for r in runs]
        times = sorted(inf if end is None else end for end in ends)
        p99, size = figures.quantile(times, 0.99), sum(r.bytes_received for r in runs) / RUNS
        assert (point.cell.quantiles["p99"].estimate, point.cell.bytes) == (p99, size)
        assert (point.objectives.p99, point.objectives.bytes) == (p99, size)
        assert point.cell.runs == RUNS


def test_front(tmp_path: Path) -> None:
    """A setting without effect is not changed, and spares trade bytes for time."""
    found = tuned(grid(), tmp_path / "s")
    chosen = [point.strategy for point in found.points if point.chosen]

    assert {one.give_up for one in chosen} == {60.0}
    assert {one.spares for one in chosen} == {0, 1}
    sizes = [point.objectives.bytes for point in found.points]
    assert sizes == sorted(sizes)
    assert found.possible


def test_dominated(tmp_path: Path) -> None:
    """A dominated strategy has the name of one that beats it: windowed stalls here."""
    found = tuned(grid(hung("0", on=["read"])), tmp_path / "s")
    by = {point.strategy.name: point for point in found.points}

    assert by["windowed"].objectives.p99 == inf
    assert by["windowed"].dominated_by in by
    assert by[by["windowed"].dominated_by or ""].objectives.p99 < inf
    assert not by["windowed"].chosen


def test_impossible(tmp_path: Path) -> None:
    """If every download fails, there is no 99th percentile."""
    found = tuned(grid({"select": "all", "fault": {"kind": "empty"}}), tmp_path / "s")

    assert not found.possible
    assert {point.cell.ok.estimate for point in found.points} == {0.0}


def test_resumed(tmp_path: Path) -> None:
    """The result depends only on the scenario; runs in the store are not repeated."""
    first = tuned(grid(), tmp_path / "s")
    workers = Here()
    again = tuned(grid(), tmp_path / "s", workers)
    other = tuned(grid(), tmp_path / "other", Here(count=2))

    assert first.points == again.points == other.points
    assert workers.batches == []
