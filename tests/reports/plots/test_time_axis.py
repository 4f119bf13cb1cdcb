"""Idle time is cut out of the time axis of timelines, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.reports.plots.time_axis import TimeAxis

TIMES = st.lists(st.floats(0, 1e6, allow_subnormal=False), max_size=30)


@pytest.mark.parametrize(
    ("instants", "breaks"),
    [
        ([], 0),
        ([0.0], 0),
        ([5.0], 0),
        ([0.1, 0.2, 0.3], 0),
        ([0.1, 0.2, 1.0], 0),  # the gap is 4 times the rest
        ([0.1, 0.2, 1.1], 1),
        ([0.1, 5.0, 5.1, 10.0, 10.1], 2),
        ([0.1, 0.1 + 1e-13, 0.2], 0),  # floats that mean the same time
    ],
)
def test_breaks(instants: list[float], breaks: int) -> None:
    """An axis is cut in a gap that is more than four times as long as all the rest."""
    assert len(TimeAxis.of(instants).breaks) == breaks


def test_places() -> None:
    """Around a break times keep their distances, and the break has a width of its own."""
    axis = TimeAxis.of([0.1, 0.2, 10.2, 10.3])
    (begin, end) = axis.breaks[0]

    assert axis.place(0.2) == pytest.approx(0.2)
    assert axis.place(end) - axis.place(begin) == pytest.approx(axis.width)
    assert axis.place(10.3) - axis.place(10.2) == pytest.approx(0.1)
    assert 0.2 < begin < 0.25
    assert 10.15 < end < 10.2


@given(TIMES)
def test_nothing_is_cut_out(instants: list[float]) -> None:
    """No event lies in a break, the order of events stays, and places lead back to times."""
    axis = TimeAxis.of(instants)
    ordered = sorted(instants)
    places = [axis.place(time) for time in ordered]

    assert not [t for t in instants for begin, end in axis.breaks if begin < t < end]
    assert sorted(places) == places
    assert [axis.time(place) for place in places] == pytest.approx(ordered, rel=1e-6, abs=1e-6)
