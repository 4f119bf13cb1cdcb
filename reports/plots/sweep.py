"""How results change along the axes of an experiment: times, and whether downloads start at all.

Along one axis: the median, the tail and the probability of a start, one below the other on the
same axis, with their intervals. Over two axes: a map for each strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log10
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

from firstk.harness.run.cells import Estimate
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.stats.estimates import Interval, NotEnough
from firstk.harness.stats.formats import percent, seconds
from firstk.reports.model.axis_names import axis_name
from firstk.reports.model.cases import Case, in_order
from firstk.reports.plots import style
from firstk.reports.plots.scale import GRID, LOG_RATIO, Scale, set_scale, small_print, title
from firstk.scenarios.experiment import label

_WIDTH = 8.8  # in inches, like the others
_LEFT = 1.15
_AXIS = 6.0
_PANEL = 1.75
_GAP = 0.3

#: Marks that are closer than this are nested, and lines alternate, in points.
_APART = 3

#: The minimum distance between two labels, in points.
_LABEL = 10

#: Quantiles that may be shown as the tail; the first for which there are enough runs is used.
_TAILS = (0.99, 0.9)

#: The maximum width of maps that are next to one another, and the gap between them, in inches.
_MAPS = 9.5
_MAP_GAP = 0.35

#: The minimum width of a map's cell that has room for numbers, in inches.
_ROOM = 0.45

_UNDER = "the median, the tail, and below them how many downloads start at all"
_UNDER_LOAD = (
    "the median, the tail, how many downloads start, how busy the grid is, how many are in progress"
)

Of = Callable[[StrategyRuns], Estimate | None]


@dataclass(frozen=True, slots=True)
class Places:
    """The positions of an axis's values: to scale if they are numbers, otherwise evenly spaced."""

    at: Sequence[float]
    labels: Sequence[str]
    log: bool

    @classmethod
    def of(cls, values: Sequence[Any]) -> Places:
        """Return the positions of values, in order."""
        labels = [_short(value) for value in values]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < len(values):
            return cls(list(range(len(values))), labels, log=False)
        least, most = min(numbers), max(numbers)
        log = least > 0 and most / least > LOG_RATIO
        return cls(numbers, labels, log)


def _short(value: Any) -> str:
    """Return a value for an axis; for a table with one key, such as { count = 3 }, its contents."""
    if isinstance(value, Mapping):
        if len(value) == 1:
            return f"{next(iter(value))} {label(next(iter(value.values())))}"
        parts = [v if k == "law" else f"{k} {label(v)}" for k, v in value.items()]
        return style.plain("\n".join(map(str, parts)).replace("\n", " | "), 60).replace(" | ", "\n")
    return f"{value:g}" if isinstance(value, float) else style.plain(label(value), 30)


def tail(cases: Sequence[Case]) -> float:
    """Return the quantile to show as the tail: the highest that is known everywhere."""
    for q in _TAILS:
        if all(isinstance(one.quantile(q), Interval) for case in cases for one in case.strategies):
            return q
    return _TAILS[-1]


def draw_along(cases: Sequence[Case], axis: str, path: Path, version: str) -> list[Path]:
    """Write the picture of one axis to `path`.png and `path`.svg; return the files.

    `cases` are those along the axis that have runs.
    """
    cases = in_order(cases, axis)
    q = tail(cases)
    with style.style():
        places = Places.of([case.values[axis] for case in cases])
        lines = max(words.count("\n") for words in places.labels)
        panels = _panels(cases, q)
        height = len(panels) * (_PANEL + _GAP) - _GAP + 1.55 + 0.17 * lines
        figure = Figure(figsize=(_WIDTH, height))
        for i, (what, of, is_share) in enumerate(panels):
            bottom = (height - 0.75 - (i + 1) * _PANEL - i * _GAP) / height
            axes = figure.add_axes((_LEFT / _WIDTH, bottom, _AXIS / _WIDTH, _PANEL / height))
            _panel(axes, cases, places, of, what, is_share)
            if i < len(panels) - 1:
                axes.tick_params(axis="x", labelbottom=False)
        name = axis_name(axis, cases[0].scenario)
        axes.set_xlabel(name + (", logarithmic scale" if places.log else ""))
        title(figure, f"Time to first byte by {name.partition(' (')[0]}", _under(cases))
        small_print(figure, f"axis: {axis}; {_made_of(cases, panels)}; firstk {version}")
        return style.save(figure, path)


def _panels(cases: Sequence[Case], q: float) -> list[tuple[str, Of, bool]]:
    """Return the panels: a title, a function that returns the estimate, and if it is a share."""
    panels: list[tuple[str, Of, bool]] = [
        ("median time\nto first byte", lambda one: one.quantile(0.5), False),
        (f"p{100 * q:g} time\nto first byte", lambda one: one.quantile(q), False),
        ("downloads\nthat start", lambda one: one.started, True),
    ]
    every = [one for case in cases for one in case.strategies]
    if any(one.busy is not None for one in every):
        panels.append(("busiest resource\nin use", lambda one: one.busy, True))
    if any(one.under_way is not None for one in every):
        panels.append(("downloads\nin progress", _in_progress, False))
    return panels


def _in_progress(one: StrategyRuns) -> Estimate | None:
    mean = one.under_way
    return None if mean is None else Interval(mean, mean, mean)


def _under(cases: Sequence[Case]) -> str:
    return _UNDER_LOAD if any(case.has_workload for case in cases) else _UNDER


def _panel(
    axes: Axes, cases: Sequence[Case], places: Places, of: Of, what: str, is_share: bool
) -> None:
    names = list(dict.fromkeys(one.strategy for case in cases for one in case.strategies))
    found = {
        name: [
            (x, e)
            for x, case in zip(places.at, cases, strict=True)
            for one in case.strategies
            if one.strategy == name and (e := of(one)) is not None and e.estimate is not None
        ]
        for name in names
    }
    known = [estimate for of_one in found.values() for _, estimate in of_one]
    if is_share:
        scale = Scale(-0.03, 1.05, log=False)
        _percent(axes, scale, what)
    else:
        numbers = [end for estimate in known for end in _numbers(estimate)]
        scale = Scale.of(numbers)
        say = _count if "progress" in what else seconds
        set_scale(axes.yaxis, scale, what, say, never=inf in numbers)
    _along(axes, places)
    _lines(axes, found, scale)
    _marks(axes, found, scale)
    ends = [(name, scale.place(_middle(of[-1][1]))) for name, of in found.items() if of]
    _label_ends(axes, ends)


def _count(number: float) -> str:
    return f"{number:,.3g}"


def _numbers(estimate: Estimate) -> list[float]:
    """Return the numbers with which an estimate is drawn."""
    ends = (estimate.low, estimate.high) if isinstance(estimate, Interval) else ()
    return [_middle(estimate), *ends]


def _middle(estimate: Estimate) -> float:
    assert estimate.estimate is not None
    return estimate.estimate


#: The estimates of each strategy, and their positions along the axis.
_Found = Mapping[str, Sequence[tuple[float, Estimate]]]


def _lines(axes: Axes, found: _Found, scale: Scale) -> None:
    """Draw the lines between marks: dotted to and from never, alternating where they coincide."""
    segments: dict[tuple[float, ...], list[tuple[str, bool]]] = {}
    for name, points in found.items():
        for (x0, one), (x1, other) in pairwise(points):
            y0, y1 = (scale.place(_middle(e)) for e in (one, other))
            dotted = inf in (one.estimate, other.estimate)
            same = next((s for s in segments if _same(axes, s, (x0, y0, x1, y1))), None)
            segments.setdefault(same or (x0, y0, x1, y1), []).append((name, dotted))
    for (x0, y0, x1, y1), of in segments.items():
        for i, (name, dotted) in enumerate(of):
            axes.plot(
                [x0, x1], [y0, y1], color=style.look(name).colour, zorder=3,
                linewidth=1.2 if dotted else 1.6,
                linestyle=(3.0 * i, (1, 3 * len(of) - 1)) if dotted else style.shared(i, len(of)),
            )  # fmt: skip


def _marks(axes: Axes, found: _Found, scale: Scale) -> None:
    """Draw the marks and their intervals; marks at the same position are nested."""
    places: dict[tuple[float, ...], list[tuple[str, Estimate]]] = {}
    for name, points in found.items():
        for x, estimate in points:
            place = x, scale.place(_middle(estimate))
            same = next((p for p in places if _same(axes, p, place)), None)
            places.setdefault(same or place, []).append((name, estimate))
    for (x, _), of in places.items():
        marks = style.nested([style.look(name) for name, _ in of], 5)
        for i, ((name, estimate), mark) in enumerate(zip(of, marks, strict=True)):
            if isinstance(estimate, Interval):
                low, high = scale.place(estimate.low), scale.place(estimate.high)
                axes.plot(
                    [x, x], [max(low, scale.low), high], color=style.look(name).colour,
                    linewidth=4 + 2.5 * (len(of) - 1 - i), alpha=0.35, solid_capstyle="butt",
                    zorder=2,
                )  # fmt: skip
            else:
                colour = style.look(name).colour
                mark |= {"markerfacecolor": "white", "markeredgecolor": colour}
            y = scale.place(_middle(estimate))
            axes.plot([x], [y], **mark, linestyle="none", zorder=4, clip_on=False)


def _same(axes: Axes, one: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether positions, alternately x and y, are indistinguishable in the picture."""
    if one[::2] != other[::2]:
        return False
    points = [axes.transData.transform((0, y))[1] for y in (*one[1::2], *other[1::2])]
    half = len(points) // 2
    apart = max(abs(a - b) for a, b in zip(points[:half], points[half:], strict=True))
    return bool(apart * 72 / axes.figure.dpi < _APART)


def _label_ends(axes: Axes, labels: Sequence[tuple[str, float]]) -> None:
    """Write the names of lines at their ends, without overlaps."""
    pixels = 72 / axes.figure.dpi
    spots = sorted((axes.transData.transform((0, y))[1] * pixels, name) for name, y in labels)
    free = -inf
    ordered = []
    for at, name in spots:
        free = max(at, free + _LABEL)
        ordered.append((free, name))
    over = max(0.0, ordered[-1][0] - axes.bbox.y1 * pixels) if ordered else 0.0
    for at, name in ordered:
        y = at - over - axes.bbox.y0 * pixels
        beside = ScaledTranslation(9 / 72, y / 72, axes.figure.dpi_scale_trans)
        mark = Line2D([1], [0], **style.look(name).mark(4.5))
        mark.set_transform(axes.transAxes + beside)
        mark.set_clip_on(False)
        axes.add_artist(mark)
        axes.annotate(
            style.plain(name, 24), (1, 0), xycoords="axes fraction", xytext=(15, y),
            textcoords="offset points", va="center", size=8, weight="bold",
        )  # fmt: skip


def _along(axes: Axes, places: Places) -> None:
    """Set the axis of the values."""
    first, last = min(places.at), max(places.at)
    if places.log:
        axes.set_xscale("log")
        edge = (last / first) ** 0.04
        axes.set_xlim(first / edge, last * edge)
    else:
        edge = (last - first) * 0.04 or 0.5
        axes.set_xlim(first - edge, last + edge)
    axes.xaxis.set_minor_locator(NullLocator())
    ticks = dict(zip(places.at, places.labels, strict=True))
    axes.xaxis.set_major_locator(FixedLocator(_apart(sorted(ticks), places.log, ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: ticks.get(x, "")))


def _apart(at: Sequence[float], log: bool, labels: Mapping[float, str]) -> list[float]:
    """Return the values whose labels fit next to one another."""
    widest = max(max(map(len, label.split("\n"))) for label in labels.values())
    room = 0.075 * widest + 0.12
    first, last = (log10(at[0]), log10(at[-1])) if log else (at[0], at[-1])
    kept: list[float] = []
    before = -inf
    for x in at:
        place = ((log10(x) if log else x) - first) / (last - first or 1) * _AXIS
        if place - before >= room:
            kept.append(x)
            before = place
    return kept


def _percent(axes: Axes, scale: Scale, what: str) -> None:
    axes.set_ylim(scale.low, scale.high)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda part, _: f"{100 * part:.0f}%"))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_ylabel(what)


def _made_of(cases: Sequence[Case], panels: Sequence[tuple[str, Of, bool]]) -> str:
    """Return the small print, only for what is drawn."""
    every = [one for case in cases for one in case.strategies]
    drawn = [estimate for _, of, _ in panels for one in every if (estimate := of(one)) is not None]
    words = [_runs(cases)]
    if any(isinstance(estimate, Interval) and estimate.half_width for estimate in drawn):
        words.append("bars: 95 % intervals")
    if any(isinstance(estimate, NotEnough) for estimate in drawn):
        words.append("hollow: too few runs for one")
    if any(one.under_way is not None for one in every):
        words.append("in progress: mean")
    return "; ".join(words)


def _runs(cases: Sequence[Case]) -> str:
    counts = sorted({one.runs for case in cases for one in case.strategies})
    runs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{runs} runs per point and strategy, from seed {cases[0].seed}; virtual time"


def draw_map(
    cases: Sequence[Case], axes_of: tuple[str, str], path: Path, version: str, under: str = ""
) -> list[Path]:
    """Write a map over two axes to `path`.png and `path`.svg; return the files.

    There is a panel per strategy. The colour is the median time to first byte; cells in which most
    downloads never start are hatched. Each cell contains the median, and below it the fraction of
    downloads that start, if not all do.
    """
    first, second = axes_of
    columns = _distinct(case.values[first] for case in in_order(cases, first))
    rows = _distinct(case.values[second] for case in in_order(cases, second))
    names = list(dict.fromkeys(one.strategy for case in cases for one in case.strategies))
    with style.style():
        cell = (min(0.85, 7.5 / len(columns)), 0.42)
        left = 0.55 + 0.07 * max(len(line) for v in rows for line in _short(v).split("\n"))
        wide, high = cell[0] * len(columns), cell[1] * len(rows)
        beside = max(1, min(len(names), int((_MAPS - left) // (wide + _MAP_GAP))))
        lines = -(-len(names) // beside)
        foot = 0.75 + 0.15 * max(_short(v).count("\n") for v in columns)
        height = 0.9 + lines * (high + 0.42 + foot) + 0.2
        width = max(7.6, left + beside * (wide + _MAP_GAP) + 1.0)
        figure = Figure(figsize=(width, height))
        norm = _norm(cases)
        for i, name in enumerate(names):
            line, column = divmod(i, beside)
            bottom = height - 0.9 - line * (high + 0.42 + foot) - high - 0.3
            at = left + column * (wide + _MAP_GAP)
            axes = figure.add_axes((at / width, bottom / height, wide / width, high / height))
            _map(axes, name, cases, axes_of, columns, rows, norm, cell[0])
            axes.set_xlabel(axis_name(first, cases[0].scenario), size=8)
            if column:
                axes.set_ylabel("")
                axes.tick_params(axis="y", labelleft=False)
        if cell[0] < _ROOM:
            _colour_key(figure, norm, width, height)
        over = " and ".join(
            axis_name(axis, cases[0].scenario).partition(" (")[0] for axis in axes_of
        )
        title(figure, f"Median time to first byte by {over}", under.strip())
        small_print(
            figure,
            f"{_runs(cases)}; lighter is later{_never_in_maps(cases)}; firstk {version}",
        )
        return style.save(figure, path)


def _never_in_maps(cases: Sequence[Case]) -> str:
    """Return the meaning of the hatching, if there is any."""
    medians = [one.quantile(0.5).estimate for case in cases for one in case.strategies]
    return "; hatched: most never start" if None in medians or inf in medians else ""


def _distinct(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _norm(cases: Sequence[Case]) -> Normalize:
    medians = [one.quantile(0.5).estimate for case in cases for one in case.strategies]
    finite = [m for m in medians if m is not None and m < inf]
    low, high = min(finite, default=0.1), max(finite, default=1.0)
    if low > 0 and high / low > 3:
        return LogNorm(low, high)
    return Normalize(0, high or 1.0)


def _luminance(colour: Any) -> float:
    """Return the relative luminance of a colour, from 0 to 1 (WCAG 2.2)."""
    parts = mpl.colors.to_rgb(colour)
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _colour_key(figure: Figure, norm: Normalize, width: float, height: float) -> None:
    """Draw a key of the colours next to the maps, if cells are too small for numbers."""
    axes = figure.add_axes(((width - 0.95) / width, 0.9 / height, 0.15 / width, 1.6 / height))
    figure.colorbar(mpl.cm.ScalarMappable(norm, "cividis"), cax=axes)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda time, _: seconds(time)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=7)


def _map(
    axes: Axes,
    name: str,
    cases: Sequence[Case],
    axes_of: tuple[str, str],
    columns: Sequence[Any],
    rows: Sequence[Any],
    norm: Normalize,
    wide: float,
) -> None:
    colours = mpl.colormaps["cividis"]
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    for case in cases:
        x, y = columns.index(case.values[axes_of[0]]), rows.index(case.values[axes_of[1]])
        one = next((m for m in case.strategies if m.strategy == name), None)
        if one is None:
            axes.text(x, y, "no runs", ha="center", va="center", size=7, color=style.GREY)
            continue
        median = one.quantile(0.5).estimate
        never = median is None or median == inf
        colour = "white" if never else colours(norm(median or 0.0))
        axes.add_patch(
            Rectangle(
                (x - 0.5, y - 0.5),
                1,
                1,
                facecolor=colour,
                edgecolor=style.GREY if never else "white",
                hatch="///" if never else None,
                linewidth=0.6,
            )
        )
        if wide < _ROOM:
            continue
        text = "never" if never else seconds(median or 0.0)
        started = one.started.estimate
        if started is not None and 0 < started < 1:
            text += f"\n{percent(started)} start"
        dark = _luminance(colour) < 0.18  # where black and white have equal contrast
        axes.text(
            x, y, text, ha="center", va="center", size=7, color="white" if dark else style.INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8} if never else None,
        )  # fmt: skip
    axes.set_xticks(range(len(columns)), [_short(v) for v in columns], size=7.5)
    axes.set_yticks(range(len(rows)), [_short(v) for v in rows], size=7.5)
    axes.tick_params(length=0)
    axes.set_ylabel(axis_name(axes_of[1], cases[0].scenario), size=8)
    axes.set_title(name, loc="left", size=9.5, weight="bold")
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
