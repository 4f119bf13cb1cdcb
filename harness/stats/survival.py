"""The probability that a time drawn from a latency law is longer than another.

Closed forms where SciPy has the distribution, weighted sums for mixtures, and quadrature for a sum
of two times, with a relative error of 1e-9, or an error of up to 1e-4 if a density has a jump as
that of a uniform time has. The values serve as references for simulations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log
from typing import Any

import numpy as np

from firstk.harness.stats.theory import distribution
from firstk.scenarios.laws import Constant, Law, Mixture, Preset, Shifted, Sum

#: Returns the probability of a time longer than its argument, in seconds.
Survival = Callable[[float], float]

#: The logarithm of the least survival that counts.
_LAST = 700.0


def _quadrature(panels: int, order: int) -> tuple[Any, Any]:
    """Return the places and weights of Gauss's quadrature on as many parts of 0 to 1."""
    places, weights = np.polynomial.legendre.leggauss(order)
    starts = np.arange(panels)[:, np.newaxis]
    whole = np.tile(weights / 2 / panels, panels)
    return ((starts + (places + 1) / 2) / panels).ravel(), whole


_PLACES, _WEIGHTS = _quadrature(40, 16)


def survival(law: Law) -> Survival:
    """Return the survival function of a law: the probability of a time longer than its argument.

    Raises `ValueError` for a law without a closed form, and for sums of three or more random times.

    >>> from firstk.scenarios.laws import Exponential
    >>> survival(Exponential(law="exponential", mean=2.0))(2.0)
    0.36787944117144233
    """
    ways = [(weight, *_two(terms)) for weight, terms in _ways(law)]
    parts = [(weight, shift, _of_terms(terms)) for weight, shift, terms in ways]
    return lambda time: sum(weight * of(time - shift) for weight, shift, of in parts)


def _ways(law: Law) -> Iterator[tuple[float, list[Law]]]:
    """Yield the ways in which a time comes about: the probability, and the laws that are summed."""
    match law:
        case Preset():
            yield from _ways(law.base)
        case Shifted():
            for weight, terms in _ways(law.base):
                yield weight, [Constant(law="constant", value=law.shift), *terms]
        case Mixture():
            for part, of in zip(law.weights, law.laws, strict=True):
                for weight, terms in _ways(of):
                    yield weight * part / sum(law.weights), terms
        case Sum():
            choices: list[tuple[float, list[Law]]] = [(1.0, [])]
            for of in law.laws:
                ways = list(_ways(of))
                choices = [(p * q, [*a, *b]) for p, a in choices for q, b in ways]
            yield from choices
        case _:
            yield 1.0, [law]


def _two(terms: list[Law]) -> tuple[float, list[Law]]:
    """Return the sum of the constant terms, and the others, which may be two at most."""
    shift = sum(term.value for term in terms if isinstance(term, Constant))
    others: list[Law] = [term for term in terms if not isinstance(term, Constant)]
    if len(others) > 2:
        raise ValueError("a sum of three or more random times has no closed form")
    return shift, others


def _of_terms(terms: list[Law]) -> Survival:
    """Return the survival function of the sum of up to two random times."""
    if not terms:
        return lambda time: float(time < 0)
    if len(terms) == 1:
        one = distribution(terms[0])
        return lambda time: float(one.sf(time))
    first, second = map(distribution, terms)
    earliest = float(first.support()[0])
    least = earliest + float(second.support()[0])

    def of_sum(time: float) -> float:
        """Return P(X + Y > time), integrated over the logarithm of the survival of Y.

        So long tails of Y take a few units of the variable, and its sharp beginning one.
        """
        if time <= least:
            return 1.0
        beyond = float(second.sf(time - earliest))
        last = -log(beyond) if beyond > 0 else _LAST
        parts = np.exp(-last * _PLACES)
        inner = parts * first.sf(time - second.isf(parts))
        return beyond + last * float(inner @ _WEIGHTS)

    return of_sum
