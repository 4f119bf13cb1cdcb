"""Plans: a scenario, a target, and the k, n and strategies to search.

Plan files are read by `load_plan` only. Each pair of k and n is a point of an experiment, as if
`file.k` and `file.n` were its axes, and all points are validated before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from firstk.downloader.text import shown
from firstk.scenarios.base import Table, mistakes
from firstk.scenarios.condition import BUSY, SUCCESS, Condition
from firstk.scenarios.experiment import (
    MAX_POINTS,
    Axis,
    Experiment,
    Point,
    VariedScenario,
    axis_values,
    make_points,
    read_varied,
)
from firstk.scenarios.kinds import PLAN
from firstk.scenarios.laws import PositiveSeconds
from firstk.scenarios.load import Flaw, read
from firstk.scenarios.model import RealFile, Scenario, Strategies
from firstk.scenarios.seeds import MAX_RUNS, beyond

#: The maximum number of shares of a file.
MAX_SHARES = 256

#: The number of runs before a candidate is first checked. With a workload, each run is many
#: downloads, so fewer runs show which candidates clearly miss the target.
_FIRST_LOOK, _FIRST_LOOK_AT_LOADS = 250, 10


class Target(Table):
    """The target: quantiles of the time to first byte, successful downloads, the busiest server."""

    p50: PositiveSeconds | None = None
    """The median of the time to first byte should be less than this, in seconds."""
    p90: PositiveSeconds | None = None
    """The 90th percentile of the time to first byte should be less than this, in seconds."""
    p99: PositiveSeconds | None = None
    """The 99th percentile of the time to first byte should be less than this, in seconds."""
    p999: PositiveSeconds | None = Field(default=None, alias="p99.9")
    """The 99.9th percentile of the time to first byte should be less than this, in seconds."""
    success: float | None = Field(default=None, gt=0, lt=1)
    """The probability that a download succeeds should be more than this."""
    busy: float | None = Field(default=None, gt=0, lt=1)
    """With a workload: the utilisation of the busiest resource should be less than this."""

    @model_validator(mode="before")
    @classmethod
    def _quoted(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("p99"), Mapping):
            raise mistakes([("p99", 'the key p99.9 needs quotes: "p99.9" = 1.0')])
        return data

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.conditions:
            raise mistakes(
                [("", "asks for nothing; there are p50, p90, p99, p99.9, success, busy")]
            )
        return self

    @property
    def conditions(self) -> list[Condition]:
        """All conditions of the target."""
        every = (
            Condition("p50", 0.5, self.p50 or 0),
            Condition("p90", 0.9, self.p90 or 0),
            Condition("p99", 0.99, self.p99 or 0),
            Condition("p99.9", 0.999, self.p999 or 0),
            Condition(SUCCESS, None, self.success or 0),
            Condition(BUSY, None, self.busy or 0),
        )
        return [condition for condition in every if condition.limit]

    def __str__(self) -> str:
        *others, last = map(str, self.conditions)
        return f"{', '.join(others)} and {last}" if others else last


def _numbers_of_shares(axis: Any) -> Any:
    for value in axis_values(axis):
        if type(value) is not int or not 1 <= value <= MAX_SHARES:
            problem = f"should be whole numbers from 1 to {MAX_SHARES}, not {shown(value)}"
            raise mistakes([("", problem)])
    return axis


SharesAxis = Annotated[Axis, AfterValidator(_numbers_of_shares)]


class Search(Table):
    """The candidates among which the cheapest is sought."""

    k: SharesAxis
    """How many shares are needed to decode the file: a list of numbers, or { from, to, step }."""
    n: SharesAxis
    """How many shares are made, in the same form; values less than k are ignored."""
    strategies: Strategies | None = None
    """The strategies to try; default the scenario's."""
    max_expansion: float | None = Field(default=None, ge=1)
    """The maximum disk space of the shares, as a multiple of the file's size: n / k."""
    max_runs: int = Field(default=100_000, ge=1, le=MAX_RUNS)
    """The maximum number of runs per candidate."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.shares:
            most = "" if self.max_expansion is None else f" and n / k <= {self.max_expansion:g}"
            raise mistakes([("", f"no k and n have n >= k{most}")])
        if len(self.shares) > MAX_POINTS:
            problem = f"k and n make {len(self.shares)} pairs; the most are {MAX_POINTS}"
            raise mistakes([("", problem)])
        return self

    @property
    def shares(self) -> list[tuple[int, int]]:
        """All pairs of k and n, those with the least disk space first."""
        most = None if self.max_expansion is None else Fraction(str(self.max_expansion))
        return sorted(
            (
                (k, n)
                for k in axis_values(self.k)
                for n in axis_values(self.n)
                if k <= n and (most is None or Fraction(n, k) <= most)
            ),
            key=lambda pair: (Fraction(pair[1], pair[0]), pair),
        )


class PlanTable(VariedScenario):
    """A plan file."""

    target: Target
    """The conditions to meet."""
    search: Search
    """The candidates among which the cheapest that meets the target is sought."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_shares(cls, data: Any) -> Any:
        """Allow a scenario in the file to omit k and n, which the plan searches for."""
        match data:
            case {"scenario": {"file": dict(file)}}:
                data = deepcopy(dict(data))
                data["scenario"]["file"] = {**_any_shares(file), **file}
        return data


def _any_shares(file: Mapping[str, Any]) -> dict[str, int]:
    return {} if {"shares", "cap"} & file.keys() else {"k": 1, "n": MAX_SHARES}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One combination of k, n and strategy; `point` is the index of its point."""

    k: int
    n: int
    strategy: str
    point: int

    @property
    def expansion(self) -> float:
        """The disk space of the shares, as a multiple of the file's size."""
        return self.n / self.k

    @property
    def shares(self) -> str:
        """The candidate's k and n as text."""
        return f"{self.k}-of-{self.n}"

    def __str__(self) -> str:
        return f"{self.shares} with {self.strategy}"


@dataclass(frozen=True)
class Plan:
    """A plan that can be searched; the points of its experiment are sorted by expansion."""

    target: Target
    experiment: Experiment
    max_runs: int

    @property
    def has_loads(self) -> bool:
        """Whether each run is a workload of many downloads."""
        return any(point.scenario.workload for point in self.experiment.points)

    @property
    def levels(self) -> list[list[Candidate]]:
        """All candidates, grouped by disk space, the least first."""

        def candidates() -> Iterator[Candidate]:
            for number, point in enumerate(self.experiment.points):
                for strategy in self.experiment.strategies:
                    file = point.scenario.file
                    yield Candidate(file.k, file.n, strategy, number)

        grouped = groupby(candidates(), key=lambda one: Fraction(one.n, one.k))
        return [list(level) for _, level in grouped]

    @property
    def looks(self) -> Sequence[int]:
        """The numbers of runs after which a candidate is checked; they double each time.

        A check costs a little time, but no confidence (see `firstk.harness.stats.betting`).
        """
        runs = [_FIRST_LOOK_AT_LOADS if self.has_loads else _FIRST_LOOK]
        while runs[-1] < self.max_runs:
            runs.append(2 * runs[-1])
        return [*runs[:-1], self.max_runs]


def load_plan(path: Path) -> Plan:
    """Load a plan, with all its candidates, from a TOML file.

    Paths in the file are relative to its folder. Raises `ScenarioError` with all mistakes in it, or
    in the scenario that it names.
    """
    lines = read(path, PLAN)
    varied = read_varied(path, lines, PlanTable)
    table, base, flaws = varied.table, varied.base, list(varied.flaws)
    points: list[Point] = []
    if table is not None and base is not None:
        seed = base.seed if table.seed is None else table.seed
        strategies = table.search.strategies or base.strategies
        flaws += [Flaw(("scenario",), problem) for problem in _unfit(base, table.target)]
        if problem := beyond(seed, table.search.max_runs):
            flaws.append(Flaw(("search", "max_runs"), problem))
        if not flaws:
            points, flaws = make_points(
                path,
                {**varied.tables, "strategies": strategies, "seed": seed},
                [{"file.k": k, "file.n": n} for k, n in table.search.shares],
                {"file.k": ("search", "k"), "file.n": ("search", "n")},
            )
    varied.refuse(path, lines, flaws)
    assert table is not None
    experiment = Experiment(
        name=table.name,
        description=table.description,
        strategies=tuple(strategies),
        seed=seed,
        runs=table.search.max_runs,
        precision=None,
        axes=("file.k", "file.n"),
        points=tuple(points),
    )
    return Plan(table.target, experiment, table.search.max_runs)


def _unfit(scenario: Scenario, target: Target) -> Iterator[str]:
    """Yield the reasons why a scenario cannot be planned for a target."""
    if isinstance(scenario.file, RealFile):
        yield "has real shares, whose k and n are given: a plan needs a file that is made up"
    if scenario.stop == "located" and any(c.quantile for c in target.conditions):
        yield 'has stop = "located": no byte is read, but the target limits the time to first byte'
    if scenario.workload is None and any(c.is_busy for c in target.conditions):
        yield "has no [workload], and the target limits how busy many downloads keep the grid"
