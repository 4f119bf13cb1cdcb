"""Reports: the time of a page about a sweep of very many points."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from click.testing import CliRunner

from firstk.harness.cli.main import main
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Sweep
from firstk.scenarios.experiment import load_experiment
from tests.benchmarks.measure import Figure, seconds
from tests.benchmarks.tasks import Here

_POINTS = 10_000

_SCENARIO = """
name = "report"
stop = "first-block"
[file]
size = 1000
k = 3
n = 10
[grid]
servers = 10
rtt = { law = "lognormal", median = 0.05, sigma = 0.5 }
[[servers]]
select = { count = 7 }
fault = { kind = "hung" }
"""
_EXPERIMENT = """
name = "report"
scenario = "report.toml"
strategies = ["first-k"]
runs = 1
[axes]
"servers.0.select.count" = [0, 1, 2, 3, 4]
"grid.rtt.median" = {{ from = 0.01, to = 0.5, points = 20 }}
"grid.rtt.sigma" = {{ from = 0.1, to = 1.0, points = {points} }}
"""


def figures(rounds: int) -> Iterator[Figure]:
    """Yield the CPU time of a report of 10,000 points, from that of 400 and of 1,600 points."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "report.toml").write_text(_SCENARIO)
        few, many = _store(folder, 4), _store(folder, 16)
        _report(few)
        found = []
        for _ in range(min(rounds, 3)):
            short, long = seconds(lambda: _report(few)), seconds(lambda: _report(many))
            found.append(short + (long - short) * (_POINTS - 400) / 1200)
    yield Figure(
        f"a report of {_POINTS:,} points",
        found,
        60,
        at_least=False,
        note="seconds of CPU time, from those of 400 and of 1,600 points",
    )


def _store(folder: Path, points: int) -> Path:
    """Return a store of a sweep with 100 times as many points."""
    (folder / "many.toml").write_text(_EXPERIMENT.format(points=points))
    path = folder / f"{points}.sqlite"
    with Store(path, write=True) as store:
        Sweep(load_experiment(folder / "many.toml"), store).run(Here)
    return path


def _report(store: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(store), "--out", str(store.parent / "out")])
    assert result.exit_code == 0, result.output
