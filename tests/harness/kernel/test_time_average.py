"""Averages of a level over time."""

from __future__ import annotations

from firstk.harness.kernel.environment import Environment
from firstk.harness.kernel.time_average import TimeAverage


def test_area() -> None:
    """The integral weighs each level by its duration."""
    env = Environment()
    level = TimeAverage(env)
    level.change(+2)
    env.run(until=3)
    level.change(+1)
    env.run(until=5)
    level.change(-3)
    env.run(until=50)

    assert level.now == 0
    assert level.area == 2 * 3 + 3 * 2


def test_area_of_what_is() -> None:
    """Reading the integral changes nothing, and it includes the time up to now."""
    env = Environment(initial_time=10)
    level = TimeAverage(env)
    level.change(+1)
    env.run(until=12)
    assert 2 == level.area == level.area
    env.run(until=13)

    assert level.area == 3
