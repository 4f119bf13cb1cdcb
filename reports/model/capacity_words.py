"""The capacities of a grid in words: a sentence for each strategy."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from firstk.harness.capacity.capacity import Capacity, Measured
from firstk.harness.capacity.steady import SPARE, TOLERANCE
from firstk.harness.stats.estimates import Interval
from firstk.harness.stats.formats import percent
from firstk.scenarios.condition import Condition


def sentence(found: Capacity, conditions: Sequence[Condition]) -> str:
    """Return the answer for one strategy as a sentence."""
    name, target = found.strategy, " and ".join(map(str, conditions))
    carries = f"meets {target} at" if target else "carries"
    if not found.low:
        least = found.measured[0]
        return (
            f"{name} {_failure(least)} even at {rate(least.rate)}, the lowest rate that was tried"
        )
    lowest = found.at(found.low)
    assert lowest is not None
    use = f"is {percent(lowest.busy.estimate)} busy at {rate(found.low)}"
    if found.high == inf:
        return f"{name} {use} and {carries} it: no higher rate was tried"
    missed = found.at(found.high)
    assert missed is not None
    return f"{name} {use}, and {_failure(missed)} between {_between(found)}"


def _failure(one: Measured) -> str:
    """Return what goes wrong at a rate, as "saturates" or "misses p99 < 2 s"."""
    return " and ".join(one.missed) or "is not shown to meet the target"


def _between(found: Capacity) -> str:
    return f"{found.low:g} and {rate(found.high)}"


def rate(number: float) -> str:
    """Return a rate as text."""
    return f"{number:g} downloads/s"


def capacity(found: Capacity) -> str:
    """Return the capacity as text: the two rates between which it lies."""
    if not found.low:
        return f"under {found.measured[0].rate:g}"
    if found.high == inf:
        return f"over {found.low:g}"
    return f"{found.low:g} to {found.high:g}"


def basis(found: Sequence[Capacity]) -> str:
    """Return what the answers rest on."""
    all_ = [one for capacity_ in found for one in capacity_.measured]
    runs = sum(one.runs for one in all_)
    searched = any(capacity_.alone is not None for capacity_ in found)
    return (
        f"{runs:,} runs at {len(all_)} rates, of {downloads(found)} each"
        + (" after a warm-up of half as many" if searched else "")
        + f". A rate is carried if fewer than {TOLERANCE:.0%} of the arriving downloads pile up, or"
        f" if the busiest resource is busy for less than {SPARE:.0%} of the time. Each verdict on a"
        " rate is wrong with a probability of at most 2.5%"
    )


def downloads(found: Sequence[Capacity]) -> str:
    """Return how many downloads count in each run."""
    counts = [one.downloads for capacity_ in found for one in capacity_.measured]
    least, most = min(counts), max(counts)
    return f"{least:,} to {most:,} downloads" if least < most else f"{least:,} downloads"


def verdict(one: Measured) -> str:
    """Return the verdict on a rate."""
    return {True: "carried", False: ", ".join(one.missed), None: "not decided"}[one.met]


def share(found: Interval) -> str:
    """Return a share with its interval as text; an interval of a mean may exceed 0 and 1."""
    return found.words(lambda part: f"{100 * part:.3g}%")
