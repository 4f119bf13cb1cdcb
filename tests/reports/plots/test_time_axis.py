"""Only idle time is cut out of the time axis of timelines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.reports.plots.time_axis import TimeAxis

TIMES = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("events", "typical", "cuts"),
    [
        ([], 0.1, []),
        ([5.0], 0.0, []),
        ([0.1, 0.2, 0.3], 0.1, []),
        ([0.1, 0.2, 0.9], 0.1, []),
        ([0.1, 0.2, 10.2, 10.3], 0.1, [(0.3, 10.1)]),
        ([0.1, 5.0, 5.1, 10.0, 10.1], 0.1, [(0.2, 4.9), (5.2, 9.9)]),
        ([0.05, 0.051, 0.052, 0.053, 0.1], 0.05, []),  # answers that come nearly together
    ],
)
def test_cuts(events: list[float], typical: float, cuts: list[tuple[float, float]]) -> None:
    """An axis is cut where nothing happens for much longer than a request takes."""
    found = TimeAxis.of(events, typical).cuts

    assert [time for cut in found for time in cut] == pytest.approx(
        [t for cut in cuts for t in cut]
    )


def test_places() -> None:
    """Around a break, times keep their distances, and the break has its own width."""
    axis = TimeAxis.of([0.1, 0.2, 10.2, 10.3], 0.1)
    (begin, end) = axis.cuts[0]

    assert axis.place(0.2) == pytest.approx(0.2)
    assert axis.place(end) - axis.place(begin) == pytest.approx(axis.gap)
    assert axis.place(10.3) - axis.place(10.2) == pytest.approx(0.1)
    assert axis.place(11.3) - axis.place(10.3) == pytest.approx(1.0)


@given(TIMES, st.floats(1e-6, 1e3))
def test_nothing_is_cut_out(events: list[float], typical: float) -> None:
    """No event is in a break, the order of events is kept, and places map back to times."""
    axis = TimeAxis.of(events, typical)
    ordered = sorted(events)
    places = [float(axis.place(time)) for time in ordered]

    assert not [t for t in events for begin, end in axis.cuts if begin < t < end]
    assert sorted(places) == places
    assert [axis.time(place) for place in places] == pytest.approx(ordered, rel=1e-6, abs=1e-6)
