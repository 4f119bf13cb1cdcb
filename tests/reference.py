"""Numbers computed without firstk, to compare its theory and its simulations with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from firstk.harness.stats.theory import Stage, distinct
from firstk.scenarios.laws import Law

#: The key `definitions` in the file explains the others.
REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "fixtures" / "oracles" / "reference.json").read_text(encoding="utf-8")
)

#: Tables of laws.
LAWS: dict[str, dict[str, Any]] = REFERENCE["laws"]

STAGES: list[dict[str, Any]] = REFERENCE["stages"]
DUPLICATES: list[dict[str, Any]] = REFERENCE["duplicates"]
FORK_JOINS: list[dict[str, Any]] = REFERENCE["fork_join"]
NON_PURGING: list[dict[str, Any]] = REFERENCE["non_purging"]

#: Means, by the number of hung servers; None if there is no mean.
HUNG: list[float | None] = REFERENCE["hung"]


def law(name: str) -> Law:
    """Return a law of the file."""
    adapter: TypeAdapter[Law] = TypeAdapter(Law)
    return adapter.validate_python(LAWS[name])


def first_of(needed: int, servers: int) -> list[float]:
    """Return the probability, by m, that m servers with distinct shares are enough."""
    return distinct([1] * servers, needed)


def stage(table: dict[str, Any]) -> Stage:
    """Return the stage of an entry of `STAGES`."""
    needed = table["K"] if table["strategy"] == "first_k" else table["N"]
    enough = first_of(needed, table["N"])
    return Stage(law(table["law"]), enough, probability=table["p_hung"])


def name_of_stage(table: dict[str, Any]) -> str:
    """Return a name for a test case, made of its parameters."""
    return f"{table['law']}-{table['p_hung']}-{table['strategy']}"


def stage_of_duplicates(table: dict[str, Any], probability: float = 0.0) -> Stage:
    """Return the stage of an entry of `DUPLICATES`, with servers that may be hung."""
    return Stage(law("exp1"), distinct(table["copies"], table["K"]), probability=probability)
