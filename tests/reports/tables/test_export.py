"""A store's runs as CSV and as Parquet."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from firstk.harness.sweep.store import Store
from firstk.reports.tables import export
from firstk.reports.tables.export import write_csv, write_parquet
from firstk.scenarios.experiment import Experiment, Point
from tests.harness.experiments import experiment, swept


@pytest.fixture
def one(tmp_path: Path) -> Experiment:
    """Return an experiment with axes of several kinds, swept."""
    base = experiment(tmp_path, runs=2)
    values = [(1, 1.5, True, "a"), (2, 2, False, {"x": 1}), (3, 3, True, "c")]
    axes = ("i", "f", "b", "s")
    points = [
        Point(dict(zip(axes, of, strict=True)), point.scenario)
        for of, point in zip(values, base.points, strict=True)
    ]
    made = replace(base, axes=axes, points=points)
    swept(made, tmp_path / "s")
    return made


def test_csv(one: Experiment, tmp_path: Path) -> None:
    """A row has its number, its point, the axes' values, and all columns of the store."""
    text = io.StringIO()
    with Store(tmp_path / "s") as store:
        write_csv(store, text)
        stored = list(store.rows())
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))

    assert list(rows[0])[:8] == ["row", "point", "i", "f", "b", "s", "strategy", "run"]
    assert [(row["i"], row["f"], row["b"], row["s"]) for row in rows[2:4]] == [
        ("2", "2", "False", "{x = 1}")
    ] * 2
    assert [(str(r.row), r.digest, r.scenario_hash) for r in stored] == [
        (row["row"], row["digest"], row["scenario_hash"]) for row in rows
    ]
    assert {row["version"] for row in rows} == {version("firstk")}
    assert [r.ttfb for r in stored] == [float(r["ttfb"]) if r["ttfb"] else None for r in rows]


def test_parquet(one: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet has the same rows, in typed columns, however many there are."""
    pq = pytest.importorskip("pyarrow.parquet", reason="needs pip install 'firstk[parquet]'")
    monkeypatch.setattr(export, "_CHUNK", 5)
    with Store(tmp_path / "s") as store:
        write_parquet(store, tmp_path / "x.parquet")
        stored = list(store.rows())
    found = pq.read_table(tmp_path / "x.parquet")

    kinds = {name: str(found.schema.field(name).type) for name in ("i", "f", "b", "s", "ttfb")}
    assert kinds == {"i": "int64", "f": "double", "b": "bool", "s": "string", "ttfb": "double"}
    assert [row._asdict() for row in stored] == [
        {key: row[key] for key in stored[0]._fields} for row in found.to_pylist()
    ]


def test_empty(tmp_path: Path) -> None:
    """A store without an experiment exports only a header."""
    with Store(tmp_path / "s", write=True) as store:
        text = io.StringIO()
        write_csv(store, text)

    assert text.getvalue().startswith("row,point,strategy,")
    assert len(text.getvalue().splitlines()) == 1
