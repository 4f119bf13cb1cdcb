"""Damaged stores raise an error with advice, and every readable row can be saved."""

from __future__ import annotations

import csv
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstk.harness.sweep.salvage import Salvage
from firstk.harness.sweep.store import Store, StoreError
from firstk.harness.sweep.store_errors import FullError
from firstk.harness.sweep.sweep import Sweep
from firstk.scenarios.experiment import Experiment, load_experiment
from tests.harness.command_line import firstk
from tests.harness.experiments import Here, swept, write

PAGE = 4096

#: Sixteen runs of three points and two strategies.
ROWS = 96


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an experiment and its undamaged store."""
    folder = tmp_path_factory.mktemp("whole")
    swept(load_experiment(write(folder, runs=16)), folder / "s")
    assert firstk("export", folder / "s", folder / "s.csv").exit_code == 0
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the experiment and a copy of its store; run in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("firstk.harness.cli.sweep.processes", lambda count: Here)
    shutil.copy(whole / "e.toml", tmp_path)
    shutil.copy(whole / "s", tmp_path)
    return tmp_path


def change(path: Path, sql: str, *values: Any) -> None:
    """Change a store with SQL."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql, values)


def refused(*args: str) -> str:
    """Return the single line with which a command refuses a store."""
    result = firstk(*args)

    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.stderr
    return result.stderr


def records(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(text.splitlines()))


#: Edits, the table and row that the error names, and what it says.
EDITS = [
    ('runs SET outcome = "fine"', "row 5 of runs: outcome: String should match"),
    ("runs SET ttfb = -1", "row 5 of runs: ttfb: should be greater than or equal to 0, not -1"),
    ("runs SET ttfb = 9e999", "row 5 of runs: ttfb: should be a finite number, not inf"),
    ("runs SET located = 'soon'", "row 5 of runs: located: should be a valid number, not 'soon'"),
    ("runs SET finished = x'00ff'", "row 5 of runs: finished: should be a valid number"),
    ("runs SET ended = -0.5", "row 5 of runs: ended: should be greater"),
    ("runs SET run = 3", "row 5 of runs: row: run 3 of first-k at point 2 is row 23"),
    ("runs SET point = 7", "row 5 of runs: point: there is no point 7: there are 3"),
    ("runs SET strategy = 'third-k'", "row 5 of runs: strategy: is not one of the experiment"),
    ("runs SET seed = 8", "row 5 of runs: seed: should be 7, not 8"),
    ("runs SET scenario_hash = 'x'", "row 5 of runs: scenario_hash: is not that of point 2"),
    ("runs SET version = ''", "row 5 of runs: version: String should have at least 1 character"),
    ("runs SET digest = 'x'", "row 5 of runs: digest: String should match"),
    ("runs SET error = x'00'", "row 5 of runs: error: should be a valid string"),
    ("runs SET queries = NULL", "row 5 of runs: queries, reads and bytes_received: NULL"),
    ("runs SET reads = 1.5", "row 5 of runs: reads: should be a valid integer, not 1.5"),
    ("runs SET bytes_received = -1", "row 5 of runs: bytes_received: should be greater"),
    ("runs SET content_ok = 2", "row 5 of runs: content_ok: should be a valid boolean, not 2"),
    ("runs SET result = '[]'", "row 5 of runs: result: should be a valid dictionary"),
    ("runs SET load = '{}'", "row 5 of runs: load: scenario: Field required"),
    ("points SET axis_values = 'null'", "point 2 of points: axis_values: should be a valid list"),
    ("points SET axis_values = '[]'", "point 2 of points: axis_values: has 0, not 1"),
    ("points SET axis_values = '[null]'", "point 2 of points: axis_values: should not have null"),
    ("points SET scenario = '[]'", "point 2 of points: scenario: should be a valid dictionary"),
    ("points SET point = 9", "points: there is no point 2"),
    ("experiment SET strategies = '[]'", "experiment: strategies: there is none"),
    ("experiment SET axes = 'x'", "experiment: axes: Invalid JSON"),
    ('experiment SET axes = \'["a","a"]\'', "experiment: axes: should not name one thing twice"),
    ("experiment SET seed = -1", "experiment: seed: should be greater than or equal to 0, not -1"),
    ("experiment SET name = x'ff'", "experiment: name: should be a valid string"),
]


@pytest.mark.parametrize(("edit", "message"), EDITS)
def test_edited(edit: str, message: str, folder: Path) -> None:
    """An edited value is refused with its row and column, and with how to save the other rows."""
    where = {"runs": '"row" = 5', "points": "point = 2", "experiment": "1"}[edit.split()[0]]
    change(folder / "s", f"UPDATE {edit} WHERE {where}")
    said = refused("export", "s")

    assert f"firstk: s: damaged: {message}" in said
    assert said.endswith("can still be read: firstk export s --salvage FILE\n")

    saved = firstk("export", "s", "saved.csv", "--salvage")
    found = records((folder / "saved.csv").read_text())
    damaged_row = edit.startswith("runs")

    assert saved.exit_code == 1
    assert (ROWS - 1 if damaged_row else ROWS) == len(found)
    assert f"s: {len(found)} rows saved, {ROWS - len(found)} skipped\n" in saved.stderr
    assert "5" not in [row["row"] for row in found] or not damaged_row


def test_unknown_strategy(folder: Path) -> None:
    """A strategy that was renamed everywhere cannot be run; other rows can."""
    change(folder / "s", 'UPDATE experiment SET strategies = \'["x", "hedged"]\'')
    change(folder / "s", "UPDATE runs SET strategy = 'x' WHERE strategy = 'first-k'")

    assert "s: row 1: no strategy is called 'x'" in refused("run", "--from", "s", "1")
    assert firstk("run", "--from", "s", "2").exit_code == 0
    assert firstk("export", "s").exit_code == 0


def test_salvage_of_a_whole_store(whole: Path, folder: Path) -> None:
    """An undamaged store is salvaged completely, as exported."""
    result = firstk("export", "s", "--salvage")

    assert (result.exit_code, result.stderr) == (0, f"s: {ROWS} rows saved, 0 skipped\n")
    assert (whole / "s.csv").read_text() == result.stdout


def leaves(path: Path) -> list[int]:
    """Return the numbers of the pages, from 0, that have only rows of runs."""
    data = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        digest = db.execute("SELECT digest FROM runs").fetchone()[0].encode()
    assert digest in data
    return [
        at // PAGE
        for at in range(PAGE, len(data), PAGE)
        if data[at] == 13 and b'"shares_used"' in data[at : at + PAGE]
    ]


def test_zeroed_pages(whole: Path, folder: Path) -> None:
    """If pages are zeroed, the rows of all others are saved, unchanged and in order."""
    pages = leaves(folder / "s")
    data = bytearray((folder / "s").read_bytes())
    for page in pages[1:5:3]:
        data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    (folder / "s").write_bytes(data)

    assert "damaged: runs after row " in refused("export", "s")
    assert "its pages: " in refused("sweep", "e.toml", "--store", "s")

    result = firstk("export", "s", "--salvage")
    saved, all_rows = records(result.stdout), records((whole / "s.csv").read_text())

    assert result.exit_code == 1
    assert [row for row in all_rows if row in saved] == saved
    assert ROWS // 2 < len(saved) < ROWS
    assert f"s: {len(saved)} rows saved, {ROWS - len(saved)} skipped" in result.stderr


def test_cut_off(whole: Path, folder: Path) -> None:
    """The remaining rows of a truncated store are saved; every other command refuses it."""
    data = (folder / "s").read_bytes()
    (folder / "s").write_bytes(data[: len(data) // PAGE // 2 * PAGE])

    assert "damaged: its tables: database disk image is malformed" in refused("export", "s")

    before = (folder / "s").read_bytes()
    result = firstk("export", "s", "--salvage")
    saved = records(result.stdout)

    assert result.exit_code == 1
    assert before == (folder / "s").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["e.toml", "s"]
    assert saved
    assert [row for row in records((whole / "s.csv").read_text()) if row in saved] == saved


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'name = "e"\n' * 100, "s: cannot be used as a store: file is not a database"),
        (b"SQLite format 3\0" + bytes(range(256)) * 40, "s: cannot be used as a store"),
        (b"", "s: is another SQLite file, not a store of firstk"),
    ],
)
def test_other_files(content: bytes, message: str, folder: Path) -> None:
    """A file that is not a store is refused as such, even by `--salvage`."""
    (folder / "s").write_bytes(content)

    assert message in refused("export", "s")
    assert message in refused("export", "s", "--salvage")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE runs",
        "DROP TABLE points",
        "DROP TABLE experiment",
        "DELETE FROM points WHERE point = 1",
        "DELETE FROM experiment",
        "DROP INDEX cells",
        "CREATE TABLE distrusted (other)",
        "ALTER TABLE runs RENAME COLUMN ttfb TO first",
        "ALTER TABLE points DROP COLUMN scenario",
        "PRAGMA user_version = 7",
    ],
)
def test_other_tables(statement: str, folder: Path) -> None:
    """Whatever was done to the tables, a command refuses the store in a line, or works."""
    change(folder / "s", statement)
    for args in (
        ["export", "s"],
        ["export", "s", "--salvage"],
        ["run", "--from", "s", "7"],
        ["sweep", "e.toml", "--store", "s"],
    ):
        result = firstk(*args)
        assert result.exit_code in (0, 1, 2), result.stderr
        assert result.exit_code == 0 or "s: " in result.stderr


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("run = 'x'", "run: should be a valid integer, not 'x'"),
        ("point = 8", "point: there is no point 8: there are 3"),
        ("strategy = 'x'", "strategy: is not one of the experiment: 'x'"),
    ],
)
def test_stray_row(edit: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with a row that belongs nowhere is refused by `sweep` and `report`."""
    change(folder / "s", f'UPDATE runs SET {edit} WHERE "row" = 5')  # noqa: S608 - the edits above
    shutil.copy("s", "s.sqlite")

    assert f"s: damaged: row 5 of runs: {message}" in refused("sweep", "e.toml", "--store", "s")
    assert f"s.sqlite: damaged: row 5 of runs: {message}" in refused("report", "s.sqlite")

    # A large store is not looked through: there the run is missed when it is needed.
    monkeypatch.setattr("firstk.harness.sweep.store._VERIFIED", 0)
    said = refused("sweep", "e.toml", "--store", "s")
    assert "s: damaged: runs of point 2: first-k has no run 0" in said


VALUES = [None, -1, 7, 2**63 - 1, -0.5, 1e308, "", "x", b"\xff", "null", "[]", "[1]", "{}", "NaN"]
COLUMNS = {
    "experiment": ["name", "description", "strategies", "axes", "seed"],
    "points": ["point", "label", "axis_values", "scenario_hash", "scenario"],
    "runs": ["row", "point", "strategy", "run", "seed", "outcome", "ttfb", "queries", "load"],
}


@st.composite
def edits(draw: st.DrawFn) -> Callable[[Path], None]:
    """Draw an edit of a cell, or of a column."""
    table = draw(st.sampled_from(sorted(COLUMNS)))
    column = draw(st.sampled_from(COLUMNS[table]))
    value = draw(st.sampled_from(VALUES))
    where = draw(st.sampled_from(["", " WHERE rowid = (SELECT max(rowid) FROM {})"]))
    sql = f'UPDATE OR IGNORE {table} SET "{column}" = ?{where.format(table)}'  # noqa: S608 - the names are above

    def edit(path: Path) -> None:
        # NULL, or a number that is not one, is refused: the store stays as it is.
        with suppress(sqlite3.IntegrityError):
            change(path, sql, value)

    return edit


@st.composite
def bytes_of(draw: st.DrawFn) -> Callable[[Path], None]:
    """Draw damage to bytes: some of them, the end, or a page."""
    seed, kind = draw(st.integers(0, 2**32)), draw(st.sampled_from(["some", "end", "page"]))

    def damage(path: Path) -> None:
        rng = random.Random(seed)
        data = bytearray(path.read_bytes())
        at = rng.randrange(len(data))
        if kind == "end":
            del data[at:]
        elif kind == "page":
            at = at // PAGE * PAGE
            data[at : at + PAGE] = bytes(PAGE)
        else:
            for _ in range(rng.choice([1, 10, 500])):
                data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)

    return damage


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(edits(), bytes_of()))
@pytest.mark.slow
def test_any_damage(whole: Path, folder: Path, damage: Callable[[Path], None]) -> None:
    """Whatever the damage, no command has a traceback, and saved rows are original ones.

    Changed bytes within a value cannot be recognised, so only the rows' numbers are compared
    with the undamaged store.
    """
    for old in folder.glob("s*"):
        old.unlink()
    shutil.copy(whole / "s", folder / "s")
    damage(folder / "s")
    salvaged = firstk("export", "s", "--salvage")
    for args in (["export", "s"], ["run", "--from", "s", "7"], ["sweep", "e.toml", "--store", "s"]):
        result = firstk(*args)

        assert result.exit_code in (0, 1, 2), result.stderr
        assert "Traceback" not in result.stderr

    assert salvaged.exit_code in (0, 1, 2), salvaged.stderr
    if salvaged.exit_code < 2:
        numbers = [int(row["row"]) for row in records(salvaged.stdout)]
        assert sorted(set(numbers)) == numbers
        assert f"s: {len(numbers)} rows saved, " in salvaged.stderr


# A full disk


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that limits the pages of every store opened later; 0 ends the limit."""
    connect = sqlite3.connect
    most = 0

    def connected(*args: Any, **keys: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **keys)
        if most:
            db.execute(f"PRAGMA max_page_count = {most}")
        return db

    def limit(pages: int) -> None:
        nonlocal most
        most = pages

    monkeypatch.setattr(sqlite3, "connect", connected)
    return limit


def test_full_disk(whole: Path, folder: Path, full: Callable[[int], None]) -> None:
    """A full disk ends a sweep with what is kept; with more room, it resumes to equal results."""
    full((whole / "s").stat().st_size // PAGE - 4)
    said = refused("sweep", "e.toml", "--store", "t")
    full(0)
    with Store(folder / "t") as store:
        kept = len(store)

    assert 0 < kept < ROWS
    assert "firstk: t: the disk is full: database or disk is full. " in said
    assert f"{kept} runs are kept; free some space and run the same command again" in said

    assert firstk("sweep", "e.toml", "--store", "t").exit_code == 0
    assert (whole / "s.csv").read_text() == firstk("export", "t").stdout


def test_full_at_once(folder: Path, full: Callable[[int], None]) -> None:
    """If not even the tables fit, that is reported too, and the store can be begun later."""
    full(2)
    assert "the disk is full" in refused("sweep", "e.toml", "--store", "t")
    full(0)
    assert firstk("sweep", "e.toml", "--store", "t").exit_code == 0


def test_full_error(whole: Path, tmp_path: Path, full: Callable[[int], None]) -> None:
    """In Python, a full disk raises `FullError`, a `StoreError`."""
    one: Experiment = load_experiment(whole / "e.toml")
    full((whole / "s").stat().st_size // PAGE - 4)
    with Store(tmp_path / "t", write=True) as store, pytest.raises(FullError) as caught:
        Sweep(one, store).run(Here)

    assert isinstance(caught.value, StoreError)


# A store with gaps


def test_sparse(folder: Path) -> None:
    """In a store with gaps, the error has the rows next to the missing one."""
    change(folder / "s", 'DELETE FROM runs WHERE "row" BETWEEN 7 AND 20 OR "row" = 95')

    assert (
        "s: there is no row 9; it has 81 rows with numbers from 1 to 96, with gaps; the nearest"
        " are 6 and 21. To list all: firstk export s\n"
    ) in refused("run", "--from", "s", "9")
    assert "the nearest is 96. To list" in refused("run", "--from", "s", "400")


def test_salvage_without_an_index(folder: Path) -> None:
    """If the index of the rows is gone too, rows after the damage are still found."""
    change(folder / "s", "DROP INDEX cells")
    change(folder / "s", "UPDATE runs SET ttfb = 'x' WHERE \"row\" IN (5, 50)")
    with Store(folder / "s", cut_off=True) as store:
        salvage = Salvage(store)
        numbers = [row.row for row in salvage.rows()]

    assert [row for row in range(1, ROWS + 1) if row not in (5, 50)] == numbers
    assert (salvage.saved, salvage.unsure) == (94, True)
