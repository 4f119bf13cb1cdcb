"""The rows of a store, one for each run, and their numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import NamedTuple

from firstk.harness.run.result import Result
from firstk.harness.run.sample import (
    NO_NUMBERS,
    OVERLOADED,
    AnyOutcome,
    Count,
    Flag,
    Run,
    Sample,
    Time,
)
from firstk.harness.run.workload_result import WorkloadResult
from firstk.harness.sweep.store_checks import Digest, JsonLoad, JsonObject, Number, Word
from firstk.scenarios.experiment import Experiment
from firstk.scenarios.seeds import seed_of


class Row(NamedTuple):
    """A run in the store. A run that crashed or was overloaded has no numbers."""

    row: Number
    point: Count
    strategy: Word
    run: Run
    seed: Count
    scenario_hash: Word
    version: Word
    outcome: AnyOutcome
    digest: Digest | None = None
    error: str | None = None
    located: Time | None = None
    ttfb: Time | None = None
    finished: Time | None = None
    ended: Time | None = None
    queries: Count | None = None
    reads: Count | None = None
    bytes_received: Count | None = None
    content_ok: Flag | None = None
    result: JsonObject = "{}"
    load: JsonLoad | None = None


#: The columns of a row that are fields of a result.
_COLUMNS = Row._fields[7:-2]

#: The contents of `Row.result`, as JSON.
_REST = tuple(
    field.name for field in fields(Result) if field.name not in {*Row._fields, "scenario"}
)


class RunKey(NamedTuple):
    """The first columns of a row, which identify its run."""

    row: int
    point: int
    strategy: str
    run: int
    seed: int
    scenario_hash: str


def row_of(place: RunKey, result: Result, version: str) -> Row:
    """Return the row for a result of the given version of firstk."""
    rest = {key: value for key in _REST if (value := getattr(result, key)) is not None}
    columns = {key: getattr(result, key) for key in _COLUMNS}
    return Row(
        *place,
        version=version,
        **columns,
        result=json.dumps(rest, separators=(",", ":")),
    )


def row_of_load(place: RunKey, load: WorkloadResult, version: str) -> Row:
    """Return the row for a workload's result of the given version of firstk."""
    return Row(
        *place,
        version=version,
        outcome=load.outcome,
        digest=load.digest,
        content_ok=load.content_ok,
        load=json.dumps(load.to_json(), separators=(",", ":")),
    )


def overloaded(place: RunKey, message: str, version: str) -> Row:
    """Return the row for a run in which the grid could not carry the load; `message` says how."""
    return Row(
        *place,
        version=version,
        outcome=OVERLOADED,
        result=json.dumps({"message": message}, separators=(",", ":")),
    )


def places(
    experiment: Experiment, hashes: Sequence[str] | Mapping[int, str], point: int, run: int
) -> Iterator[RunKey]:
    """Yield the keys of a run of a point, one for each strategy.

    `hashes` are those of the points' scenarios, by point number. The numbers of rows do not
    depend on the number of runs.
    """
    first = first_row(len(experiment.points), len(experiment.strategies), point, run)
    for i, strategy in enumerate(experiment.strategies):
        yield RunKey(first + i, point, strategy, run, seed_of(experiment.seed, run), hashes[point])


def first_row(points: int, strategies: int, point: int, run: int) -> int:
    """Return the row number of the first strategy; the others follow it."""
    return (run * points + point) * strategies + 1


def check_numbers(row: Row | Sample, is_load: bool) -> None:
    """Raise `ValueError` if a run has not exactly the numbers that its outcome implies."""
    if row.outcome in NO_NUMBERS:
        if row.load is not None or row.ttfb is not None:
            raise ValueError(f"outcome: a run that {row.outcome} has no numbers")
    elif is_load != (row.load is not None):
        raise ValueError(f"load: should be {'there' if is_load else 'NULL'}")
    elif not is_load and None in (row.queries, row.reads, row.bytes_received):
        raise ValueError(
            f"queries, reads and bytes_received: NULL in a run that ended {row.outcome}"
        )
