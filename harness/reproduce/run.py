"""Running the experiments that published numbers need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from firstk.harness.reproduce.comparison import Reproduced, compare
from firstk.harness.reproduce.numbers import PublishedNumber
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Progress, Sweep
from firstk.harness.sweep.workers import Workers
from firstk.scenarios.experiment import Experiment, load_experiment
from firstk.scenarios.library import find_experiment

#: Called with the name of an experiment; returns what to call with its progress.
Watch = Callable[[str], Callable[[Progress], None]]


def experiment_of(number: PublishedNumber) -> Experiment:
    """Return the experiment that reproduces a number."""
    return load_experiment(find_experiment(f"published/{number.number.experiment}"))


def reproduce(
    numbers: Sequence[PublishedNumber],
    workers: Callable[[], Workers],
    runs: int | None = None,
    watch: Watch = lambda name: lambda progress: None,
) -> Iterator[Reproduced]:
    """Yield the numbers with what the runs of their experiments say, experiment by experiment.

    Only the points and strategies that the numbers need are run, each as often as the experiment
    says, or `runs` times. Raises `WorkersError` if there are no workers.
    """
    by_experiment: dict[str, list[PublishedNumber]] = defaultdict(list)
    for number in numbers:
        by_experiment[number.number.experiment].append(number)
    with TemporaryDirectory() as folder:
        for name, of in by_experiment.items():
            experiment = experiment_of(of[0])
            if runs is not None:
                experiment = replace(experiment, runs=runs)
            with Store(Path(folder) / f"{name}.sqlite", write=True) as store:
                _run(experiment, of, store, workers, watch(name))
                for number in of:
                    point, strategy = number.number.point, number.number.strategy
                    samples = store.samples(point, strategy, experiment.runs)
                    yield compare(number, experiment.points[point].scenario, samples)


def _run(
    experiment: Experiment,
    numbers: Sequence[PublishedNumber],
    store: Store,
    workers: Callable[[], Workers],
    tell: Callable[[Progress], None],
) -> None:
    """Run the points and strategies that some numbers need into a store."""
    points: dict[str, set[int]] = defaultdict(set)
    for number in numbers:
        points[number.number.strategy].add(number.number.point)
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for strategy, of in points.items():
        alike[tuple(sorted(of))].append(strategy)
    for chosen, strategies in alike.items():
        Sweep(experiment, store, None, tell, chosen, strategies).run(workers)
