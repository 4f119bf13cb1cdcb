"""Workloads: many downloads from one grid, with their start times and files.

Arrivals are a table with the key `kind`, which determines the rule for start times.
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

#: The maximum number of downloads per second, and of clients.
MAX_RATE = 100_000
MAX_CLIENTS = 100_000

#: The number of downloads that begin per second.
Rate = Annotated[float, Field(gt=0, le=MAX_RATE)]

#: The default maximum number of concurrent downloads. A download that waits for ten servers takes
#: 30 to 100 KB of memory, and 0.1 to 3 ms of processor time to get there: ten thousand of them take
#: up to 1 GB and half a minute.
MAX_UNDER_WAY = 10_000
#: The maximum number of digits of a size.
_MOST_DIGITS = 20

#: The maximum number of files generated for a workload: their shares are kept in memory.
MAX_FILES = 10_000


class Poisson(Table):
    """Downloads begin independently of one another, with exponential times between them."""

    kind: Literal["poisson"]
    rate: Rate
    """The mean number of downloads that begin per second."""

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
    """The number of downloads that begin per second."""

    def times(self, random: Random) -> Iterator[float]:
        """Yield when one download after another begins, in seconds."""
        return (number / self.rate for number in count())

    def __str__(self) -> str:
        return f"fixed arrivals, {self.rate:g} a second"


class Closed(Table):
    """Each of a number of clients begins its next download some time after its last one ends."""

    kind: Literal["closed"]
    clients: int = Field(ge=1, le=MAX_CLIENTS)
    """The number of clients."""
    think: Law | None = None
    """How long a client waits after a download; default no time."""

    def __str__(self) -> str:
        return f"{self.clients} closed clients"


class TraceFile(Table):
    """Downloads begin at times from a CSV file with a column `time`, and optionally `size`."""

    kind: Literal["trace"]
    path: str
    """The CSV file: `time` in seconds, in order; `size` of the downloaded file in bytes."""
    _rows: list[tuple[float, int | None]] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _load(self, info: ValidationInfo) -> Self:
        try:
            text = read_text(relative_path(self.path, info), CSV)
            self._rows.extend(_rows(csv.DictReader(StringIO(text))))
        except OSError as e:
            raise mistakes([("path", f"{self.path}: {e.strerror}")]) from e
        except (ValueError, csv.Error) as e:  # includes a text that is not UTF-8
            raise mistakes([("path", f"{self.path}: {e}")]) from e
        return self

    @property
    def rows(self) -> list[tuple[float, int | None]]:
        """The start time of each download, in seconds, and the size of its file in bytes."""
        return self._rows

    def times(self, random: Random) -> Iterator[float]:
        """Yield when one download after another begins, in seconds."""
        return (time for time, _ in self._rows)

    def __str__(self) -> str:
        return f"arrivals of the trace {self.path}"


def _rows(reader: csv.DictReader[str]) -> Iterator[tuple[float, int | None]]:
    """Yield the contents of the lines. Raises `ValueError` with the line that is invalid."""
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
    """Parse the size of a file. Raises `ValueError` if it is invalid."""
    digits = text.strip()
    # Python does not parse numbers with thousands of digits.
    size = int(digits[:_MOST_DIGITS]) if digits.isdecimal() else 0
    if size < 1:
        raise ValueError(f"line {line}: {shown(text, 40)} is not a size: a number of bytes")
    if size > MAX_MADE_UP_SIZE or len(digits) > _MOST_DIGITS:
        raise ValueError(
            f"line {line}: a size should be {MAX_MADE_UP_SIZE} or less, not {shown(text, 40)}"
        )
    return size


Arrivals = Annotated[Poisson | FixedRate | Closed | TraceFile, Field(discriminator="kind")]
"""When downloads begin; the key `kind` selects the rule."""


class Files(Table):
    """Several files instead of one; they differ from `[file]` only in their sizes."""

    count: int = Field(ge=1, le=MAX_FILES)
    """The number of files; share i of each is on the i-th server of the file's permuted order."""
    sizes: Law | None = None
    """Their sizes in bytes, drawn once for each file; default that of `[file]`."""
    zipf: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """How unequal their popularity is: the i-th file is downloaded in proportion to
    1 / i ** zipf; default all equally."""


class Workload(Table):
    """Many downloads from one grid, the first of which are a warm-up and are not counted."""

    arrivals: Arrivals
    """When downloads begin: `{ kind = "poisson", rate = 20 }` and so on."""
    downloads: int | None = Field(default=None, ge=1)
    """The number of downloads that are counted; default, with a trace, all after the warm-up."""
    warmup: int | None = Field(default=None, ge=0)
    """The number of downloads at the beginning that are not counted; default a tenth of
    `downloads`, and none with a trace."""
    cancel: bool = False
    """Whether requests that are outstanding when a download ends are cancelled: servers drop them,
    and stop working on them."""
    max_under_way: int | None = Field(default=None, ge=1)
    """The maximum number of concurrent downloads: one more ends the simulation with an error,
    since the grid cannot sustain the load; default 10,000. Closed clients never have more than
    `clients`."""
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
        """The maximum number of concurrent downloads."""
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
        """The number of downloads before those that are counted."""
        if self.warmup is not None:
            return self.warmup
        return 0 if isinstance(self.arrivals, TraceFile) else (self.downloads or 0) // 10

    @property
    def last(self) -> int:
        """The number of downloads up to the last one that is counted."""
        if isinstance(self.arrivals, TraceFile):
            rows = len(self.arrivals.rows)
            return rows if self.downloads is None else min(rows, self.warmed_up + self.downloads)
        return self.warmed_up + (self.downloads or 0)

    @property
    def counted(self) -> int:
        """The number of downloads that are counted."""
        return self.last - self.warmed_up
