"""Marks that many tests share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

_Param = type(pytest.param())


def few(count: int, values: Iterable[Any]) -> list[Any]:
    """Return values for `parametrize`, all but the first `count` of them marked slow.

    A value may be a `pytest.param`.
    """
    each = [value if isinstance(value, _Param) else pytest.param(value) for value in values]
    slow = [
        pytest.param(*one.values, id=one.id, marks=[*one.marks, pytest.mark.slow])
        for one in each[count:]
    ]
    return [*each[:count], *slow]


def few_rows(count: int, rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return rows of several values for `parametrize`, all but the first `count` marked slow."""
    return few(count, [pytest.param(*row) for row in rows])
