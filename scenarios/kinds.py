"""Recognition of kinds of files, for messages about a file that is given to the wrong command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstk.scenarios.reading import open_file


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: its name, the commands that accept it, and the keys that only it has."""

    name: str
    takes: str
    keys: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"is {self.name}: {self.takes} it"


SCENARIO = Kind(
    "a scenario", "`firstk run`, `compare` and `report` take", frozenset({"file", "grid"})
)
EXPERIMENT = Kind("an experiment", "`firstk sweep` takes", frozenset({"axes", "precision"}))
PLAN = Kind("a plan", "`firstk plan` takes", frozenset({"target", "search"}))
STORE = Kind("a store of runs", "`firstk report`, `export` and `run --from` take")
EVENTS = Kind("a file of events", "`firstk diff` takes")
BASELINE = Kind("a baseline", "`firstk compare --check` takes")

#: The first bytes of every SQLite file, and of every file of events.
SQLITE_HEAD = b"SQLite format 3\0"
EVENTS_HEAD = b"# firstk events"

#: The number of bytes needed to recognise a file.
_HEAD = 200


def kind_of(tables: Mapping[str, Any]) -> Kind:
    """Return the kind of file that the tables of a TOML file are meant as; default a scenario."""
    keys = tables.keys()
    if SCENARIO.keys & keys and "scenario" not in keys:
        return SCENARIO
    if PLAN.keys & keys:
        return PLAN
    return EXPERIMENT if {"scenario", *EXPERIMENT.keys} & keys else SCENARIO


def other_kind(wanted: Kind, tables: Mapping[str, Any]) -> Kind | None:
    """Return the kind of a TOML file, if it is clearly not the kind that is wanted."""
    found = kind_of(tables)
    keys = tables.keys()
    if found is wanted or wanted.keys & keys or not {"scenario", *found.keys} & keys:
        return None
    # Experiments and plans both have the key `scenario`, so it alone does not distinguish them.
    return found if found.keys & keys or wanted is SCENARIO else None


def kind_of_head(path: str | Path) -> Kind | None:
    """Return the kind of a file that is not TOML, based on its first bytes."""
    try:
        with open_file(path) as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if head.startswith(SQLITE_HEAD):
        return STORE
    if head.startswith(EVENTS_HEAD):
        return EVENTS
    return BASELINE if head.lstrip().startswith(b"{") and b'"baseline_version"' in head else None
