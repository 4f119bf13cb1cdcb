"""The distribution of times to first byte: how many have started by when, and how many have not.

Above is the fraction of downloads that have started (the distribution function). Below, on the same
time axis, is the fraction that is still waiting, on a logarithmic scale down to one in a thousand,
which shows the tail. Downloads that never start count in both; their number is next to the curves.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf, log10, nan
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from firstk.harness.run.strategy_runs import Distribution, StrategyRuns
from firstk.harness.stats.estimates import Interval, probability
from firstk.harness.stats.formats import percent, seconds
from firstk.reports.model.cases import Case
from firstk.reports.plots import style
from firstk.reports.plots.scale import STRIP, Scale, set_scale, small_print, title

#: The minimum number of downloads for a picture of their distribution.
ENOUGH = 20

#: The smallest waiting fraction that the tail shows, and the quantiles that are marked.
_LEAST = 0.001
_MARKED = (0.5, 0.9, 0.99, 0.999)

#: Steps of a curve that are closer than this are merged, in points.
_FINE = 0.8

#: Curves that are closer than this in most places are drawn with alternating dashes, in points.
_CLOSE = 2.5

#: The maximum number of counts for which the interval of the fraction is computed.
_BAND = 100

_WIDTH = 9.3  # in inches, like the others
_LEFT = 1.2
_AXIS = 4.85
_STRIP = 0.55  # for times that are never
_PANEL = 2.1
_KEY = 0.35  # the names of a curve in the key, and the gap below
_KEY_LINE = 0.135  # a line of its numbers
_KEY_WIDTH = 40  # in characters


@dataclass(frozen=True, slots=True)
class _Curve:
    """Strategies with equal times, and these times."""

    of: Sequence[StrategyRuns]

    @property
    def one(self) -> StrategyRuns:
        return self.of[0]

    @property
    def spread(self) -> Distribution:
        return self.one.distribution

    @property
    def names(self) -> str:
        return ", ".join(measured.strategy for measured in self.of)


def is_worth_drawing(case: Case) -> bool:
    """Return whether there are enough downloads for a picture, and something to wait for."""
    spreads = [one.distribution for one in case.strategies]
    return any(s.came for s in spreads) and all(s.count >= ENOUGH for s in spreads)


def draw(case: Case, path: Path, version: str) -> list[Path]:
    """Write the picture to `path`.png and `path`.svg; return the files."""
    with style.style():
        curves = _curves(case.strategies)
        key = sum(_KEY + _KEY_LINE * len(_numbers(curve, case)) for curve in curves)
        height = max(2 * _PANEL + 1.75, key + 1.4)
        figure = Figure(figsize=(_WIDTH, height))
        width, panel = _AXIS / _WIDTH, _PANEL / height
        left, low = _LEFT / _WIDTH, 0.75 / height
        below = figure.add_axes((left, low, width, panel))
        above = figure.add_axes((left, low + panel + 0.32 / height, width, panel), sharex=below)
        every = [curve.spread for curve in curves]
        scale = Scale.of([time for spread in every for time in spread.times])
        for group in _near(curves, scale):
            looks = [style.look(one.strategy) for curve in group for one in curve.of]
            for curve in group:
                _curve(above, curve, looks, scale, waiting=False)
                _curve(below, curve, looks, scale, waiting=True)
        for axes in (above, below):
            set_scale(axes.xaxis, scale, "time to first byte")
            _never(axes)
        _part_started(above)
        _part_waiting(below)
        above.set_xlabel("")
        above.tick_params(axis="x", labelbottom=False)
        _key(figure, curves, case, height)
        title(figure, "How long until the first byte?", style.plain(case.name, 110))
        small_print(figure, f"{_made_of(case)}; firstk {version}")
        return style.save(figure, path)


def _curves(strategies: Sequence[StrategyRuns]) -> list[_Curve]:
    """Return the curves, the fastest first; strategies with equal results share one."""
    alike: dict[Hashable, list[StrategyRuns]] = {}
    for one in strategies:
        spread = one.distribution
        # Sums of times may differ in the last digits.
        key = tuple(f"{time:.9g}" for time in spread.times), tuple(spread.counts), spread.count
        alike.setdefault(key, []).append(one)
    curves = [_Curve(of) for of in alike.values()]
    return sorted(curves, key=lambda c: (c.spread.quantile(0.5), -c.spread.came / c.spread.count))


def _near(curves: Sequence[_Curve], scale: Scale) -> list[list[_Curve]]:
    """Return groups of curves that would hide one another."""
    groups: list[list[_Curve]] = []
    for curve in curves:
        group = next((g for g in groups if _apart(g[0].spread, curve.spread, scale) < _CLOSE), None)
        if group is None:
            groups.append([curve])
        else:
            group.append(curve)
    return groups


def _apart(one: Distribution, other: Distribution, scale: Scale) -> float:
    """Return the greatest distance between two curves at a few quantiles, in points."""
    apart = []
    for q in (0.1, 0.25, 0.5, 0.75, 0.9):
        times = one.quantile(q), other.quantile(q)
        if times[0] != times[1]:
            parts = [1.1 if time == inf else scale.part(time) for time in times]
            apart.append(abs(parts[0] - parts[1]) * _AXIS * 72)
        elif times[0] < inf:
            apart.append(0.0)
    return max(apart, default=0.0)


def _visible(spread: Distribution, scale: Scale, *, waiting: bool) -> list[int]:
    """Return the steps of a curve that are visibly different, including the first and the last.

    Their number is limited by the resolution of the picture, not by the number of downloads. They
    are only used to draw the curve.
    """
    x = scale.part(np.array(spread.times)) * _AXIS
    part = np.array(spread.counts) / spread.count
    if waiting:
        left = np.maximum(1 - part, _LEAST / 10)
        part = 1 + np.log10(left) / -log10(_LEAST)
    at = np.stack([x, part * _PANEL]) * 72 // _FINE
    new = np.any(at[:, 1:] != at[:, :-1], axis=0)
    return [0, *(np.flatnonzero(new[:-1]) + 1).tolist(), len(x) - 1] if len(x) > 1 else [0]


def _band(spread: Distribution, steps: Sequence[int]) -> list[tuple[float, float]]:
    """Return the intervals of the fraction that has started, at some of the times.

    Computing an interval for each count would take long; between two counts, the wider is used.
    """
    known, ends = _intervals(spread.count)
    counts = (spread.counts[i] for i in steps)
    return [
        (ends[bisect_right(known, count) - 1].low, ends[bisect_left(known, count)].high)
        for count in counts
    ]


@lru_cache(maxsize=8)
def _intervals(runs: int) -> tuple[list[int], list[Interval]]:
    """Return some counts of runs, and the interval of the fraction for each."""
    known = [*range(0, runs, ceil(runs / _BAND)), runs]
    return known, [probability(count, runs) for count in known]


def _curve(
    axes: Axes, curve: _Curve, looks: Sequence[style.Look], scale: Scale, *, waiting: bool
) -> None:
    """Draw the curve of strategies; curves that are close have alternating dashes.

    `looks` are those of all curves that are close, including its own.
    """
    spread = curve.spread
    steps = _visible(spread, scale, waiting=waiting) if spread.times else []
    times = [spread.times[i] for i in steps]
    x = [scale.low, *times, scale.high]
    y = [0.0, *(spread.counts[i] / spread.count for i in steps)]
    y.append(y[-1])
    if waiting:
        y = [1 - part or nan for part in y]  # the last step would go down without end
    own = [style.look(one.strategy) for one in curve.of]
    for look in own:
        dashes = style.shared(looks.index(look), len(looks))
        axes.step(x, y, where="post", color=look.colour, linewidth=1.6, linestyle=dashes, zorder=3)
    if len(own) == 1 and spread.independent and times and not waiting:
        ends = _band(spread, steps)
        seen = [i for i in range(len(ends)) if i in (0, len(ends) - 1) or ends[i] != ends[i - 1]]
        lows, highs = zip(*(ends[i] for i in seen), strict=True)
        axes.fill_between(
            [times[i] for i in seen], lows, highs, step="post",
            color=own[0].colour, alpha=0.13, linewidth=0, zorder=2,
        )  # fmt: skip
    for q in _MARKED:
        time = spread.quantile(q)
        if time == inf or (1 - q) * spread.count < 1 - 1e-9:
            continue
        place = [time], [1 - q if waiting else q]
        for look, mark in zip(looks, style.nested(looks, 5.5), strict=True):
            if look in own:
                axes.plot(*place, **mark, linestyle="none", zorder=4)
    if spread.came < spread.count:
        never = 1 - spread.came / spread.count
        _level(axes, never if waiting else 1 - never, own[0].colour)


def _level(axes: Axes, part: float, colour: str) -> None:
    """Draw the level at which a curve stays forever into the strip for never."""
    axes.annotate(
        "", (1 + _STRIP / _AXIS, part), (1.0, part),
        xycoords=axes.get_yaxis_transform(), textcoords=axes.get_yaxis_transform(),
        arrowprops={
            "arrowstyle": "-|>", "color": colour, "linestyle": (0, (1, 1.6)),
            "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0,
        },
        zorder=3, annotation_clip=False,
    )  # fmt: skip


def _never(axes: Axes) -> None:
    """Draw the strip for never next to an axis."""
    strip = Rectangle((1, 0), _STRIP / _AXIS, 1, transform=axes.transAxes, color=STRIP, zorder=0)
    strip.set_clip_on(False)
    axes.add_patch(strip)
    axes.text(
        1 + _STRIP / _AXIS / 2, 1.01, "never", transform=axes.transAxes, ha="center",
        va="bottom", size=8, weight="bold",
    )  # fmt: skip


def _part_started(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda part, _: f"{100 * part:.0f}%"))
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_ylabel("have started")


def _part_waiting(axes: Axes) -> None:
    """Scale the axis of the waiting fraction: logarithmic, with ticks at the quantiles."""
    axes.set_yscale("log")
    axes.set_ylim(_LEAST * 0.8, 1.2)
    axes.yaxis.set_major_locator(FixedLocator([1, 0.5, 0.1, 0.01, 0.001]))
    axes.yaxis.set_minor_locator(NullLocator())
    names = {0.5: " (p50)", 0.1: " (p90)", 0.01: " (p99)", 0.001: " (p99.9)"}
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda part, _: f"{100 * part:g}%{names.get(part, '')}")
    )
    axes.tick_params(axis="y", labelsize=7.5)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_ylabel("still waiting\n(logarithmic)", labelpad=0, size=8.5)


def _key(figure: Figure, curves: Sequence[_Curve], case: Case, height: float) -> None:
    """Write a key next to the curves, with the numbers of each; the fastest is at the top."""
    left = (_LEFT + _AXIS + _STRIP + 0.25) / _WIDTH
    top = 0.95
    for curve in curves:
        y = 1 - top / height
        for j, one in enumerate(curve.of):
            mark = Line2D([left + j * 0.016], [y], **style.look(one.strategy).mark(6))
            mark.set_transform(figure.transFigure)
            figure.add_artist(mark)
        beside = left + 0.014 + (len(curve.of) - 1) * 0.016
        names = style.plain(curve.names, 36 - 2 * len(curve.of))
        figure.text(beside, y, names, va="center", weight="bold", size=8.5)
        lines = _numbers(curve, case)
        for i, text in enumerate(lines):
            below = y - (0.155 + _KEY_LINE * i) / height
            figure.text(left, below, text, va="center", size=7.5)
        top += _KEY + _KEY_LINE * len(lines)


def _numbers(curve: _Curve, case: Case) -> list[str]:
    """Return the numbers of a curve, in lines that fit."""
    one, spread = curve.one, curve.spread
    counts = [
        f"p{100 * q:g} {seconds(time)}"
        for q in _MARKED
        if (time := spread.quantile(q)) < inf and (1 - q) * spread.count >= 1 - 1e-9
    ]
    lines = wrap(", ".join(counts), _KEY_WIDTH)
    if spread.came < spread.count:
        started = one.started
        never = percent(1 - spread.came / spread.count)
        if isinstance(started, Interval):
            of = Interval(1 - started.estimate, 1 - started.high, 1 - started.low)
            never = of.words(percent)
        lines += wrap(f"never starts: {never}", _KEY_WIDTH)
    if not _equally_many(case):
        lines.append(f"of {one.runs} runs")
    return lines


def _equally_many(case: Case) -> bool:
    """Return whether all strategies have the same number of runs."""
    return len({one.runs for one in case.strategies}) == 1


def _made_of(case: Case) -> str:
    counts = {one.distribution.count for one in case.strategies}
    said = [case.made_of]
    if min(counts) < 1 / _LEAST:
        ends = str(*counts) if len(counts) == 1 else "its number of runs"
        said.append(f"the tail ends at 1 in {ends}")
    if any(one.distribution.independent for one in case.strategies):
        said.append("bands: 95 %, point by point")
    return "; ".join(said)
