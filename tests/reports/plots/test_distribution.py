"""Distributions include every download, even those that never start."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from firstk.harness.run.result import Result
from firstk.reports.model.cases import Case
from firstk.reports.plots import distribution
from tests.reports.cases import case, results, spread
from tests.reports.samples import catch_figures, formulas, outside, overlaps, points, spans

LONG = "mypackage.with.a.long.name.of.its.own.fetch:download_as_fast_as_it_can"


def drawn(monkeypatch: pytest.MonkeyPatch, one: Case) -> Figure:
    """Return the picture of a case."""
    caught = catch_figures(monkeypatch)
    distribution.draw(one, Path("d"), "1.0")
    return caught[0]


def curves(axes: Axes) -> list[Line2D]:
    """Return the curves of a panel."""
    return [line for line in axes.lines if len(points(line)) > 2]


def test_stays_below(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a quarter never starts, the curve ends at 75 %, and the legend says how many they are."""
    figure = drawn(monkeypatch, case({"first-k": spread(0.1, 30, never=10)}))
    below, above = figure.axes
    (started,), (waiting,) = curves(above), curves(below)

    assert points(started)[-1][1] == 0.75
    assert points(waiting)[-1][1] == 0.25
    assert any("never starts: 25% (" in text for text in spans(figure))


def test_no_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tail ends at the latest download: it does not drop to zero."""
    figure = drawn(monkeypatch, case({"first-k": spread(0.1, 40)}))
    (waiting,) = curves(figure.axes[0])
    y = np.array([y for _, y in points(waiting)])

    assert pytest.approx(1 / 40) == np.nanmin(y)
    assert np.isnan(y[-1])
    assert any("the tail ends at 1 in 40" in text for text in spans(figure))


def test_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share that has started is shown from 0 to all; the tail is labelled as logarithmic."""
    below, above = drawn(monkeypatch, case({"first-k": spread(0.1, 40)})).axes

    assert above.get_ylim() == (0, 1.02)
    assert below.get_yscale() == "log"
    assert "logarithmic" in below.get_ylabel()
    assert below.get_ylim()[0] <= 0.001


def test_runs_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the numbers of runs differ, the legend has each of them."""
    one = case({"first-k": spread(0.1, 30), "hedged": spread(0.2, 50)})
    found = spans(drawn(monkeypatch, one))

    assert {"of 30 runs", "of 50 runs"} <= found.keys()
    assert any("; the tail ends at 1 in its number of runs;" in text for text in found)


@pytest.mark.slow
def test_decimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many downloads, the curve has as many points as are visible, including its ends."""
    one = case({"first-k": spread(0.1, 30_000), "hedged": spread(0.1, 30_000, never=3)})
    below, above = drawn(monkeypatch, one).axes
    times = one.strategies[0].times

    for axes in (below, above):
        for line in curves(axes):
            drawn_at = [x for x, _ in points(line)]
            assert len(drawn_at) < 1500
            assert (drawn_at[1], drawn_at[-2]) == (times[0], times[-1])
    for x, y in points(curves(above)[0])[1:-1]:
        assert y == pytest.approx(bisect_right(times, x) / len(times), abs=0.005)


def test_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strategies with the same times share a curve in both colours, and a place in the legend."""
    same = spread(0.1, 30)
    figure = drawn(monkeypatch, case({"windowed": same, "hedged": same, "first-k": spread(1, 30)}))

    assert {"windowed, hedged", "first-k"} <= spans(figure).keys()
    assert len({line.get_color() for line in curves(figure.axes[1])}) == 3


@pytest.mark.parametrize(
    ("strategies", "worth"),
    [
        ({"first-k": spread(0.1, 30), "hedged": results(*[None] * 30)}, True),
        ({"first-k": results(*[None] * 30)}, False),
        ({"first-k": spread(0.1, 5)}, False),
    ],
)
def test_worth(strategies: Mapping[str, Sequence[Result]], worth: bool) -> None:
    """Nothing is drawn for only a few runs, or if nothing ever starts."""
    assert worth == distribution.is_worth_drawing(case(strategies))


@pytest.mark.parametrize(
    "strategies",
    [
        {"first-k": spread(0.1, 30), "wait-for-all": spread(1, 20, never=10)},
        {LONG: spread(0.1, 30), "hedged": spread(50, 30)},
        {name: spread(0.1 + i, 30, never=i) for i, name in enumerate("abcdefg")},
    ],
)
def test_legible(monkeypatch: pytest.MonkeyPatch, strategies: Any) -> None:
    """No text overlaps another one, or is cut off; none is parsed as a formula."""
    figure = drawn(monkeypatch, case(strategies))

    assert overlaps(figure) == []
    assert outside(figure) == []
    assert formulas(figure) == []
