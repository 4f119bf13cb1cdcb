"""A report shows the results of runs, whether from a store or from scenarios."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from math import inf
from pathlib import Path

import pytest

from firstk.harness.run.bound import bound
from firstk.harness.run.strategy_runs import Distribution
from firstk.harness.run.workload import simulate_workload
from firstk.harness.stats.estimates import Interval, NotEnough
from firstk.harness.stats.histogram import Histogram
from firstk.harness.sweep.batch import Batch, BatchPart, run_batch
from firstk.harness.sweep.rows import places
from firstk.harness.sweep.store import Store
from firstk.reports.model.cases import Case, case_of, case_of_load, cases_of
from firstk.reports.model.workload import WorkloadSummary
from firstk.scenarios.experiment import Experiment
from firstk.scenarios.hashing import scenario_hash
from tests.harness.experiments import experiment, swept
from tests.reports.cases import case, results
from tests.reports.samples import (
    FAILED,
    NO_BOUND,
    OK,
    STALLED,
    compared,
    made,
    scenario,
    summary,
    took,
)


def stored(path: Path, bounds: int = 100) -> list[Case]:
    """Return the cases of a store."""
    with Store(path) as store:
        return cases_of(store, lambda one, runs: [bound(one, i) for i in range(min(runs, bounds))])


def test_distribution_counts_never() -> None:
    """Downloads that never start count, but have no time."""
    spread = Distribution.of([3.0, inf, 1.0, 2.0])

    assert spread.times == [1.0, 2.0, 3.0]
    assert (spread.came, spread.count) == (3, 4)
    assert (2.0, 3.0, inf) == (spread.quantile(0.5), spread.quantile(0.75), spread.quantile(0.76))


def test_distribution_of_histograms() -> None:
    """The downloads of several runs are counted together, and are not independent."""
    one, other = Histogram(), Histogram()
    for time in (1.0, 2.0, None):
        one.add(time)
    other.add(1.0)
    spread = Distribution.of_histograms([one, other])

    assert (spread.times, spread.counts, spread.count) == ([1.0, 2.0], [2, 3], 4)
    assert not spread.independent


def test_case_of_scenario() -> None:
    """Runs of a scenario become estimates, in which a stall is later than all others."""
    results = [took(0.1), took(0.2), STALLED, took(0.3)]
    case = case_of(made([summary(*results)], runs=4))
    (one,) = case.strategies

    assert one.quantile(0.5).estimate == 0.2
    assert inf == one.quantile(0.9).estimate
    assert one.started.estimate == 0.75
    assert one.outcomes == {"ok": 3, "stalled": 1}
    assert one.slowest == 2
    assert case.asks


def test_ratios() -> None:
    """A run that never starts is infinitely far from its bound; one that could not is left out."""
    results = [took(0.3), STALLED, FAILED]
    bounds = [*summary(OK).bounds, *summary(OK).bounds, NO_BOUND]
    case = case_of(made([summary(*results, bounds=bounds)], runs=3))

    assert [pytest.approx(3.0), inf] == case.strategies[0].ratios


def test_nothing_asked() -> None:
    """If no byte was requested, there is nothing to wait for."""
    nothing = replace(OK, ttfb=None)

    assert not case_of(made([summary(nothing)])).asks
    assert case_of(made([summary(STALLED)])).asks


def test_store_as_scenario(tmp_path: Path) -> None:
    """A point of a store has the same numbers as the same runs of its scenario."""
    wanted = experiment(tmp_path, runs=12)
    swept(wanted, tmp_path / "e.sqlite")
    point = wanted.points[1].scenario
    same = case_of(compared(point.model_copy(update={"runs": 12})))
    case = stored(tmp_path / "e.sqlite")[1]

    assert [one.strategy for one in case.strategies] == ["first-k", "hedged"]
    for one, other in zip(case.strategies, same.strategies, strict=True):
        assert other.distribution == one.distribution
        assert (other.cell, other.against, other.requests) == (one.cell, one.against, one.requests)
        assert other.ratios == one.ratios
    assert case.values == {"servers.0.select.count": 7}


def test_replay(tmp_path: Path) -> None:
    """The replay command of a stored run has the row of that run, strategy and point."""
    swept(experiment(tmp_path, runs=3), tmp_path / "e.sqlite")
    case = stored(tmp_path / "e.sqlite")[2]
    with Store(tmp_path / "e.sqlite") as store:
        row = store.row(int(case.replay("hedged", 2).rpartition(" ")[2]))

    assert "firstk run --from e.sqlite" in case.replay("hedged", 2)
    assert (row.point, row.strategy, row.run) == (2, "hedged", 2)


def add(store: Store, wanted: Experiment, point: int, run: int, strategies: int) -> None:
    """Run some strategies of one run of a point into a store."""
    hashes = [scenario_hash(one.scenario) for one in wanted.points]
    here = list(places(wanted, hashes, point, run))[:strategies]
    (done,) = run_batch(Batch([BatchPart(wanted.points[point].scenario, here)], version("firstk")))
    store.add(done.rows)


def test_half_finished(tmp_path: Path) -> None:
    """Points without runs have no strategies; strategies are compared in runs that both have."""
    wanted = experiment(tmp_path, runs=5)
    with Store(tmp_path / "e.sqlite", write=True) as store:
        store.begin(wanted)
        add(store, wanted, 0, 0, 2)
        add(store, wanted, 0, 1, 1)
    found = stored(tmp_path / "e.sqlite")

    assert [len(case.strategies) for case in found] == [2, 0, 0]
    one, other = found[0].strategies
    assert (one.runs, other.runs) == (2, 1)
    assert (one.against, getattr(other.against, "runs", None)) == (None, 1)


def test_empty_store(tmp_path: Path) -> None:
    """An empty store has no cases."""
    Store(tmp_path / "e.sqlite", write=True).close()

    assert stored(tmp_path / "e.sqlite") == []


def test_load() -> None:
    """All downloads of all runs of a workload count; three runs have no interval of the median."""
    one = scenario(runs=3, workload={"arrivals": {"kind": "poisson", "rate": 5.0}, "downloads": 30})
    results = [simulate_workload(one, "first-k", run) for run in range(3)]
    case = case_of_load(one, [WorkloadSummary(results)])
    (measured,) = case.strategies

    assert measured.distribution.count == 90
    assert NotEnough(measured.distribution.quantile(0.5), 3, 7) == measured.quantile(0.5)
    assert isinstance(measured.started, Interval)
    assert measured.started.estimate == 1
    assert 0.2 < measured.started.low < 0.3
    assert sum(result.requests for result in results) / 3 == measured.requests
    assert case.has_workload
    assert "30 downloads in each" in case.made_of


def test_made_of_unequal_runs() -> None:
    """A caption has the numbers of runs if they differ between strategies."""
    one = case({"first-k": results(0.1, 0.2, 0.3), "hedged": results(0.1)})

    assert "; 1 to 3 runs of a strategy, from seed 0; " in one.made_of
