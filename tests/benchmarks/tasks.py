"""`python tasks.py NAME`: do one task with the firstk that is on the path; print the CPU seconds.

It runs with this version and with an older one, so it uses only what both have.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from firstk.harness.sweep.batch import run_batch
from firstk.harness.sweep.workers import Pool

_SCENARIO = """
name = "task"
stop = "first-block"
strategies = ["first-k", "hedged"]
[file]
size = 40000
k = 3
n = 10
[grid]
servers = 10
rtt = { law = "lognormal", median = 0.05, sigma = 0.5 }
"""
_EXPERIMENT = """
name = "task"
scenario = "task.toml"
runs = 150
[axes]
"servers.0.select.count" = [0, 3]
"""
_FAULT = """
[[servers]]
select = { count = 7 }
fault = { kind = "hung" }
"""
_LOAD = """
[workload]
arrivals = { kind = "poisson", rate = 20.0 }
downloads = 400
"""


class Here(Pool):
    """A worker in this process; `taken` is the CPU time of its batches, in seconds."""

    def __init__(self, count: int = 1) -> None:
        self.count = 1
        self.taken = 0.0

    def submit(self, batch: Any) -> Any:
        """Run a batch."""
        begun = process_time()
        future: Future[Any] = Future()
        future.set_result(run_batch(batch))
        self.taken += process_time() - begun
        return future

    def renew(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def download(folder: Path) -> float:
    """Simulate downloads with new seeds; return the CPU seconds."""
    import firstk

    path = folder / "task.toml"
    path.write_text(_SCENARIO + _FAULT)
    scenario = firstk.load_scenario(path)
    firstk.simulate(scenario, "first-k")
    begun = process_time()
    for run in range(200):
        firstk.simulate(scenario, "first-k", run)
        firstk.simulate(scenario, "hedged", run)
    return process_time() - begun


def sweep(folder: Path) -> float:
    """Sweep an experiment in this process: runs, store, statistics, and a bound of each run."""
    from unittest import mock

    import firstk
    from firstk.harness.run.bound import bound

    (folder / "task.toml").write_text(_SCENARIO + _FAULT)
    (folder / "many.toml").write_text(_EXPERIMENT)
    with mock.patch("firstk.harness.sweep.workers.Pool", Here):
        taken = _command("sweep", str(folder / "many.toml"))
    scenario = firstk.load_scenario(folder / "task.toml")
    begun = process_time()
    for run in range(300):
        bound(scenario, run)
    return taken + process_time() - begun


def load(folder: Path) -> float:
    """Run downloads that compete for the servers."""
    (folder / "task.toml").write_text(_SCENARIO + _LOAD)
    return _command("run", str(folder / "task.toml"))


def _command(*args: str) -> float:
    from click.testing import CliRunner

    from firstk.harness.cli.main import main

    for _ in range(2):  # the first time imports, and the second cannot reuse anything
        for store in Path().glob("*.sqlite*"):
            store.unlink()
        begun = sum(_times())
        result = CliRunner().invoke(main, args)
        if result.exit_code != 0:
            raise SystemExit(result.output)
        taken = sum(_times()) - begun
    return taken


def _times() -> tuple[float, float]:
    """Return the CPU seconds of this process, and of the workers that have ended."""
    import os

    times = os.times()
    return times.user + times.system, times.children_user + times.children_system


#: The tasks that are measured, by name.
TASKS = {task.__name__: task for task in (download, sweep, load)}

if __name__ == "__main__":
    import os

    with TemporaryDirectory() as temporary:
        os.chdir(temporary)
        print(TASKS[sys.argv[1]](Path(temporary)))  # noqa: T201 - what it is for
