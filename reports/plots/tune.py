"""The settings that tuning found: the 99th percentile of the time against the bytes.

Down and to the left is better. A line joins the strategies of the front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import dist, inf
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from firstk.harness.stats.estimates import Interval
from firstk.harness.sweep.tuning import Tuned, Tuning
from firstk.reports.model.tune_words import headline
from firstk.reports.plots import style
from firstk.reports.plots.labels import name_marks, points_at
from firstk.reports.plots.scale import Scale, set_scale, small_print, title
from firstk.scenarios.seeds import seed_range

_WIDTH, _HEIGHT = 8.6, 5.4  # in inches
_AXES = (0.11, 0.155, 0.86, 0.72)

#: The size of a mark, in points.
_SIZE = 7

#: Marks that are nearer than this many points are drawn in one place.
_SAME = 3


def draw(tuning: Tuning, path: Path, version: str) -> list[Path]:
    """Write the picture to `path`.png and `path`.svg; return the files."""
    with style.style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        axes = figure.add_axes(_AXES)
        what = "the whole file" if tuning.whole else "the first byte"
        never = any(inf in _ends(point) for point in tuning.points)
        x = Scale.of([one.objectives.bytes for one in tuning.points])
        y = Scale.of([end for point in tuning.points for end in _ends(point)])
        set_scale(axes.yaxis, y, f"p99 of the time to {what}", never=never)
        x = replace(x, high=x.at(1.12))
        set_scale(
            axes.xaxis, x, "share data per download (kB)", lambda number: f"{number / 1000:,.3g}"
        )
        _front(axes, tuning.points, y)
        _marks(axes, tuning.points, y)
        grid = style.plain(tuning.scenario.description or tuning.scenario.name, 90)
        title(figure, f"hedged, tuned: {grid}", headline(tuning))
        searched = seed_range(tuning.scenario.seed, tuning.rounds[-1].runs)
        small_print(
            figure,
            f"{tuning.runs} runs of each strategy, seeds {seed_range(tuning.seed, tuning.runs)};"
            f" search with other seeds, {searched}; vertical lines: 95 % intervals;"
            f" virtual time; firstk {version}",
        )
        return style.save(figure, path)


def _front(axes: Axes, points: Sequence[Tuned], y: Scale) -> None:
    """Draw the front as steps: what is right of or above it is worse than one of its points."""
    front = [point for point in points if point.dominated_by is None]
    axes.step(
        [point.objectives.bytes for point in front],
        [y.place(point.objectives.p99) for point in front],
        where="post", color=style.GREY, linewidth=1, linestyle=(0, (4, 2)), zorder=1,
    )  # fmt: skip


def _marks(axes: Axes, points: Sequence[Tuned], y: Scale) -> None:
    """Draw a numbered mark for each strategy; the legend is where no front can be."""
    spots: dict[tuple[float, float], list[int]] = {}
    looks = [style.look(point.strategy.name) for point in points]
    for number, point in enumerate(points):
        size, p99 = point.objectives.bytes, point.cell.quantiles["p99"]
        if isinstance(p99, Interval):
            ends = [y.place(p99.low), y.place(p99.high)]
            axes.plot([size, size], ends, color=looks[number].colour, linewidth=1, alpha=0.6)
        there = (size, y.place(point.objectives.p99))
        place = points_at(axes, *there)
        same = next((spot for spot in spots if dist(points_at(axes, *spot), place) < _SAME), None)
        spots.setdefault(same or there, []).append(number)
    for (size, time), numbers in spots.items():
        for mark in style.nested([looks[number] for number in numbers], _SIZE):
            axes.plot([size], [time], **mark, linestyle="none", zorder=4, clip_on=False)
    name_marks(axes, {spot: [str(i + 1) for i in numbers] for spot, numbers in spots.items()})
    axes.legend(
        handles=[
            Line2D([], [], **look.mark(_SIZE), linestyle="none", label=_name(number, point))
            for number, (look, point) in enumerate(zip(looks, points, strict=True))
        ],
        loc="upper right", frameon=True, framealpha=1, edgecolor="none", fontsize=8,
    )  # fmt: skip


def _name(number: int, point: Tuned) -> str:
    return f"{number + 1}  {point.strategy.name}"


def _ends(point: Tuned) -> list[float]:
    p99 = point.cell.quantiles["p99"]
    interval = [p99.low, p99.high] if isinstance(p99, Interval) else []
    return [point.objectives.p99, *interval]
