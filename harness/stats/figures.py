"""The figures that tables, pictures and files share, each computed in one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, inf
from typing import overload

#: Rounds away differences in the last bits of a product: 0.29 times 100 is 29.
_NEARLY = 1 + 1e-12


def rank(q: float, count: int) -> int:
    """Return the rank, from 1, of the quantile `q` among `count` sorted values.

    It is the first value by which a fraction `q` has been reached (the nearest rank). So a quantile
    is always one of the values: there is no value halfway between a time and never.
    """
    return max(1, ceil(q * count / _NEARLY))


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """Return the quantile `q` of sorted values, the one at its `rank`; None if there are none.

    >>> quantile([0.1, 0.2, 0.4], 0.5)
    0.2
    """
    return ordered[rank(q, len(ordered)) - 1] if ordered else None


def median_time(times: Iterable[float | None]) -> float:
    """Return the median of one or more times; None and infinity mean never."""
    half = quantile(sorted(inf if time is None else time for time in times), 0.5)
    assert half is not None
    return half


def ratio_to_bound(took: float | None, least: float | None) -> float | None:
    """Return the ratio of a time or cost to the least possible one: 1 is optimal.

    `took` is None if it never happened, and `least` if it is impossible or unknown. The ratio is
    infinity for never, and for anything more than a `least` of 0. It is None if `least` is None:
    such a run does not count in quantiles of ratios.
    """
    if least is None:
        return None
    if took is None:
        return inf
    if took == least:
        return 1.0
    return took / least if least else inf


@overload
def rounded(number: float) -> float: ...


@overload
def rounded(number: float | None) -> float | None: ...


def rounded(number: float | None) -> float | None:
    """Return a number rounded to nine digits, so that it is equal on all machines."""
    return None if number is None else float(f"{number:.9g}")
