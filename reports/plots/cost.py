"""The costs of strategies, in requests and bytes, against the time to first byte.

Down and to the left is better. All axes begin at 0, or are labelled as logarithmic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import dist, inf
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from firstk.harness.run.cells import Estimate
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.stats.estimates import Interval
from firstk.reports.model.cases import Case
from firstk.reports.plots import style
from firstk.reports.plots.labels import name_marks, points_at
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
        place = points_at(axes, paid, there)
        same = next((spot for spot in spots if dist(points_at(axes, *spot), place) < 3), None)
        spots.setdefault(same or (paid, there), []).append(name)
    for (paid, there), names in spots.items():
        for mark in style.nested([style.look(name) for name in names], 7):
            axes.plot([paid], [there], **mark, linestyle="none", zorder=4, clip_on=False)
    name_marks(axes, spots)


def _ends(estimate: Estimate) -> list[float]:
    ends = (estimate.low, estimate.high) if isinstance(estimate, Interval) else ()
    return [end for end in (estimate.estimate, *ends) if end is not None]
