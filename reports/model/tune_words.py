"""The result of tuning, in a sentence."""

from __future__ import annotations

from firstk.harness.sweep.tuning import Tuning


def headline(tuning: Tuning) -> str:
    """Return what was found, in a sentence."""
    count = tuning.rounds[0].candidates
    if not tuning.possible:
        return (
            f"none of {count} settings has a p99: more than 1 % of the downloads fail or stall with"
            " each"
        )
    chosen = sum(point.chosen for point in tuning.points)
    return f"{chosen} of {count} settings of hedged are on the Pareto front of p99 and bytes"
