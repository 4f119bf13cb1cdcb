"""Sweeps: two workers compared with one, and the cost of the store, bookkeeping and bounds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from firstk.harness.run.bound import bound
from firstk.harness.run.simulate import simulate
from firstk.harness.sweep.batch import Batch
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Sweep
from firstk.harness.sweep.workers import Cluster, Pool, Workers
from firstk.scenarios.experiment import Experiment, load_experiment
from firstk.scenarios.library import find_experiment
from tests.benchmarks.measure import Figure, in_turn
from tests.benchmarks.tasks import Here

_RUNS = 400


def figures(rounds: int) -> Iterator[Figure]:
    """Yield the speed-up by two workers, and the time of what is not simulation."""
    experiment = replace(load_experiment(find_experiment("hung-fraction")), runs=_RUNS)
    if len(os.sched_getaffinity(0)) > 1:
        found = [_with(experiment, Pool(1)) / _with(experiment, Pool(2)) for _ in range(rounds)]
        yield Figure("two workers", found, 1.9, at_least=True, note="speed over that of one")
        if find_spec("distributed") is not None:
            yield _on_dask(experiment, rounds)
    yield Figure(
        "store and bookkeeping",
        [_bookkeeping(experiment) for _ in range(rounds)],
        0.03,
        at_least=False,
        note="processor time, as a part of that of the runs",
    )
    scenario = experiment.points[len(experiment.points) // 2].scenario
    times = in_turn(
        lambda: [bound(scenario, run) for run in range(_RUNS)],
        lambda: [simulate(scenario, "hedged", run) for run in range(_RUNS)],
        rounds,
    )
    yield Figure(
        "a bound",
        [of_bound / of_run for of_bound, of_run in times],
        0.25,
        at_least=False,
        note="time over that of a run of hedged",
    )


def _on_dask(experiment: Experiment, rounds: int) -> Figure:
    import distributed

    found = []
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as local:
        for _ in range(rounds):
            one = _with(experiment, Pool(1))
            found.append(one / _with(experiment, Cluster(local.scheduler_address)))
    note = "two workers of one thread: speed over that of one process"
    return Figure("a Dask cluster", found, 1.8, at_least=True, note=note)


def _with(experiment: Experiment, workers: Workers) -> float:
    """Return how long a sweep takes with some workers, in seconds, without starting them."""
    with TemporaryDirectory() as folder, Store(Path(folder) / "s", write=True) as store:
        empty = Batch([], version("firstk"))
        for future in [workers.submit(empty) for _ in range(2 * workers.count)]:
            future.result()
        begun = perf_counter()
        Sweep(experiment, store).run(lambda: workers)
        return perf_counter() - begun


def _bookkeeping(experiment: Experiment) -> float:
    with TemporaryDirectory() as folder, Store(Path(folder) / "s", write=True) as store:
        here = Here()
        begun = process_time()
        Sweep(experiment, store).run(lambda: here)
        return (process_time() - begun - here.taken) / here.taken
