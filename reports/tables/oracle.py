"""An experiment compared with theory: simulated and exact values, and their distance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isinf, sqrt
from statistics import fmean
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.harness.run.cells import QUANTILES
from firstk.harness.run.sample import Sample
from firstk.harness.stats.estimates import quantile, z_of_count, z_of_mean
from firstk.harness.stats.figures import rounded
from firstk.harness.stats.formats import percent, seconds
from firstk.harness.stats.theory import ForkJoin, Stage
from firstk.harness.sweep.oracle import theory_of
from firstk.harness.sweep.store import Store
from firstk.reports.tables.rows import TableRow
from firstk.scenarios.experiment import Experiment, Point, label

#: From this number of standard errors, a number counts as wrong.
TOO_FAR = 4.0

#: The minimum number of times whose mean is approximately normal.
_LEAST = 30

#: The maximum skewness of a mean that is approximately normal.
_SKEWED = 0.25

#: The fraction of times that may be after the deadline without affecting their mean.
_LATE = 1e-9

#: The meaning of the table's columns.
LEGEND = """\
located: the probability that K distinct shares are known before the deadline
mean, p50, p90, p99: when they are, in those runs in which they are
exact: what mathematics says; of some workloads only the bounds between which the mean lies
z: by how many standard errors the simulated number is off (of a quantile: the number of runs \
before the exact one; of bounds: off the nearer one, 0 between them); - where nothing can be \
said: no time, fewer than 30, or times so heavy-tailed that their mean is not normal
A right simulator has 4 or more in one of 16,000 numbers; that is exit status 1.
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One number that is compared with theory: a fraction of the runs, or a time in seconds.

    `exact` has two values if only bounds are known. `simulated` is None if there is none, and `z`
    if it is meaningless.
    """

    point: int
    values: Mapping[str, Any]
    strategy: str
    runs: int
    measure: str
    simulated: float | None
    exact: tuple[float] | tuple[float, float]
    z: float | None

    @property
    def is_far(self) -> bool:
        """Whether the simulated number is too far from the exact value or bounds."""
        return self.z is not None and abs(self.z) >= TOO_FAR


#: A measure: its name, the simulated value, the exact values, and z.
_Measure = tuple[str, float | None, tuple[float] | tuple[float, float], float | None]


def verdicts(experiment: Experiment, store: Store, runs: Sequence[int]) -> Iterator[Verdict]:
    """Yield the measures of each point, with its number of runs, and each strategy.

    Raises `NoOracleError` if theory does not predict one of them.
    """
    for number, point in enumerate(experiment.points):
        for strategy in experiment.strategies:
            samples = store.samples(number, strategy, runs[number])
            for measure in _measures(point, strategy, samples):
                yield Verdict(number, point.values, strategy, len(samples), *measure)


def _measures(point: Point, strategy: str, samples: Sequence[Sample]) -> Iterator[_Measure]:
    theory = theory_of(point.scenario, strategy)
    if isinstance(theory, Stage):
        times = [sample.located for sample in samples]
        return _of_stage(theory, times, point.scenario.deadline)
    assert point.scenario.workload is not None
    return _of_fork_join(theory, samples, point.scenario.workload.downloads or 0)


def _of_stage(stage: Stage, times: Sequence[float | None], deadline: float) -> Iterator[_Measure]:
    came = [time for time in times if time is not None]
    success = min(1.0, stage.cdf(deadline))
    part = len(came) / len(times)
    yield "located", part, (success,), z_of_count(len(came), len(times), success)
    if not success:
        return
    if success > (1 - _LATE) * stage.success:
        mean = stage.mean
        found = fmean(came) if came else None
        yield "mean", found, (mean,), _z_of_mean(stage, mean, came)
    for name, q in QUANTILES.items():
        exact = stage.quantile(q * min(1.0, success / stage.success))
        before = sum(time <= exact for time in came)
        # More runs before the exact quantile make the simulated one earlier.
        z = 0.0 - z_of_count(before, len(came), q) if came else None
        yield name, quantile(came, q).estimate, (exact,), z


def _z_of_mean(stage: Stage, mean: float, came: Sequence[float]) -> float | None:
    if len(came) < _LEAST or stage.skewness / sqrt(len(came)) > _SKEWED:
        return None
    return (fmean(came) - mean) / sqrt(stage.variance / len(came))


def _of_fork_join(model: ForkJoin, samples: Sequence[Sample], downloads: int) -> Iterator[_Measure]:
    located = [sample.load.located for sample in samples if sample.load is not None]
    all_of_them = downloads * len(samples)
    came = sum(times.count - times.never for times in located)
    yield "located", came / all_of_them, (1.0,), z_of_count(came, all_of_them, 1.0)
    # Runs are independent, but the downloads of one run are not.
    means = [times.mean for times in located if times.mean is not None]
    mean = fmean(means) if means else None
    if model.exact is not None:
        yield "mean", mean, (model.exact,), z_of_mean(means, model.exact)
    elif mean is not None:
        nearest = min(max(mean, model.lower), model.upper)
        yield "mean", mean, (model.lower, model.upper), z_of_mean(means, nearest)
    else:
        yield "mean", mean, (model.lower, model.upper), None


def rows(found: Sequence[Verdict]) -> list[TableRow]:
    """Return a row for each number."""
    return [TableRow(one.point, one.values, _words(one), _numbers(one)) for one in found]


def table(of: Sequence[TableRow], axes: Sequence[str]) -> Table:
    """Return the table."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in axes:
        made.add_column(name, overflow="fold")
    for name in of[0].words:
        made.add_column(name)
    before: TableRow | None = None
    for row in of:
        new = before is None or before.point != row.point
        values = [label(value) if new else "" for value in row.values.values()]
        words = dict(row.words)
        if not new and before is not None and before.words["strategy"] == words["strategy"]:
            words |= {"strategy": "", "runs": ""}
        made.add_row(*map(Text, (*values, *words.values())))
        before = row
    return made


def _words(verdict: Verdict) -> dict[str, str]:
    """Return the cells of a row as text."""
    say = percent if verdict.measure == "located" else seconds
    z = "-" if verdict.z is None else f"{verdict.z:+.2f}" + (" !" if verdict.is_far else "")
    return {
        "strategy": verdict.strategy,
        "runs": str(verdict.runs),
        "measure": verdict.measure,
        "simulated": "-" if verdict.simulated is None else _said(verdict.simulated, say),
        "exact": " to ".join(_said(number, say) for number in verdict.exact),
        "z": z,
    }


def _said(number: float, say: Any) -> str:
    return "infinite" if isinf(number) else str(say(number))


def _numbers(verdict: Verdict) -> dict[str, str | int | float | None]:
    """Return the cells of a row for programs; an exact number is also its own bounds."""
    exact = verdict.exact[0] if len(verdict.exact) == 1 else None
    return {
        "strategy": verdict.strategy,
        "runs": verdict.runs,
        "measure": verdict.measure,
        "simulated": rounded(verdict.simulated),
        "exact": rounded(exact),
        "lower": rounded(verdict.exact[0]),
        "upper": rounded(verdict.exact[-1]),
        "z": rounded(verdict.z),
    }
