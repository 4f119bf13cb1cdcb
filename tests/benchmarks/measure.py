"""Measures the ratio of the times of two tasks, alternately and repeatedly."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time


@dataclass(frozen=True)
class Figure:
    """A ratio that was measured several times, and its target.

    `at_least` is True if more is better; `note` says what was compared.
    """

    name: str
    ratios: Sequence[float]
    target: float
    at_least: bool
    note: str = ""

    @property
    def middle(self) -> float:
        """The median of the ratios."""
        return median(self.ratios)

    @property
    def reached(self) -> bool:
        """Whether the target is reached."""
        return self.middle >= self.target if self.at_least else self.middle <= self.target


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of some work, in seconds, after collecting garbage."""
    gc.collect()
    begun = process_time()
    work()
    return process_time() - begun


def in_turn(
    one: Callable[[], object], other: Callable[[], object], rounds: int
) -> list[tuple[float, float]]:
    """Return the CPU times of two tasks, in seconds, which run alternately once per round.

    A temporary slowdown of the machine affects both. The first round is left out.
    """
    found = [(seconds(one), seconds(other)) for _ in range(rounds + 1)]
    return found[1:]
