"""The seeds of runs."""

from __future__ import annotations

#: The largest seed of a run: TOML and SQLite do not support larger integers.
MAX_SEED = 2**63 - 1

#: The maximum number of runs of a scenario, or of a point and a strategy.
MAX_RUNS = 10_000_000


def beyond(first: int, runs: int) -> str | None:
    """Return what is wrong with these seeds if that of the last run is too large, else None."""
    if (last := seed_of(first, runs - 1)) <= MAX_SEED:
        return None
    return f"the last of {runs} runs would have the seed {last}; the largest is {MAX_SEED}"


def seed_of(first: int, run: int) -> int:
    """Return the seed of a run: runs 0, 1, ... have the seeds `first`, `first + 1`, ..."""
    return first + run


def seed_range(first: int, runs: int) -> str:
    """Return the seeds of runs 0 to `runs - 1` as text: "7", or "7 to 16"."""
    last = seed_of(first, runs - 1)
    return str(first) if runs <= 1 else f"{first} to {last}"
