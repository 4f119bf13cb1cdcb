"""The costs of strategies, in requests and bytes, against the time to first byte.

Down and to the left is better. All axes begin at 0, or are labelled as logarithmic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import dist, inf
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from firstk.harness.run.cells import Estimate
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.stats.estimates import Interval
from firstk.reports.model.cases import Case
from firstk.reports.plots import style
from firstk.reports.plots.scale import Scale, evenly, set_scale, small_print, title

#: The maximum number of cases shown.
MOST = 4

_WIDTH = 8.6  # in inches, like the others
_PANEL = 1.9
_LEFT = 1.1

#: The costs: a name, a function that returns the cost, and the divisor of its unit.
_COSTS: tuple[tuple[str, Callable[[StrategyRuns], float | None], int], ...] = (
    ("requests per download", lambda one: one.requests, 1),
    ("share data per download (kB)", lambda one: one.bytes, 1000),
)

#: The distance from a mark to its name, the width of a letter, the height of a line, in points.
_BESIDE = 8
_LETTER = 4.8
_HIGH = 9

#: The places of a name relative to its mark, the best first.
_SIDES = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1.3), (0, -1.3))


def shown(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that the picture shows: those in which some download starts."""
    return evenly(
        [case for case in cases if any(o.distribution.came for o in case.strategies)], MOST
    )


def draw(cases: Sequence[Case], path: Path, version: str) -> list[Path]:
    """Write the picture to `path`.png and `path`.svg; return the files."""
    some = shown(cases)
    with style.style():
        height = len(some) * (_PANEL + 0.75) + 0.95
        figure = Figure(figsize=(_WIDTH, height))
        wide = (_WIDTH - 2 * _LEFT - 0.2) / 2
        scales = [_scales(some, cost) for _, cost, _ in _COSTS]
        never = any(inf in _ends(one.quantile(0.5)) for case in some for one in case.strategies)
        for row, case in enumerate(some):
            bottom = height - 0.95 - (row + 1) * _PANEL - row * 0.75
            for column, (what, cost, unit) in enumerate(_COSTS):
                axes = figure.add_axes(
                    (
                        (_LEFT + column * (wide + _LEFT)) / _WIDTH,
                        bottom / height,
                        wide / _WIDTH,
                        _PANEL / height,
                    )
                )
                _panel(axes, case, what, unit, cost, scales[column], never)
                if column == 0:
                    axes.set_title(style.plain(case.name, 90), loc="left", size=8.5, weight="bold")
                else:
                    axes.set_ylabel("")
        left = len([case for case in cases if case.strategies]) - len(some)
        more = f"; {left} more are not shown" if left else ""
        title(figure, "What does the speed cost?", f"down and to the left is better{more}")
        small_print(
            figure,
            f"cost: mean, and gain: median time to first byte, of {_runs(some)} from seed"
            f" {some[0].seed}; lines: its 95 % interval; virtual time; firstk {version}",
        )
        return style.save(figure, path)


def _runs(some: Sequence[Case]) -> str:
    counts = sorted({case.runs for case in some})
    if counts == [1]:
        return "1 run"
    return f"{counts[0]} runs" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} runs"


#: A strategy, its cost, and its median time to first byte.
_Point = tuple[str, float, Estimate]


def _points(case: Case, cost: Callable[[StrategyRuns], float | None]) -> list[_Point]:
    points = []
    for one in case.strategies:
        paid, half = cost(one), one.quantile(0.5)
        if paid is not None and half.estimate is not None:
            points.append((one.strategy, paid, half))
    return points


def _scales(
    some: Sequence[Case], cost: Callable[[StrategyRuns], float | None]
) -> tuple[Scale, Scale]:
    """Return the scales of both axes, which all cases share."""
    points = [point for case in some for point in _points(case, cost)]
    x = Scale.of([paid for _, paid, half in points if half.estimate != inf])
    y = Scale.of([end for _, _, half in points for end in _ends(half)])
    return replace(x, high=x.at(1.12)), y


def _panel(
    axes: Axes,
    case: Case,
    what: str,
    unit: int,
    cost: Callable[[StrategyRuns], float | None],
    scales: tuple[Scale, Scale],
    never: bool,
) -> None:
    points = _points(case, cost)
    x, y = scales
    set_scale(axes.yaxis, y, "median time\nto first byte", never=never)
    set_scale(axes.xaxis, x, what, lambda number: f"{number / unit:,.3g}")
    # A run that never starts costs less than a download, so it is not on this axis.
    stalled = [name for name, _, half in points if half.estimate == inf]
    if stalled:
        axes.text(
            0.99, y.place(inf), style.plain(", ".join(stalled), 60), ha="right", va="center",
            size=7.5, transform=axes.get_yaxis_transform(), zorder=5,
        )  # fmt: skip
    spots: dict[tuple[float, float], list[str]] = {}
    for name, paid, half in points:
        if half.estimate == inf:
            continue
        there = y.place(half.estimate or 0.0)
        if isinstance(half, Interval):
            ends = [y.place(half.low), y.place(half.high)]
            axes.plot([paid, paid], ends, color=style.look(name).colour, linewidth=1)
        place = _points_at(axes, paid, there)
        same = next((spot for spot in spots if dist(_points_at(axes, *spot), place) < 3), None)
        spots.setdefault(same or (paid, there), []).append(name)
    for (paid, there), names in spots.items():
        for mark in style.nested([style.look(name) for name in names], 7):
            axes.plot([paid], [there], **mark, linestyle="none", zorder=4, clip_on=False)
    _names(axes, spots)


def _ends(estimate: Estimate) -> list[float]:
    ends = (estimate.low, estimate.high) if isinstance(estimate, Interval) else ()
    return [end for end in (estimate.estimate, *ends) if end is not None]


def _points_at(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Return a position in a panel, in points from its lower left corner."""
    px, py = axes.transData.transform((x, y))
    return float(px - axes.bbox.x0) * 72 / axes.figure.dpi, float(
        py - axes.bbox.y0
    ) * 72 / axes.figure.dpi


def _names(axes: Axes, spots: Mapping[tuple[float, float], Sequence[str]]) -> None:
    """Write names next to their marks, without covering marks or other names."""
    marks = [_points_at(axes, *spot) for spot in spots]
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in marks]
    width, height = (size * 72 / axes.figure.dpi for size in (axes.bbox.width, axes.bbox.height))
    for (px, py), names in zip(marks, spots.values(), strict=True):
        text = style.plain(", ".join(names), 45)
        found = []
        for sideways, up in _SIDES:
            wide = len(text) * _LETTER
            left = px - wide / 2 + sideways * (wide / 2 + _BESIDE)
            box = Bbox.from_bounds(left, py + up * _HIGH - _HIGH / 2, wide, _HIGH)
            inside = box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
            found.append((sum(map(box.overlaps, taken)) + 3 * (not inside), box, sideways))
        _, box, sideways = min(found, key=lambda place: place[0])
        taken.append(box)
        axes.annotate(
            text, (0, 0), xycoords="axes fraction", va="center", size=7.5, zorder=5,
            xytext=(px + sideways * _BESIDE, (box.y0 + box.y1) / 2), textcoords="offset points",
            ha={1: "left", -1: "right"}.get(sideways, "center"),
        )  # fmt: skip
