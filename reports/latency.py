"""The main picture: time to first block, a block of lines a scenario, a line a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from downloader.strategy import STRATEGIES
from reports import style
from reports.comparison import Compared
from reports.summary import Summary, reason, seconds

#: Above this ratio of the latest to the earliest time the axis is logarithmic.
_LOG_RATIO = 20

_LINE = 0.26  # inches
_KEY_LINE = 0.2  # inches
_HEADING = 1.0  # of a line


def draw(compared: Sequence[Compared], path: Path, version: str) -> list[Path]:
    """Write the picture to `path`.png and `path`.svg; return the files."""
    with style.style():
        lines = sum(len(one.summaries) + 1 + _HEADING / 2 for one in compared)
        strategies = list(dict.fromkeys(s.strategy for one in compared for s in one.summaries))
        height = lines * _LINE + 1.5 + len(strategies) * _KEY_LINE
        figure = Figure(figsize=(10, height))
        axes = figure.add_axes((0.13, 0.75 / height, 0.66, lines * _LINE / height))
        _axis(axes, compared)
        y = 0.0
        for one in compared:
            y += _HEADING
            _heading(axes, one, y)
            for summary in one.summaries:
                y += 1
                _line(axes, summary, y)
            y += _HEADING / 2
        axes.set_ylim(y + 0.2, 0)
        _frame(figure, axes, height)
        _key(figure, strategies, height)
        _small_print(figure, compared, height, version)
        return style.save(figure, path)


def _axis(axes: Axes, compared: Sequence[Compared]) -> None:
    """Set the time axis: from zero, or logarithmic where times differ by much."""
    everything = [t for one in compared for s in one.summaries for t in _times(s)]
    times = [t for t in everything if t > 0]
    low, high = min(times, default=0.1), max(times, default=1.0)
    if high / low > _LOG_RATIO and 0 not in everything:
        axes.set_xscale("log")
        axes.set_xlim(low / 2.5, high * 2.2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("time to first block (logarithmic scale)")
    else:
        axes.set_xlim(0, high * 1.35)
        axes.set_xlabel("time to first block")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: "0" if t == 0 else seconds(t)))
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _times(summary: Summary) -> list[float]:
    """Return the times that a line shows: of first blocks, and of failures without one."""
    failures = [r.finished for r in summary.results if r.ttfb is None and r.finished is not None]
    return [*summary.times, *failures]


def _heading(axes: Axes, one: Compared, y: float) -> None:
    name = axes.annotate(
        one.scenario.name,
        (0, y),
        xycoords=("axes fraction", "data"),
        xytext=(-88, 0),
        textcoords="offset points",
        va="center",
        weight="bold",
    )
    axes.annotate(
        f"   {style.plain(one.scenario.description, 140 - len(one.scenario.name))}",
        (1, 0),
        xycoords=name,
        va="bottom",
        color=style.GREY,
        size=8.5,
    )


def _line(axes: Axes, summary: Summary, y: float) -> None:
    """Draw one strategy: a mark at its time, or an arrow to where there is none."""
    colour, marker = style.look(summary.strategy)
    axes.annotate(
        summary.strategy,
        (0, y),
        xycoords=("axes fraction", "data"),
        xytext=(-6, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=colour,
    )
    failed = [r for r in summary.results if r.outcome == "failed"]
    if summary.times:
        axes.plot([summary.times[0], summary.times[-1]], [y, y], color=colour, linewidth=1.5)
        middle = median(summary.times)
        axes.plot([middle], [y], marker=marker, color=colour, markersize=6.5)
        _note(axes, summary.times[0], middle, summary.times[-1], y, _said(summary))
    elif failed:
        when = failed[0].finished or 0.0
        axes.plot([when], [y], marker="x", color=colour, markersize=6.5, markeredgewidth=2)
        many = "" if summary.runs == 1 else f" in {len(failed)} of {summary.runs} runs"
        _note(axes, when, when, when, y, f"fails{many}: {style.plain(reason(failed[0]), 40)}")
    if never := _never(summary):
        start = summary.times[-1] if summary.times else axes.get_xlim()[0]
        axes.annotate(
            "",
            xy=(1.035, y),
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
        axes.annotate(
            never,
            (1.045, y),
            xycoords=("axes fraction", "data"),
            va="center",
            color=colour,
            weight="bold",
            size=8.5,
        )


def _said(summary: Summary) -> str:
    """Return what stands beside the mark of a first block."""
    if summary.runs == 1:
        result = summary.results[0]
        then = f", then fails: {style.plain(reason(result), 30)}" if result.error else ""
        return seconds(summary.times[0]) + then
    low, high = seconds(summary.times[0]), seconds(summary.times[-1])
    spread = "" if low == high else f" ({low} to {high})"
    started = len(summary.times)
    only = "" if started == summary.runs else f", only {started} of {summary.runs} runs"
    return f"{seconds(median(summary.times))}{spread}{only}"


def _never(summary: Summary) -> str:
    """Return what stands in the column of what never comes; nothing if all ended."""
    stalled = sum(r.outcome == "stalled" for r in summary.results)
    busy = sum(r.outcome == "deadline" for r in summary.results)
    if summary.runs == 1:
        return "stalls for ever" if stalled else "busy at the deadline" if busy else ""
    words = [f"{stalled} of {summary.runs} stall"] if stalled else []
    words += [f"{busy} of {summary.runs} busy"] if busy else []
    return ", ".join(words)


def _note(axes: Axes, low: float, middle: float, high: float, y: float, text: str) -> None:
    """Write beside a range, on the side with room; across it where neither side has any."""
    to_fraction = axes.transData + axes.transAxes.inverted()
    places = {t: to_fraction.transform((t, y))[0] for t in (low, middle, high)}
    if places[high] < 0.6:
        place, right = high, True
    elif places[low] > 0.4:
        place, right = low, False
    else:
        place, right = middle, places[middle] < 0.5
    axes.annotate(
        text,
        (place, y),
        xytext=(8 if right else -8, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        size=8.5,
        color=style.INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
    )


def _frame(figure: Figure, axes: Axes, height: float) -> None:
    """Add the title, and the column for what never comes."""
    never = Rectangle((1.03, 0), 0.28, 1, transform=axes.transAxes, color="#F2F2F2", zorder=-5)
    never.set_clip_on(False)
    axes.add_patch(never)
    axes.text(1.045, 1.0, "never", transform=axes.transAxes, va="bottom", weight="bold")
    title = "When does the download start? Time to first block, by scenario and strategy"
    figure.text(0.02, 1 - 0.18 / height, title, size=12, weight="bold", va="top")


def _key(figure: Figure, strategies: Sequence[str], height: float) -> None:
    """Say what each strategy does."""
    for i, name in enumerate(strategies):
        colour, marker = style.look(name)
        y = 1 - (0.55 + i * _KEY_LINE) / height
        mark = Line2D([0.028], [y], color=colour, marker=marker, markersize=5, figure=figure)
        mark.set_transform(figure.transFigure)
        figure.add_artist(mark)
        figure.text(0.04, y, name, color=colour, va="center", weight="bold", size=8.5)
        text = STRATEGIES[name].description if name in STRATEGIES else ""
        figure.text(0.135, y, text, va="center", size=8.5)


def _small_print(figure: Figure, compared: Sequence[Compared], height: float, version: str) -> None:
    seeds = sorted({one.scenario.seed for one in compared})
    runs = sorted({one.scenario.runs for one in compared})
    figure.text(
        0.02,
        0.12 / height,
        f"seed {_span(seeds)}; runs {_span(runs)}; virtual time; firstk {version}."
        "  × marks a clean failure; a mark is the median of the runs, its line their range.",
        size=7,
        color=style.GREY,
    )


def _span(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
