"""How close strategies are to the clairvoyant bound: a line for each case and strategy.

One is the bound. No ratio can be less, so the axis begins there.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path
from textwrap import fill

from matplotlib.figure import Figure

from firstk.harness.run.bound import BOUND
from firstk.harness.stats.estimates import Interval
from firstk.harness.stats.formats import multiple
from firstk.reports.model.cases import Case
from firstk.reports.plots import style
from firstk.reports.plots.scale import Scale, evenly, set_scale, small_print, title

#: The maximum number of lines that fit a page; if there are more, cases are left out, evenly.
MOST = 60

_WIDTH = 8.6  # in inches, like the others
_LEFT = 1.5
_AXIS = 5.3
_LINE = 0.19
_HEAD = 0.22
_UNDER = 112  # in characters


def shown(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that the picture shows: those with a finite ratio, as many as fit."""
    known = [case for case in cases if any(r < inf for one in case.strategies for r in one.ratios)]
    each = max((len(case.strategies) for case in known), default=1)
    return evenly(known, max(2, MOST // each))


def draw(cases: Sequence[Case], path: Path, version: str) -> list[Path]:
    """Write the picture to `path`.png and `path`.svg; return the files."""
    some = shown(cases)
    with style.style():
        lines = [(case, one) for case in some for one in case.strategies]
        height = len(lines) * _LINE + len(some) * (_HEAD + 0.06) + 1.9
        figure = Figure(figsize=(_WIDTH, height))
        body = height - 1.75
        axes = figure.add_axes((_LEFT / _WIDTH, 0.68 / height, _AXIS / _WIDTH, body / height))
        found = [(one.over_bound(0.5), one.over_bound(0.9)) for _, one in lines]
        numbers = [
            number
            for pair in found
            for e in pair
            if e is not None
            for number in (e.estimate, *((e.low, e.high) if isinstance(e, Interval) else ()))
            if number is not None
        ]
        scale = Scale.of(numbers, least=1.0)
        set_scale(axes.xaxis, scale, "time to first byte over the bound", multiple, never=True)
        axes.text(scale.place(inf), 1.0, "∞", transform=axes.get_xaxis_transform(),
                  ha="center", va="bottom", size=8, weight="bold")  # fmt: skip
        axes.axvline(1.0, color=style.INK, linewidth=0.9)
        axes.set_ylim(body, 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        y, before = 0.0, None
        for (case, one), (half, high) in zip(lines, found, strict=True):
            if case is not before:
                y += _HEAD + 0.06
                axes.annotate(
                    style.plain(case.name, 100), (0, y - _HEAD / 2 - 0.02), va="center", size=8,
                    xycoords=("axes fraction", "data"), xytext=(-72 * (_LEFT - 0.13), 0),
                    textcoords="offset points", weight="bold", zorder=6,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
                )  # fmt: skip
                before = case
            at = y + _LINE / 2
            y += _LINE
            axes.annotate(
                style.plain(one.strategy, 22), (0, at), xycoords=("axes fraction", "data"),
                xytext=(-6, 0), textcoords="offset points", ha="right", va="center", size=7.5,
            )  # fmt: skip
            if half is None or half.estimate is None:
                continue
            look = style.look(one.strategy)
            here = scale.place(half.estimate)
            if high is not None and high.estimate is not None and high.estimate > half.estimate:
                to = scale.place(high.estimate)
                dots = (0, (1, 1.6)) if high.estimate == inf else "-"
                axes.plot([here, to], [at, at], color=look.colour, linewidth=1.2, linestyle=dots)
                axes.plot([to], [at], color=look.colour, marker="|", markersize=6)
            if isinstance(half, Interval):
                ends = [scale.place(half.low), scale.place(half.high)]
                axes.plot(ends, [at, at], color=look.colour, linewidth=4, alpha=0.35,
                          solid_capstyle="butt")  # fmt: skip
            axes.plot([here], [at], **look.mark(5.5), linestyle="none", zorder=4)
            said = half.words(multiple) if isinstance(half, Interval) else multiple(half.estimate)
            axes.annotate(
                said, (1, at), xycoords=("axes fraction", "data"),
                xytext=(5, 0), textcoords="offset points", va="center", size=7,
            )  # fmt: skip
        title(figure, "How close to optimal?", _under(cases, some))
        small_print(figure, _small(some, version))
        return style.save(figure, path)


def _under(cases: Sequence[Case], some: Sequence[Case]) -> str:
    possible = [case for case in cases if any(one.ratios for one in case.strategies)]
    more = "; where none succeeds, there is no line" if len(possible) < len(cases) else ""
    if left := len(possible) - len(some):
        more += f"; {left} more are not shown"
    return fill(f"1 × is {BOUND}{more}", _UNDER)


def _small(some: Sequence[Case], version: str) -> str:
    runs = max((len(one.bounds) for case in some for one in case.strategies), default=0)
    what = "1 run" if runs == 1 else f"the first {runs} runs at most"
    said = "mark: the median; bar: its 95 % interval; line: to p90; " if runs > 1 else ""
    return f"{said}{what} of each from seed {some[0].seed}; virtual time; firstk {version}"
