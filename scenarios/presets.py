"""Latency laws with published parameters, as tables of a scenario file.

A preset never changes, so that results obtained with it remain reproducible. Better parameters get
another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _pareto_and_exponential(
    weight: float, scale: float, alpha: float, rate: float
) -> Mapping[str, Any]:
    """Return a mixture in the form used by Bailis et al.; `scale` is in ms, and `rate` per ms."""
    return {
        "law": "mixture",
        "weights": [weight, 1 - weight],
        "laws": [
            {"law": "pareto", "scale": scale / 1000, "alpha": alpha},
            {"law": "exponential", "mean": 1 / rate / 1000},
        ],
    }


#: The presets by name. The delays are those of reads, one way: a round trip is the sum of two.
#: Bailis, Venkataraman, Franklin, Hellerstein and Stoica, Probabilistically Bounded Staleness for
#: Practical Partial Quorums, VLDB 2012: the fits to LinkedIn's servers with SSDs (LNKD-SSD) and to
#: Yammer's (YMMR).
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "pbs-lnkd-ssd-one-way": _pareto_and_exponential(0.9122, 0.235, 10, 1.66),
    "pbs-ymmr-one-way": _pareto_and_exponential(0.982, 1.5, 3.8, 0.0217),
}
