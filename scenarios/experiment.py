"""What an experiment is: a scenario, what to vary in it, and how many runs to take.

An experiment file is read at one door, `load_experiment`. Each combination of the axes' values is
a *point*, a scenario of its own, and all of them are checked before anything runs. Equal run
numbers have equal seeds in all points and strategies: they meet the same luck.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from downloader.text import shown
from scenarios.base import Table, mistakes
from scenarios.identity import scenario_hash
from scenarios.library import find_scenario
from scenarios.load import Lines, Location, Mistake, NoLines, ScenarioError, read, validated
from scenarios.model import Name, Scenario, Strategies
from scenarios.workload import tells

#: The most points of an experiment, and the most values of an axis.
MAX_POINTS = 10_000

#: The most runs of a point and a strategy.
MAX_RUNS = 10_000_000

#: So many mistakes of points are told; they tend to be alike.
_MOST_TOLD = 20

#: The keys of a scenario that are no matter of axes, and why.
_NO_AXES = {
    "name": "it changes no run",
    "description": "it changes no run",
    "expect": "it changes no run",
    "strategies": "the experiment has a key `strategies`",
    "seed": "the experiment has a key `seed`",
    "runs": "the experiment has a key `runs`",
}

#: The keys of a scenario that hold paths.
_PATHS = ("path", "shares")


class Span(Table):
    """The values of an axis from one number to another."""

    from_: int | float = Field(alias="from")
    """The first value."""
    to: int | float
    """The last value, or what no value exceeds."""
    step: Annotated[int | float, Field(gt=0)] | None = None
    """By how much each is more than the one before."""
    points: int | None = Field(default=None, ge=2, le=MAX_POINTS)
    """How many there are, in place of `step`."""
    spacing: Literal["linear", "log"] = "linear"
    """Whether `points` have equal differences or equal ratios."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        found = []
        if self.to <= self.from_:
            found.append(("to", f"should be more than {self.from_} (from), not {self.to}"))
        if (self.step is None) == (self.points is None):
            found.append(("", "needs one of the keys step and points"))
        elif self.step is not None and self.spacing == "log":
            found.append(("spacing", 'goes with points: "log" has no step'))
        elif self.step is not None and (self.to - self.from_) / self.step >= MAX_POINTS:
            found.append(("step", f"makes more than {MAX_POINTS} values"))
        if self.spacing == "log" and self.from_ <= 0:
            found.append(("from", f'should be more than 0 with spacing = "log", not {self.from_}'))
        if found:
            raise mistakes(found)
        return self

    @property
    def values(self) -> list[int | float]:
        """All values; whole numbers if they come out whole between whole bounds."""
        first, last = self.from_, self.to
        if self.step is not None:
            # A sum of steps may miss the end by its last bits.
            count = int((last - first) / self.step * (1 + 1e-12) + 1e-9) + 1
            raw: list[float] = [first + i * self.step for i in range(count)]
        else:
            assert self.points is not None
            parts = [i / (self.points - 1) for i in range(self.points)]
            if self.spacing == "log":
                raw = [first * (last / first) ** part for part in parts]
            else:
                raw = [first + (last - first) * part for part in parts]
        # The mathematical functions of two machines may differ in the last digits.
        rounded = [value if isinstance(value, int) else float(f"{value:.9g}") for value in raw]
        whole = isinstance(first, int) and isinstance(last, int)
        return [int(v) if whole and v == int(v) else v for v in rounded]


def _which_axis(value: Any) -> str:
    return "@span" if isinstance(value, Mapping | Span) else "@list"


def _listed(values: list[Any]) -> list[Any]:
    if not values:
        raise mistakes([("", "has no values")])
    for i, value in enumerate(values):
        if any(_same(value, other) for other in values[:i]):
            raise mistakes([("", f"has {label(value)} twice")])
    return values


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _axis_key(key: str) -> str:
    first, *_ = key.split(".")
    if "" in key.split("."):
        raise mistakes([("", 'should be the keys of a scenario, like "servers.0.select.count"')])
    if first in _NO_AXES:
        raise mistakes([("", f"is no axis: {_NO_AXES[first]}")])
    return key


def _dotted(axes: Any) -> Any:
    """Return axes with whole keys: without quotes TOML takes them for tables within tables."""
    if not isinstance(axes, Mapping):
        return axes
    found: dict[str, Any] = {}
    for key, value in _flat(axes):
        if key in found:
            raise mistakes([(key, "is there twice, with quotes and without")])
        found[key] = value
    return found


def _flat(axes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in axes.items():
        # A table that holds lists or tables is no range.
        if isinstance(value, Mapping) and any(isinstance(v, list | dict) for v in value.values()):
            yield from ((f"{key}.{rest}", of) for rest, of in _flat(value))
        else:
            yield key, value


class _AxisLines(Lines):
    """Where things stand in an experiment file, in which axes may be written in two ways."""

    def find(self, path: Location) -> int:
        """Return the line, from 1, at which `path`, or the table that lacks it, begins."""
        if path[:1] == ("axes",) and len(path) > 1 and path[1] not in self.data["axes"]:
            path = ("axes", *str(path[1]).split("."), *path[2:])
        return super().find(path)


Axis = Annotated[
    Annotated[list[Any], AfterValidator(_listed), Tag("@list")] | Annotated[Span, Tag("@span")],
    Discriminator(_which_axis),
]


class Precision(Table):
    """Take runs until a quantile of the times to first block is known well enough."""

    quantile: float = Field(default=0.99, gt=0, lt=1)
    """Which: 0.5 is the median, 0.99 the 99th percentile."""
    relative: float = Field(gt=0, lt=1)
    """The half width of its 95 % interval, over itself, that is small enough."""
    min_runs: int = Field(default=250, ge=1, le=MAX_RUNS)
    """How many runs are taken before it is looked at; then it is after twice as many, and so on."""
    max_runs: int = Field(default=100_000, ge=1, le=MAX_RUNS)
    """How many runs are taken at most."""

    @field_validator("max_runs")
    @classmethod
    def _ordered(cls, most: int, info: ValidationInfo) -> int:
        least = info.data.get("min_runs", 0)
        if most < least:
            raise mistakes([("", f"should be {least} (min_runs) or more, not {most}")])
        return most


def _which_scenario(value: Any) -> str:
    return "@inline" if isinstance(value, Mapping | Scenario) else "@named"


class VariedScenario(Table):
    """What files that vary a scenario have in common."""

    name: Name
    """What it is called: up to 80 letters, digits, dots, dashes and underscores, a letter or
    a digit first."""
    description: str = ""
    """What it is to show, in a line."""
    scenario: Annotated[
        Annotated[str, Tag("@named")] | Annotated[Scenario, Tag("@inline")],
        Discriminator(_which_scenario),
    ]
    """The scenario that is varied: a file beside this one (.toml), a name in the library, or a
    table with the keys of a scenario."""
    seed: int | None = Field(default=None, ge=0)
    """The seed of the first run of each point and strategy; default the scenario's."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_scenario(cls, data: Any) -> Any:
        """Let a scenario in the file be called as the file is."""
        if isinstance(data, Mapping) and isinstance(data.get("scenario"), Mapping):
            return {**data, "scenario": {"name": "inline", **data["scenario"]}}
        return data


class ExperimentTable(VariedScenario):
    """An experiment file."""

    strategies: Strategies | None = None
    """The strategies to run; default the scenario's. The others are held against the first."""
    runs: int | None = Field(default=None, ge=1, le=MAX_RUNS)
    """How many runs of each point and strategy; default the scenario's."""
    precision: Precision | None = None
    """In place of `runs`: as many as it takes."""
    oracle: bool = False
    """Whether the times to K distinct shares are held against what mathematics says of them."""
    axes: Annotated[
        dict[Annotated[str, AfterValidator(_axis_key)], Axis], BeforeValidator(_dotted)
    ] = Field(default={})
    """What to vary: a key of the scenario, as "servers.0.select.count", and a list of its values
    or a table { from, to, step } or { from, to, points, spacing }."""

    @field_validator("axes")
    @classmethod
    def _apart(cls, axes: dict[str, Axis]) -> dict[str, Axis]:
        """Refuse axes of which one is a part of another, and too many points."""
        found = [
            (key, f"is a part of {other!r}, which is an axis too")
            for key in axes
            for other in axes
            if key.startswith(f"{other}.")
        ]
        if (points := prod(len(axis_values(axis)) for axis in axes.values())) > MAX_POINTS:
            found.append(("", f"make {points} points; the most are {MAX_POINTS}"))
        if found:
            raise mistakes(found)
        return axes

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.runs is not None and self.precision is not None:
            problem = "says how many runs there are, and so does [precision]: take one away"
            raise mistakes([("runs", problem)])
        if self.oracle and self.precision is not None:
            raise mistakes([("oracle", "needs `runs`: [precision] is that of another time")])
        return self


def axis_values(axis: Any) -> list[Any]:
    """Return the values of an axis, whichever way it is written."""
    return axis.values if isinstance(axis, Span) else list(axis)


@dataclass(frozen=True)
class Point:
    """One combination of the axes' values, by their keys, and the scenario that it makes."""

    values: Mapping[str, Any]
    scenario: Scenario

    @cached_property
    def scenario_hash(self) -> str:
        """The hash of the scenario; see `scenarios.identity`."""
        return scenario_hash(self.scenario)

    def __str__(self) -> str:
        return ", ".join(f"{key} = {label(value)}" for key, value in self.values.items())


@dataclass(frozen=True)
class Experiment:
    """An experiment that can be run: all its points are scenarios.

    `precision` is None where `runs` says how many runs each point and strategy has, and `runs`
    is None where it does not. `axes` are the keys that are varied. With `oracle` it is held against
    mathematics.
    """

    name: str
    description: str
    strategies: Sequence[str]
    seed: int
    runs: int | None
    precision: Precision | None
    axes: Sequence[str]
    points: Sequence[Point]
    oracle: bool = False


def label(value: Any) -> str:
    """Return a value of an axis for reading."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {label(of)}" for key, of in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(label, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def load_experiment(path: Path) -> Experiment:
    """Return the experiment in a TOML file, with all its points.

    Paths in it are relative to it. Raises `ScenarioError` with all that is wrong with it, or with
    the scenario that it names.
    """
    lines = read(path, _AxisLines)
    table, base, tables = read_varied(path, lines, ExperimentTable)
    strategies = table.strategies or base.strategies
    seed = base.seed if table.seed is None else table.seed
    values = product(*map(axis_values, table.axes.values()))
    points = make_points(
        path,
        lines,
        {**tables, "strategies": strategies, "seed": seed},
        [dict(zip(table.axes, of, strict=True)) for of in values],
        {key: ("axes", key) for key in table.axes},
    )
    for point in points if table.precision else ():
        assert table.precision is not None
        if told := untold(table.precision.quantile, point.scenario):
            where = ("precision", "quantile")
            raise ScenarioError([Mistake(str(path), lines.find(where), ".".join(where), told)])
    return Experiment(
        name=table.name,
        description=table.description,
        strategies=tuple(strategies),
        seed=seed,
        runs=None if table.precision else table.runs or base.runs,
        precision=table.precision,
        axes=tuple(table.axes),
        points=tuple(points),
        oracle=table.oracle,
    )


T = TypeVar("T", bound=VariedScenario)


def read_varied(path: Path, lines: Lines, model: type[T]) -> tuple[T, Scenario, Mapping[str, Any]]:
    """Return what stands in a file, the scenario that it varies, and the tables of that.

    Raises `ScenarioError` with all that is wrong with either.
    """
    found: list[Mistake] = []
    base: tuple[Scenario, Mapping[str, Any]] | None = None
    try:
        base = _named_base(path, lines)
    except ScenarioError as e:
        found += e.mistakes
    try:
        table = validated(model, str(path), lines, path.parent)
    except ScenarioError as e:
        raise ScenarioError([*e.mistakes, *found]) from None
    if found:
        raise ScenarioError(found)
    if base is None:
        assert isinstance(table.scenario, Scenario)
        base = table.scenario, _rooted({"name": table.name, **lines.data["scenario"]}, path.parent)
    return table, *base


def _named_base(path: Path, lines: Lines) -> tuple[Scenario, Mapping[str, Any]] | None:
    """Return the scenario that an experiment names, and its tables; None if it names none."""
    name = lines.data.get("scenario")
    if not isinstance(name, str):
        return None
    try:
        file = path.parent / name if name.endswith(".toml") else find_scenario(name)
    except ScenarioError as e:
        told = e.mistakes[0].message
        raise ScenarioError(
            [Mistake(str(path), lines.find(("scenario",)), "scenario", told)]
        ) from None
    if not file.is_file():
        told = f"there is no file {file}"
        raise ScenarioError([Mistake(str(path), lines.find(("scenario",)), "scenario", told)])
    found = read(file)
    return validated(Scenario, str(file), found, file.parent), _rooted(found.data, file.parent)


def _rooted(value: Any, folder: Path) -> Any:
    """Return tables with the paths in them made absolute: they are relative to `folder`."""
    if isinstance(value, Mapping):
        return {
            key: str((folder / of).resolve())
            if key in _PATHS and isinstance(of, str)
            else _rooted(of, folder)
            for key, of in value.items()
        }
    if isinstance(value, list):
        return [_rooted(of, folder) for of in value]
    return value


def make_points(
    path: Path,
    lines: Lines,
    tables: Mapping[str, Any],
    combinations: Sequence[Mapping[str, Any]],
    places: Mapping[str, Location],
) -> list[Point]:
    """Return the points that combinations of the axes' values make of a scenario's tables.

    `places` says for each axis where its values stand in the file.
    Raises `ScenarioError` if an axis has no place in the scenario, or a point is no scenario.
    """
    name = str(path)
    common = {key: of for key, of in tables.items() if key not in ("expect", "runs")}
    _refuse_misplaced(name, lines, places, common)
    points: list[Point] = []
    found: dict[tuple[str, str], Mistake] = {}
    for point in combinations:
        changed = deepcopy(common)
        for key, value in point.items():
            _put(changed, key, value, path.parent)
        try:
            scenario = validated(Scenario, name, NoLines(changed), Path())
        except ScenarioError as e:
            for one in e.mistakes:
                told = _told(name, lines, point, places, one)
                found.setdefault((told.key, told.message.partition(_AFTER_POINT)[2]), told)
        else:
            points.append(Point(point, scenario))
    if found:
        every = sorted(found.values(), key=lambda mistake: mistake.line or 0)
        if len(every) > _MOST_TOLD:
            more = f"and {len(every) - _MOST_TOLD} more mistakes of points"
            every = [*every[:_MOST_TOLD], Mistake(name, None, every[0].key.split(".")[0], more)]
        raise ScenarioError(every)
    return points


def untold(quantile: float, scenario: Scenario) -> str | None:
    """Return why a quantile is never known, if it is so: a run has too few downloads."""
    if scenario.workload is None or tells(scenario.workload.counted, quantile):
        return None
    counted = scenario.workload.counted
    return f"{counted} downloads in a run are too few to tell of the quantile {quantile:g}"


#: What stands between a point and what is wrong with it.
_AFTER_POINT = ": "


def _told(
    name: str,
    lines: Lines,
    point: Mapping[str, Any],
    places: Mapping[str, Location],
    mistake: Mistake,
) -> Mistake:
    """Return a mistake of a point's scenario as one of the axis that brought it about."""
    path = mistake.key.replace("[", ".").replace("]", "").split(".")
    for key, value in point.items():
        parts = key.split(".")
        if parts[: len(path)] == path[: len(parts)]:
            # The axis, what it is in, or a part of what it sets.
            where = "" if parts == path else f"{mistake.key}: "
            told = f"at {label(value)}{_AFTER_POINT}{where}{mistake.message}"
            return Mistake(name, lines.find(places[key]), _dots(places[key]), told)
    at = ", ".join(f"{key} = {label(value)}" for key, value in point.items())
    told = f"at {at}{_AFTER_POINT}{mistake.key}: {mistake.message}"
    all_of_them = next(iter(places.values()))[:1]
    return Mistake(name, lines.find(all_of_them), _dots(all_of_them), told)


def _dots(place: Location) -> str:
    return ".".join(map(str, place))


def _refuse_misplaced(
    name: str, lines: Lines, places: Mapping[str, Location], tables: Mapping[str, Any]
) -> None:
    """Raise `ScenarioError` for axes that have no place in the scenario."""
    found = []
    for key, place in places.items():
        try:
            _put(deepcopy(dict(tables)), key, None, Path())
        except LookupError as e:
            found.append(Mistake(name, lines.find(place), _dots(place), str(e.args[0])))
    if found:
        raise ScenarioError(found)


def _put(tables: dict[str, Any], key: str, value: Any, folder: Path) -> None:
    """Set a key, its parts separated by dots; raises `LookupError` with what is in its way."""
    *parts, last = key.split(".")
    at: Any = tables
    way = ""
    for part in parts:
        place = _place(at, part, way)
        if isinstance(at, dict):
            at.setdefault(part, [] if part == "servers" and at is tables else {})
        at = at[place]
        way = f"{way}.{part}".removeprefix(".")
    place = _place(at, last, way)
    at[place] = _rooted({last: value}, folder)[last]


def _place(at: Any, part: str, way: str) -> Any:
    if isinstance(at, dict):
        return part
    if not isinstance(at, list):
        raise LookupError(f"{way} is {shown(at)} in the scenario, and has no {part!r} in it")
    if not part.isdecimal():
        raise LookupError(f"{way} is a list: a number from 0 should follow, not {part!r}")
    if int(part) >= len(at):
        there = f"0 to {len(at) - 1}" if at else "none"
        raise LookupError(f"the scenario has no {way}.{part}; there are {there}")
    return int(part)


def is_experiment(path: Path) -> bool:
    """Tell whether a file is meant as an experiment, not as a scenario."""
    try:
        tables = read(path).data
    except ScenarioError:
        return False
    return not tables.keys().isdisjoint({"scenario", "axes", "precision"})
