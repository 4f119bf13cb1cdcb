"""Experiments: a scenario, the keys to vary in it, and the number of runs.

Experiment files are read by `load_experiment` only. Each combination of the axes' values is a
*point*, a scenario of its own, and all points are validated before anything runs. Runs with the
same number have the same seed in all points and strategies, so they draw the same random numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from firstk.downloader.text import shown
from firstk.scenarios.base import Table, mistakes
from firstk.scenarios.hashing import scenario_hash
from firstk.scenarios.kinds import EXPERIMENT, SCENARIO
from firstk.scenarios.library import find_scenario
from firstk.scenarios.lines import MAX_DEPTH, Lines, Location
from firstk.scenarios.load import Flaw, Problem, ScenarioError, examined, mistakes_of, read, spell
from firstk.scenarios.model import Name, Scenario, Strategies
from firstk.scenarios.seeds import MAX_RUNS, MAX_SEED, beyond
from firstk.scenarios.text import cut, printable

#: The maximum number of points of an experiment, and of values of an axis.
MAX_POINTS = 10_000

#: The keys of a scenario that cannot be axes, and why.
NO_AXES = {
    "name": "it changes no run",
    "description": "it changes no run",
    "expect": "it changes no run",
    "strategies": "the experiment has a key `strategies`",
    "seed": "the experiment has a key `seed`",
    "runs": "the experiment has a key `runs`",
}

#: The maximum number of digits of an index into a list.
_MOST_DIGITS = 9

#: The keys of a scenario that hold paths.
_PATHS = ("path", "shares")


class Span(Table):
    """The values of an axis from one number to another."""

    from_: int | float = Field(alias="from")
    """The first value."""
    to: int | float
    """The last value, or an upper bound of the values."""
    step: Annotated[int, Field(gt=0)] | Annotated[float, Field(gt=0)] | None = None
    """The difference between successive values."""
    points: int | None = Field(default=None, ge=2, le=MAX_POINTS)
    """The number of values, instead of `step`."""
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
        """All values; integers if the bounds and the results are integers."""
        first, last = self.from_, self.to
        if self.step is not None:
            # The last step may miss the end by a rounding error.
            count = int((last - first) / self.step * (1 + 1e-12) + 1e-9) + 1
            raw: list[float] = [first + i * self.step for i in range(count)]
        else:
            assert self.points is not None
            parts = [i / (self.points - 1) for i in range(self.points)]
            if self.spacing == "log":
                raw = [first * (last / first) ** part for part in parts]
            else:
                raw = [first + (last - first) * part for part in parts]
        # Mathematical functions may differ in the last digits between machines.
        rounded = [value if isinstance(value, int) else float(f"{value:.9g}") for value in raw]
        whole = isinstance(first, int) and isinstance(last, int)
        return [int(v) if whole and v == int(v) else v for v in rounded]


def _which_axis(value: Any) -> str:
    return "@span" if isinstance(value, Mapping | Span) else "@list"


def _listed(values: list[Any]) -> list[Any]:
    if not values:
        raise mistakes([("", "has no values")])
    seen: set[object] = set()
    for value in values:
        if (one := _hashable(value)) in seen:
            raise mistakes([("", f"has {label(value)} twice")])
        seen.add(one)
    return values


def _hashable(value: Any) -> object:
    """Return a key that is equal for equal values of an axis: true is not 1, and 1 is not 1.0."""
    if isinstance(value, Mapping):
        return frozenset((key, _hashable(of)) for key, of in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return type(value), value


def _axis_key(key: str) -> str:
    first, *rest = key.split(".")
    if "" in (first, *rest):
        raise mistakes([("", 'should be the keys of a scenario, like "servers.0.select.count"')])
    if len(rest) >= MAX_DEPTH:
        raise mistakes([("", f"has more than {MAX_DEPTH} parts")])
    if first in NO_AXES:
        raise mistakes([("", f"is not an axis: {NO_AXES[first]}")])
    return key


class _AxisLines(Lines):
    """The contents of an experiment file, in which each axis has its complete dotted key.

    TOML parses an unquoted dotted key as nested tables. `flaws` are the mistakes in the keys.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.flaws: list[Flaw] = []
        self._written: dict[str, Location] = {}
        axes = self.data.get("axes")
        if not isinstance(axes, dict):
            return
        found: dict[str, Any] = {}
        for parts, value in _flat(axes):
            key = ".".join(parts)
            if key in found:
                problem = "appears twice, with quotes and without"
                self.flaws.append(Flaw(("axes", key), problem))
            found[key] = value
            self._written[key] = parts
        self.data["axes"] = found
        for key in found:
            parts = tuple(key.split("."))[:MAX_DEPTH]
            parents = (".".join(parts[:i]) for i in range(1, len(parts)))
            if parent := next((one for one in parents if one in found), None):
                problem = f"is a part of {parent!r}, which is an axis too"
                self.flaws.append(Flaw(("axes", key), problem))

    def find(self, path: Location) -> int | None:
        """Return the line, from 1, at which `path` begins, or else the table that lacks it."""
        if path[:1] == ("axes",) and len(path) > 1:
            path = ("axes", *self._written.get(str(path[1]), ()), *path[2:])
        return super().find(path)


def _flat(
    axes: Mapping[str, Any], parents: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in axes.items():
        # A table that contains lists or tables is not a range.
        if isinstance(value, Mapping) and any(isinstance(v, list | dict) for v in value.values()):
            yield from _flat(value, (*parents, key))
        else:
            yield (*parents, key), value


Axis = Annotated[
    Annotated[list[Any], AfterValidator(_listed), Tag("@list")] | Annotated[Span, Tag("@span")],
    Discriminator(_which_axis),
]


class Precision(Table):
    """Take runs until a quantile of the time to first byte is known precisely enough.

    With a workload, it is the quantile over all downloads of all runs.
    """

    quantile: float = Field(default=0.99, gt=0, lt=1)
    """The quantile: 0.5 is the median, 0.99 the 99th percentile."""
    relative: float = Field(gt=0, lt=1)
    """The required ratio of the half width of its 95 % interval to the quantile itself."""
    min_runs: int = Field(default=250, ge=1, le=MAX_RUNS)
    """The number of runs before the first check; each further check is after twice as many."""
    max_runs: int = Field(default=100_000, ge=1, le=MAX_RUNS)
    """The maximum number of runs."""

    @field_validator("max_runs")
    @classmethod
    def _ordered(cls, most: int, info: ValidationInfo) -> int:
        least = info.data.get("min_runs", 0)
        if most < least:
            raise mistakes([("", f"should be {least} (min_runs) or more, not {most}")])
        return most


class InlineScenario(Scenario):
    """A scenario inside the file that varies it, from which it gets its default name."""

    name: Name = "inline"
    """The name of the scenario; default that of the file that contains it."""


def _which_scenario(value: Any) -> str:
    return "@inline" if isinstance(value, Mapping | Scenario) else "@named"


class VariedScenario(Table):
    """The keys that all files that vary a scenario have in common."""

    name: Name
    """The name: up to 80 letters, digits, dots, dashes and underscores, starting with a letter or
    a digit."""
    description: str = ""
    """A one-line description of what it shows."""
    scenario: Annotated[
        Annotated[str, Tag("@named")] | Annotated[InlineScenario, Tag("@inline")],
        Discriminator(_which_scenario),
    ]
    """The scenario to vary: a file (.toml) relative to this one, a name in the library, or a table
    with the keys of a scenario."""
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    """The seed of the first run of each point and strategy; default the scenario's."""


class ExperimentTable(VariedScenario):
    """An experiment file."""

    strategies: Strategies | None = None
    """The strategies to run; default the scenario's. The others are compared with the first."""
    runs: int | None = Field(default=None, ge=1, le=MAX_RUNS)
    """The number of runs of each point and strategy; default the scenario's."""
    precision: Precision | None = None
    """Instead of `runs`: as many runs as this precision requires."""
    oracle: bool = False
    """Whether the times to K distinct shares are compared with their theoretical distribution."""
    capacity: bool = False
    """Whether the rate at which each strategy saturates the grid is searched, too; needs a
    [workload]."""
    axes: dict[Annotated[str, AfterValidator(_axis_key)], Axis] = Field(default={})
    """What to vary: keys of the scenario, such as "servers.0.select.count", each with a list of
    values, or a table { from, to, step } or { from, to, points, spacing }."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.runs is not None and self.precision is not None:
            problem = "says how many runs there are, and so does [precision]: take one away"
            raise mistakes([("runs", problem)])
        if self.oracle and self.precision is not None:
            raise mistakes([("oracle", "needs `runs`: [precision] is that of another time")])
        return self


def axis_values(axis: Any) -> list[Any]:
    """Return the values of an axis, given as a list or as a range."""
    return axis.values if isinstance(axis, Span) else list(axis)


@dataclass(frozen=True)
class Point:
    """One combination of the axes' values, by key, and the resulting scenario."""

    values: Mapping[str, Any]
    scenario: Scenario

    @cached_property
    def scenario_hash(self) -> str:
        """The hash of the scenario; see `firstk.scenarios.hashing`."""
        return scenario_hash(self.scenario)

    def __str__(self) -> str:
        return ", ".join(f"{key} = {label(value)}" for key, value in self.values.items())


@dataclass(frozen=True)
class Experiment:
    """An experiment that can be run: all its points are valid scenarios.

    Exactly one of `runs`, the number of runs of each point and strategy, and `precision` is set;
    the other is None. `axes` are the keys that are varied. If `oracle` is true, the results are
    compared with their theoretical distribution. If `capacity` is true, the rate at which the grid
    of the first point saturates is searched as well.
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
    capacity: bool = False


def label(value: Any) -> str:
    """Return a value of an axis as text."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {label(of)}" for key, of in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(label, value)) + "]"
    return printable(value) if isinstance(value, str) else json.dumps(value, default=str)


def load_experiment(path: Path) -> Experiment:
    """Load an experiment, with all its points, from a TOML file.

    Paths in the file are relative to its folder. Raises `ScenarioError` with all mistakes in it, or
    in the scenario that it names.
    """
    lines = read(path, EXPERIMENT, _AxisLines)
    assert isinstance(lines, _AxisLines)
    varied = read_varied(path, lines, ExperimentTable)
    table, base = varied.table, varied.base
    flaws = [*varied.flaws, *lines.flaws]
    points: list[Point] = []
    if base is not None:
        changes = _settings(table, base) if table else {}
        axes, lacking, misplaced = _usable_axes(lines, flaws, varied.tables)
        flaws += misplaced
        count = prod(map(len, axes.values()))
        if count > MAX_POINTS:
            problem = f"make {shown(count)} points; the most are {MAX_POINTS}"
            flaws.append(Flaw(("axes",), problem))
        else:
            points, wrong = make_points(
                path,
                {**varied.tables, **changes},
                [dict(zip(axes, values, strict=True)) for values in product(*axes.values())],
                {key: ("axes", key) for key in axes},
                lacking,
            )
            flaws += wrong
        flaws += _size_flaws(table, base) if table else []
        if table and table.capacity and base.workload is None:
            flaws.append(Flaw(("capacity",), "needs a [workload], whose rate is searched"))
    varied.refuse(path, lines, flaws)
    assert table is not None
    assert base is not None
    return Experiment(
        name=table.name,
        description=table.description,
        strategies=tuple(table.strategies or base.strategies),
        seed=base.seed if table.seed is None else table.seed,
        runs=None if table.precision else table.runs or base.runs,
        precision=table.precision,
        axes=tuple(table.axes),
        points=tuple(points),
        oracle=table.oracle,
        capacity=table.capacity,
    )


def _settings(table: ExperimentTable, base: Scenario) -> dict[str, Any]:
    """Return the keys that an experiment sets in the scenario of each point."""
    seed = base.seed if table.seed is None else table.seed
    return {"strategies": table.strategies or base.strategies, "seed": seed}


def _size_flaws(table: ExperimentTable, base: Scenario) -> Iterator[Flaw]:
    """Yield what is wrong with the number of runs."""
    where: Location = ("runs",)
    runs = table.runs or base.runs
    if table.precision:
        where, runs = ("precision", "max_runs"), table.precision.max_runs
    if problem := beyond(base.seed if table.seed is None else table.seed, runs):
        yield Flaw(where, problem)


def _usable_axes(
    lines: Lines, flaws: Sequence[Flaw], tables: Mapping[str, Any]
) -> tuple[dict[str, Sequence[Any]], list[str], list[Flaw]]:
    """Return the values of the axes whose keys exist in the scenario.

    Return also the keys of the other axes, and the flaws of these keys.
    """
    written = lines.data.get("axes", {})
    flawed = {str(flaw.path[1]) for flaw in flaws if flaw.path[:1] == ("axes",) != flaw.path}
    axes: dict[str, Sequence[Any]] = {}
    misplaced: list[Flaw] = []
    for key, value in written.items() if isinstance(written, Mapping) else ():
        if key in flawed:
            continue
        try:
            _put(_copied(tables), key.split("."), None)
        except LookupError as e:
            misplaced.append(Flaw(("axes", key), str(e.args[0])))
        else:
            span = isinstance(value, Mapping)
            axes[key] = axis_values(Span.model_validate(value) if span else value)
    return axes, [*flawed, *(str(flaw.path[1]) for flaw in misplaced)], misplaced


T = TypeVar("T", bound=VariedScenario)


@dataclass(frozen=True)
class Varied(Generic[T]):
    """The contents of a file that varies a scenario, and the scenario with its tables.

    `table` and `base` are None if they are invalid: `flaws` are the mistakes in the file itself,
    and `mistakes` those in the file of the scenario that it names.
    """

    table: T | None
    base: Scenario | None
    tables: Mapping[str, Any]
    flaws: Sequence[Flaw]
    mistakes: Sequence[Problem]

    def refuse(self, path: Path, lines: Lines, flaws: Sequence[Flaw]) -> None:
        """Raise `ScenarioError` if the file or the scenario is invalid."""
        if flaws or self.mistakes:
            raise ScenarioError([*mistakes_of(str(path), lines, flaws), *self.mistakes])


def read_varied(path: Path, lines: Lines, model: type[T]) -> Varied[T]:
    """Read a file, and the scenario that it varies."""
    table, flaws = examined(model, lines.data, path.parent)
    scenario = lines.data.get("scenario")
    if isinstance(scenario, Mapping):
        name = table.name if table else "inline"
        base = table.scenario if table else examined(InlineScenario, scenario, path.parent)[0]
        assert not isinstance(base, str)
        return Varied(table, base, _rooted({"name": name, **scenario}, path.parent), flaws, [])
    if not isinstance(scenario, str):
        return Varied(table, None, {}, flaws, [])
    try:
        file = path.parent / scenario if scenario.endswith(".toml") else find_scenario(scenario)
    except ScenarioError as e:
        flaws.append(Flaw(("scenario",), e.mistakes[0].message))
        return Varied(table, None, {}, flaws, [])
    if not os.path.lexists(file):
        flaws.append(Flaw(("scenario",), f"no such file: {cut(str(file))}"))
        return Varied(table, None, {}, flaws, [])
    try:
        found = read(file, SCENARIO)
        named, wrong = examined(Scenario, found.data, file.parent)
        mistakes = mistakes_of(str(file), found, wrong)
    except ScenarioError as e:
        return Varied(table, None, {}, flaws, e.mistakes)
    return Varied(table, named, _rooted(found.data, file.parent), flaws, mistakes)


def _rooted(value: Any, folder: Path) -> Any:
    """Return tables in which paths relative to `folder` are made absolute."""
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
    tables: Mapping[str, Any],
    combinations: Iterable[Mapping[str, Any]],
    places: Mapping[str, Location],
    lacking: Sequence[str] = (),
) -> tuple[list[Point], list[Flaw]]:
    """Return the points for all combinations of the axes' values.

    Return also their flaws, each attributed to the axis that caused it; `places` maps each axis to
    the location of its values in the file. `lacking` are axes that are omitted because they are
    invalid themselves: a problem that they might resolve is not a flaw.
    """
    common = {key: of for key, of in tables.items() if key not in ("expect", "runs")}
    axes, unsure = _Keys(places), _Keys(key.rpartition(".")[0] or key for key in lacking)
    points: list[Point] = []
    found: dict[object, Flaw] = {}
    for point in combinations:
        changed = _copied(common)
        for key, value in point.items():
            parts = key.split(".")
            _put(changed, parts, _rooted({parts[-1]: value}, path.parent)[parts[-1]])
        scenario, flaws = examined(Scenario, changed, Path())
        if scenario is not None:
            points.append(Point(point, scenario))
        for flaw in flaws:
            where = tuple(map(str, flaw.path))
            # An omitted axis might resolve a contradiction, a missing key, or a problem with a key
            # in its table.
            if lacking and (isinstance(flaw.message, str) or unsure.nearest(where) is not None):
                continue
            _blame(point, places, axes.nearest(where), flaw, found)
    return points, list(found.values())


class _Keys:
    """A set of keys of a scenario that finds keys above or below a path."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = {tuple(key.split(".")): key for key in keys}
        self._above: dict[tuple[str, ...], str] = {}
        for parts, key in self._keys.items():
            for i in range(len(parts)):
                self._above.setdefault(parts[:i], key)

    def nearest(self, path: tuple[str, ...]) -> str | None:
        """Return a key that is below, equal to, or above a path."""
        if path in self._above:
            return self._above[path]
        begun = (path[:i] for i in range(1, len(path) + 1))
        return next((self._keys[one] for one in begun if one in self._keys), None)


def _blame(
    point: Mapping[str, Any],
    places: Mapping[str, Location],
    key: str | None,
    flaw: Flaw,
    found: dict[object, Flaw],
) -> None:
    """Add a flaw of a point's scenario to those found, attributed to the axis `key`."""
    where = spell(flaw.path)
    if key is None:
        if flaw.key not in found:
            values = ", ".join(f"{name} = {label(value)}" for name, value in point.items())
            all_of_them = next(iter(places.values()))[:1]
            at = f"at {cut(values)}: {where}: "
            found[flaw.key] = flaw._replace(path=all_of_them, at=at)
        return
    # Report an unknown key once, with the first value. Report other flaws once per value, which is
    # part of the message.
    value = point[key]
    known = isinstance(flaw.message, str) or flaw.message["type"] == "extra_forbidden"
    same = (key, flaw.key, None if known else _hashable(value))
    if same not in found:
        itself = ".".join(map(str, flaw.path)) == key
        at = f"at {cut(label(value))}: " + ("" if itself else f"{where}: ")
        found[same] = flaw._replace(path=places[key], at=at)


def _put(tables: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    """Set a key of tables, in place. Raises `LookupError` with the reason if that is impossible."""
    at: Any = tables
    way = ""
    *parents, last = parts
    for part in parents:
        place = _place(at, part, way)
        if isinstance(at, dict):
            at.setdefault(part, [] if part == "servers" and at is tables else {})
        at = at[place]
        way = f"{way}.{part}".removeprefix(".")
    at[_place(at, last, way)] = value


def _copied(value: Any) -> Any:
    """Copy nested tables and lists, faster than `deepcopy`: their values are immutable."""
    if isinstance(value, dict):
        return {key: _copied(of) for key, of in value.items()}
    return [_copied(of) for of in value] if isinstance(value, list) else value


def _place(at: Any, part: str, way: str) -> Any:
    if isinstance(at, dict):
        return part
    if not isinstance(at, list):
        raise LookupError(f"{way} is {shown(at)} in the scenario, and has no {shown(part)} in it")
    if not part.isdecimal():
        raise LookupError(f"{way} is a list: a number from 0 should follow, not {shown(part)}")
    if len(part) > _MOST_DIGITS or int(part) >= len(at):
        there = f"0 to {len(at) - 1}" if at else "none"
        raise LookupError(f"the scenario has no {way}.{cut(part)}; there are {there}")
    return int(part)
