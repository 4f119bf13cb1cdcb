"""The tables of a store, and what is in those of the experiment, its points and its plan."""

from __future__ import annotations

import json
from typing import NamedTuple

from firstk.harness.run.sample import Count
from firstk.harness.sweep.store_checks import Names, Number, Tables, Values, Word
from firstk.scenarios.experiment import Point

#: The version of the tables below; it changes whenever they do.
SCHEMA_VERSION = 1

#: The SQLite application ID of a store: "fstk".
APPLICATION = 0x6673746B

TABLES = """
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
    load TEXT               -- JSON: the result of many downloads, where there is a workload
);
CREATE INDEX cells ON runs
    (point, strategy, run, outcome, ttfb, queries, reads, bytes_received, content_ok);
"""


class ExperimentInfo(NamedTuple):
    """The experiment of a store: its strategies and axes, in order, and the first seed."""

    name: Word
    description: str
    strategies: Names
    axes: Names
    seed: Count


class StoredPoint(NamedTuple):
    """A point of the experiment: the values of the axes, in order, and the scenario's tables."""

    label: str
    axis_values: Values
    scenario_hash: Word
    scenario: Tables


class StoredPlan(NamedTuple):
    """The target of a plan, as a table, and the maximum number of runs of a candidate."""

    target: Tables
    max_runs: Number


def point_row(point: Point) -> tuple[str, str, str, str]:
    """Return the columns of a point, without its number."""
    tables = point.scenario.model_dump(
        mode="json", exclude_none=True, exclude={"strategies", "seed", "runs", "expect"}
    )
    return (
        str(point),
        json.dumps(list(point.values.values())),
        point.scenario_hash,
        json.dumps(tables),
    )
