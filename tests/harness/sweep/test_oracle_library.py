"""The experiments of the library, and others, agree with theory; defective ones do not.

`test_oracles` compares single runs with one another; here many runs are compared with exact
numbers, as in `firstk sweep oracles/one-stage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import hypot
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from firstk.downloader.locate import ShareFinder
from firstk.harness.grid.connection import Client
from firstk.harness.grid.link import Link
from firstk.harness.stats.theory import ForkJoin, Stage
from firstk.harness.sweep.oracle import theory_of
from firstk.harness.sweep.store import Store
from firstk.reports.tables.oracle import TOO_FAR, Verdict
from firstk.scenarios.experiment import Experiment, load_experiment
from firstk.scenarios.library import experiments, find_experiment
from tests import reference
from tests.harness.experiments import judged
from tests.marks import few, few_rows
from tests.reference import first_of

LIBRARY = [name for name in experiments() if name.startswith("oracles/")]


def of_library(name: str) -> Experiment:
    """Return an experiment of the library."""
    return load_experiment(find_experiment(name))


def shorter(experiment: Experiment) -> Experiment:
    """Return an experiment with few runs, fewer points, and short workloads."""
    loads = any(point.scenario.workload for point in experiment.points)
    points = []
    for point in experiment.points[:: 5 if len(experiment.points) > (4 if loads else 9) else 1]:
        scenario = point.scenario
        if (workload := scenario.workload) is not None:
            workload = workload.model_copy(update={"downloads": 40, "warmup": 40})
            scenario = scenario.model_copy(update={"workload": workload})
        points.append(replace(point, scenario=scenario))
    return replace(experiment, points=points, runs=3 if loads else 12)


def far(found: list[Verdict]) -> list[Verdict]:
    """Return the verdicts that are far off; some must have a z."""
    assert any(verdict.z is not None for verdict in found)
    return [verdict for verdict in found if verdict.is_far]


@pytest.mark.parametrize("name", few(2, LIBRARY))
def test_library(name: str, tmp_path: Path) -> None:
    """With a few runs, no verdict is far off."""
    assert far(judged(shorter(of_library(name)), tmp_path / "s")) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARY)
def test_library_closely(name: str, tmp_path: Path) -> None:
    """With all runs, no verdict is far off, and workloads agree with independent simulations."""
    experiment = of_library(name)

    assert far(judged(experiment, tmp_path / "s")) == []
    with Store(tmp_path / "s") as store:
        for number, point in enumerate(experiment.points):
            theory = theory_of(point.scenario, "first-k")
            if isinstance(theory, ForkJoin):
                samples = store.samples(number, "first-k", experiment.runs or 0)
                means = [s.load.located.mean for s in samples if s.load and s.load.located.mean]
                table = next(table for table in TABLES if _model(table) == theory)
                error = hypot(stdev(means) / len(means) ** 0.5, table["ci95"] / 1.96)

                assert abs(fmean(means) - table["sim"]) < TOO_FAR * error, point


#: All workloads that were simulated independently.
TABLES = [*reference.FORK_JOINS, *reference.NON_PURGING]


def _model(table: dict[str, Any]) -> ForkJoin:
    purging = table in reference.FORK_JOINS
    return ForkJoin(table["n"], table["k"], table["lam"], table["mu"], purging=purging)


def test_library_has_the_reference() -> None:
    """The library has everything that was computed independently."""
    there = [
        theory_of(point.scenario, strategy)
        for experiment in map(of_library, LIBRARY)
        for point in experiment.points
        for strategy in experiment.strategies
    ]
    exponential = reference.law("exp1")
    wanted: Iterator[Stage | ForkJoin] = iter(
        [
            *map(reference.stage, reference.STAGES),
            *(Stage(exponential, first_of(3, 10), hung=h) for h in range(9)),
            *map(reference.stage_of_duplicates, reference.DUPLICATES),
            *(reference.stage_of_duplicates(table, 0.1) for table in reference.DUPLICATES),
            *map(_model, TABLES),
        ]
    )

    assert [theory for theory in wanted if theory not in there] == []


#: Other laws, numbers of servers and shares, and hung servers, than the library has.
STAGES = """\
name = "others"
oracle = true
strategies = ["first-k-late", "wait-for-all"]
seed = 17
runs = 1000
[scenario]
stop = "located"
deadline = 1e9
[scenario.file]
size = 9
k = 4
n = 7
[scenario.grid]
servers = {servers}
rtt = {{ law = "exponential", mean = 1 }}
rtt_per = "{per}"
order = "shuffled"
[[scenario.servers]]
select = "0"
shares = {shares}
[[scenario.servers]]
select = {{ {hung} }}
fault = {{ kind = "hung" }}
[axes]
"grid.rtt" = [
    {{ law = "exponential", mean = 3 }},
    {{ law = "shifted-exponential", shift = 1, mean = 0.1 }},
    {{ law = "uniform", low = 0, high = 7 }},
    {{ law = "lognormal", median = 2, sigma = 1.2 }},
    {{ law = "pareto", alpha = 1.2, scale = 0.01 }},
]
"""

#: Loads: the last of two has an exact mean too.
LOADS = """\
name = "loads"
oracle = true
strategies = ["{strategy}"]
seed = 17
runs = 20
[scenario]
stop = "located"
[scenario.file]
size = 9
k = {k}
n = {servers}
[scenario.grid]
servers = {servers}
rtt = {{ law = "constant", value = 0 }}
service = {{ law = "exponential", mean = 0.5 }}
concurrency = 1
[scenario.workload]
arrivals = {{ kind = "poisson", rate = {rate} }}
downloads = 2000
warmup = 500
cancel = {cancel}
"""

QUICKLY = pytest.mark.parametrize("quickly", [True, pytest.param(False, marks=pytest.mark.slow)])


def check(text: str, folder: Path, quickly: bool) -> None:
    """Check that no verdict of an experiment is far off."""
    (folder / "o.toml").write_text(text)
    experiment = load_experiment(folder / "o.toml")

    assert far(judged(shorter(experiment) if quickly else experiment, folder / "s")) == []


@QUICKLY
@pytest.mark.parametrize(
    ("servers", "per", "shares", "hung"),
    few_rows(
        2,
        [
            (7, "request", [0], "count = 2"),
            (7, "server", [0], "probability = 0.25"),
            (16, "request", [0], "probability = 0.5"),
            (5, "request", [0, 5], "count = 1"),  # as they lie by themselves
            (9, "server", [], "probability = 0.1"),
            (3, "request", [0, 3, 6], "probability = 0.3"),
        ],
    ),
)
def test_other_stages(
    servers: int, per: str, shares: list[int], hung: str, quickly: bool, tmp_path: Path
) -> None:
    """Other laws, numbers of servers and shares, and hung servers agree with theory."""
    text = STAGES.format(servers=servers, per=per, shares=shares, hung=hung)
    check(text, tmp_path, quickly)


@QUICKLY
@pytest.mark.parametrize(
    ("strategy", "servers", "k", "rate", "cancel"),
    few_rows(
        3,
        [
            ("first-k", 3, 1, 4.5, "true"),
            ("first-k", 1, 1, 1.0, "true"),
            ("wait-for-all", 2, 1, 1.2, "true"),
            ("first-k", 2, 2, 0.4, "true"),
            ("first-k", 6, 2, 4.0, "true"),
            ("wait-for-all", 4, 1, 0.8, "true"),
            ("first-k", 1, 1, 1.5, "false"),
            ("first-k-late", 2, 1, 1.2, "false"),
            ("wait-for-all", 2, 1, 1.2, "false"),
            ("first-k", 7, 3, 1.0, "false"),
            ("wait-for-all", 4, 1, 0.8, "false"),
        ],
    ),
)
def test_other_loads(
    strategy: str, servers: int, k: int, rate: float, cancel: str, quickly: bool, tmp_path: Path
) -> None:
    """Other workloads, on other numbers of servers, agree with theory."""
    text = LOADS.format(strategy=strategy, servers=servers, k=k, rate=rate, cancel=cancel)
    check(text, tmp_path, quickly)


# Defects are detected


def broken(tmp_path: Path) -> set[str]:
    """Return the measures that are far off, for three of ten answers."""
    experiment = of_library("oracles/exact-hung")
    experiment = replace(experiment, points=experiment.points[:1], runs=400)
    return {verdict.measure for verdict in far(judged(experiment, tmp_path / "s"))}


@pytest.mark.slow
def test_one_answer_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A downloader that waits for K + 1 answers is detected."""
    check = ShareFinder._check

    def late(self: ShareFinder) -> None:
        if len(self._numbers) != self._session.cap.k:
            check(self)

    monkeypatch.setattr(ShareFinder, "_check", late)

    assert {"mean", "p50", "p90"} <= broken(tmp_path)


@pytest.mark.slow
def test_slower_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round trips that take a fifth longer than their law are detected."""
    right = Link.round_trip
    monkeypatch.setattr(Link, "round_trip", lambda link: 1.2 * right(link))

    assert {"mean", "p50"} <= broken(tmp_path)


@pytest.mark.slow
def test_sent_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that reach the servers after the downloads have ended are detected."""
    experiment = of_library("oracles/non-purging-2")
    experiment = replace(shorter(experiment), runs=10)
    experiment = replace(experiment, points=experiment.points[-1:])

    assert far(judged(experiment, tmp_path / "right")) == []
    begin = Client.__init__
    monkeypatch.setattr(
        Client, "__init__", lambda client, *args, holds=(), **keys: begin(client, *args, **keys)
    )
    assert {verdict.measure for verdict in far(judged(experiment, tmp_path / "wrong"))} == {"mean"}


def test_unharmed(tmp_path: Path) -> None:
    """Without a defect, the same runs agree with theory."""
    assert set() == broken(tmp_path)
