"""The main picture: time to first byte, with a block of lines for each scenario.

Strategies with equal results in a scenario share a line, and their marks are stacked at the same
time. A thin line through the block is the bound (`firstk.harness.run.bound`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from firstk.harness.run.bound import BOUND
from firstk.harness.run.comparison import Compared
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.run.summary import median_and_range, median_ttfb, reason
from firstk.harness.stats.figures import median_time
from firstk.harness.stats.formats import seconds
from firstk.reports.plots import style

#: Above this ratio of the latest to the earliest time the axis is logarithmic.
_LOG_RATIO = 20

_WIDTH = 11  # in inches, like the others
_LEFT = 2.45
_AXIS = 6.3  # with the column for results that never come
_WIDE_AXIS = 8.25  # without that column
_LINE = 0.215
_KEY_LINE = 0.2
_KEY_WIDTH = 145  # in characters

# In lines.
_HEADING = 1.2
_FOOT = 0.75  # for the label of the bound
_GAP = 0.25
_MORE = 0.7  # for each further line of names

_NAMES = 35  # letters in a line of names
_LETTER = 0.06  # the width of a letter, in inches

_ROOM = 1.9  # in inches, for labels next to the ranges of many runs

_MARK = 10  # the distance between marks in the column for never, in points
_STACK = 6.4  # the distance between stacked marks, in points
_BESIDE = 8  # the distance between a mark and its label

_NEVER = 1.035  # the place of the column for never, in units of the axis

_COUNTS = {3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a block: the strategies that share it, and their names."""

    summaries: Sequence[StrategyRuns]
    names: Sequence[str]

    @property
    def height(self) -> float:
        """The height, in units of a line with one row of names."""
        names = 1 + _MORE * (len(self.names) - 1)
        stacked = len(self.summaries) if self.summaries[0].times else 0
        return max(names, (stacked * _STACK + 5) / (_LINE * 72))


def draw(compared: Sequence[Compared], path: Path, version: str) -> list[Path]:
    """Write the picture to `path`.png and `path`.svg; return the files."""
    with style.style():
        blocks = [_block(one.strategies) for one in compared]
        lines = sum(
            _HEADING + sum(line.height for line in block) + _FOOT + _GAP for block in blocks
        )
        strategies = list(dict.fromkeys(s.strategy for one in compared for s in one.strategies))
        bounded = any(_typical_bound(one) < inf or _never_bound(one) for one in compared)
        many = any(len(one.bounds) > 1 for one in compared)
        bound = _what_the_bound_is(many) if bounded else []
        fails = any(map(_some_fail, compared))
        height = lines * _LINE + 1.55 + (len(strategies) + len(bound) + fails) * _KEY_LINE
        figure = Figure(figsize=(_WIDTH, height))
        some_never = any(map(_some_never, compared))
        width = _AXIS if some_never else _WIDE_AXIS
        axes = figure.add_axes(
            (_LEFT / _WIDTH, 0.75 / height, width / _WIDTH, lines * _LINE / height)
        )
        _axis(axes, compared, width, _ROOM)
        axes.set_ylim(lines + 0.2, 0)
        y = 0.0
        for one, block in zip(compared, blocks, strict=True):
            y += _HEADING
            _heading(axes, one, y - 0.35)
            top = y
            for line in block:
                y += line.height
                _line(axes, line, y - 0.3 - (line.height - 1) / 2)
            _bound(axes, one, top, y)
            y += _FOOT + _GAP
        _title(figure, height)
        if some_never:
            _never_column(axes)
        _key(figure, strategies, height, bound, fails)
        _small_print(figure, compared, height, version)
        return style.save(figure, path)


def _block(summaries: Sequence[StrategyRuns]) -> list[_Line]:
    """Return the lines of a scenario; strategies with equal results share one."""
    lines: dict[Hashable, list[StrategyRuns]] = {}
    for summary in summaries:
        outcomes = (
            (r.outcome, _nearly(r.ttfb), r.error and (_nearly(r.finished), reason(r)))
            for r in summary.results
        )
        lines.setdefault(tuple(outcomes), []).append(summary)
    everything = [summary.strategy for summary in summaries]
    return [_Line(line, _names([s.strategy for s in line], everything)) for line in lines.values()]


def _nearly(time: float | None) -> str:
    """Return a time without its last digits, in which sums of times may differ."""
    return "" if time is None else f"{time:.9g}"


def _names(strategies: Sequence[str], everything: Sequence[str]) -> list[str]:
    """Return the names of strategies that share a line, in one or more rows."""
    others = [name for name in everything if name not in strategies]
    if len(strategies) > 2 and not others:
        return [f"all {_COUNTS.get(len(everything), len(everything))}"]
    if len(strategies) > 3 and len(others) == 1:
        return [f"all but {others[0]}"]
    return wrap(", ".join(strategies), _NAMES, break_on_hyphens=False)


def _axis(axes: Axes, compared: Sequence[Compared], width: float, room_beside: float) -> None:
    """Set the time axis: from zero, or logarithmic if times differ by much.

    It is `width` inches wide, and leaves room for labels next to the ranges of many runs.
    """
    everything = [t for one in compared for s in one.strategies for t in _times(s)]
    everything += [t for one in compared if 0 < (t := _typical_bound(one)) < inf]
    times = [t for t in everything if t > 0]
    low, high = min(times, default=0.1), max(times, default=1.0)
    room = room_beside / width if any(len(one.bounds) > 1 for one in compared) else 0.0
    if high / low > _LOG_RATIO and 0 not in everything:
        axes.set_xscale("log")
        left = low / 1.6
        axes.set_xlim(left, max(high * 2.2, left * (high / left) ** (1 / (1 - room))))
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("time to first byte (logarithmic scale)")
    else:
        axes.set_xlim(0, max(high * 1.35, high / (1 - room)))
        axes.set_xlabel("time to first byte")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: "0" if t == 0 else seconds(t)))
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _times(summary: StrategyRuns) -> list[float]:
    """Return the times that a line shows: of first bytes, or of failures if there are none."""
    if summary.times:
        return summary.times
    return [r.finished for r in summary.results if r.outcome == "failed" and r.finished is not None]


def _typical_bound(one: Compared) -> float:
    """Return the median of the bounds; the bound is infinite if nothing is possible."""
    return median_time(bound.ttfb for bound in one.bounds)


def _heading(axes: Axes, one: Compared, y: float) -> None:
    name = axes.annotate(
        one.scenario.name,
        (0, y),
        xycoords=("axes fraction", "data"),
        xytext=(-72 * (_LEFT - 0.22), 0),
        textcoords="offset points",
        va="center",
        weight="bold",
    )
    axes.annotate(
        f"   {style.plain(one.scenario.description, 150 - len(one.scenario.name))}",
        (1, 0),
        xycoords=name,
        va="bottom",
        color=style.GREY,
        size=8.5,
    )


def _line(axes: Axes, line: _Line, y: float) -> None:
    """Draw strategies with equal results: marks at their time, or an arrow to never."""
    summary = line.summaries[0]
    looks = [style.look(s.strategy) for s in line.summaries]
    colour = looks[0].colour if len(looks) == 1 else style.INK
    axes.annotate(
        "\n".join(line.names),
        (0, y),
        xycoords=("axes fraction", "data"),
        xytext=(-6, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        size=8,
    )
    failed = [r for r in summary.results if r.outcome == "failed"]
    if summary.times:
        low, half, high = summary.times[0], median_ttfb(summary.results), summary.times[-1]
        if low < high or half == inf:
            axes.plot([low, high], [y, y], color=colour, linewidth=1.5, zorder=2)
        begin, end = _points(axes, low), _points(axes, high)
        if half < inf:
            _marks(axes, looks, half, y)
        _note(axes, begin, end, y, _said(summary))
    elif failed:
        when = failed[0].finished or 0.0
        axes.plot([when], [y], marker="x", color=style.INK, markersize=6.5, markeredgewidth=2)
        many = "" if summary.runs == 1 else f" in {len(failed)} of {summary.runs} runs"
        place = _points(axes, when)
        _note(axes, place, place, y, f"fails{many}: {style.plain(reason(failed[0]), 40)}")
    if never := _never(summary):
        start = summary.times[-1] if summary.times else axes.get_xlim()[0]
        axes.annotate(
            "",
            xy=(1.02, y),
            xycoords=("axes fraction", "data"),
            xytext=(start, y),
            textcoords="data",
            arrowprops={
                "arrowstyle": "-|>",
                "linestyle": (0, (1, 1.6)),
                "color": colour,
                "linewidth": 1.4,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=1,
        )
        _never_marks(axes, looks, y)
        axes.annotate(
            never,
            (_NEVER, y),
            xycoords=("axes fraction", "data"),
            xytext=(len(looks) * _MARK + 2, 0),
            textcoords="offset points",
            va="center",
            weight="bold",
            size=8.5,
        )


def _marks(axes: Axes, looks: Sequence[style.Look], time: float, y: float) -> None:
    """Mark a time; several marks are stacked, because they are at the same time."""
    size = 6.5 if len(looks) == 1 else 5.5
    for i, look in enumerate(looks):
        up = ((len(looks) - 1) / 2 - i) * _STACK / 72
        above = ScaledTranslation(0, up, axes.figure.dpi_scale_trans)
        axes.plot(
            [time], [y], **look.mark(size), linestyle="none", transform=axes.transData + above,
            clip_on=False, zorder=4,
        )  # fmt: skip


def _never_marks(axes: Axes, looks: Sequence[style.Look], y: float) -> None:
    """Draw the marks of a line's strategies in the column for never."""
    for i, look in enumerate(looks):
        beside = ScaledTranslation((i + 0.4) * _MARK / 72, 0, axes.figure.dpi_scale_trans)
        mark = Line2D([_NEVER], [y], **look.mark(6.5), linestyle="none")
        mark.set_transform(axes.get_yaxis_transform() + beside)
        mark.set_clip_on(False)
        axes.add_artist(mark)


def _bound(axes: Axes, one: Compared, top: float, bottom: float) -> None:
    """Draw the bound through a block, with its label below."""
    time = _typical_bound(one)
    what = "bound" if len(one.bounds) == 1 else "bound (median)"
    small: dict[str, Any] = {"size": 7, "color": style.GREY, "va": "center"}
    foot = bottom + 0.38
    if time < inf:
        axes.plot(
            [time, time], [top + 0.15, foot + 0.25], color=style.INK, linewidth=0.8, zorder=1.5
        )
        place = axes.transAxes.inverted().transform(axes.transData.transform((time, 0)))[0]
        right = place < 0.8
        axes.annotate(
            f"{what} {seconds(time)}",
            (time, foot),
            xytext=(4 if right else -4, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            **small,
        )
    elif _never_bound(one):
        axes.annotate(
            f"{what}: never", (_NEVER, foot), xycoords=axes.get_yaxis_transform(), **small
        )


def _said(summary: StrategyRuns) -> str:
    """Return the label next to the mark of a first byte."""
    if summary.runs == 1:
        result = summary.results[0]
        then = f", then fails: {style.plain(reason(result), 30)}" if result.error else ""
        return seconds(summary.times[0]) + then
    return median_and_range(summary.results)


def _never(summary: StrategyRuns) -> str:
    """Return the text in the column for never; empty if all runs ended."""
    counts = Counter(r.outcome for r in summary.results)
    stalled, busy, failed = counts["stalled"], counts["deadline"], counts["failed"]
    if summary.runs == 1:
        return "stalls forever" if stalled else "busy at the deadline" if busy else ""
    if not summary.times and not stalled and not busy:
        return ""  # they all fail, which the line shows
    words = [
        f"{count} {what}"
        for count, what in ((stalled, "stall"), (busy, "busy"), (failed, "fail"))
        if count
    ]
    if len(words) == 1:
        return words[0].replace(" ", f" of {summary.runs} ", 1)
    return f"{', '.join(words)} of {summary.runs}" if words else ""


def _some_never(one: Compared) -> bool:
    """Return whether the column for never has any entry for a scenario."""
    return _never_bound(one) or any(map(_never, one.strategies))


def _never_bound(one: Compared) -> bool:
    """Return whether a first byte is requested but impossible for the bound's class."""
    return _typical_bound(one) == inf and any(bound.requests is None for bound in one.bounds)


def _points(axes: Axes, time: float) -> float:
    """Return the position of a time on the axis, in points from its left end."""
    pixels: float = axes.transData.transform((time, 0))[0] - axes.bbox.x0
    return pixels * 72 / axes.figure.dpi


def _note(axes: Axes, begin: float, end: float, y: float, text: str) -> None:
    """Write a label next to marks and their range, which goes from `begin` to `end` in points.

    The label is on a side with enough room, or across the marks if there is none.
    """
    whole = axes.bbox.width * 72 / axes.figure.dpi
    width = len(text) * _LETTER * 72 + _BESIDE
    right = end + width < whole or begin < width
    place = begin if end + width > whole and right else end
    axes.annotate(
        text,
        (0, y),
        xycoords=("axes fraction", "data"),
        xytext=(place + _BESIDE if right else begin - _BESIDE, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        size=8.5,
        color=style.INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        zorder=3,
    )


def _title(figure: Figure, height: float) -> None:
    title = "When does the download start? Time to first byte, by scenario and strategy"
    figure.text(0.02, 1 - 0.18 / height, title, size=12, weight="bold", va="top")


def _never_column(axes: Axes) -> None:
    """Add the column for results that never come."""
    wide = (_WIDTH - _LEFT - _AXIS) / _AXIS - 0.03
    never = Rectangle((1.02, 0), wide, 1, transform=axes.transAxes, color="#F2F2F2", zorder=-5)
    never.set_clip_on(False)
    axes.add_patch(never)
    axes.text(_NEVER, 1.0, "never", transform=axes.transAxes, va="bottom", weight="bold")


def _what_the_bound_is(many: bool) -> list[str]:
    """Return the explanation of the bound, line by line; for many runs, its median is drawn."""
    return wrap(BOUND + "; of many runs the median of theirs" * many, _KEY_WIDTH)


def _some_fail(one: Compared) -> bool:
    """Return whether a failure of a scenario is drawn."""
    return any(
        not summary.times and any(r.outcome == "failed" for r in summary.results)
        for summary in one.strategies
    )


def _key(
    figure: Figure, strategies: Sequence[str], height: float, bound: list[str], fails: bool
) -> None:
    """Write what each strategy does, what the bound is, and how failures are marked."""
    if fails:
        y = 1 - (0.58 + (len(strategies) + len(bound)) * _KEY_LINE) / height
        cross = Line2D([0.03], [y], color=style.INK, marker="x", markersize=6, markeredgewidth=2)
        cross.set_transform(figure.transFigure)
        figure.add_artist(cross)
        figure.text(0.045, y, "failure", va="center", weight="bold", size=8.5)
        figure.text(
            0.145, y, "the download ends with an error, at this time", va="center", size=8.5
        )
    for i, name in enumerate([*strategies, *[None] * bool(bound)]):
        y = 1 - (0.58 + i * _KEY_LINE) / height
        if name is None:
            mark = Line2D([0.03], [y], color=style.INK, marker="|", markersize=10)
            text = bound[0]
            for below, line in enumerate(bound[1:], 1):
                figure.text(0.145, y - below * _KEY_LINE / height, line, va="center", size=8.5)
        else:
            mark = Line2D([0.03], [y], **style.look(name).mark(5.5))
            text = style.description(name)
        mark.set_transform(figure.transFigure)
        figure.add_artist(mark)
        figure.text(0.045, y, name or "bound", va="center", weight="bold", size=8.5)
        figure.text(0.145, y, text, va="center", size=8.5)


def _some_stack(compared: Sequence[Compared]) -> bool:
    """Return whether marks are stacked, because some strategies have equal times."""
    lines = (line for one in compared for line in _block(one.strategies))
    return any(len(line.summaries) > 1 and line.summaries[0].times for line in lines)


def _small_print(figure: Figure, compared: Sequence[Compared], height: float, version: str) -> None:
    seeds = sorted({one.scenario.seed for one in compared})
    runs = sorted({one.scenario.runs for one in compared})
    figure.text(
        0.02,
        0.12 / height,
        f"seed {_span(seeds)}; runs {_span(runs)}; virtual time; firstk {version}"
        + ".  Marks above one another: the same time" * _some_stack(compared)
        + ".  Mark: the median of all runs, line and brackets: their range" * (runs[-1] > 1),
        size=7,
        color=style.GREY,
    )


def _span(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
