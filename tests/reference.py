"""Numbers that were computed without firstk: what its mathematics and its simulations come to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from firstk.harness.stats.theory import Stage, distinct
from firstk.scenarios.laws import Law

#: `definitions` in the file says what is what.
REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "fixtures" / "oracles" / "reference.json").read_text(encoding="utf-8")
)

#: Tables of laws.
LAWS: dict[str, dict[str, Any]] = REFERENCE["laws"]

STAGES: list[dict[str, Any]] = REFERENCE["stages"]
DUPLICATES: list[dict[str, Any]] = REFERENCE["duplicates"]
FORK_JOINS: list[dict[str, Any]] = REFERENCE["fork_join"]
NON_PURGING: list[dict[str, Any]] = REFERENCE["non_purging"]

#: Means, by the number of hung servers; None if there is none.
HUNG: list[float | None] = REFERENCE["hung"]


def law(name: str) -> Law:
    """Return a law of the file."""
    adapter: TypeAdapter[Law] = TypeAdapter(Law)
    return adapter.validate_python(LAWS[name])


def first_of(needed: int, servers: int) -> list[float]:
    """Return how probable it is that m of the servers, each with another share, are enough."""
    return distinct([1] * servers, needed)


def stage(table: dict[str, Any]) -> Stage:
    """Return the stage that one of `STAGES` is about."""
    needed = table["K"] if table["strategy"] == "first_k" else table["N"]
    enough = first_of(needed, table["N"])
    return Stage(law(table["law"]), enough, probability=table["p_hung"])


def name_of_stage(table: dict[str, Any]) -> str:
    """Name a case by what is special in it."""
    return f"{table['law']}-{table['p_hung']}-{table['strategy']}"


def stage_of_duplicates(table: dict[str, Any], probability: float = 0.0) -> Stage:
    """Return the stage that one of `DUPLICATES` is about, with servers that may be hung."""
    return Stage(law("exp1"), distinct(table["copies"], table["K"]), probability=probability)
