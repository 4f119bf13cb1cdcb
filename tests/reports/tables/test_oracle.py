"""Simulated numbers are compared with exact ones, with a z score for the difference."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.stats.histogram import Histogram
from firstk.harness.stats.theory import ForkJoin, Stage
from firstk.harness.sweep.rows import Row, RunKey, places, row_of_load
from firstk.harness.sweep.store import Store
from firstk.reports.tables.oracle import Verdict, rows, table, verdicts
from firstk.reports.tables.rows import as_csv, as_json, as_markdown
from firstk.scenarios.experiment import Experiment, load_experiment
from firstk.scenarios.hashing import scenario_hash
from tests.harness.experiments import experiment, judged, write
from tests.reference import first_of

LOAD = """\
name = "load"
strategies = ["first-k"]
oracle = true
runs = 4
[scenario]
stop = "located"
deadline = 3600
[scenario.file]
size = 10
k = {k}
n = 3
[scenario.grid]
servers = 3
rtt = {{ law = "constant", value = 0 }}
service = {{ law = "exponential", mean = 1 }}
concurrency = 1
[scenario.workload]
arrivals = {{ kind = "poisson", rate = 0.5 }}
downloads = 100
cancel = true
"""


def one(folder: Path, **changes: Any) -> Experiment:
    """Return an experiment of first-k with 0, 7 and 9 of ten servers hung."""
    return replace(experiment(folder, 40), strategies=("first-k",), oracle=True, **changes)


def loaded(folder: Path, k: int) -> Experiment:
    """Return an experiment of a workload that needs K of three answers."""
    path = folder / f"{k}.toml"
    path.write_text(LOAD.format(k=k))
    return load_experiment(path)


def stored(of: Experiment, folder: Path, rows: Sequence[dict[str, Any]]) -> list[Verdict]:
    """Return the verdicts for rows of the first point with these changes."""
    of = replace(of, points=of.points[:1])
    hashes = [scenario_hash(of.points[0].scenario)]
    with Store(folder / "s", write=True) as store:
        store.begin(of)
        for run, changes in enumerate(rows):
            (place,) = places(of, hashes, 0, run)
            store.add([_row(place)._replace(**changes)])
        return list(verdicts(of, store, [len(rows)]))


def _row(place: RunKey) -> Row:
    return Row(*place, version="1", outcome="ok", queries=0, reads=0, bytes_received=0)


def by_name(found: Sequence[Verdict], point: int = 0) -> dict[str, Verdict]:
    """Return the verdicts of a point by measure."""
    return {verdict.measure: verdict for verdict in found if verdict.point == point}


def test_stage(tmp_path: Path) -> None:
    """For one download, the success and the times are known exactly."""
    of = one(tmp_path)
    found = judged(of, tmp_path / "s")
    good = Stage(of.points[0].scenario.grid.rtt, first_of(3, 10))
    good_of_three, good_of_one = by_name(found, 1), by_name(found, 2)
    times = [simulate(of.points[0].scenario, "first-k", run).result.located for run in range(40)]
    here = by_name(found)

    assert list(here) == ["located", "mean", "p50", "p90", "p99"]
    assert (
        here["located"].simulated,
        here["located"].exact,
        here["located"].z,
    ) == (1.0, (1.0,), 0.0)
    assert pytest.approx(sum(t or inf for t in times) / 40) == here["mean"].simulated
    assert (good.mean,) == here["mean"].exact
    assert good.quantile(0.9) == pytest.approx(here["p90"].exact[0])
    assert sorted(t or inf for t in times)[19] == here["p50"].simulated
    assert not any(verdict.is_far for verdict in found)
    assert pytest.approx(good_of_three["mean"].exact) == (0.05 * (1 + 1 / 2 + 1 / 3),)
    assert {name: v.exact for name, v in good_of_one.items()} == {"located": (0.0,)}


def test_z(tmp_path: Path) -> None:
    """Later times have a positive z, and fewer successes a negative one."""
    of = one(tmp_path)
    late = by_name(stored(of, tmp_path, [{"located": 1.0}] * 39 + [{"located": None}]))

    assert {n for n, v in late.items() if v.is_far} == {"located", "mean", "p50", "p90", "p99"}
    assert late["located"].z == -inf
    assert all((verdict.z or 0) > 4 for name, verdict in late.items() if name != "located")


def test_too_early(tmp_path: Path) -> None:
    """Earlier times have a negative z."""
    early = by_name(stored(one(tmp_path), tmp_path, [{"located": 1e-6}] * 2000))

    assert all((early[name].z or 0) < -4 for name in ("mean", "p50", "p90", "p99"))


def test_crashed(tmp_path: Path) -> None:
    """A run that crashed counts as unsuccessful."""
    found = by_name(stored(one(tmp_path), tmp_path, [{"outcome": "crashed"}, {"located": 0.01}]))

    assert (0.5, -inf) == (found["located"].simulated, found["located"].z)


def test_none_came(tmp_path: Path) -> None:
    """If no run succeeded, there are no times to judge."""
    found = by_name(stored(one(tmp_path), tmp_path, [{"located": None}] * 3))

    assert {found[name].z for name in ("mean", "p50", "p90", "p99")} == {None}
    assert {found[name].simulated for name in ("mean", "p50", "p90", "p99")} == {None}


def test_few(tmp_path: Path) -> None:
    """The mean of a few times is not judged; their quantiles are, exactly."""
    found = by_name(stored(one(tmp_path), tmp_path, [{"located": 0.01}] * 29))

    assert found["mean"].z is None
    assert found["p50"].z is not None


@pytest.mark.parametrize("alpha", [1.9, 2.1])
def test_heavy_tails(tmp_path: Path, alpha: float) -> None:
    """A mean with infinite variance, or one dominated by few times, is not judged."""
    law = f'law = "pareto", alpha = {alpha}, scale = 0.05'
    text = write(tmp_path).read_text().replace('law = "exponential", mean = 0.05', law)
    text = text.replace("seed = 7", "seed = 7\ndeadline = 1e15")
    path = tmp_path / "heavy.toml"
    path.write_text(text.replace('["first-k", "hedged"]', '["wait-for-all"]'))
    found = by_name(stored(load_experiment(path), tmp_path, [{"located": 0.1}] * 100))

    assert found["mean"].z is None
    assert found["p99"].z is not None


def test_deadline(tmp_path: Path) -> None:
    """A deadline cuts the times: fewer succeed, all before it, and the mean is unknown."""
    of = one(tmp_path)
    cut = of.points[0].scenario.model_copy(update={"deadline": 0.02})
    of = replace(of, points=[replace(of.points[0], scenario=cut)])
    found = by_name(judged(of, tmp_path / "s"))
    good = Stage(cut.grid.rtt, first_of(3, 10))

    assert list(found) == ["located", "p50", "p90", "p99"]
    assert (good.cdf(0.02),) == found["located"].exact
    assert 0.5 * good.cdf(0.02) == pytest.approx(good.cdf(found["p50"].exact[0]))
    assert not any(verdict.is_far for verdict in found.values())


def test_fork_join(tmp_path: Path) -> None:
    """The mean of a workload is exact for K = 1, and has bounds for more."""
    one_, two = (by_name(judged(loaded(tmp_path, k), tmp_path / f"{k}")) for k in (1, 2))
    of = loaded(tmp_path, 1).points[0].scenario
    means = [simulate_workload(of, "first-k", run).located.mean or inf for run in range(4)]

    assert (ForkJoin(3, 1, 0.5, 1.0).exact,) == one_["mean"].exact
    assert pytest.approx(sum(means) / 4) == one_["mean"].simulated
    assert (
        one_["located"].simulated,
        one_["located"].exact,
        one_["located"].z,
    ) == (1.0, (1.0,), 0.0)
    model = ForkJoin(3, 2, 0.5, 1.0)
    assert (model.lower, model.upper) == two["mean"].exact
    assert two["mean"].z == 0.0
    assert not any(verdict.is_far for verdict in (*one_.values(), *two.values()))


@pytest.mark.parametrize(("time", "sign"), [(0.01, -1), (99.0, 1)])
@pytest.mark.parametrize("k", [1, 2])
def test_fork_join_is_off(tmp_path: Path, k: int, time: float, sign: int) -> None:
    """Means that are off the exact value, or beyond a bound, are reported."""
    of = loaded(tmp_path, k)
    hashes = [scenario_hash(of.points[0].scenario)]
    load = simulate_workload(of.points[0].scenario, "first-k")
    with Store(tmp_path / "s", write=True) as store:
        store.begin(of)
        for run in range(30):
            times = Histogram()
            for i in range(100):
                times.add(time + (run + i) / 1e5)
            (place,) = places(of, hashes, 0, run)
            store.add([row_of_load(place, replace(load, located=times), "1")])
        found = by_name(list(verdicts(of, store, [30])))

    assert found["mean"].is_far
    assert (found["mean"].z or 0) * sign > 4


def test_crashed_load(tmp_path: Path) -> None:
    """All downloads of a crashed workload count as unsuccessful."""
    found = by_name(stored(loaded(tmp_path, 1), tmp_path, [{"outcome": "crashed"}] * 2))

    assert (0.0, -inf) == (found["located"].simulated, found["located"].z)
    assert (found["mean"].simulated, found["mean"].z) == (None, None)


FOUND = [
    Verdict(0, {"a": 1}, "first-k", 9, "located", 0.5, (0.25,), 1.234),
    Verdict(0, {"a": 1}, "first-k", 9, "mean", 0.05, (inf,), None),
    Verdict(0, {"a": 1}, "wait-for-all", 9, "mean", None, (0.1, 0.2), -4.5),
    Verdict(1, {"a": 2}, "first-k", 9, "mean", 0.15, (0.1, 0.2), -inf),
]


def test_table() -> None:
    """The table has each point and strategy once, and marks large differences."""
    console = Console(file=io.StringIO(), width=120)
    console.print(table(rows(FOUND), ["a"]))
    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]

    assert lines[0] == ["a", "strategy", "runs", "measure", "simulated", "exact", "z"]
    assert lines[2] == ["1", "first-k", "9", "located", "50%", "25%", "+1.23"]
    assert lines[3] == ["mean", "0.05", "s", "infinite", "-"]
    assert lines[4] == [
        "wait-for-all",
        "9",
        "mean",
        "-",
        "0.1",
        "s",
        "to",
        "0.2",
        "s",
        "-4.50",
        "!",
    ]
    assert lines[5][:6] == ["2", "first-k", "9", "mean", "0.15", "s"]


def test_markdown() -> None:
    """In Markdown, every row has all its values."""
    lines = as_markdown(rows(FOUND), ["a"]).splitlines()

    assert lines[3] == "| 1 | first-k | 9 | mean | 0.05 s | infinite | - |"
    assert lines[5] == "| 2 | first-k | 9 | mean | 0.15 s | 0.1 s to 0.2 s | -inf ! |"


def test_csv_and_json() -> None:
    """CSV and JSON have the same numbers; bounds have their own columns."""
    lines = list(csv.DictReader(io.StringIO(as_csv(rows(FOUND), ["a"]))))
    objects = json.loads(as_json(rows(FOUND)))

    assert [row["a"] for row in lines] == ["1", "1", "1", "2"]
    assert [object_["values"] for object_ in objects] == [{"a": 1}] * 3 + [{"a": 2}]
    for row, object_ in zip(lines, objects, strict=True):
        for key in object_.keys() - {"values"}:
            assert ("" if object_[key] is None else str(object_[key])) == row[key]
    assert tuple(objects[0][key] for key in ("exact", "lower", "upper")) == (0.25, 0.25, 0.25)
    assert tuple(objects[2][key] for key in ("exact", "lower", "upper")) == (None, 0.1, 0.2)
    assert (objects[1]["exact"], objects[3]["z"]) == ("inf", "-inf")
