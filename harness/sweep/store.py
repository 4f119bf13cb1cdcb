"""The store of a sweep: one SQLite file with the results of its runs, and all it takes to resume.

The file contains the experiment, its points as scenarios, and one row per run. One process writes
it in WAL mode, with one transaction per group of rows: committed rows survive a `kill -9` of the
writer at any moment, and other processes may read the file meanwhile.

The number of a row follows from its run, point and strategy alone, so equal experiments make equal
rows, whatever the order of the runs.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout

from firstk.downloader.text import shown
from firstk.harness.run.sample import CRASHED, NO_NUMBERS, OVERLOADED, Sample
from firstk.harness.sweep.rows import Row, check_numbers, first_row
from firstk.harness.sweep.store_checks import Columns, Word, load_of
from firstk.harness.sweep.store_errors import StoreError as StoreError
from firstk.harness.sweep.store_errors import damaged, explaining
from firstk.harness.sweep.store_tables import (
    APPLICATION,
    SCHEMA_VERSION,
    TABLES,
    ExperimentInfo,
    StoredPlan,
    StoredPoint,
    point_row,
)
from firstk.scenarios.experiment import Experiment, Point
from firstk.scenarios.hashing import scenario_hash
from firstk.scenarios.load import NoPositions, ScenarioError, validated
from firstk.scenarios.model import Scenario
from firstk.scenarios.plan import Plan, Target
from firstk.scenarios.seeds import MAX_RUNS, seed_of
from firstk.scenarios.text import cut, shell_word

#: Less than the number of any row.
_LEAST = -(2**63)

#: A store of up to this many bytes is checked before it is resumed; this takes about 0.5 s.
_VERIFIED = 2**28

_POINTS = "SELECT point, label, axis_values, scenario_hash, scenario FROM points"

_COLUMNS = ", ".join(f'"{name}"' for name in Row._fields)


class NoRowError(StoreError):
    """A store has no row with this number; the message says which rows it has."""


_ROW = Columns(Row)
_ABOUT = Columns(ExperimentInfo)
_POINT = Columns(StoredPoint)
_PLAN = Columns(StoredPlan)
_SAMPLE = Columns(Sample, without=["load"])


class Store:
    """An open store. As a context manager it closes itself.

    With `cut_off`, a store that has lost its end is opened too, to read what is left; it is not
    changed.
    The constructor and all methods raise `StoreError` if the file is not a store, has another
    schema, is damaged or cannot be written, and `OSError` if it cannot be opened.
    """

    def __init__(self, path: Path, write: bool = False, cut_off: bool = False) -> None:
        self.path = path
        self._lock = _locked(path) if write else None
        self._begun: tuple[tuple[Any, ...], Sequence[Point]] | None = None
        self._versions: set[str] | None = None
        self._known: _Known | None = None
        self._alone = False
        try:
            if not write and not path.is_file():
                there = "is not a regular file" if path.exists() else "there is no such file"
                raise StoreError(f"{path}: {there}")
            # With write access, SQLite removes its auxiliary files on close, also after reading.
            mode = "rwc" if write else "rw" if os.access(path, os.W_OK) else "ro"
            if cut_off:  # leave no auxiliary files behind either, unless there are some
                mode = "ro" if path.with_name(f"{path.name}-wal").exists() else "ro&immutable=1"
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
            try:
                with explaining(
                    path, "its tables", self._rows if write else None, hopeless=cut_off
                ):
                    if cut_off:  # otherwise SQLite refuses a file that lacks pages
                        self._db.execute("PRAGMA writable_schema = ON")
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
        """Create the tables in a new file, and reject a file that is not a store."""
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
                f"BEGIN; {TABLES} PRAGMA application_id = {APPLICATION};"
                f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        elif application != APPLICATION:
            raise StoreError(f"{self.path}: is another SQLite file, not a store of firstk")
        elif schema != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path}: has schema version {schema}, and this firstk has {SCHEMA_VERSION}:"
                " use the firstk that wrote it, or another file"
            )
        if write:
            # A reported commit must be on disk even if the power fails.
            db.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Close the store; uncommitted rows are lost."""
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

    def _explaining(self, where: str) -> AbstractContextManager[None]:
        """Convert errors of SQLite, and of decoding its values, into `StoreError`."""
        return explaining(self.path, where, self._rows if self._lock is not None else None)

    def _all(self, where: str, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query; `where` describes what it reads, for error messages."""
        with self._explaining(where):
            return self._db.execute(query, values).fetchall()

    def _rows(self) -> int:
        (rows,) = self._db.execute("SELECT count(*) FROM runs").fetchone()
        return int(rows)

    def verify(self) -> None:
        """Raise `StoreError` if damage would make rows disappear; large stores are not checked.

        Rows disappear with damaged pages or indexes, or if they belong to no point or strategy.
        Rows that are read later are checked at that time, in stores of any size.
        """
        with self._explaining("its pages"):
            if self.path.stat().st_size > _VERIFIED:
                return
            (found,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise ValueError(found.removeprefix("*** in database main ***\n"))
        query = (
            'SELECT "row" FROM runs WHERE point NOT IN (SELECT point FROM points)'
            " OR strategy NOT IN (SELECT value FROM json_each(?)) OR typeof(run) <> 'integer'"
            " LIMIT 1"
        )
        for (row,) in self._all("runs", query, (json.dumps(self.about.strategies),)):
            self.row(row)  # reports what is wrong with the row

    def begin(self, experiment: Experiment) -> None:
        """Record the experiment.

        The number of runs is not part of it: more runs may follow. Raises `StoreError` if the store
        has another experiment, or if its rows are not to be trusted.
        """
        with self._explaining("its experiment"):
            self._begin(experiment)

    def _begin(self, experiment: Experiment) -> None:
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
            return  # a plan calls this for each candidate, and has many points
        points = [(i, *point_row(point)) for i, point in enumerate(experiment.points)]
        before = self._db.execute("SELECT * FROM experiment").fetchone()
        if before is None:
            with self._db:
                self._db.execute("INSERT INTO experiment VALUES (?, ?, ?, ?, ?)", about)
                self._db.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", points)
            self._begun, self._known = (about, experiment.points), None
            return
        self.verify()
        differing = [
            f"its {what} {'are' if what.endswith('s') else 'is'} {cut(str(then))}, and not {now}"
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
                    f"the scenario at {now[1] or 'its one point'} is another one"
                    for then, now in zip(then_points, now_points, strict=True)
                    if then != now
                ][:1]
        if differing:
            raise StoreError(
                f"{self.path}: holds another experiment: {'; '.join(differing)}."
                " Take another file for the new one"
            )
        self._begun = about, experiment.points

    def note_plan(self, plan: Plan) -> None:
        """Record the target of the plan that the runs are for, replacing an earlier one."""
        target = plan.target.model_dump_json(by_alias=True, exclude_none=True)
        with self._explaining("plan"), self._db:
            self._db.execute("DROP TABLE IF EXISTS plan")
            self._db.execute("CREATE TABLE plan (target TEXT NOT NULL, max_runs INTEGER NOT NULL)")
            self._db.execute("INSERT INTO plan VALUES (?, ?)", (target, plan.max_runs))

    @property
    def plan(self) -> StoredPlan | None:
        """The plan that the runs were made for; None if there is none."""
        if not self._all("its tables", "SELECT 1 FROM sqlite_master WHERE name = 'plan'"):
            return None
        found = self._all("plan", "SELECT target, max_runs FROM plan")
        with self._explaining("plan"):
            if not found:
                raise ValueError("it has no row")
            stored = StoredPlan(*_PLAN.checked(found[0]))
            Target.model_validate(stored.target)
            return stored

    def distrust(self, reason: str) -> None:
        """Record why the rows are not to be trusted; they are kept for inspection."""
        with self._explaining("distrusted"), self._db:
            self._db.execute("CREATE TABLE IF NOT EXISTS distrusted (reason TEXT NOT NULL)")
            self._db.execute("INSERT INTO distrusted VALUES (?)", (reason,))

    @property
    def distrusted(self) -> str | None:
        """Why the rows are not to be trusted; None if they are."""
        table = "SELECT 1 FROM sqlite_master WHERE name = 'distrusted'"
        if not self._all("its tables", table):
            return None
        reasons = self._all("distrusted", "SELECT reason FROM distrusted")
        return str(reasons[0][0]) if reasons else "it does not say why"

    def versions(self) -> list[str]:
        """Return the versions of firstk that made the rows."""
        versions = self._versions
        if versions is None:
            found = self._all("runs", "SELECT DISTINCT version FROM runs")
            with self._explaining("runs"):
                versions = {_VERSION.checked(row)[0] for row in found}
            if self._lock is not None:  # otherwise another process may add more
                self._versions = versions
        return sorted(versions)

    def add(self, rows: Iterable[Row]) -> None:
        """Commit rows, all or none; rows that already exist are not changed."""
        rows = list(rows)
        marks = ", ".join("?" * len(Row._fields))
        insert = f"INSERT OR IGNORE INTO runs ({_COLUMNS}) VALUES ({marks})"  # noqa: S608 - the same
        with self._explaining("runs"), self._db:
            self._db.executemany(insert, rows)
        if self._versions is not None:
            self._versions.update(row.version for row in rows)

    def present(self, point: int, strategies: Sequence[str]) -> set[int]:
        """Return the numbers of the existing rows of a point and some strategies."""
        rows = self._all(
            f"runs of point {point}",
            'SELECT "row" FROM runs WHERE point = ?'
            " AND strategy IN (SELECT value FROM json_each(?))",
            (point, json.dumps(strategies)),
        )
        return {number for (number,) in rows}

    def __len__(self) -> int:
        """Return the number of rows."""
        with self._explaining("runs"):
            return self._rows()

    def count(self, end: int, points: Sequence[int], strategies: Sequence[str]) -> int:
        """Return the number of rows of some points and strategies with numbers less than `end`."""
        ((rows,),) = self._all(
            "runs",
            'SELECT count(*) FROM runs WHERE "row" < ?'
            " AND point IN (SELECT value FROM json_each(?))"
            " AND strategy IN (SELECT value FROM json_each(?))",
            (end, json.dumps(list(points)), json.dumps(strategies)),
        )
        return int(rows)

    def samples(self, point: int, strategy: str, runs: int | None = None) -> list[Sample]:
        """Return the results of the runs of a point and strategy, in order.

        With `runs`, return exactly that many, from the first; none may be missing.
        """
        # The results of workloads are only read if needed: no index contains them.
        is_load = self._is_load(point)
        load = "load" if is_load else "NULL"
        found = self._all(
            f"runs of point {point}",
            'SELECT "row", run, outcome, located, ttfb, queries, reads, bytes_received, content_ok,'  # noqa: S608 - one of two
            f" finished, {load} FROM runs"
            " WHERE point = ? AND strategy = ? AND run < ? ORDER BY run",
            (point, strategy, MAX_RUNS if runs is None else runs),
        )
        samples = [self._sample(point, strategy, is_load, *row) for row in found]
        if runs is not None and len(samples) < runs:
            there = {sample.run for sample in samples}
            gone = next(run for run in range(runs) if run not in there)
            raise damaged(self.path, f"runs of point {point}", f"{strategy} has no run {gone}")
        return samples

    def saved(self, point: int, strategy: str, runs: int | None = None) -> float | None:
        """Return the mean of the bytes that were never sent, as their requests were cancelled.

        None if the strategy has cancelled no request at this point.
        """
        ((mean, cancelled),) = self._all(
            f"runs of point {point}",
            "SELECT avg(coalesce(json_extract(result, '$.bytes_saved'), 0)),"
            " total(json_extract(result, '$.cancelled')) FROM runs"
            " WHERE point = ? AND strategy = ? AND run < ?"
            " AND outcome NOT IN (SELECT value FROM json_each(?))",
            (point, strategy, MAX_RUNS if runs is None else runs, json.dumps(NO_NUMBERS)),
        )
        return mean if cancelled else None

    def _sample(self, point: int, strategy: str, is_load: bool, row: int, *columns: Any) -> Sample:
        with self._explaining(f"row {row} of runs"):
            *most, load = columns
            *numbers, finished = _SAMPLE.checked(most)
            sample = Sample._make([*numbers, None if load is None else load_of(load), finished])
            self._check_place(row, point, strategy, sample.run)
            check_numbers(sample, is_load)
            return sample

    def _check_place(self, row: int, point: int, strategy: str, run: int) -> None:
        """Raise `ValueError` if a row's number does not match its point, strategy and run."""
        about, hashes = self._what_is_known()
        if strategy not in about.strategies:
            raise ValueError(f"strategy: is not one of the experiment: {shown(strategy)}")
        if point >= len(hashes):
            raise ValueError(f"point: there is no point {point}: there are {len(hashes)}")
        first = first_row(len(hashes), len(about.strategies), point, run)
        if row != (right := first + about.strategies.index(strategy)):
            raise ValueError(f"row: run {run} of {strategy} at point {point} is row {right}")

    def _what_is_known(self) -> _Known:
        """Return what all rows share: the experiment, and the hashes of the points' scenarios."""
        if self._known is None:
            hashes = []
            query = "SELECT point, scenario_hash FROM points ORDER BY point"
            for i, (point, scenario) in enumerate(self._all("points", query)):
                if i != point:
                    raise damaged(self.path, "points", f"there is no point {i}")
                hashes.append(scenario)
            self._known = _Known(self.about, hashes)
        return self._known

    def _is_load(self, point: int) -> bool:
        """Return whether each run of a point is a workload of many downloads."""
        query = "SELECT json_extract(scenario, '$.workload') FROM points WHERE point = ?"
        found = self._all(f"point {point} of points", query, (point,))
        return bool(found) and found[0][0] is not None

    def rows(self, after: int | None = None) -> Iterator[Row]:
        """Yield all rows in the order of their numbers, or only those after the row `after`."""
        at = _LEAST if after is None else after
        query = f'SELECT {_COLUMNS} FROM runs WHERE "row" > ? ORDER BY "row"'  # noqa: S608 - the same
        found = self._all_but_slowly(query, at)
        for columns in found:
            row = self._row(columns)
            if row.row <= at:  # pages that form a cycle would be read forever
                raise damaged(self.path, "runs", f"row {row.row} comes again after row {at}")
            at = row.row
            yield row

    def _all_but_slowly(self, query: str, at: int) -> Iterator[tuple[Any, ...]]:
        """Yield the rows after a number one by one, since they may not all fit into memory."""
        with self._explaining("runs"):
            cursor = self._db.execute(query, (at,))
        while True:
            with self._explaining(f"runs after row {at}" if at > _LEAST else "runs"):
                columns = cursor.fetchone()
            if columns is None:
                return
            yield columns
            at = columns[0]

    def _row(self, columns: Sequence[Any]) -> Row:
        with self._explaining(f"row {columns[0]} of runs"):
            row = Row(*_ROW.checked(columns))
            check_numbers(row, row.load is not None)
            if not self._alone:
                self._check_place(*row[:4])
                about, hashes = self._what_is_known()
                if row.seed != (right := seed_of(about.seed, row.run)):
                    raise ValueError(f"seed: should be {right}, not {row.seed}")
                if row.scenario_hash != hashes[row.point]:
                    raise ValueError(f"scenario_hash: is not that of point {row.point}")
            return row

    def check_rows_alone(self) -> None:
        """Stop comparing rows with the experiment and its points, because those are damaged."""
        self._alone = True

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of all rows from an index, in no particular order."""
        with self._explaining("the index of runs"):
            for (number,) in self._db.execute('SELECT "row" FROM runs INDEXED BY cells'):
                yield int(number)

    def bad(self) -> Iterator[tuple[int, str]]:
        """Yield the numbers of the rows without results, each with the reason."""
        query = (
            'SELECT "row", strategy, seed, outcome, error FROM runs'
            ' WHERE outcome IN (?, ?) OR content_ok = 0 ORDER BY "row"'
        )
        for row, strategy, seed, outcome, error in self._all("runs", query, NO_NUMBERS):
            what = "wrote wrong bytes"
            if outcome == OVERLOADED:
                what = "had too many downloads under way: the grid cannot carry this load"
            if outcome == CRASHED:
                what = f"crashed ({error})" if error else "crashed: it ended its process"
            yield row, f"{strategy} with seed {seed} {what}"

    def row(self, number: int) -> Row:
        """Return one row; raise `NoRowError` if it does not exist."""
        query = f'SELECT {_COLUMNS} FROM runs WHERE "row" = ?'  # noqa: S608 - the same
        found = self._all(f"row {number} of runs", query, (number,))
        if not found:
            raise NoRowError(f"{self.path}: there is no row {number}; {self._there(number)}")
        return self._row(found[0])

    def _there(self, number: int) -> str:
        """Return a description of the existing rows, for an error about a missing row."""
        query = 'SELECT count(*), min("row"), max("row") FROM runs'
        ((count, first, last),) = self._all("runs", query)
        if not count:
            return "it has none"
        if count == last - first + 1:
            return f"they are {first} to {last}"
        query = 'SELECT max("row") FROM runs WHERE "row" < ? UNION ALL SELECT min("row") FROM runs'
        near = self._all("runs", f'{query} WHERE "row" > ?', (number, number))
        nearest = " and ".join(str(row) for (row,) in near if row is not None)
        return (
            f"it has {count} rows with numbers from {first} to {last}, with gaps; the nearest"
            f" {'are' if ' ' in nearest else 'is'} {nearest}."
            f" To list all: firstk export {shell_word(str(self.path))}"
        )

    def scenario(self, row: Row) -> Scenario:
        """Return the scenario that repeats a row: with its strategy and seed, for one run.

        Raises `StoreError` if files that it needs are missing or have changed.
        """
        of_point = self.point(row.point).scenario
        with self._explaining(f"point {row.point} of points"):
            return self._scenario(row, of_point)

    def _scenario(self, row: Row, of_point: dict[str, Any]) -> Scenario:
        tables = of_point | {"seed": row.seed, "runs": 1}
        try:
            scenario = validated(Scenario, str(self.path), NoPositions(tables), Path())
        except ScenarioError as e:
            raise StoreError(f"row {row.row} cannot be run again: {e}") from e
        if scenario_hash(scenario) != row.scenario_hash:
            raise StoreError(
                f"{self.path}: row {row.row} cannot be run again: its files of shares or times"
                " have changed, or this firstk reads its scenario otherwise"
            )
        return scenario.with_runs(strategies=[row.strategy])

    @property
    def about(self) -> ExperimentInfo:
        """The experiment; its fields are empty if none has been recorded yet."""
        query = "SELECT name, description, strategies, axes, seed FROM experiment"
        found = self._all("experiment", query)
        if not found:
            return ExperimentInfo("", "", [], [], 0)
        with self._explaining("experiment"):
            about = ExperimentInfo(*_ABOUT.checked(found[0]))
            if not about.strategies:
                raise ValueError("strategies: there is none")
            return about

    @property
    def axes(self) -> list[str]:
        """The keys that vary between the points."""
        return self.about.axes

    def count_points(self) -> int:
        """Return the number of points of the experiment."""
        return len(self._what_is_known().hashes)

    def point(self, number: int) -> StoredPoint:
        """Return one point."""
        found = self._all("points", f"{_POINTS} WHERE point = ?", (number,))
        if not found:
            raise damaged(self.path, "points", f"there is no point {number}")
        return self._point(len(self.about.axes), *found[0])

    def all_points(self) -> list[StoredPoint]:
        """Return all points, in order."""
        axes = len(self.about.axes)
        found = self._all("points", f"{_POINTS} ORDER BY point")
        self._what_is_known()  # checks that their numbers have no gaps
        return [self._point(axes, *row) for row in found]

    def _point(self, axes: int, number: int, *columns: Any) -> StoredPoint:
        with self._explaining(f"point {number} of points"):
            point = StoredPoint(*_POINT.checked(columns))
            if len(point.axis_values) != axes:
                raise ValueError(f"axis_values: has {len(point.axis_values)}, not {axes}")
            return point

    def tables(self) -> list[dict[str, Any]]:
        """Return the scenario of each point, as the tables of a scenario file."""
        return [point.scenario for point in self.all_points()]

    def points(self) -> list[list[Any]]:
        """Return each point's values of the axes, in the order of the axes."""
        return [point.axis_values for point in self.all_points()]


class _Known(NamedTuple):
    """What all rows of a store share."""

    about: ExperimentInfo
    hashes: Sequence[str]


class _Version(NamedTuple):
    version: Word


_VERSION = Columns(_Version)


def _locked(path: Path) -> FileLock:
    """Lock a store for the one process that writes it, and return the lock.

    The lock file stays next to the store. If it were removed, a process that has already opened
    it and another that creates a new one could both hold a lock. The operating system releases
    the lock when the process ends.
    """
    if not path.parent.is_dir():  # otherwise creating the lock would create the folder
        raise StoreError(f"{path}: there is no folder {path.parent}")
    real = path.resolve()  # a link to a store shares the lock of the store
    lock = FileLock(real.with_name(f"{real.name}-lock"), timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(f"{path}: another process is writing to it") from None
    except (OSError, NotImplementedError) as e:  # NotImplementedError: the file system has no locks
        reason = getattr(e, "strerror", None) or e
        raise StoreError(f"{path}: cannot be locked for writing: {lock.lock_file}: {reason}") from e
    return lock
