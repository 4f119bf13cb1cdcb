"""Which seed a run has."""

from __future__ import annotations


def seed_of(first: int, run: int) -> int:
    """Return the seed of a run: runs 0, 1, ... have the seeds `first`, `first + 1`, ..."""
    return first + run


def seed_range(first: int, runs: int) -> str:
    """Return the seeds of runs 0 to `runs - 1` as text: "7", or "7 to 16"."""
    last = seed_of(first, runs - 1)
    return str(first) if runs <= 1 else f"{first} to {last}"
