"""Helpers for the tests of sweeps: small experiments, and workers in this process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstk.harness.sweep.batch import Batch, BatchResult, run_batch
from firstk.harness.sweep.precision import enough
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Sweep
from firstk.reports.model.cells import cells
from firstk.reports.tables.oracle import Verdict, verdicts
from firstk.reports.tables.rows import as_csv
from firstk.reports.tables.sweep import rows
from firstk.scenarios.experiment import Experiment, load_experiment

TEXT = """\
name = "e"
strategies = ["first-k", "hedged"]
runs = {runs}

[scenario]
seed = 7
[scenario.file]
size = 100
k = 3
n = 10
[scenario.grid]
servers = 10
rtt = {{ law = "exponential", mean = 0.05 }}
[[scenario.servers]]
select = {{ count = 3 }}
fault = {{ kind = "hung" }}

[axes]
"servers.0.select.count" = [0, 7, 9]
"""


def write(folder: Path, runs: int = 20, text: str = TEXT) -> Path:
    """Write an experiment of three points and two strategies."""
    path = folder / "e.toml"
    path.write_text(text.format(runs=runs))
    return path


def experiment(folder: Path, runs: int = 20, **changes: Any) -> Experiment:
    """Return that experiment."""
    return replace(load_experiment(write(folder, runs)), **changes)


class LostError(Exception):
    """The error of a lost worker."""


class Here:
    """Runs batches at once, in this process, and dies on demand.

    `dies` is called with each batch, and returns whether the worker dies of it.
    """

    lost: type[Exception] = LostError
    unfit: tuple[type[Exception], ...] = ()

    def __init__(self, dies: Callable[[Batch], bool] = lambda batch: False, count: int = 1) -> None:
        self.count = count
        self.batches: list[Batch] = []
        self.renewed = 0
        self.closed = False
        self._dies = dies

    def submit(self, batch: Batch) -> Future[list[BatchResult]]:
        """Run a batch."""
        self.batches.append(batch)
        future: Future[list[BatchResult]] = Future()
        try:
            if self._dies(batch):
                raise LostError
            future.set_result(run_batch(batch))
        except Exception as e:
            future.set_exception(e)
        return future

    def renew(self) -> None:
        """Count the call."""
        self.renewed += 1

    def close(self) -> None:
        """Record the call."""
        self.closed = True


def swept(experiment: Experiment, path: Path, workers: Here | None = None) -> str:
    """Return the table of a sweep as CSV."""
    with Store(path, write=True) as store:
        rule = enough(experiment.precision) if experiment.precision else None
        runs = Sweep(experiment, store, rule).run(lambda: workers or Here())
        return as_csv(rows(list(cells(experiment, store, runs))), experiment.axes)


def judged(experiment: Experiment, path: Path) -> list[Verdict]:
    """Return the comparison of a sweep with theory."""
    with Store(path, write=True) as store:
        runs = Sweep(experiment, store).run(Here)
        return list(verdicts(experiment, store, runs))
