"""Latency laws: distributions of non-negative times, in seconds.

Each law is a table with the key `law`, and has one method, `sample`. Draws are made by
inversion from `random()` wherever there is a closed form, so that equal streams give
comparable draws, and a law with all its times doubled gives doubled draws.
"""

from __future__ import annotations

import csv
from bisect import bisect
from itertools import accumulate, pairwise
from math import exp, isinf, log
from operator import itemgetter
from pathlib import Path
from random import Random
from statistics import NormalDist
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)

from firstk.downloader.names import did_you_mean
from firstk.downloader.text import shown
from firstk.scenarios.base import Seconds, Table, mistakes, relative_path
from firstk.scenarios.presets import PRESETS
from firstk.scenarios.reading import CSV, read_text
from firstk.scenarios.text import listed

PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_NORMAL = NormalDist()


class Constant(Table):
    """Always the same time."""

    law: Literal["constant"]
    value: Seconds
    """The time, in seconds."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self.value


class Uniform(Table):
    """Every time between two bounds alike."""

    law: Literal["uniform"]
    low: Seconds
    """The least, in seconds."""
    high: Seconds
    """The most, in seconds."""

    @field_validator("high")
    @classmethod
    def _ordered(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("low", 0.0)
        if high < low:
            raise mistakes([("", f"should be {low} (low) or more, not {high}")])
        return high

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self.low + (self.high - self.low) * random.random()


class Exponential(Table):
    """Exponential, without memory."""

    law: Literal["exponential"]
    mean: PositiveSeconds
    """The mean, in seconds."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return -self.mean * log(1.0 - random.random())


class ShiftedExponential(Table):
    """A fixed time, and an exponential one on top."""

    law: Literal["shifted-exponential"]
    shift: Seconds
    """The fixed time, in seconds."""
    mean: PositiveSeconds
    """The mean of what comes on top, in seconds."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self.shift - self.mean * log(1.0 - random.random())


class Lognormal(Table):
    """The logarithm is normal: a long tail, as round trips have."""

    law: Literal["lognormal"]
    median: PositiveSeconds
    """The median, in seconds."""
    sigma: float = Field(ge=0, le=50)
    """The standard deviation of the natural logarithm."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        # 52 bits and a half: strictly between 0 and 1, where the inverse is finite.
        return self.median * exp(
            self.sigma * _NORMAL.inv_cdf((random.getrandbits(52) + 0.5) / 2**52)
        )


class Pareto(Table):
    """A heavy tail: P(T > t) = (scale / t) ** alpha from `scale` on."""

    law: Literal["pareto"]
    alpha: float = Field(ge=0.1)
    """The tail's exponent; the variance is infinite at 2 and less, the mean at 1."""
    scale: PositiveSeconds
    """The least, in seconds."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self.scale * float((1.0 - random.random()) ** (-1.0 / self.alpha))


class Empirical(Table):
    """Measured times, each as likely as the others."""

    law: Literal["empirical"]
    path: str
    """A text file of one number a line, or a CSV file, beside the scenario file."""
    column: str | None = None
    """The column of the CSV file; default the only one."""
    _times: tuple[float, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _load(self, info: ValidationInfo) -> Self:
        try:
            self._times = tuple(_read_times(relative_path(self.path, info), self.column))
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) else str(e)
            raise mistakes([("path", f"{self.path}: {reason}")]) from e
        return self

    @property
    def times(self) -> tuple[float, ...]:
        """The times in the file, in seconds."""
        return self._times

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self._times[int(random.random() * len(self._times))]


def _read_times(path: Path, column: str | None) -> list[float]:
    """Return the times in a file; raises `OSError`, or `ValueError` with what is wrong."""
    try:
        text = read_text(path, CSV)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except csv.Error as e:
        raise ValueError(f"is not CSV: {e}") from None
    first, place = 0, 0
    if rows and (column is not None or not _is_number(rows[0][:1])):
        header = [cell.strip() for cell in rows[0]]
        if column is None and len(header) > 1:
            raise ValueError(f"has the columns {listed(header)}: say which, with column = ...")
        if column is not None and column not in header:
            meant = did_you_mean(column, header)
            raise ValueError(f"has no column {shown(column)}; {meant}there are {listed(header)}")
        first, place = 1, 0 if column is None else header.index(column)
    times = []
    for number, row in enumerate(rows[first:], first + 1):
        if not first and len(row) > 1:
            raise ValueError(f"line {number}: more than one number, and no header")
        cell = row[place : place + 1]
        if row and not (_is_number(cell) and 0 <= float(cell[0]) < float("inf")):
            said = shown(",".join(cell), 40)
            raise ValueError(f"line {number}: {said} is not a time in seconds")
        times += [float(cell[0])] if row else []
    if not times:
        raise ValueError("holds no times")
    return times


def _is_number(cell: list[str]) -> bool:
    try:
        float(*cell)
    except ValueError:
        return False
    return bool(cell)


class Mixture(Table):
    """One of several laws, by weight."""

    law: Literal["mixture"]
    weights: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    """How often each law is taken; they need not add up to 1."""
    laws: list[Law] = Field(min_length=1)
    """The laws, as many as there are weights."""

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.weights) != len(self.laws):
            raise mistakes(
                [("weights", f"there are {len(self.weights)} weights for {len(self.laws)} laws")]
            )
        if isinf(sum(self.weights)):
            raise mistakes([("weights", "are too large to be added up")])
        return self

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        bounds = list(accumulate(self.weights))
        place = bisect(bounds, random.random() * bounds[-1], hi=len(bounds) - 1)
        return self.laws[place].sample(random)


class Shifted(Table):
    """A fixed time, and a time of another law on top."""

    law: Literal["shifted"]
    shift: Seconds
    """The fixed time, in seconds."""
    base: Law
    """The law of what comes on top."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self.shift + self.base.sample(random)


class Sum(Table):
    """The sum of independent times, such as the way to a server and the way back."""

    law: Literal["sum"]
    laws: list[Law] = Field(min_length=1)
    """The laws of the times that are added up."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return sum(law.sample(random) for law in self.laws)


class Quantiles(Table):
    """Times of which some quantiles are known, with straight lines between them."""

    law: Literal["quantiles"]
    table: list[Annotated[list[Seconds], Field(min_length=2, max_length=2)]] = Field(min_length=2)
    """Pairs of a probability and the time that is not exceeded with it, from 0 to 1."""

    @field_validator("table")
    @classmethod
    def _ascending(cls, table: list[list[float]]) -> list[list[float]]:
        ends = table[0][0], table[-1][0]
        if ends != (0, 1):
            raise mistakes(
                [("", f"should be from probability 0 to 1, not {ends[0]:g} to {ends[1]:g}")]
            )
        for (p, time), (next_p, next_time) in pairwise(table):
            if not p < next_p or time > next_time:
                problem = f"[{next_p:g}, {next_time:g}] should come before [{p:g}, {time:g}]"
                raise mistakes([("", problem)])
        return table

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        drawn = random.random()
        place = bisect(self.table, drawn, key=itemgetter(0))
        (p, time), (next_p, next_time) = self.table[place - 1 : place + 1]
        return time + (next_time - time) * (drawn - p) / (next_p - p)


class Preset(Table):
    """A law with published parameters."""

    law: Literal["preset"]
    name: str
    """Which one; `firstk.scenarios.presets` has them with their sources."""
    _law: Law = PrivateAttr()

    @model_validator(mode="after")
    def _find(self) -> Self:
        if self.name not in PRESETS:
            meant = did_you_mean(self.name, PRESETS)
            problem = f"there is no preset {shown(self.name)}; {meant}there are {listed(PRESETS)}"
            raise mistakes([("name", problem)])
        self._law = _LAW.validate_python(PRESETS[self.name])
        return self

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self._law.sample(random)


Law = Annotated[
    Constant
    | Uniform
    | Exponential
    | ShiftedExponential
    | Lognormal
    | Pareto
    | Empirical
    | Mixture
    | Shifted
    | Sum
    | Quantiles
    | Preset,
    Field(discriminator="law"),
]
"""Any law; the key `law` says which."""
for _kind in (Mixture, Shifted, Sum):
    _kind.model_rebuild()
_LAW: TypeAdapter[Law] = TypeAdapter(Law)
