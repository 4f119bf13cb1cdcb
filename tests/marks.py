"""Marks that many tests share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(count: int, values: Iterable[Any]) -> list[Any]:
    """Return values for `parametrize`, all but the first `count` of them marked slow."""
    first, later = [*values][:count], [*values][count:]
    return [*first, *(pytest.param(value, marks=pytest.mark.slow) for value in later)]


def few_rows(count: int, rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return rows of several values for `parametrize`, all but the first `count` marked slow."""
    first, later = [*rows][:count], [*rows][count:]
    return [*first, *(pytest.param(*row, marks=pytest.mark.slow) for row in later)]
