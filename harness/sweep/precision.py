"""The stopping rule of a sweep: stop when the interval of a quantile is narrow enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from firstk.harness.run.cells import quantile_of
from firstk.harness.run.sample import OVERLOADED, Sample
from firstk.scenarios.experiment import Precision


def enough(precision: Precision) -> Callable[[Mapping[str, Sequence[Sample]]], bool]:
    """Return a test of whether a point has enough runs of each strategy.

    It has if the interval of the quantile is narrow enough for all strategies. A quantile that is
    known to be infinite, because the grid cannot carry the load, also counts as precise.
    """

    def is_enough(samples: Mapping[str, Sequence[Sample]]) -> bool:
        return all(
            any(sample.outcome == OVERLOADED for sample in of_one)
            or quantile_of(of_one, precision.quantile).relative_half_width <= precision.relative
            for of_one in samples.values()
        )

    return is_enough
