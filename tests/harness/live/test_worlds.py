"""Differences between the simulation and real servers."""

from __future__ import annotations

import pytest

from firstk.harness.live.worlds import LIVE, SIMULATED, is_near
from tests.harness.making import hung, scenario
from tests.reports.worlds import in_worlds

_SCENARIO = scenario(grid={"rtt": {"law": "constant", "value": 0.05}})


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        (0.25, 0.25, True),
        (0.25, 0.274, True),
        (0.25, 0.226, True),
        (0.25, 0.276, False),
        (0.02, 0.0299, True),
        (0.02, 0.031, False),
        (None, None, True),
        (0.25, None, False),
        (None, 0.25, False),
    ],
)
def test_near(one: float | None, other: float | None, near: bool) -> None:
    """Times are near if they differ by at most 10 % or 10 ms, whichever is more."""
    assert is_near(one, other) is near


def test_no_difference() -> None:
    """Small differences are not reported."""
    found = in_worlds(_SCENARIO, first_k=[0.01, -0.01, 0.02])

    assert list(found.differences) == []
    assert list(found.unmet) == []
    assert found.strategies[0].near == 3


def test_later() -> None:
    """A difference of the medians is reported with its direction; near single runs are counted."""
    found = in_worlds(_SCENARIO, first_k=[0.05, 0.05, 0.0], hedged=[0.0, -0.03, -0.03])

    assert list(found.differences) == [
        "first-k: the first byte comes 0.05 s (20%) later on real servers than in the simulation"
        " (medians)",
        "hedged: the first byte comes 0.03 s (30%) sooner on real servers than in the simulation"
        " (medians)",
    ]
    assert [one.near for one in found.strategies] == [1, 1]


def test_other_outcome() -> None:
    """A different outcome is reported for its run."""
    found = in_worlds(_SCENARIO, first_k=[0.0, None, 0.0])

    assert list(found.differences) == [
        "first-k, seed 1: ok in the simulation, stalled on real servers"
    ]
    assert found.strategies[0].median(LIVE) == found.strategies[0].median(SIMULATED)


def test_never() -> None:
    """A stall in both worlds is not a difference, and has no median."""
    found = in_worlds(scenario(hung("3-9")), wait_for_all=[None, None])

    assert list(found.differences) == []
    assert found.strategies[0].near == 2
    assert found.strategies[0].median(LIVE) is None


def test_expectations() -> None:
    """Expected outcomes apply to real servers too; expected times, only to the simulation."""
    expected = {"first-k": {"outcome": "ok", "ttfb": 0.25}}
    one = scenario(grid={"rtt": {"law": "constant", "value": 0.05}}, expect=expected)

    assert list(in_worlds(one, first_k=[0.02]).unmet) == []
    assert list(in_worlds(one, first_k=[None]).unmet) == [
        "first-k, seed 0: expected outcome 'ok', got 'stalled'"
    ]
