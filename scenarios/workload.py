"""Workloads: many downloads from one grid, when each begins, and of which file.

Arrivals are a table with the key `kind`: when downloads begin is a rule of each kind.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from itertools import count
from math import inf, log
from random import Random
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from firstk.downloader.text import shown
from firstk.scenarios.base import MAX_MADE_UP_SIZE, Table, mistakes, relative_path
from firstk.scenarios.laws import Law
from firstk.scenarios.reading import CSV, read_text
from firstk.scenarios.text import cut, listed

#: The most downloads that begin in a second, and the most clients.
MAX_RATE = 100_000
MAX_CLIENTS = 100_000

#: How many downloads begin in a second.
Rate = Annotated[float, Field(gt=0, le=MAX_RATE)]

#: How many downloads may be under way, unless a workload says otherwise. A download that waits for
#: ten servers takes 30 to 100 KB of memory, and 0.1 to 3 ms of processor time to get there: ten
#: thousand of them take up to 1 GB and half a minute.
MAX_UNDER_WAY = 10_000
#: No size has more digits than this.
_MOST_DIGITS = 20

#: The most files that are made up for a workload: their shares are kept in memory.
MAX_FILES = 10_000


class Poisson(Table):
    """Downloads begin independently of one another: exponential times lie between them."""

    kind: Literal["poisson"]
    rate: Rate
    """How many begin per second, on average."""

    def times(self, random: Random) -> Iterator[float]:
        """Yield when one download after another begins, in seconds."""
        time = 0.0
        while True:
            time -= log(1.0 - random.random()) / self.rate
            yield time

    def __str__(self) -> str:
        return f"poisson arrivals, {self.rate:g} a second"


class FixedRate(Table):
    """Downloads begin at equal intervals."""

    kind: Literal["fixed"]
    rate: Rate
    """How many begin in a second."""

    def times(self, random: Random) -> Iterator[float]:
        """Yield when one download after another begins, in seconds."""
        return (number / self.rate for number in count())

    def __str__(self) -> str:
        return f"fixed arrivals, {self.rate:g} a second"


class Closed(Table):
    """Each of some clients begins its next download when it has thought over its last one."""

    kind: Literal["closed"]
    clients: int = Field(ge=1, le=MAX_CLIENTS)
    """How many clients there are."""
    think: Law | None = None
    """How long a client waits after a download; default not at all."""

    def __str__(self) -> str:
        return f"{self.clients} closed clients"


class TraceFile(Table):
    """Downloads begin as a file says: a CSV file with a column `time`, and maybe `size`."""

    kind: Literal["trace"]
    path: str
    """The file: `time` in seconds, in order; `size` of the file that is downloaded, in bytes."""
    _rows: list[tuple[float, int | None]] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _load(self, info: ValidationInfo) -> Self:
        try:
            text = read_text(relative_path(self.path, info), CSV)
            self._rows.extend(_rows(csv.DictReader(StringIO(text))))
        except OSError as e:
            raise mistakes([("path", f"{self.path}: {e.strerror}")]) from e
        except (ValueError, csv.Error) as e:  # no UTF-8 text is a ValueError too
            raise mistakes([("path", f"{self.path}: {e}")]) from e
        return self

    @property
    def rows(self) -> list[tuple[float, int | None]]:
        """When each download begins, in seconds, and the size of its file in bytes."""
        return self._rows

    def times(self, random: Random) -> Iterator[float]:
        """Yield when one download after another begins, in seconds."""
        return (time for time, _ in self._rows)

    def __str__(self) -> str:
        return f"arrivals of the trace {self.path}"


def _rows(reader: csv.DictReader[str]) -> Iterator[tuple[float, int | None]]:
    """Yield what the lines say; raises `ValueError` with the line that is wrong."""
    columns = reader.fieldnames or []
    if "time" not in columns:
        raise ValueError(f"line 1: needs a column `time`, and has {listed(columns) or 'none'}")
    before = 0.0
    for row in reader:
        try:
            time = float(row["time"])
        except (TypeError, ValueError):
            said = shown(row["time"], 40)
            raise ValueError(f"line {reader.line_num}: {said} is not a time") from None
        if not before <= time < inf:
            raise ValueError(
                f"line {reader.line_num}: should be {before:.9g} or later,"
                f" not {cut(row['time'], 40)}"
            )
        before = time
        size = row.get("size") or None
        yield time, None if size is None else _size(size, reader.line_num)
    if not before and reader.line_num < 2:
        raise ValueError("has no line below its head")


def _size(text: str, line: int) -> int:
    """Return the size of a file; raises `ValueError` if it is not one."""
    digits = text.strip()
    # Python reads no number of thousands of digits.
    size = int(digits[:_MOST_DIGITS]) if digits.isdecimal() else 0
    if size < 1:
        raise ValueError(f"line {line}: {shown(text, 40)} is not a size: a number of bytes")
    if size > MAX_MADE_UP_SIZE or len(digits) > _MOST_DIGITS:
        raise ValueError(
            f"line {line}: a size should be {MAX_MADE_UP_SIZE} or less, not {shown(text, 40)}"
        )
    return size


Arrivals = Annotated[Poisson | FixedRate | Closed | TraceFile, Field(discriminator="kind")]
"""When downloads begin; the key `kind` says which rule."""


class Files(Table):
    """Several files in place of one, like it but for their sizes."""

    count: int = Field(ge=1, le=MAX_FILES)
    """How many there are; share i of each lies on the i-th server of its permuted order."""
    sizes: Law | None = None
    """Their sizes in bytes, drawn once for each file; default that of `[file]`."""
    zipf: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """How unequally they are asked for: the i-th in proportion to 1 / i ** zipf; default all
    alike."""


class Workload(Table):
    """Many downloads from one grid, of which those that begin first are not counted."""

    arrivals: Arrivals
    """When downloads begin: `{ kind = "poisson", rate = 20 }` and so on."""
    downloads: int | None = Field(default=None, ge=1)
    """How many are counted; default, with a trace, all that are left."""
    warmup: int | None = Field(default=None, ge=0)
    """How many of those that begin first are left out; default a tenth of `downloads`, and none
    of a trace."""
    cancel: bool = False
    """Whether what a download has outstanding when it is over is withdrawn: servers drop it, and
    stop working on it."""
    max_under_way: int | None = Field(default=None, ge=1)
    """How many downloads may be under way at once: one more ends the simulation with an error,
    since the grid cannot carry such a load; default 10,000. Of closed clients there are never
    more than `clients`."""
    files: Files | None = None
    """Several files; default the one of `[file]`."""

    @field_validator("downloads")
    @classmethod
    def _no_more_than_there_are(cls, downloads: int | None, info: ValidationInfo) -> int | None:
        arrivals = info.data.get("arrivals")
        if isinstance(arrivals, TraceFile) and (downloads or 0) > len(arrivals.rows):
            problem = f"should be {len(arrivals.rows)} (what the trace has) or less"
            raise mistakes([("", f"{problem}, not {downloads}")])
        return downloads

    @model_validator(mode="after")
    def _countable(self) -> Self:
        found = []
        if isinstance(self.arrivals, TraceFile):
            if self.warmed_up >= len(self.arrivals.rows):
                problem = f"should be less than {len(self.arrivals.rows)} (what the trace has)"
                found.append(("warmup", f"{problem}, not {self.warmup}"))
            if self.files is not None and any(size for _, size in self.arrivals.rows):
                found.append(("files", "contradicts the sizes in the trace"))
        elif self.downloads is None:
            found.append(("downloads", "is missing: how many are counted"))
        if isinstance(self.arrivals, Closed) and self.max_under_way is not None:
            problem = "contradicts closed arrivals: there are never more downloads than `clients`"
            found.append(("max_under_way", problem))
        if found:
            raise mistakes(found)
        return self

    @property
    def most_under_way(self) -> int:
        """How many downloads may be under way at once."""
        if isinstance(self.arrivals, Closed):
            return self.arrivals.clients
        return MAX_UNDER_WAY if self.max_under_way is None else self.max_under_way

    @property
    def sizes_differ(self) -> bool:
        """Whether there are files of several sizes."""
        if isinstance(self.arrivals, TraceFile) and any(size for _, size in self.arrivals.rows):
            return True
        return self.files is not None and self.files.sizes is not None

    @property
    def warmed_up(self) -> int:
        """How many downloads begin before those that are counted."""
        if self.warmup is not None:
            return self.warmup
        return 0 if isinstance(self.arrivals, TraceFile) else (self.downloads or 0) // 10

    @property
    def last(self) -> int:
        """How many downloads begin, up to the last one that is counted."""
        if isinstance(self.arrivals, TraceFile):
            rows = len(self.arrivals.rows)
            return rows if self.downloads is None else min(rows, self.warmed_up + self.downloads)
        return self.warmed_up + (self.downloads or 0)

    @property
    def counted(self) -> int:
        """How many downloads are counted."""
        return self.last - self.warmed_up
