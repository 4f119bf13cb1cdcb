"""The store keeps what was committed, and refuses files that are not its own."""

from __future__ import annotations

import errno
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from firstk.harness.run.sample import CRASHED
from firstk.harness.run.simulate import simulate
from firstk.harness.sweep.batch import Batch, BatchResult, crashed
from firstk.harness.sweep.rows import Row, RunKey, places, row_of
from firstk.harness.sweep.store import Store, StoreError
from firstk.harness.sweep.store_tables import SCHEMA_VERSION
from firstk.harness.sweep.sweep import Sweep
from firstk.reports.model.cases import cases_of
from firstk.reports.model.cells import cells
from firstk.reports.tables.export import write_csv
from firstk.scenarios import hashing
from firstk.scenarios.experiment import Experiment, Point, load_experiment
from firstk.scenarios.hashing import scenario_hash
from tests.harness.experiments import Here, experiment, swept, write
from tests.harness.making import ROOT


@pytest.fixture
def small(tmp_path: Path) -> Experiment:
    """Return an experiment of three points, two strategies and two runs."""
    return experiment(tmp_path, runs=2)


def place(of: Experiment, point: int = 0, run: int = 0, strategy: int = 0) -> RunKey:
    """Return the key of a run in an experiment."""
    hashes = [scenario_hash(one.scenario) for one in of.points]
    return list(places(of, hashes, point, run))[strategy]


def test_numbers(small: Experiment) -> None:
    """Rows are numbered from 1, run by run, so that more runs can follow."""
    numbers = [
        place(small, point, run, strategy).row
        for run in range(2)
        for point in range(3)
        for strategy in range(2)
    ]

    assert list(range(1, 13)) == numbers
    assert place(small, 1, 1).row == place(replace(small, runs=50), 1, 1).row


def test_row(small: Experiment, tmp_path: Path) -> None:
    """A row has everything in a result, and how to replay it."""
    scenario = small.points[1].scenario
    result = simulate(scenario, "hedged", 1).result
    row = row_of(place(small, 1, 1, 1), result, "1.2")
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([row])
        stored = store.row(row.row)
        again = simulate(store.scenario(stored), stored.strategy).result

    assert row == stored
    assert (row[1], *row[2:5], row.version, row.outcome) == (1, "hedged", 1, 8, "1.2", "ok")
    assert scenario_hash(scenario) == row.scenario_hash
    assert (result.ttfb, result.digest, result.bytes_received) == (
        row.ttfb,
        row.digest,
        row.bytes_received,
    )
    assert result.shares_used == json.loads(row.result)["shares_used"]
    assert result.digest == again.digest


def test_rest(small: Experiment) -> None:
    """Fields without a column are in JSON."""
    result = simulate(small.points[2].scenario, "hedged").result
    row = row_of(place(small), result, "1")

    assert row.error == "NotEnoughSharesError"
    assert result.message == json.loads(row.result)["message"]


def test_crashed(small: Experiment, tmp_path: Path) -> None:
    """A run that crashed has a row without times."""
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([crashed(place(small), "1"), crashed(place(small, 1), "1", "SystemExit")])

        assert [(r.outcome, r.ttfb, r.digest) for r in store.rows()] == [(CRASHED, None, None)] * 2
        assert list(store.bad()) == [
            (1, "first-k with seed 7 crashed: it ended its process"),
            (3, "first-k with seed 7 crashed (SystemExit)"),
        ]


def test_wrong_bytes(small: Experiment, tmp_path: Path) -> None:
    """A run that wrote wrong bytes is reported."""
    row = row_of(place(small), simulate(small.points[0].scenario, "first-k").result, "1")
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([row._replace(content_ok=False)])

        assert list(store.bad()) == [(1, "first-k with seed 7 wrote wrong bytes")]


def test_all_or_none(small: Experiment, tmp_path: Path) -> None:
    """Rows are committed together, and existing rows are unchanged."""
    row = crashed(place(small), "1")
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([row])
        store.add([row._replace(version="2")])
        with pytest.raises(sqlite3.ProgrammingError):
            store.add([crashed(place(small, 1), "1"), Row(*row)[:3]])  # type: ignore[list-item]

        assert [row.version for row in store.rows()] == ["1"]


def test_read_while_written(small: Experiment, tmp_path: Path) -> None:
    """Readers see what was committed while the store is being written."""
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([crashed(place(small), "1")])
        with Store(tmp_path / "s") as reader:
            assert len(list(reader.rows())) == 1


def test_tidy(small: Experiment, tmp_path: Path) -> None:
    """A closed store is one file and its lock, even after reading."""
    swept(small, tmp_path / "s")
    with Store(tmp_path / "s") as store:
        list(store.rows())

    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.toml", "s", "s-lock"]


def test_read_only(small: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is not writable can be read."""
    swept(small, tmp_path / "s")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with Store(tmp_path / "s") as store:
        assert len(list(store.rows())) == 12
        with pytest.raises(StoreError, match=r"s: cannot be used as a store: .* readonly"):
            store.add([crashed(place(small, 2, 5), "1")])


def test_one_writer(tmp_path: Path) -> None:
    """Only one process can write at a time."""
    with (
        Store(tmp_path / "s", write=True),
        pytest.raises(StoreError, match="another process is writing to it"),
    ):
        Store(tmp_path / "s", write=True)

    Store(tmp_path / "s", write=True).close()


def test_lock_of_one_who_waits(tmp_path: Path) -> None:
    """A process that opened the lock file before its release gets the same lock."""
    fcntl = pytest.importorskip("fcntl")
    first = Store(tmp_path / "s", write=True)
    waiting = os.open(tmp_path / "s-lock", os.O_RDWR)
    try:
        first.close()
        fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(StoreError, match="another process is writing to it"):
            Store(tmp_path / "s", write=True)
    finally:
        os.close(waiting)

    Store(tmp_path / "s", write=True).close()


#: Writes to a store again and again; two at the same time find each other's marker.
_COMPETES = """
import os, sys, time
from pathlib import Path
from firstk.harness.sweep.store import Store, StoreError
path, marker = Path(sys.argv[1]), Path(sys.argv[1] + "-marker")
had = 0
print("ready", flush=True)
sys.stdin.readline()
while had < 10:
    try:
        with Store(path, write=True):
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
            time.sleep(0.002)
            marker.unlink()
            had += 1
    except StoreError as e:
        assert "another process is writing" in str(e), e
        time.sleep(0.001)
"""

#: Opens a store for writing, and waits.
_HOLDS = """
import sys
from pathlib import Path
from firstk.harness.sweep.store import Store
with Store(Path(sys.argv[1]), write=True):
    print("ready", flush=True)
    sys.stdin.readline()
"""


def python(code: str, path: Path) -> subprocess.Popen[str]:
    """Return another Python process that runs code on a store once it is told to."""
    process = subprocess.Popen(  # noqa: S603 - the code is a test's own
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_three_writers(tmp_path: Path) -> None:
    """Of three processes that compete for a store, never two write at the same time."""
    processes = [python(_COMPETES, tmp_path / "s") for _ in range(3)]

    assert [process.communicate("go\n", timeout=60) for process in processes] == [("", "")] * 3
    assert [process.returncode for process in processes] == [0] * 3


def test_killed_writer(tmp_path: Path) -> None:
    """A killed writer leaves no lock behind."""
    with python(_HOLDS, tmp_path / "s") as process:
        with pytest.raises(StoreError, match="another process is writing to it"):
            Store(tmp_path / "s", write=True)
        process.kill()

    Store(tmp_path / "s", write=True).close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (OSError(errno.ENOLCK, "No locks available"), "No locks available"),
        (NotImplementedError("does not appear to support flock"), "support flock"),
    ],
)
def test_no_lock(
    error: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If locking is impossible, the error says why, and nothing is written."""

    def acquire(lock: FileLock) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with pytest.raises(StoreError, match=f"s: cannot be locked for writing: .*s-lock: .*{reason}"):
        Store(tmp_path / "s", write=True)

    assert list(tmp_path.iterdir()) == []


def test_no_folder(tmp_path: Path) -> None:
    """A missing folder is reported, and not created."""
    with pytest.raises(StoreError, match=r"no/s: there is no folder .*no$"):
        Store(tmp_path / "no" / "s", write=True)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_read_only_folder(tmp_path: Path) -> None:
    """A folder without write permission is reported."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be locked for writing"):
            Store(tmp_path / "s", write=True)
    finally:
        tmp_path.chmod(0o700)


# Many points


def many(small: Experiment, points: int) -> Experiment:
    """Return an experiment with this many points."""
    scenario = small.points[0].scenario
    made = [
        Point({"deadline": float(i)}, scenario.model_copy(update={"deadline": float(i)}))
        for i in range(1, points + 1)
    ]
    return replace(small, points=made, axes=("deadline",), runs=1)


class Work:
    """Counts the work on stores: SQL statements, and JSON texts that are parsed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._patch = patch

    def __enter__(self) -> Work:
        connect, loads = sqlite3.connect, json.loads

        def connected(*args: Any, **keys: Any) -> sqlite3.Connection:
            db: sqlite3.Connection = connect(*args, **keys)
            db.set_trace_callback(lambda _: self.add())
            return db

        def loaded(text: str) -> Any:
            self.add()
            return loads(text)

        self._patch.setattr(sqlite3, "connect", connected)
        self._patch.setattr(json, "loads", loaded)
        self._patch.setattr(hashing, "_content", self._counting(hashing._content))
        return self

    def _counting(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def counted(value: Any) -> Any:
            self.add()
            return function(value)

        return counted

    def add(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def report(of: Experiment, path: Path) -> None:
    """Compute what a report of a store shows."""
    with Store(path) as store:
        cases = cases_of(store, lambda scenario, runs: [])
        last = cases[-1].replay("hedged", 3)

    # Three runs of all points and strategies, and then all of these of the fourth.
    assert f"firstk run --from s {4 * 2 * len(of.points)}" == last


def export(of: Experiment, path: Path) -> None:
    """Write a store as CSV."""
    with Store(path) as store:
        write_csv(store, io.StringIO())


def again(of: Experiment, path: Path) -> None:
    """Load the scenarios of some rows, to replay them."""
    with Store(path) as store:
        for row in range(1, 20):
            store.scenario(store.row(row))


def resume(of: Experiment, path: Path) -> None:
    """Resume a finished sweep."""
    with Store(path, write=True) as store:
        list(cells(of, store, Sweep(of, store).run(Here)))


def search(of: Experiment, path: Path) -> None:
    """Run points one after another, as a plan does with its candidates."""
    with Store(path, write=True) as store:
        for point in range(len(of.points)):
            two = replace(of, runs=2)
            assert Sweep(two, store, points=[point], strategies=["hedged"]).run(Nothing) == [2]
            assert len(store.samples(point, "hedged", 2)) == 2


class Nothing(Here):
    """Workers that run nothing, and report that every run crashed."""

    def submit(self, batch: Batch) -> Future[list[BatchResult]]:
        """Return rows of runs that crashed."""
        future: Future[list[BatchResult]] = Future()
        done = [
            BatchResult([crashed(p, batch.version) for p in part.places], 0.0)
            for part in batch.parts
        ]
        future.set_result(done)
        return future


@pytest.mark.parametrize("do", [report, export, again, resume, search])
def test_linear(
    do: Callable[[Experiment, Path], None],
    small: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The work on a store is linear in its points, whatever is done with it."""
    works = []
    for points in (30, 120):
        of = many(small, points)
        path = tmp_path / str(points) / "s"
        path.parent.mkdir()
        with Store(path, write=True) as store:
            store.begin(of)
            hashes = [point.scenario_hash for point in of.points]
            placed = (p for i in range(points) for p in places(of, hashes, i, 0))
            store.add(crashed(place, version("firstk")) for place in placed)
        with Work(monkeypatch) as work:
            do(many(small, points), path)
        works.append(work.count)

    assert 0 < works[1] <= 4 * works[0] + 20


def test_not_there(tmp_path: Path) -> None:
    """Reading requires a file, and creates none."""
    with pytest.raises(StoreError, match="there is no such file"):
        Store(tmp_path / "s")

    assert list(tmp_path.iterdir()) == []


def test_other_file(tmp_path: Path) -> None:
    """A file that is not an SQLite database is refused, and unchanged."""
    path = tmp_path / "s"
    path.write_text("name = 3\n" * 100)
    for writing in (False, True):
        with pytest.raises(StoreError, match="not a database"):
            Store(path, writing)

    assert path.read_text().startswith("name")


def test_other_database(tmp_path: Path) -> None:
    """An SQLite file of another program is refused, and unchanged."""
    path = tmp_path / "s"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    for writing in (False, True):
        with pytest.raises(StoreError, match="another SQLite file"):
            Store(path, writing)


def test_other_schema(tmp_path: Path) -> None:
    """A store with another schema is refused, with advice."""
    path = tmp_path / "s"
    Store(path, write=True).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()

    with pytest.raises(StoreError, match=f"version {SCHEMA_VERSION + 1}, and .* {SCHEMA_VERSION}:"):
        Store(path)


def test_other_experiment(small: Experiment, tmp_path: Path) -> None:
    """A store accepts only its own experiment, and the error says how the other differs."""
    points = list(small.points)
    changed = replace(points[1], scenario=points[1].scenario.model_copy(update={"deadline": 5.0}))
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.begin(replace(small, runs=500, description="x"))
        for other, message in (
            (replace(small, name="f"), "its name is e, and not f"),
            (replace(small, seed=8), "its seed is 7, and not 8"),
            (replace(small, strategies=("hedged",)), r"its strategies are \[.*\], and not"),
            (replace(small, points=points[:2]), "it has 3 points, and not 2"),
            (
                replace(small, points=[points[0], changed, points[2]]),
                "the scenario at servers.0.select.count = 7 is another",
            ),
        ):
            with pytest.raises(StoreError, match=message):
                store.begin(other)


def test_no_such_row(small: Experiment, tmp_path: Path) -> None:
    """A missing row is reported, with the existing ones."""
    with (
        Store(tmp_path / "s", write=True) as store,
        pytest.raises(StoreError, match="there is no row 3; it has none"),
    ):
        store.row(3)
    swept(small, tmp_path / "s")
    with Store(tmp_path / "s") as store, pytest.raises(StoreError, match="they are 1 to 12"):
        store.row(13)


def test_files_gone(tmp_path: Path) -> None:
    """A row whose files have changed, or are gone, cannot be replayed; the error says so."""
    times = tmp_path / "times"
    times.write_text("1\n")
    path = write(tmp_path, runs=1)
    path.write_text(
        path.read_text().replace(
            'law = "exponential", mean = 0.05', 'law = "empirical", path = "times"'
        )
    )

    swept(load_experiment(path), tmp_path / "s")
    with Store(tmp_path / "s") as store:
        row = store.row(1)
        assert row.digest == simulate(store.scenario(row), row.strategy).result.digest
        times.write_text("2\n")
        with pytest.raises(StoreError, match="have changed"):
            store.scenario(row)
        times.unlink()
        with pytest.raises(StoreError, match=r"row 1 cannot be run again: .*No such file"):
            store.scenario(row)


def test_lock_of_a_link(tmp_path: Path) -> None:
    """A link to a store cannot be written to while the store is."""
    path, link = tmp_path / "s", tmp_path / "link"
    with Store(path, write=True):
        link.symlink_to(path)
        with pytest.raises(StoreError, match="another process is writing to it"):
            Store(link, write=True)
