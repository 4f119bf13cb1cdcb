"""Measuring: two things in turn, again and again, and how many times one takes the other."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time


@dataclass(frozen=True)
class Figure:
    """A ratio that was measured several times, and what it should be.

    `at_least` tells whether more is better; `note` says what was held against what.
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
        """Whether it is what it should be."""
        return self.middle >= self.target if self.at_least else self.middle <= self.target


def seconds(work: Callable[[], object]) -> float:
    """Return how long this process works at something, in seconds, with a tidy memory before."""
    gc.collect()
    begun = process_time()
    work()
    return process_time() - begun


def in_turn(
    one: Callable[[], object], other: Callable[[], object], rounds: int
) -> list[tuple[float, float]]:
    """Return how long this process works at two things, in seconds, each once in a round.

    What slows the machine down for a while slows both. The first round is left out.
    """
    found = [(seconds(one), seconds(other)) for _ in range(rounds + 1)]
    return found[1:]
