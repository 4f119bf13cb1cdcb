"""Sweeps: two workers against one, and the cost of the store and the bookkeeping."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from firstk.harness.sweep.batch import Batch, run_batch
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Sweep
from firstk.harness.sweep.workers import Pool
from firstk.scenarios.experiment import Experiment, load_experiment
from firstk.scenarios.library import find_experiment
from tests.benchmarks.measure import Figure

_RUNS = 400


def figures(rounds: int) -> Iterator[Figure]:
    """Yield the speed-up by two workers, and the share of time that is not simulation."""
    experiment = replace(load_experiment(find_experiment("hung-fraction")), runs=_RUNS)
    if len(os.sched_getaffinity(0)) > 1:
        found = []
        for _ in range(rounds):
            one, two = _with(experiment, 1), _with(experiment, 2)
            found.append(one / two)
        yield Figure("two workers", found, 1.85, at_least=True, note="speed over that of one")
    yield Figure(
        "store and bookkeeping",
        [_bookkeeping(experiment) for _ in range(rounds)],
        0.03,
        at_least=False,
        note="processor time, as a part of that of the runs",
    )


def _with(experiment: Experiment, workers: int) -> float:
    """Return how long a sweep takes with some workers, in seconds, without starting them."""
    with TemporaryDirectory() as folder, Store(Path(folder) / "s", write=True) as store:
        pool = Pool(workers)
        for future in [pool.submit(Batch([], version("firstk"))) for _ in range(2 * workers)]:
            future.result()
        begun = perf_counter()
        Sweep(experiment, store).run(lambda: pool)
        return perf_counter() - begun


class _Here(Pool):
    """Runs batches in this process, and measures their CPU time."""

    def __init__(self) -> None:
        self.count = 1
        self.taken = 0.0

    def submit(self, batch: Batch):  # type: ignore[no-untyped-def]
        begun = process_time()
        future: Future = Future()  # type: ignore[type-arg]
        future.set_result(run_batch(batch))
        self.taken += process_time() - begun
        return future

    def close(self) -> None:
        """Do nothing."""


def _bookkeeping(experiment: Experiment) -> float:
    with TemporaryDirectory() as folder, Store(Path(folder) / "s", write=True) as store:
        here = _Here()
        begun = process_time()
        Sweep(experiment, store).run(lambda: here)
        return (process_time() - begun - here.taken) / here.taken
