"""Latency laws: distributions of non-negative times, in seconds.

Each law is a table with the key `law`, and has a method `sample`. Samples are drawn by inversion
of `random()` wherever there is a closed form, so that laws with different parameters give
comparable samples from the same stream: doubling all times of a law doubles its samples.
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
    """A uniform distribution between two bounds."""

    law: Literal["uniform"]
    low: Seconds
    """The lower bound, in seconds."""
    high: Seconds
    """The upper bound, in seconds."""

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
    """An exponential distribution, which is memoryless."""

    law: Literal["exponential"]
    mean: PositiveSeconds
    """The mean, in seconds."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return -self.mean * log(1.0 - random.random())


class ShiftedExponential(Table):
    """A fixed time plus an exponentially distributed one."""

    law: Literal["shifted-exponential"]
    shift: Seconds
    """The fixed time, in seconds."""
    mean: PositiveSeconds
    """The mean of the exponential part, in seconds."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self.shift - self.mean * log(1.0 - random.random())


class Lognormal(Table):
    """A lognormal distribution, with a long tail like that of real round-trip times."""

    law: Literal["lognormal"]
    median: PositiveSeconds
    """The median, in seconds."""
    sigma: float = Field(ge=0, le=50)
    """The standard deviation of the natural logarithm."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        # 52 random bits plus a half: strictly between 0 and 1, where the inverse is finite.
        return self.median * exp(
            self.sigma * _NORMAL.inv_cdf((random.getrandbits(52) + 0.5) / 2**52)
        )


class Pareto(Table):
    """A heavy-tailed distribution: P(T > t) = (scale / t) ** alpha for t >= `scale`."""

    law: Literal["pareto"]
    alpha: float = Field(ge=0.1)
    """The tail exponent; the variance is infinite for 2 and less, the mean for 1 and less."""
    scale: PositiveSeconds
    """The least, in seconds."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self.scale * float((1.0 - random.random()) ** (-1.0 / self.alpha))


class Empirical(Table):
    """Measured times, all equally likely."""

    law: Literal["empirical"]
    path: str
    """A text file with one number per line, or a CSV file; relative to the scenario file."""
    column: str | None = None
    """The column of the CSV file; default its only column."""
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
    """Return the times in a file. Raises `OSError`, or `ValueError` with the problem."""
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
    """A mixture of several laws with weights."""

    law: Literal["mixture"]
    weights: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    """The relative frequency of each law; weights need not add up to 1."""
    laws: list[Law] = Field(min_length=1)
    """The laws, one per weight."""

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
    """A fixed time plus a time drawn from another law."""

    law: Literal["shifted"]
    shift: Seconds
    """The fixed time, in seconds."""
    base: Law
    """The law of the time that is added."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return self.shift + self.base.sample(random)


class Sum(Table):
    """The sum of independent times, such as those of the two directions of a round trip."""

    law: Literal["sum"]
    laws: list[Law] = Field(min_length=1)
    """The laws of the times to add."""

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        return sum(law.sample(random) for law in self.laws)


class Quantiles(Table):
    """A distribution given by some of its quantiles, with linear interpolation between them."""

    law: Literal["quantiles"]
    table: list[Annotated[list[Seconds], Field(min_length=2, max_length=2)]] = Field(min_length=2)
    """Pairs of a probability, from 0 to 1, and the quantile for it, in seconds."""

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
    """The name of the preset; `firstk.scenarios.presets` lists them with their sources."""
    _law: Law = PrivateAttr()

    @model_validator(mode="after")
    def _find(self) -> Self:
        if self.name not in PRESETS:
            meant = did_you_mean(self.name, PRESETS)
            problem = f"there is no preset {shown(self.name)}; {meant}there are {listed(PRESETS)}"
            raise mistakes([("name", problem)])
        self._law = _LAW.validate_python(PRESETS[self.name])
        return self

    @property
    def base(self) -> Law:
        """The law with these parameters."""
        return self._law

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
"""A latency law of any kind; the key `law` selects which."""
for _kind in (Mixture, Shifted, Sum):
    _kind.model_rebuild()
_LAW: TypeAdapter[Law] = TypeAdapter(Law)
