"""The table of a sweep: the results of each point and strategy, in four formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from rich.console import Console

from firstk.harness.run.cells import QUANTILES, Cell
from firstk.harness.run.cells import cell as cell_of
from firstk.harness.run.sample import OVERLOADED, Sample
from firstk.harness.run.workload import simulate_workload
from firstk.harness.stats.estimates import (
    Interval,
    NotEnough,
    median_difference,
    probability,
    quantile,
)
from firstk.harness.stats.histogram import Histogram
from firstk.harness.sweep.batch import crashed
from firstk.harness.sweep.precision import enough
from firstk.harness.sweep.rows import Row, RunKey, places
from firstk.harness.sweep.store import Store
from firstk.reports.model.cells import cells
from firstk.reports.tables.rows import as_csv, as_json, as_markdown
from firstk.reports.tables.sweep import LEGEND, rows, table
from firstk.scenarios.experiment import Experiment, Precision, load_experiment
from firstk.scenarios.hashing import scenario_hash
from firstk.scenarios.model import Scenario
from tests.harness.experiments import experiment, swept
from tests.reports.loads import load as load_of
from tests.reports.loads import sample


def found(folder: Path, runs: int = 8) -> tuple[Experiment, list[Cell]]:
    """Return an experiment, and the cells of its sweep."""
    one = experiment(folder, runs)
    swept(one, folder / "s")
    with Store(folder / "s") as store:
        return one, list(cells(one, store, [runs] * 3))


def text(of: Sequence[Cell], axes: Sequence[str]) -> str:
    """Return the printed table."""
    console = Console(file=io.StringIO(), width=250)
    console.print(table(rows(of), axes))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def made(folder: Path, rows: Sequence[tuple[float | None, dict[str, Any]]]) -> list[Cell]:
    """Return the cells of one point whose strategies all have these rows."""
    one = experiment(folder, len(rows))
    one = replace(one, points=one.points[:1])
    hashes = [scenario_hash(point.scenario) for point in one.points]
    with Store(folder / "s", write=True) as store:
        store.begin(one)
        for run, (ttfb, changes) in enumerate(rows):
            for place in places(one, hashes, 0, run):
                store.add([_row(place, ttfb)._replace(**changes)])
        return list(cells(one, store, [len(rows)]))


def _row(place: RunKey, ttfb: float | None) -> Row:
    return Row(
        *place,
        version="1",
        outcome="ok" if ttfb else "stalled",
        ttfb=ttfb,
        queries=10,
        reads=4,
        bytes_received=1000,
        content_ok=True if ttfb else None,
    )


def test_cells(tmp_path: Path) -> None:
    """A cell has the statistics of the runs of its point and strategy."""
    one, of = found(tmp_path)
    with Store(tmp_path / "s") as store:
        first, other = (store.samples(1, strategy, 8) for strategy in one.strategies)

    assert [(p, s) for p in range(3) for s in one.strategies] == [(c.point, c.strategy) for c in of]
    times = [sample.ttfb for sample in other]
    cell = of[3]
    assert {name: quantile(times, q) for name, q in QUANTILES.items()} == cell.quantiles
    assert median_difference([sample.ttfb for sample in first], times) == cell.against
    assert None is of[2].against
    assert probability(8, 8) == cell.ok
    assert sum((s.queries or 0) + (s.reads or 0) for s in other) / 8 == cell.requests
    assert sum(s.bytes_received or 0 for s in other) / 8 == cell.bytes


def test_never(tmp_path: Path) -> None:
    """A run without a first byte counts, and is later than all others."""
    cell = made(tmp_path, [(1.0, {}), (2.0, {}), (None, {}), (None, {})])[0]

    assert (cell.ok.estimate, cell.runs) == (0.5, 4)
    assert (2.0, inf) == (cell.quantiles["p50"].estimate, cell.quantiles["p90"].estimate)


def test_crashed_and_wrong(tmp_path: Path) -> None:
    """A run that crashed is later than all, without requests; wrong bytes are counted."""
    gone = dict.fromkeys(("ttfb", "queries", "reads", "bytes_received", "content_ok"))
    cell = made(
        tmp_path, [(1.0, {}), (1.0, {"content_ok": False}), (1.0, {**gone, "outcome": "crashed"})]
    )[0]

    assert (cell.runs, cell.crashed, cell.wrong) == (3, 1, 1)
    assert (cell.requests, cell.bytes) == (14, 1000)
    assert inf == cell.quantiles["p99"].estimate


def test_all_crashed(tmp_path: Path) -> None:
    """If all runs crashed, there are no requests."""
    one = experiment(tmp_path, runs=1)
    hashes = [scenario_hash(point.scenario) for point in one.points]
    with Store(tmp_path / "s", write=True) as store:
        store.begin(one)
        store.add([crashed(p, "1") for i in range(3) for p in places(one, hashes, i, 0)])
        of = list(cells(one, store, [1, 1, 1]))

    assert None is of[0].requests
    printed = text(of, one.axes)
    assert "crashed" in printed.splitlines()[1]
    assert "~ never" in printed


def test_overloaded_is_enough() -> None:
    """If the grid cannot carry a load, more runs would not make a quantile more precise."""
    one = Sample(0, OVERLOADED, None, None, None, None, None, None, None)

    assert enough(Precision(quantile=0.5, relative=0.01))({"first-k": [one, one]})


def test_table(tmp_path: Path) -> None:
    """The table has a row for each cell, and the point's values once."""
    one, of = found(tmp_path)
    lines = [line for line in text(of, one.axes).splitlines() if line.strip()]

    heading = lines[0].split()
    assert heading[:7] == ["servers.0.select.count", "strategy", "runs", "ok", "p50", "p90", "p99"]
    assert "vs first-k" in lines[0]
    assert "crashed" not in lines[0]
    assert lines[2].split()[:4] == ["0", "first-k", "8", "100%"]
    assert lines[3].split()[:3] == ["hedged", "8", "100%"]
    assert "~ never" in lines[6]
    assert "{first}" in LEGEND


def test_one_strategy(tmp_path: Path) -> None:
    """A single strategy is not compared."""
    one = experiment(tmp_path, 2, strategies=("hedged",))
    swept(one, tmp_path / "s")
    with Store(tmp_path / "s") as store:
        assert "vs " not in text(list(cells(one, store, [2] * 3)), one.axes)


def test_markdown(tmp_path: Path) -> None:
    """In Markdown, every row has all its values."""
    one, of = found(tmp_path)
    heading, rule, *lines = as_markdown(rows(of), one.axes).splitlines()

    assert heading.startswith("| servers.0.select.count | strategy | runs | ok | p50 |")
    assert heading.count("|") == rule.count("|") == lines[0].count("|")
    assert lines[1].startswith("| 0 | hedged | 8 | 100% (")
    assert len(lines) == 6


def test_csv_and_json(tmp_path: Path) -> None:
    """CSV and JSON have the same numbers; infinity is `inf`, and an unknown value is empty."""
    one, of = found(tmp_path)
    lines = list(csv.DictReader(io.StringIO(as_csv(rows(of), one.axes))))
    objects = json.loads(as_json(rows(of)))

    for row, object_, cell in zip(lines, objects, of, strict=True):
        assert cell.values == object_["values"]
        assert {"servers.0.select.count": str(cell.values["servers.0.select.count"])}.items() <= (
            row.items()
        )
        for key in object_.keys() - {"values"}:
            assert ("" if object_[key] is None else str(object_[key])) == row[key]
    assert "inf" == lines[-1]["p50"] == objects[-1]["p50"]
    assert lines[0]["p99_low"] == ""
    assert pytest.approx(of[0].quantiles["p50"].estimate) == float(lines[0]["p50"])


def test_enough() -> None:
    """Runs are enough when the quantile of every strategy is precise enough."""
    is_enough = enough(Precision(quantile=0.5, relative=0.1))
    sure = samples(*(1.0 + i / 10_000 for i in range(100)))
    unsure = samples(*map(float, range(100)))

    assert is_enough({"a": sure, "b": sure})
    assert not is_enough({"a": sure, "b": unsure})
    assert not is_enough({"a": sure[:3]})
    assert is_enough({"a": samples(*[None] * 100)})


def samples(*times: float | None) -> list[Sample]:
    """Return runs with these times to first byte."""
    return [Sample(i, "ok", None, time, 10, 11, 1000, True, None) for i, time in enumerate(times)]


# Workloads

LOAD = """
[scenario.workload]
arrivals = {{ kind = "poisson", rate = 2.0 }}
downloads = {}
"""


def loads(folder: Path, downloads: int = 100, runs: int = 3) -> list[Cell]:
    """Return the cells of an experiment with a workload, in which some servers hang."""
    (folder / "load.toml").write_text(
        'name = "load"\nstrategies = ["first-k", "hedged"]\n'
        f"runs = {runs}\n[scenario]\n"
        "[scenario.file]\nsize = 100\nk = 3\nn = 10\n"
        '[scenario.grid]\nservers = 10\nrtt = { law = "exponential", mean = 0.1 }\n'
        'service = { law = "constant", value = 0.001 }\nconcurrency = 1\n'
        '[[scenario.servers]]\nselect = "0-7"\nfault = { kind = "hung", start = 1000.0 }\n'
        + LOAD.format(downloads)
        + '[axes]\n"servers.0.fault.start" = [1e6, 0.0]\n'
    )
    one = load_experiment(folder / "load.toml")
    swept(one, folder / "s")
    with Store(folder / "s") as store:
        return list(cells(one, store, [runs] * len(one.points)))


@pytest.mark.slow
def test_loads(tmp_path: Path) -> None:
    """All downloads of all runs of workloads count; means have no interval, and shares do."""
    good, hedged, stalled, failed = loads(tmp_path)
    of = scenario_of(tmp_path)
    single = [simulate_workload(of, "first-k", run) for run in range(3)]
    whole = Histogram()
    for load in single:
        whole.merge(load.ttfb)

    assert {name: whole.quantile(q) for name, q in QUANTILES.items()} == {
        name: found.estimate for name, found in good.quantiles.items()
    }
    assert NotEnough(whole.quantile(0.5), 3, 7) == good.quantiles["p50"]
    assert pytest.approx(fmean(load.requests for load in single)) == good.requests
    assert pytest.approx(fmean(load.in_system or 0 for load in single)) == good.under_way
    assert good.busy is not None
    assert probability(3, 3) == good.ok
    assert probability(0, 3) == stalled.ok
    assert hedged.against is not None
    assert (hedged.against.estimate or 0) < 0
    assert inf == stalled.quantiles["p50"].estimate
    assert inf == failed.quantiles["p90"].estimate


def test_intervals_of_loads() -> None:
    """With more runs, the quantiles and the median of the differences have intervals."""
    first = [sample(load_of([2.0 + i / 100, None])) for i in range(50)]
    second = [sample(load_of([1.0, 1.5 + i / 100])) for i in range(49)] + [sample(None)]
    slow = cell_of(0, {}, "first-k", first, None, loads=True)
    fast = cell_of(0, {}, "hedged", second, first, loads=True)

    assert (slow.ok.estimate, fast.ok.estimate) == (0.5, 0.98)
    assert Interval(inf, inf, inf) == slow.quantiles["p90"]
    assert isinstance(fast.quantiles["p50"], Interval)
    assert NotEnough(inf, 50, 461) == fast.quantiles["p99"]
    differences = [i / 100 - 1 - i / 50 for i in range(49)]
    assert isinstance(fast.against, Interval)
    assert -1 - 0.48 <= fast.against.low <= fast.against.estimate <= fast.against.high < -1
    assert sorted([*differences, inf])[24] == pytest.approx(fast.against.estimate, abs=0.02)
    assert (fast.crashed, slow.crashed) == (1, 0)


def scenario_of(folder: Path) -> Scenario:
    """Return the first scenario of the experiment of `loads`."""
    return load_experiment(folder / "load.toml").points[0].scenario


@pytest.mark.slow
def test_table_of_loads(tmp_path: Path) -> None:
    """The table has the columns of workloads, and marks estimates with too few runs."""
    found = loads(tmp_path)
    heading, _, *lines = as_markdown(rows(found), ["start"]).splitlines()

    assert heading.endswith("| requests | bytes | under way | busy |")
    assert len(lines) == 4
    assert " ~ " in lines[0]
    assert "never" in lines[2]
    (first, *_) = csv.DictReader(io.StringIO(as_csv(rows(found), ["start"])))
    assert float(first["under_way"]) > 0
    assert first["p99_low"] == ""


def test_enough_of_loads() -> None:
    """Workloads are enough when the quantile of all downloads is precise enough."""
    one = {"first-k": [sample(load_of([1 + i / 10])) for i in range(20)]}

    assert enough(Precision(quantile=0.5, relative=0.9))(one)
    assert not enough(Precision(quantile=0.5, relative=0.0001))(one)
    assert not enough(Precision(quantile=0.99, relative=0.9))(one)  # 20 runs of 461
