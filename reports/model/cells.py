"""The cells of a sweep's table: estimates for each point and strategy, from the store alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firstk.harness.run.cells import Cell, cell
from firstk.harness.run.sample import Sample
from firstk.harness.sweep.store import Store
from firstk.scenarios.experiment import Experiment


def cells(experiment: Experiment, store: Store, runs: Sequence[int]) -> Iterator[Cell]:
    """Yield the estimates for each point, with its number of runs, and each strategy."""
    for number, point in enumerate(experiment.points):
        first: Sequence[Sample] | None = None
        for strategy in experiment.strategies:
            loads = point.scenario.workload is not None
            samples = store.samples(number, strategy, runs[number])
            saved = None if loads else store.saved(number, strategy, runs[number])
            yield cell(number, point.values, strategy, samples, first, loads=loads, saved=saved)
            first = first or samples
