"""Salvage: saves the rows of a damaged store that can still be read, unchanged."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from firstk.harness.sweep.rows import Row
from firstk.harness.sweep.store import NoRowError, Store, StoreError
from firstk.harness.sweep.store_errors import DamageError

#: The maximum number of reasons kept; further ones are only counted.
_REASONS = 20

#: If damage hides which rows exist, at most this many row numbers are tried.
_TRIES = 50_000


class Salvage:
    """The rows, axes and points of a damaged store that pass every check.

    It can be exported like the store itself. If a point cannot be read, its rows have no values
    for the axes; if the experiment cannot be read, there are no axes.

    `saved` counts the rows that were read and `lost` those that were skipped; `reasons` are the
    first problems. `unsure` is True if more rows may have been lost, because not even the index
    of the rows can be read.
    """

    def __init__(self, store: Store) -> None:
        self.saved = 0
        self.lost = 0
        self.unsure = False
        self.reasons: list[str] = []
        self._store = store
        self.axes: list[str] = []
        self._points: list[list[Any]] = []
        self._numbers: list[int] | None = None
        try:
            self.axes = store.axes
            self._points = list(self._read_points())
        except StoreError as e:
            self._give_reason(e, "the axes are left out")
            self.axes = []
            store.check_rows_alone()

    def points(self) -> list[list[Any]]:
        """Return each point's values of the axes, or None if they cannot be read."""
        return self._points

    def _read_points(self) -> Iterator[list[Any]]:
        for number in range(self._store.count_points()):
            try:
                yield self._store.point(number).axis_values
            except StoreError as e:
                self._give_reason(e, "its rows have no values of the axes")
                yield [None] * len(self.axes)

    def rows(self) -> Iterator[Row]:
        """Yield the rows that can be read, in the order of their numbers."""
        at = 0
        while True:
            try:
                for row in self._store.rows(after=at):
                    at = row.row
                    self.saved += 1
                    yield row
                return
            except StoreError as e:
                damage = e
            # A scan cannot pass the damage, so the rows behind it are looked up one by one.
            found = self._next(at, damage)
            if found is None:
                return
            at = found.row
            self.saved += 1
            yield found

    def _next(self, at: int, damage: StoreError) -> Row | None:
        """Return the first row after `at` that can be read on its own; None if there is none."""
        for number in self._candidates(at, damage):
            try:
                return self._store.row(number)
            except NoRowError:
                continue
            except StoreError as e:
                # Without an index, it is unknown whether such a row existed.
                if not self.unsure or not isinstance(e.__cause__, sqlite3.Error):
                    self.lost += 1
                    self._give_reason(e, "skipped")
        return None

    def _candidates(self, at: int, damage: StoreError) -> Iterator[int]:
        """Yield the numbers after `at` that rows may have, from the index if it is intact."""
        if self._numbers is None and not self.unsure:
            try:
                self._numbers = sorted(self._store.numbers())
            except StoreError:
                self.unsure = True
        if self._numbers is None:
            self._give_reason(damage, "an unknown number of rows skipped")
            yield from range(at + 1, at + 1 + _TRIES)
            return
        for place in range(bisect_right(self._numbers, at), len(self._numbers)):
            yield self._numbers[place]

    def _give_reason(self, error: StoreError, consequence: str) -> None:
        problem = error.problem if isinstance(error, DamageError) else str(error)
        reason = f"{consequence}: {problem}"
        if len(self.reasons) < _REASONS and reason not in self.reasons:
            self.reasons.append(reason)
