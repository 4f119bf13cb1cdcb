"""Tunes `hedged` for a grid: searches its settings for the best trade-offs of time and bytes.

The search is successive halving (K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm
Identification and Hyperparameter Optimization", AISTATS 2016) with two objectives, the 99th
percentile of the time and the mean bytes. In each round all candidates that are left have twice as
many runs, and the better half goes on, layer by layer of the Pareto order (as in NSGA-II: K. Deb,
A. Pratap, S. Agarwal and T. Meyarivan, 2002). Run i has the same seed for all candidates, so they
see the same grid and the same random draws.

The candidates that look best in the runs of a search were also lucky in these runs. So the result
has the figures of other runs, with seeds that the search has not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf
from statistics import fmean

from firstk.downloader.strategy import STRATEGIES, Strategy, find_strategy, hedged_with
from firstk.harness.run.cells import Cell, cell
from firstk.harness.run.sample import NO_NUMBERS, Sample
from firstk.harness.stats import figures
from firstk.harness.sweep.search import ShowProgress
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.sweep import Sweep
from firstk.harness.sweep.workers import Workers
from firstk.scenarios.experiment import Experiment, Point
from firstk.scenarios.model import Scenario
from firstk.scenarios.seeds import seed_of

#: The values of each field of `hedged` that are tried, in all combinations.
SETTINGS: Mapping[str, Sequence[float]] = {
    "spares": (0, 1, 2),
    "quantile": (0.8, 0.5, 0.95),
    "lateness": (1.25, 1.0, 2.0, 4.0),
    "give_up": (60.0, 10.0, 300.0),
}

#: Strategies that the result shows in addition.
REFERENCES = ("first-k", "windowed", "hedged")

#: The part of the runs of the result that each round of the search has.
_ROUNDS = (16, 8, 4, 2)

#: The minimum number of runs of a round.
_LEAST = 8


@dataclass(frozen=True, slots=True)
class Objectives:
    """What a candidate is judged by; less is better. `p99` is in seconds, and may be infinite."""

    p99: float
    bytes: float

    def dominates(self, other: Objectives) -> bool:
        """Return whether this is at least as good in both.

        Few bytes are no merit if downloads never end.
        """
        if self.p99 == inf or other.p99 == inf:
            return (self.p99, self.bytes) <= (other.p99, other.bytes)
        return self.p99 <= other.p99 and self.bytes <= other.bytes


@dataclass(frozen=True, slots=True)
class Round:
    """A round of the search: the number of candidates, and of the runs that each has had."""

    candidates: int
    runs: int


@dataclass(frozen=True)
class Tuned:
    """A strategy in the result.

    `chosen` says whether it was on the Pareto front of the search. The other attributes are from
    the runs of the result, which the search has not used: `cell` has the estimates, of the time to
    first byte or to the end, whichever the scenario asks for. `dominated_by` is another strategy of
    the result that is at least as good in both objectives, or None.
    """

    strategy: Strategy
    chosen: bool
    cell: Cell
    objectives: Objectives
    dominated_by: str | None = None


@dataclass(frozen=True)
class Tuning:
    """The result of tuning: the strategies, those with the fewest bytes first.

    Runs of the search have the seeds from `scenario.seed`; the `runs` of the result have those
    from `seed`.
    """

    scenario: Scenario
    rounds: Sequence[Round]
    seed: int
    runs: int
    points: Sequence[Tuned]

    @property
    def whole(self) -> bool:
        """Whether times are those of the whole file, not of the first byte."""
        return is_whole(self.scenario)

    @property
    def possible(self) -> bool:
        """Whether any strategy has a 99th percentile: fewer than 1 % of its downloads fail."""
        return any(point.objectives.p99 < inf for point in self.points)


def is_whole(scenario: Scenario) -> bool:
    """Return whether a scenario asks for the whole file, not only for its first byte."""
    return scenario.stop == "complete"


def candidates() -> list[Strategy]:
    """Return all candidates. Of equally good ones the first is chosen: it differs least.

    >>> [one.name for one in candidates()[:2]]
    ['hedged', 'hedged,give_up=10']
    """
    every = [
        hedged_with(**dict(zip(SETTINGS, values, strict=True)))
        for values in product(*SETTINGS.values())
    ]
    usual = STRATEGIES["hedged"]
    return sorted(
        every, key=lambda one: sum(getattr(one, name) != getattr(usual, name) for name in SETTINGS)
    )


def rounds_of(runs: int) -> list[int]:
    """Return the number of runs after each round, for a result of `runs` runs.

    >>> rounds_of(500)
    [31, 62, 125, 250]
    """
    return list(dict.fromkeys(max(_LEAST, runs // part) for part in _ROUNDS))


def experiment_of(scenario: Scenario, runs: int) -> Experiment:
    """Return the experiment to which all runs belong: the search's, and then the result's.

    Raises `ValueError` if a seed would be out of range.
    """
    names = list(dict.fromkeys([*REFERENCES, *(one.name for one in candidates())]))
    every = rounds_of(runs)[-1] + runs
    scenario = scenario.with_runs(strategies=names, runs=every)
    return Experiment(
        name=scenario.name,
        description=scenario.description,
        strategies=tuple(names),
        seed=scenario.seed,
        runs=every,
        precision=None,
        axes=(),
        points=(Point({}, scenario),),
    )


def tune(
    scenario: Scenario,
    runs: int,
    store: Store,
    workers: Callable[[], Workers],
    show_progress: ShowProgress,
) -> Tuning:
    """Tune `hedged` for a scenario; the result is made of `runs` runs of each strategy.

    The store keeps every run, and an interrupted search continues from it. `workers` is called
    whenever there is something to run. Raises `ValueError` as `experiment_of` does, and the same
    errors as `Sweep.run`.
    """
    experiment = experiment_of(scenario, runs)
    whole = is_whole(scenario)

    def make(what: str, strategies: Sequence[str], count: int) -> None:
        with show_progress(what) as on_progress:
            part = replace(experiment, runs=count)
            Sweep(part, store, None, on_progress, None, strategies).run(workers)

    def samples(strategy: str, count: int) -> list[Sample]:
        return [_timed(sample, whole) for sample in store.samples(0, strategy, count)]

    store.begin(experiment)
    names = [one.name for one in candidates()]
    rounds = []
    *earlier, searched = rounds_of(runs)
    for count in (*earlier, searched):
        rounds.append(Round(len(names), count))
        make(f"search, {len(names)} settings", names, count)
        layers = _layers({name: objectives(samples(name, count)) for name in names})
        names = _better_half(layers, len(names)) if count != searched else next(layers)
    shown = list(dict.fromkeys([*REFERENCES, *names]))
    make(f"figures of {len(shown)} strategies", shown, searched + runs)
    held_out = {name: samples(name, searched + runs)[searched:] for name in shown}
    return Tuning(
        scenario, rounds, seed_of(scenario.seed, searched), runs, _points(held_out, set(names))
    )


def _points(held_out: Mapping[str, Sequence[Sample]], chosen: set[str]) -> list[Tuned]:
    """Return the strategies of the result, given their runs."""
    found = {name: objectives(runs) for name, runs in held_out.items()}

    def better(name: str) -> str | None:
        own = found[name]
        others = (other for other, one in found.items() if one != own and one.dominates(own))
        return min(others, key=lambda other: (found[other].p99, found[other].bytes), default=None)

    points = [
        Tuned(
            find_strategy(name),
            name in chosen,
            cell(0, {}, name, runs, None, loads=False),
            found[name],
            better(name),
        )
        for name, runs in held_out.items()
    ]
    return sorted(points, key=lambda one: (one.objectives.bytes, one.objectives.p99))


def _timed(sample: Sample, whole: bool) -> Sample:
    """Return a run whose time to first byte is that of the whole file, if that is asked for.

    A run that did not succeed never has it.
    """
    good = sample.outcome == "ok" and sample.content_ok is not False
    time = sample.finished if whole else sample.ttfb
    return sample._replace(ttfb=time if good else None)


def objectives(samples: Sequence[Sample]) -> Objectives:
    """Return what a candidate is judged by, from one or more runs."""
    times = sorted(inf if sample.ttfb is None else sample.ttfb for sample in samples)
    p99 = figures.quantile(times, 0.99)
    assert p99 is not None
    sizes = [s.bytes_received or 0 for s in samples if s.outcome not in NO_NUMBERS]
    return Objectives(p99, fmean(sizes) if sizes else inf)


def _layers(found: Mapping[str, Objectives]) -> Iterator[list[str]]:
    """Yield the Pareto front, then the front of the rest, and so on; each in the given order.

    Of candidates with equal objectives, only the first is on a front.
    """
    left = list(found)
    while left:
        front: list[str] = []
        for place, name in enumerate(left):
            others = (
                found[other]
                for i, other in enumerate(left)
                if i < place or (i > place and found[other] != found[name])
            )
            if not any(other.dominates(found[name]) for other in others):
                front.append(name)
        yield front
        left = [name for name in left if name not in front]


def _better_half(layers: Iterator[list[str]], count: int) -> list[str]:
    """Return the first layers, as many as have at least half of the candidates."""
    kept: list[str] = []
    for layer in layers:
        kept += layer
        if 2 * len(kept) >= count:
            break
    return kept
