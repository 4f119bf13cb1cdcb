"""Where a sweep keeps what its runs came to: one SQLite file, with all that is needed to go on.

The file has the experiment, its points as scenarios, and a row for each run. One process writes
it, a transaction for each group of rows, in WAL mode: what was committed is there after a
`kill -9` of the writer at any moment, and others may read meanwhile.

The number of a row follows from its run, point and strategy alone, so that equal experiments
make equal rows, whoever ran what first.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout

from harness.load_result import LoadResult
from harness.result import Result
from scenarios.experiment import Experiment, Point
from scenarios.identity import scenario_hash
from scenarios.load import NoLines, ScenarioError, validated
from scenarios.model import Scenario
from scenarios.seeds import seed_of

#: The version of the tables below. It changes with them.
SCHEMA_VERSION = 1

#: What tells a store from any other SQLite file: "fstk".
_APPLICATION = 0x6673746B

#: The outcome of a run that killed the process it ran in, twice.
CRASHED = "crashed"

#: The outcome of a run in which the grid could not carry the load of a workload.
OVERLOADED = "overloaded"

#: The outcomes of runs that have no numbers.
NO_NUMBERS = (CRASHED, OVERLOADED)

_TABLES = """
CREATE TABLE experiment (
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    strategies TEXT NOT NULL, -- JSON, in order
    axes TEXT NOT NULL,       -- JSON, in order
    seed INTEGER NOT NULL     -- of the first run
);
CREATE TABLE points (
    point INTEGER PRIMARY KEY,
    label TEXT NOT NULL,
    axis_values TEXT NOT NULL,   -- JSON, in the order of the axes
    scenario_hash TEXT NOT NULL,
    scenario TEXT NOT NULL       -- JSON, with absolute paths
);
CREATE TABLE runs (
    "row" INTEGER PRIMARY KEY,
    point INTEGER NOT NULL REFERENCES points,
    strategy TEXT NOT NULL,
    run INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    scenario_hash TEXT NOT NULL,
    version TEXT NOT NULL,  -- of firstk
    digest TEXT,
    outcome TEXT NOT NULL,
    error TEXT,
    located REAL,
    ttfb REAL,
    finished REAL,
    ended REAL,
    queries INTEGER,
    reads INTEGER,
    bytes_received INTEGER,
    content_ok INTEGER,
    result TEXT NOT NULL,   -- JSON: what has no column
    load TEXT               -- JSON: what many downloads came to, where there is a workload
);
CREATE INDEX cells ON runs
    (point, strategy, run, outcome, ttfb, queries, reads, bytes_received, content_ok);
"""


class StoreError(ValueError):
    """A file is no store, or not that of this experiment; the message says which and why."""


class Row(NamedTuple):
    """A run as the store has it. A run that crashed, or was overloaded, has no numbers."""

    row: int
    point: int
    strategy: str
    run: int
    seed: int
    scenario_hash: str
    version: str
    outcome: str
    digest: str | None = None
    error: str | None = None
    located: float | None = None
    ttfb: float | None = None
    finished: float | None = None
    ended: float | None = None
    queries: int | None = None
    reads: int | None = None
    bytes_received: int | None = None
    content_ok: bool | None = None
    result: str = "{}"
    load: str | None = None


_COLUMNS = ", ".join(f'"{name}"' for name in Row._fields)

#: What stands in `Row.result`, as JSON.
_REST = tuple(
    field.name for field in fields(Result) if field.name not in {*Row._fields, "scenario"}
)


class Place(NamedTuple):
    """Which run a row is of: its first columns."""

    row: int
    point: int
    strategy: str
    run: int
    seed: int
    scenario_hash: str


def row_of(place: Place, result: Result, version: str) -> Row:
    """Return the row of a result, made by a version of firstk."""
    all_of_it = asdict(result)
    rest = {key: all_of_it[key] for key in _REST if all_of_it[key] is not None}
    columns = {key: all_of_it[key] for key in Row._fields[7:-2]}
    return Row(
        *place,
        version=version,
        **columns,
        result=json.dumps(rest, separators=(",", ":")),
    )


def row_of_load(place: Place, load: LoadResult, version: str) -> Row:
    """Return the row of what many downloads came to, made by a version of firstk."""
    return Row(
        *place,
        version=version,
        outcome=load.outcome,
        digest=load.digest,
        content_ok=load.content_ok,
        load=json.dumps(load.to_json(), separators=(",", ":")),
    )


def overloaded(place: Place, message: str, version: str) -> Row:
    """Return the row of a run in which the grid could not carry the load; `message` says how."""
    return Row(
        *place,
        version=version,
        outcome=OVERLOADED,
        result=json.dumps({"message": message}, separators=(",", ":")),
    )


class About(NamedTuple):
    """What a store says of its experiment: the strategies and axes in order, the first seed."""

    name: str
    description: str
    strategies: list[str]
    axes: list[str]
    seed: int


class Sample(NamedTuple):
    """What a run of a point and strategy came to, as far as the statistics look at it."""

    run: int
    outcome: str
    located: float | None
    ttfb: float | None
    queries: int | None
    reads: int | None
    bytes_received: int | None
    content_ok: bool | None
    load: LoadResult | None


#: A run of one download, as it was simulated or as a store has it; or one of many downloads.
OneRun = Result | Sample


class Store:
    """A store that is open. Use it as a context: it is closed then.

    Raises `StoreError` where the file is no store or has another schema, and `sqlite3.Error`
    or `OSError` where it cannot be read or written.
    """

    def __init__(self, path: Path, write: bool = False) -> None:
        self.path = path
        self._lock = _locked(path) if write else None
        self._begun: tuple[tuple[Any, ...], Sequence[Point]] | None = None
        self._versions: set[str] | None = None
        try:
            if not write and not path.is_file():
                raise StoreError(f"{path}: there is no such file")
            # Who may write tidies up what SQLite keeps beside the file, also after reading.
            mode = "rwc" if write else "rw" if os.access(path, os.W_OK) else "ro"
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
            try:
                self._look(write)
            except BaseException:
                self._db.close()
                raise
        except sqlite3.DatabaseError as e:
            self._unlock()
            raise StoreError(f"{path}: cannot be used as a store: {e}") from e
        except BaseException:
            self._unlock()
            raise

    def _look(self, write: bool) -> None:
        """Make the tables of a new file, and refuse what is none of ours."""
        db = self._db
        application, schema, tables = (
            db.execute(question).fetchone()[0]
            for question in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if write and not tables:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(
                f"BEGIN; {_TABLES} PRAGMA application_id = {_APPLICATION};"
                f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        elif application != _APPLICATION:
            raise StoreError(f"{self.path}: is no store of firstk, but another SQLite file")
        elif schema != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path}: has schema version {schema}, and this firstk has {SCHEMA_VERSION}:"
                " use the firstk that wrote it, or another file"
            )
        if write:
            # A commit is on the disk when it is reported, should the power fail too.
            db.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Close it; what was not committed is gone."""
        self._db.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def begin(self, experiment: Experiment) -> None:
        """Write down the experiment; raises `StoreError` if another one is there.

        How many runs there are to be is no part of it: one may go on for more of them. It raises
        `StoreError` too if the rows are not to be trusted.
        """
        if reason := self.distrusted:
            raise StoreError(f"{self.path}: its runs cannot be trusted, use another file: {reason}")
        about = (
            experiment.name,
            experiment.description,
            json.dumps(experiment.strategies),
            json.dumps(experiment.axes),
            experiment.seed,
        )
        begun, there = self._begun or (None, None)
        if begun == about and there is experiment.points:
            return  # a plan begins anew with each candidate, and its points are many
        points = [(i, *_point_row(point)) for i, point in enumerate(experiment.points)]
        before = self._db.execute("SELECT * FROM experiment").fetchone()
        if before is None:
            with self._db:
                self._db.execute("INSERT INTO experiment VALUES (?, ?, ?, ?, ?)", about)
                self._db.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", points)
            self._begun = about, experiment.points
            return
        differing = [
            f"its {what} {'are' if what.endswith('s') else 'is'} {then}, and not {now}"
            for what, then, now in zip(
                ("name", "", "strategies", "axes", "seed"), before, about, strict=True
            )
            if what and then != now
        ]
        if not differing:
            known = self._db.execute("SELECT scenario_hash, label FROM points ORDER BY point")
            then_points, now_points = known.fetchall(), [(point[3], point[1]) for point in points]
            if len(then_points) != len(now_points):
                differing = [f"it has {len(then_points)} points, and not {len(now_points)}"]
            else:
                differing = [
                    f"the scenario at {now[1] or 'its one point'} is another"
                    for then, now in zip(then_points, now_points, strict=True)
                    if then != now
                ][:1]
        if differing:
            raise StoreError(
                f"{self.path}: holds another experiment: {'; '.join(differing)}."
                " Take another file for the new one"
            )
        self._begun = about, experiment.points

    def distrust(self, reason: str) -> None:
        """Write down why the rows are not to be trusted; they stay, to be looked at."""
        with self._db:
            self._db.execute("CREATE TABLE IF NOT EXISTS distrusted (reason TEXT NOT NULL)")
            self._db.execute("INSERT INTO distrusted VALUES (?)", (reason,))

    @property
    def distrusted(self) -> str | None:
        """Why the rows are not to be trusted, if they are not."""
        table = "SELECT 1 FROM sqlite_master WHERE name = 'distrusted'"
        if self._db.execute(table).fetchone() is None:
            return None
        (reason,) = self._db.execute("SELECT reason FROM distrusted").fetchone()
        return str(reason)

    def versions(self) -> list[str]:
        """Return the versions of firstk that rows were made by."""
        versions = self._versions
        if versions is None:
            versions = {v for (v,) in self._db.execute("SELECT DISTINCT version FROM runs")}
            if self._lock is not None:  # else another process may add more
                self._versions = versions
        return sorted(versions)

    def add(self, rows: Iterable[Row]) -> None:
        """Commit rows, all or none; those that are there already stay as they are."""
        rows = list(rows)
        marks = ", ".join("?" * len(Row._fields))
        insert = f"INSERT OR IGNORE INTO runs ({_COLUMNS}) VALUES ({marks})"  # noqa: S608 - the same
        with self._db:
            self._db.executemany(insert, rows)
        if self._versions is not None:
            self._versions.update(row.version for row in rows)

    def present(self, point: int, strategies: Sequence[str]) -> set[int]:
        """Return the numbers of the rows that a point and some strategies have."""
        rows = self._db.execute(
            'SELECT "row" FROM runs WHERE point = ?'
            " AND strategy IN (SELECT value FROM json_each(?))",
            (point, json.dumps(strategies)),
        )
        return {number for (number,) in rows}

    def __len__(self) -> int:
        """Return how many rows there are."""
        (rows,) = self._db.execute("SELECT count(*) FROM runs").fetchone()
        return int(rows)

    def count(self, end: int, points: Sequence[int], strategies: Sequence[str]) -> int:
        """Return how many rows some points and strategies have before the one of this number."""
        (rows,) = self._db.execute(
            'SELECT count(*) FROM runs WHERE "row" < ?'
            " AND point IN (SELECT value FROM json_each(?))"
            " AND strategy IN (SELECT value FROM json_each(?))",
            (end, json.dumps(list(points)), json.dumps(strategies)),
        ).fetchone()
        return int(rows)

    def samples(self, point: int, strategy: str, runs: int) -> list[Sample]:
        """Return what the first `runs` runs of a point and strategy came to, in their order."""
        # What many downloads came to lies farther away than the rest: no index has it.
        load = "load" if self._is_load(point) else "NULL"
        found = self._db.execute(
            "SELECT run, outcome, located, ttfb, queries, reads, bytes_received, content_ok,"  # noqa: S608 - one of two
            f" {load} FROM runs WHERE point = ? AND strategy = ? AND run < ? ORDER BY run",
            (point, strategy, runs),
        )
        return [Sample._make((*most, _as_bool(right), _load(load))) for *most, right, load in found]

    def _is_load(self, point: int) -> bool:
        """Tell whether each run of a point is many downloads."""
        query = "SELECT json_extract(scenario, '$.workload') FROM points WHERE point = ?"
        found = self._db.execute(query, (point,)).fetchone()
        return found is not None and found[0] is not None

    def rows(self) -> Iterator[Row]:
        """Yield all rows, in the order of their numbers."""
        for row in self._db.execute(f'SELECT {_COLUMNS} FROM runs ORDER BY "row"'):  # noqa: S608 - the same
            found = Row(*row)
            yield found._replace(content_ok=_as_bool(found.content_ok))

    def bad(self) -> Iterator[tuple[int, str]]:
        """Yield the rows that should not be, each with what is wrong, in words."""
        query = (
            'SELECT "row", strategy, seed, outcome, error FROM runs'
            ' WHERE outcome IN (?, ?) OR content_ok = 0 ORDER BY "row"'
        )
        for row, strategy, seed, outcome, error in self._db.execute(query, NO_NUMBERS):
            what = "wrote wrong bytes"
            if outcome == OVERLOADED:
                what = "had too many downloads under way: the grid cannot carry this load"
            if outcome == CRASHED:
                what = f"crashed ({error})" if error else "crashed: it ended its process"
            yield row, f"{strategy} with seed {seed} {what}"

    def row(self, number: int) -> Row:
        """Return one row; raises `StoreError` if there is none."""
        query = f'SELECT {_COLUMNS} FROM runs WHERE "row" = ?'  # noqa: S608 - the same
        found = self._db.execute(query, (number,)).fetchone()
        if found is None:
            there = self._db.execute('SELECT min("row"), max("row") FROM runs').fetchone()
            known = "it has none" if there[0] is None else "they are {} to {}".format(*there)
            raise StoreError(f"{self.path}: there is no row {number}; {known}")
        return Row(*found)

    def scenario(self, row: Row) -> Scenario:
        """Return the scenario of a row, to be run again: with its strategy and seed, one run.

        Raises `StoreError` if files that it needs are gone or are no longer what they were.
        """
        (text,) = self._db.execute(
            "SELECT scenario FROM points WHERE point = ?", (row.point,)
        ).fetchone()
        tables = json.loads(text) | {"seed": row.seed, "runs": 1}
        try:
            scenario = validated(Scenario, str(self.path), NoLines(tables), Path())
        except ScenarioError as e:
            raise StoreError(f"row {row.row} cannot be run again: {e}") from e
        if scenario_hash(scenario) != row.scenario_hash:
            raise StoreError(
                f"{self.path}: row {row.row} cannot be run again: its files of shares or times"
                " are no longer what they were, or this firstk reads its scenario otherwise"
            )
        # A strategy that is another downloader is no name that a file may have.
        return scenario.model_copy(update={"strategies": [row.strategy]})

    @property
    def about(self) -> About:
        """What the experiment is; a store that nothing was written to yet has none of it."""
        found = self._db.execute("SELECT name, description, strategies, axes, seed FROM experiment")
        name, description, strategies, axes, seed = found.fetchone() or ("", "", "[]", "[]", 0)
        return About(name, description, json.loads(strategies), json.loads(axes), seed)

    @property
    def axes(self) -> list[str]:
        """The keys that are varied."""
        return self.about.axes

    def tables(self) -> list[dict[str, Any]]:
        """Return the scenario of each point, as the tables of its file."""
        query = "SELECT scenario FROM points ORDER BY point"
        return [json.loads(text) for (text,) in self._db.execute(query)]

    def points(self) -> list[list[Any]]:
        """Return the axes' values of each point, in the order of the axes."""
        query = "SELECT axis_values FROM points ORDER BY point"
        return [json.loads(text) for (text,) in self._db.execute(query)]


def _load(text: str | None) -> LoadResult | None:
    return None if text is None else LoadResult.from_json(json.loads(text))


def _as_bool(number: int | None) -> bool | None:
    return None if number is None else bool(number)


def _point_row(point: Point) -> tuple[str, str, str, str]:
    tables = point.scenario.model_dump(
        mode="json", exclude_none=True, exclude={"strategies", "seed", "runs", "expect"}
    )
    return (
        str(point),
        json.dumps(list(point.values.values())),
        point.scenario_hash,
        json.dumps(tables),
    )


def places(
    experiment: Experiment, hashes: Sequence[str] | Mapping[int, str], point: int, run: int
) -> Iterator[Place]:
    """Yield the places of a run of a point, one for each strategy.

    `hashes` are those of the points' scenarios, by their numbers. More runs do not change the
    numbers of rows.
    """
    first = first_row(len(experiment.points), len(experiment.strategies), point, run)
    for i, strategy in enumerate(experiment.strategies):
        yield Place(first + i, point, strategy, run, seed_of(experiment.seed, run), hashes[point])


def first_row(points: int, strategies: int, point: int, run: int) -> int:
    """Return the number of the row of the first strategy; the others follow."""
    return (run * points + point) * strategies + 1


def _locked(path: Path) -> FileLock:
    """Return the lock of the one process that writes a store.

    Its file stays beside the store: where it is removed, a process that has opened it already and
    another that makes a new one both have a lock. The system takes the lock back when the
    process ends.
    """
    if not path.parent.is_dir():  # the lock would make it
        raise StoreError(f"{path}: there is no folder {path.parent}")
    lock = FileLock(path.with_name(f"{path.name}-lock"), timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(f"{path}: another process is writing to it") from None
    except (OSError, NotImplementedError) as e:  # the latter where a file system has no locks
        reason = getattr(e, "strerror", None) or e
        raise StoreError(f"{path}: cannot be locked for writing: {lock.lock_file}: {reason}") from e
    return lock
