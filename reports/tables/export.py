"""A store's runs as files for other programs: CSV and Parquet, one row per run, in order."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TextIO, get_args, get_type_hints

from firstk.harness.sweep.rows import Row
from firstk.scenarios.experiment import label

#: The maximum number of rows in memory.
_CHUNK = 50_000

#: The number of columns before those of the axes: the row and the point.
_BEFORE = 2


class Source(Protocol):
    """A source of rows: a `Store`, or what can be read of a damaged one."""

    @property
    def axes(self) -> Sequence[str]:
        """The keys that vary."""

    def points(self) -> Sequence[Sequence[Any]]:
        """Return each point's values of the axes; None if they are not known."""

    def rows(self) -> Iterator[Row]:
        """Yield the rows, in the order of their numbers."""


def write_csv(store: Source, file: TextIO) -> None:
    """Write all runs as CSV with a header."""
    writer = csv.writer(file, lineterminator="\n")
    axes = store.axes
    writer.writerow(_columns(axes))
    for row in _rows(store):
        writer.writerow(row)


def write_parquet(store: Source, path: Path) -> None:
    """Write all runs as Parquet; this needs pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
    points = store.points()
    of_axes = [_kind([values[i] for values in points]) for i in range(len(store.axes))]
    of_row = [(get_args(hint) or [hint])[0] for hint in get_type_hints(Row).values()]
    types = [*of_row[:_BEFORE], *of_axes, *of_row[_BEFORE:]]
    schema = pa.schema(
        [(name, kinds[of]) for name, of in zip(_columns(store.axes), types, strict=True)]
    )
    rows = _rows(store)
    with pq.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(rows, _CHUNK)):
            columns = zip(zip(*chunk, strict=True), schema, strict=True)
            arrays = [pa.array(values, field.type) for values, field in columns]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _columns(axes: Sequence[str]) -> list[str]:
    return [*Row._fields[:_BEFORE], *axes, *Row._fields[_BEFORE:]]


def _rows(store: Source) -> Iterator[tuple[Any, ...]]:
    """Yield the rows with the values of their axes."""
    points = store.points()
    kinds = [_kind(values) for values in zip(*points, strict=True)]
    axes = [
        tuple(
            label(v) if kind is str and v is not None else v
            for v, kind in zip(values, kinds, strict=True)
        )
        for values in points
    ]
    for row in store.rows():
        yield (*row[:_BEFORE], *(axes[row.point] if axes else ()), *row[_BEFORE:])


def _kind(values: Sequence[Any]) -> type:
    """Return the type of a column with these values: numbers, booleans, or otherwise text."""
    types = {type(value) for value in values if value is not None}
    for kind in (bool, int, float):
        if types <= ({int, float} if kind is float else {kind}):
            return kind
    return str
