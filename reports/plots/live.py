"""A scenario in several worlds: the times of all runs, and the timelines of the first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from firstk.harness.live.worlds import SIMULATED, InWorlds, WorldsCompared
from firstk.harness.run.comparison import Compared
from firstk.harness.run.finish import Run
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.reports.plots import style, timeline
from firstk.reports.plots.scale import small_print, title

_WIDTH = 10  # in inches, like the following
_ROW = 0.3


def draw(found: WorldsCompared, path: Path, version: str) -> list[Path]:
    """Write the timelines of the first run in each world, on one axis; return the files."""
    return timeline.draw(compared(found), path, version, clock="time")


def draw_times(found: WorldsCompared, path: Path, version: str) -> list[Path]:
    """Write the times to first byte of all runs in each world; return the files."""
    rows = [(one, world) for one in found.strategies for world in found.worlds]
    with style.style():
        height = 1.2 + _ROW * len(rows)
        figure = Figure(figsize=(_WIDTH, height))
        axes = figure.add_axes((0.27, 0.55 / height, 0.7, (height - 1.2) / height))
        for y, (one, world) in enumerate(rows):
            _row(axes, y, one, world)
        axes.set_yticks(range(len(rows)), [f"{one.strategy}, {world}" for one, world in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel("time to first byte, s")
        title(figure, f"{found.scenario.name}: simulated and real")
        runs = len(found.strategies[0].pairs)
        small_print(figure, f"{runs} runs each; | is the median; firstk {version}")
        return style.save(figure, path)


def _row(axes: Axes, y: int, one: InWorlds, world: str) -> None:
    """Draw the runs of a strategy in a world: a dot for each, and their median."""
    results = one.results(world)
    times = [result.ttfb for result in results if result.ttfb is not None]
    look = style.look(one.strategy)
    face = look.colour if world == SIMULATED else "none"
    axes.plot(
        times, [y] * len(times), linestyle="none", marker="o", color=look.colour,
        markerfacecolor=face, markersize=5, alpha=0.8,
    )  # fmt: skip
    if (median := one.median(world)) is not None:
        axes.plot(median, y, marker="|", markersize=16, color=style.INK)
    if never := len(results) - len(times):
        text = f"{never} of {len(results)} without a first byte"
        axes.text(
            0.99, y, text, transform=axes.get_yaxis_transform(), ha="right", va="center", size=8
        )


def compared(found: WorldsCompared) -> Compared:
    """Return a comparison whose strategies are those of the scenario in each world."""
    firsts: list[Run] = []
    summaries: list[StrategyRuns] = []
    for one in found.strategies:
        for world in found.worlds:
            name = f"{one.strategy}, {world}"
            first = one.pairs[0].runs[world]
            firsts.append(replace(first, result=replace(first.result, strategy=name)))
            summaries.append(StrategyRuns(name, one.results(world), None))
    return Compared(found.scenario, summaries, firsts)
