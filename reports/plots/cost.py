"""What a strategy costs against what it gains: requests and bytes against the time to first byte.

Down and to the left is better. All axes begin at 0 or say that they are logarithmic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from firstk.harness.run.cells import Estimate
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.stats.estimates import Interval
from firstk.reports.model.cases import Case
from firstk.reports.plots import style
from firstk.reports.plots.scale import Scale, evenly, set_scale, small_print, title

#: So many cases are shown at most.
MOST = 4

_WIDTH = 8.6  # inches; so are the others
_PANEL = 1.9
_LEFT = 1.1

_COSTS: tuple[tuple[str, Callable[[StrategyRuns], float | None]], ...] = (
    ("requests per download", lambda one: one.requests),
    ("bytes of shares per download", lambda one: one.bytes),
)


def shown(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that the picture shows."""
    return evenly([case for case in cases if case.strategies and case.asks], MOST)


def draw(cases: Sequence[Case], path: Path, version: str) -> list[Path]:
    """Write the picture to `path`.png and `path`.svg; return the files."""
    some = shown(cases)
    with style.style():
        height = len(some) * (_PANEL + 0.75) + 0.95
        figure = Figure(figsize=(_WIDTH, height))
        wide = (_WIDTH - 2 * _LEFT - 0.2) / 2
        scales = [_scales(some, cost) for _, cost in _COSTS]
        for row, case in enumerate(some):
            bottom = height - 0.95 - (row + 1) * _PANEL - row * 0.75
            for column, (what, cost) in enumerate(_COSTS):
                axes = figure.add_axes(
                    (
                        (_LEFT + column * (wide + _LEFT)) / _WIDTH,
                        bottom / height,
                        wide / _WIDTH,
                        _PANEL / height,
                    )
                )
                _panel(axes, case, what, cost, scales[column])
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


#: A strategy, what it costs, and its median time to first byte.
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
    """Return the scales of both axes, which are those of all cases."""
    points = [point for case in some for point in _points(case, cost)]
    x = Scale.of([paid for _, paid, half in points if half.estimate != inf])
    y = Scale.of([end for _, _, half in points for end in _ends(half)])
    return replace(x, high=x.at(1.12)), y


def _panel(
    axes: Axes,
    case: Case,
    what: str,
    cost: Callable[[StrategyRuns], float | None],
    scales: tuple[Scale, Scale],
) -> None:
    points = _points(case, cost)
    x, y = scales
    set_scale(axes.yaxis, y, "median time\nto first byte", never=True)
    set_scale(axes.xaxis, x, what, lambda number: f"{number:,.0f}")
    spots = []
    # What never starts costs less than a download: it has no place along the axis.
    stalled = [name for name, _, half in points if half.estimate == inf]
    if stalled:
        axes.text(
            0.99, y.place(inf), style.plain(", ".join(stalled), 60), ha="right", va="center",
            size=7.5, transform=axes.get_yaxis_transform(), zorder=5,
        )  # fmt: skip
    for name, paid, half in points:
        if half.estimate == inf:
            continue
        look = style.look(name)
        there = y.place(half.estimate or 0.0)
        if isinstance(half, Interval):
            ends = [y.place(half.low), y.place(half.high)]
            axes.plot([paid, paid], ends, color=look.colour, linewidth=1)
        axes.plot([paid], [there], **look.mark(7), linestyle="none", zorder=4, clip_on=False)
        spots.append((paid, there, name))
    _names(axes, spots)


def _ends(estimate: Estimate) -> list[float]:
    ends = (estimate.low, estimate.high) if isinstance(estimate, Interval) else ()
    return [end for end in (estimate.estimate, *ends) if end is not None]


def _names(axes: Axes, spots: Sequence[tuple[float, float, str]]) -> None:
    """Write names beside marks: those of marks that lie together share a place, line by line."""
    pixels = 72 / axes.figure.dpi
    placed: list[tuple[float, float, list[str]]] = []
    for x, y, name in spots:
        px, py = axes.transData.transform((x, y)) * pixels
        near = next((p for p in placed if abs(p[0] - px) < 60 and abs(p[1] - py) < 12), None)
        if near is None:
            placed.append((px, py, [name]))
        else:
            near[2].append(name)
    for px, py, names in placed:
        x0, y0 = px - axes.bbox.x0 * pixels, py - axes.bbox.y0 * pixels
        right = x0 < axes.bbox.width * pixels * 0.62
        text = "\n".join(names) if right or len(names) > 1 else names[0]
        axes.annotate(
            text, (0, 0), xycoords="axes fraction", xytext=(x0 + (9 if right else -9), y0),
            textcoords="offset points", ha="left" if right else "right", size=7.5,
            va="center", linespacing=1.05, zorder=5,
        )  # fmt: skip
