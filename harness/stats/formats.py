"""Numbers as text: times, ratios and probabilities."""

from __future__ import annotations

from math import inf

from firstk.harness.stats.figures import rounded


def seconds(time: float) -> str:
    """Return a time as text: three significant digits, in seconds or milliseconds.

    Infinity is "never". A difference of minus infinity is "starts only here": the other never does.
    """
    if abs(time) == inf:
        return "never" if time > 0 else "starts only here"
    if 0 < time < 0.001:
        return f"{time * 1000:.3g} ms"
    return f"{_three_digits(time)} s"


def _three_digits(number: float) -> str:
    number = rounded(number)
    return f"{number:.0f}" if number >= 999.5 else f"{number:.3g}"


def multiple(ratio: float) -> str:
    """Return a ratio as text.

    >>> multiple(2.5)
    '2.5 ×'
    """
    return "∞" if ratio == inf else f"{_three_digits(ratio)} ×"


def percent(part: float) -> str:
    """Return a probability as text; 0% and 100% only if it is exactly that."""
    if 0 < part < 0.001:
        return "under 0.1%"
    if 0.999 < part < 1:
        return "over 99.9%"
    return f"{100 * part:.3g}%"
