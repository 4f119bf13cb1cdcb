"""The store keeps what was committed, and refuses what is none of its own."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from harness.batch import crashed
from harness.simulate import simulate
from harness.store import CRASHED, SCHEMA_VERSION, Place, Row, Store, StoreError, places, row_of
from scenarios.experiment import Experiment, load_experiment
from scenarios.identity import scenario_hash
from tests.harness.experiments import experiment, swept, write


@pytest.fixture
def small(tmp_path: Path) -> Experiment:
    """Return an experiment of three points, two strategies and two runs."""
    return experiment(tmp_path, runs=2)


def place(of: Experiment, point: int = 0, run: int = 0, strategy: int = 0) -> Place:
    """Return a place of an experiment."""
    hashes = [scenario_hash(one.scenario) for one in of.points]
    return list(places(of, hashes, point, run))[strategy]


def test_numbers(small: Experiment) -> None:
    """The rows of so many runs are numbered from 1 on, whatever there is to come."""
    numbers = [
        place(small, point, run, strategy).row
        for run in range(2)
        for point in range(3)
        for strategy in range(2)
    ]

    assert list(range(1, 13)) == numbers
    assert place(small, 1, 1).row == place(replace(small, runs=50), 1, 1).row


def test_row(small: Experiment, tmp_path: Path) -> None:
    """A row has all that a result has, and tells how to make it again."""
    scenario = small.points[1].scenario
    result = simulate(scenario, "hedged", 1).result
    row = row_of(place(small, 1, 1, 1), result, "1.2")
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([row])
        stored = store.row(row.row)
        again = simulate(store.scenario(stored), stored.strategy).result

    assert row == stored
    assert (1, "hedged", 1, 8, "1.2", "ok") == (row[1], *row[2:5], row.version, row.outcome)
    assert scenario_hash(scenario) == row.scenario_hash
    assert (result.ttfb, result.digest, result.bytes_received) == (
        row.ttfb,
        row.digest,
        row.bytes_received,
    )
    assert {"shares_used": result.shares_used} == json.loads(row.result)
    assert result.digest == again.digest


def test_rest(small: Experiment) -> None:
    """What has no column stands in JSON."""
    result = simulate(small.points[2].scenario, "hedged").result
    row = row_of(place(small), result, "1")

    assert "NotEnoughSharesError" == row.error
    assert result.message == json.loads(row.result)["message"]


def test_crashed(small: Experiment, tmp_path: Path) -> None:
    """A run that crashed has a row without times."""
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([crashed(place(small), "1"), crashed(place(small, 1), "1", "SystemExit")])

        assert [(CRASHED, None, None)] * 2 == [(r.outcome, r.ttfb, r.digest) for r in store.rows()]
        assert [
            (1, "first-k with seed 7 crashed: it ended its process"),
            (3, "first-k with seed 7 crashed (SystemExit)"),
        ] == list(store.bad())


def test_wrong_bytes(small: Experiment, tmp_path: Path) -> None:
    """A run that wrote wrong bytes is told."""
    row = row_of(place(small), simulate(small.points[0].scenario, "first-k").result, "1")
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([row._replace(content_ok=False)])

        assert [(1, "first-k with seed 7 wrote wrong bytes")] == list(store.bad())


def test_all_or_none(small: Experiment, tmp_path: Path) -> None:
    """Rows are committed together, and what is there stays as it is."""
    row = crashed(place(small), "1")
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([row])
        store.add([row._replace(version="2")])
        with pytest.raises(sqlite3.ProgrammingError):
            store.add([crashed(place(small, 1), "1"), Row(*row)[:3]])  # type: ignore[list-item]

        assert ["1"] == [row.version for row in store.rows()]


def test_read_while_written(small: Experiment, tmp_path: Path) -> None:
    """Others see what was committed while it is written."""
    with Store(tmp_path / "s", write=True) as store:
        store.begin(small)
        store.add([crashed(place(small), "1")])
        with Store(tmp_path / "s") as reader:
            assert 1 == len(list(reader.rows()))


def test_tidy(small: Experiment, tmp_path: Path) -> None:
    """A store that is closed is one file, also after reading."""
    swept(small, tmp_path / "s")
    with Store(tmp_path / "s") as store:
        list(store.rows())

    assert ["e.toml", "s"] == sorted(path.name for path in tmp_path.iterdir())


def test_read_only(small: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one may not write one may read."""
    swept(small, tmp_path / "s")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with Store(tmp_path / "s") as store:
        assert 12 == len(list(store.rows()))
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store.add([crashed(place(small, 2, 5), "1")])


def test_one_writer(tmp_path: Path) -> None:
    """Two cannot write at a time; then the other can."""
    pytest.importorskip("fcntl")
    with (
        Store(tmp_path / "s", write=True),
        pytest.raises(StoreError, match="another process is writing to it"),
    ):
        Store(tmp_path / "s", write=True)

    Store(tmp_path / "s", write=True).close()


def test_not_there(tmp_path: Path) -> None:
    """To read takes a file, and none is made."""
    with pytest.raises(StoreError, match="there is no such file"):
        Store(tmp_path / "s")

    assert [] == list(tmp_path.iterdir())


def test_other_file(tmp_path: Path) -> None:
    """What is no SQLite file is left as it is."""
    path = tmp_path / "s"
    path.write_text("name = 3\n" * 100)
    for writing in (False, True):
        with pytest.raises(StoreError, match="not a database"):
            Store(path, writing)

    assert path.read_text().startswith("name")


def test_other_database(tmp_path: Path) -> None:
    """So is an SQLite file of another program."""
    path = tmp_path / "s"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    for writing in (False, True):
        with pytest.raises(StoreError, match="another SQLite file"):
            Store(path, writing)


def test_other_schema(tmp_path: Path) -> None:
    """A store of another schema is refused, and what to do is told."""
    path = tmp_path / "s"
    Store(path, write=True).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()

    with pytest.raises(StoreError, match=f"version {SCHEMA_VERSION + 1}, and .* {SCHEMA_VERSION}:"):
        Store(path)


def test_other_experiment(small: Experiment, tmp_path: Path) -> None:
    """A store takes its own experiment alone, and says how the other differs."""
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
    """A row that is not there is told, with those that are."""
    with (
        Store(tmp_path / "s", write=True) as store,
        pytest.raises(StoreError, match="there is no row 3; it has none"),
    ):
        store.row(3)
    swept(small, tmp_path / "s")
    with Store(tmp_path / "s") as store, pytest.raises(StoreError, match="they are 1 to 12"):
        store.row(13)


def test_files_gone(tmp_path: Path) -> None:
    """A row whose files have changed, or are gone, cannot be run again, and this is told."""
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
        with pytest.raises(StoreError, match="are no longer what they were"):
            store.scenario(row)
        times.unlink()
        with pytest.raises(StoreError, match=r"row 1 cannot be run again: .*No such file"):
            store.scenario(row)
