"""The cases of published numbers, with their exact values."""

from __future__ import annotations

from functools import cache

from firstk.harness.reproduce.comparison import known
from firstk.harness.reproduce.numbers import PublishedNumber, load_papers
from firstk.harness.reproduce.run import published_experiment
from firstk.scenarios.model import Scenario

#: The first number of each case, by the ids of its paper and of the number.
CASES = {
    f"{paper.id}/{number.id}": PublishedNumber("x", paper, number, number.published[0])
    for paper in load_papers()
    for number in paper.numbers
}


def scenario_of(case: PublishedNumber) -> Scenario:
    """Return the scenario that reproduces a case."""
    return published_experiment(case.number.experiment).points[case.number.point].scenario


@cache
def exact_of(id: str) -> float:
    """Return the exact value of a case, in its unit."""
    found = known(CASES[id], scenario_of(CASES[id]))
    assert found is not None
    return found
