"""Pictures of axes show the values where they are, and infinity as never."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from firstk.reports.model.cases import Case
from firstk.reports.plots import sweep as sweep_plots
from firstk.reports.plots.sweep import Places
from tests.marks import few
from tests.reports.cases import case, loaded, results, spread
from tests.reports.samples import catch_figures, formulas, outside, overlaps, points, spans

LAWS = [
    {"law": "constant", "value": 0.05},
    {"law": "lognormal", "median": 0.05, "sigma": 0.5},
    {"law": "pareto", "alpha": 2.0, "scale": 0.05},
]


def strategies(first: float) -> dict[str, Any]:
    """Return the results of two strategies, one of which never starts in most runs."""
    return {"wait-for-all": spread(first, 10, never=30), "first-k": spread(first / 2, 40)}


def along(monkeypatch: pytest.MonkeyPatch, cases: list[Case], axis: str = "x") -> Figure:
    """Return the picture along an axis."""
    caught = catch_figures(monkeypatch)
    sweep_plots.draw_along(cases, axis, Path("along"), "1.0")
    return caught[0]


def marks(axes: Axes, shape: str) -> list[tuple[float, float]]:
    """Return the positions of the marks with a shape, in the panel."""
    found = [line for line in axes.lines if line.get_marker() == shape and len(points(line)) == 1]
    return [points(line)[0] for line in found if line.axes is not None][:-1]


def test_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Medians are where they are, infinite ones in the strip, and below is how many start."""
    cases = [case(strategies(0.2 + x), x=x) for x in (0, 1, 4)]
    median, _, start = along(monkeypatch, cases).axes
    halves = [one.strategies[1].quantile(0.5).estimate or inf for one in cases]
    wanted = list(zip((0, 1, 4), halves, strict=True))

    assert wanted == marks(median, "o")
    assert [x for x, _ in marks(median, "s")] == [0, 1, 4]
    assert all(y > max(halves) for _, y in marks(median, "s"))
    assert [y for _, y in marks(start, "s")] == [0.25] * 3
    assert start.get_ylim()[0] <= 0
    assert start.get_ylim()[1] >= 1


def test_equal_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal values are at one place: marks are nested, and lines alternate."""
    both = {"wait-for-all": spread(0.2, 20), "first-k": spread(0.2, 20)}
    median, *_ = along(monkeypatch, [case(both, x=x) for x in (19, 20)]).axes
    drawn = [line for line in median.lines if len(points(line)) == 2]
    lines = [line for line in drawn if points(line)[0][0] != points(line)[1][0]]
    sizes = {
        str(line.get_marker()): line.get_markersize()
        for line in median.lines
        if line.get_marker() in ("s", "o") and points(line)[0][0] == 20
    }

    assert marks(median, "s") == marks(median, "o")
    assert [x for x, _ in marks(median, "o")] == [19, 20]
    assert sizes["s"] > sizes["o"]
    assert len({line.get_color() for line in lines if line.is_dashed()}) == 2


def test_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load has a unit, and panels for the utilisation and the downloads in progress."""
    cases = [loaded(rate, **{"first-k": rate / 100}) for rate in (20, 90)]
    figure = along(monkeypatch, cases, "workload.arrivals.rate")
    busy, progress = figure.axes[3:]

    assert (busy.get_ylabel(), progress.get_ylabel()) == (
        "busiest resource\nin use",
        "downloads\nin progress",
    )
    assert marks(busy, "o") == [(20, 0.2), (90, 0.9)]
    assert progress.get_xlabel() == "load (downloads per second)"
    assert outside(figure) == []
    assert overlaps(figure) == []


def test_hollow(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate with too few runs for an interval is hollow."""
    few = {"first-k": results(0.1, 0.2)}
    median, *_ = along(monkeypatch, [case(few, x=x) for x in (0, 1)]).axes
    marked = [line for line in median.lines if line.get_marker() == "o" and len(points(line)) == 1]

    assert {line.get_markerfacecolor() for line in marked[:2]} == {"white"}


@pytest.mark.parametrize(
    ("values", "at", "log"),
    [
        ([1, 2, 10], [1, 2, 10], False),
        ([0.001, 0.01, 1.0], [0.001, 0.01, 1.0], True),
        (LAWS, [0, 1, 2], False),
        (["a", 2], [0, 1], False),
        ([True, False], [0, 1], False),
    ],
)
def test_places(values: list[Any], at: list[float], log: bool) -> None:
    """Numbers are at their values, and anything else is evenly spaced."""
    places = Places.of(values)

    assert (at, log) == (list(places.at), places.log)


@pytest.mark.parametrize(
    "values",
    few(
        4,
        [[0, 1], [0], LAWS, ["a" * 40, "b" * 40], list(range(60)), [10.0**i for i in range(-4, 3)]],
    ),
    ids=["two", "one", "laws", "long", "many", "log"],
)
def test_legible(monkeypatch: pytest.MonkeyPatch, values: list[Any]) -> None:
    """No text overlaps another one, or is cut off."""
    cases = [case(strategies(0.2 + i), x=value) for i, value in enumerate(values)]
    figure = along(monkeypatch, cases)

    assert overlaps(figure) == []
    assert outside(figure) == []
    assert formulas(figure) == []


def test_tail() -> None:
    """The tail is a quantile whose intervals are all known."""
    assert sweep_plots.tail([case({"first-k": spread(0.1, 500)}, x=0)]) == 0.99
    assert sweep_plots.tail([case({"first-k": spread(0.1, 50)}, x=0)]) == 0.9


def cells(figure: Figure) -> list[list[Rectangle]]:
    """Return the cells of each map."""
    return [[p for p in axes.patches if isinstance(p, Rectangle)] for axes in figure.axes]


@pytest.mark.parametrize("columns", [2, 30], ids=["few", "many"])
def test_map(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Each strategy has its map; a cell is hatched if most downloads never start."""
    cases = [case(strategies(0.2 + x), x=x, y=y) for x in range(columns) for y in range(2)]
    caught = catch_figures(monkeypatch)
    sweep_plots.draw_map(cases, ("x", "y"), Path("map"), "1.0")
    (figure,) = caught
    silent, starting = cells(figure)[:2]

    assert 2 * columns == len(silent) == len(starting)
    assert all(cell.get_hatch() for cell in silent)
    assert not any(cell.get_hatch() for cell in starting)
    assert ("never\n25% start" in spans(figure)) == (columns == 2)
    assert (columns == 30) == (len(figure.axes) == 3)  # then there is a key of the colours
    assert outside(figure) == []


def test_never_is_not_scaled() -> None:
    """Infinity has no colour: the scale covers only finite times."""
    cases = [case(strategies(0.2), x=0)]

    assert (sweep_plots._norm(cases).vmax or inf) < inf
