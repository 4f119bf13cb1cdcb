"""The figures that tables, pictures and files share, each worked out in one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, inf
from typing import overload

#: Products that are equal but for their last bits are equal: 0.29 times 100 is 29.
_NEARLY = 1 + 1e-12


def rank(q: float, count: int) -> int:
    """Return which of `count` sorted values is their quantile `q`; the first has the rank 1.

    It is the first by which a part `q` of them has come (the nearest rank), so that a quantile
    is always one of the values: halfway between a time and never there is nothing.
    """
    return max(1, ceil(q * count / _NEARLY))


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """Return the quantile `q` of sorted values, the one at its `rank`; None if there are none.

    >>> quantile([0.1, 0.2, 0.4], 0.5)
    0.2
    """
    return ordered[rank(q, len(ordered)) - 1] if ordered else None


def median_time(times: Iterable[float | None]) -> float:
    """Return the median of some times, one or more; None, like infinity, is never."""
    half = quantile(sorted(inf if time is None else time for time in times), 0.5)
    assert half is not None
    return half


def ratio_to_bound(took: float | None, least: float | None) -> float | None:
    """Return how many times the least that is possible something took: 1 is optimal.

    `took` is None where it never came, and `least` where it is not possible or not known. The
    ratio is infinity for never, and for anything that took more than a least of 0. It is None
    where `least` is: such a run counts in no quantile of ratios.
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
    """Return a number as every machine has it, to nine digits: the last bits may differ."""
    return None if number is None else float(f"{number:.9g}")
