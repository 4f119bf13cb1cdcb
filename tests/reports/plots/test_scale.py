"""Axes begin at zero or are labelled as logarithmic, with a strip for infinity."""

from __future__ import annotations

from math import inf

import pytest
from matplotlib.figure import Figure

from firstk.reports.plots.scale import Scale, evenly, set_scale


@pytest.mark.parametrize(
    ("numbers", "low", "log"),
    [
        ([0.2, 1.0], 0.0, False),
        ([0.2, 3.9], 0.0, False),
        ([0.01, 3.9], None, True),
        ([0.0, 0.01, 3.9], 0.0, False),
        ([inf], 0.0, False),
        ([], 0.0, False),
    ],
)
def test_scale(numbers: list[float], low: float | None, log: bool) -> None:
    """Every linear axis begins at zero, and any other is logarithmic."""
    scale = Scale.of(numbers)

    assert log == scale.log
    assert low is None or low == scale.low
    assert all(scale.low <= n <= scale.high for n in numbers if n < inf)


@pytest.mark.parametrize("numbers", [[0.2, 1.0], [0.001, 5.0]])
def test_never_is_beyond(numbers: list[float]) -> None:
    """Infinity is beyond every number, inside its strip."""
    scale = Scale.of(numbers)

    assert scale.high < scale.place(inf) < scale.end
    assert numbers[0] == scale.place(numbers[0])


def test_said() -> None:
    """A logarithmic axis and the strip `never` are labelled."""
    axes = Figure().add_subplot()
    set_scale(axes.yaxis, Scale.of([0.001, 5.0]), "time", never=True)

    assert axes.get_ylabel() == "time\n(logarithmic scale)"
    assert [text.get_text() for text in axes.texts] == ["never"]


def test_evenly() -> None:
    """Of many items, the first, the last and some between are taken, in order."""
    assert evenly(range(10), 4) == [0, 3, 6, 9]
    assert evenly([0, 1], 4) == [0, 1]
