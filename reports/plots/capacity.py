"""The rates that a search for a capacity tried: how busy the grid was, and what piled up or missed.

A panel for each number, over the rate of arrivals. Beneath them stands the answer of each strategy,
as a bar between the greatest rate that is carried and the smallest that is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from firstk.harness.capacity.capacity import Capacity, Measured
from firstk.harness.capacity.steady import Criterion
from firstk.harness.stats.estimates import Interval
from firstk.reports.model.capacity_words import capacity, downloads, sentence
from firstk.reports.plots import style
from firstk.reports.plots.scale import GRID, Scale, set_scale, small_print, title
from firstk.scenarios.condition import Condition

_WIDTH = 10  # in inches, like the others
_PANEL = 1.7
_ROW = 0.27
_LEFT, _RIGHT = 0.115, 0.8
_GAP = 0.22
_GOOD = "#E6F4EF"

#: The greatest share that piles up in a picture: beyond it rates differ no more in kind.
_MOST_PILED_UP = 0.6


def draw(
    name: str,
    found: Sequence[Capacity],
    conditions: Sequence[Condition],
    path: Path,
    version: str,
) -> list[Path]:
    """Write the picture of a scenario's capacities to `path`.png and `path`.svg; return both."""
    criteria = [finding.criterion for finding in found[0].measured[0].findings]
    labels = ["arrivals that\npile up", *(_label(condition) for condition in conditions)]
    with style.style():
        rows = _ROW * len(found) + 0.15
        height = 0.75 + (_PANEL + _GAP) * (1 + len(criteria)) + rows + 1.0
        figure = Figure(figsize=(_WIDTH, height))
        top = height - 0.75
        scale = _rates(found)
        for number, label in enumerate(["busiest\nresource", *labels]):
            axes = _panel(figure, top, height)
            top -= _PANEL + _GAP
            _numbers(axes, found, number)
            most = _MOST_PILED_UP if number == 1 else 1.0
            least = -0.08 if number == 1 else 0.0
            set_scale(axes.yaxis, Scale(least, most, log=False), label, _percent)
            if number:
                _limit(axes, criteria[number - 1], least, most)
            set_scale(axes.xaxis, scale, "")
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
        _answers(figure, found, scale, (top, rows, height))
        said = "; ".join(sentence(one, conditions) for one in found)
        what = " and ".join(map(str, conditions))
        asked = f"Up to what load does {style.plain(name, 40)} meet {what}?"
        title(
            figure,
            asked if conditions else f"At what load does {style.plain(name, 40)} saturate?",
            style.plain(said, 150),
        )
        _legend(figure, found, height)
        small_print(figure, _made_of(found, version))
        return style.save(figure, path)


def _label(condition: Condition) -> str:
    if condition.quantile is not None:
        return f"downloads that\nstart in {condition.limit:g} s"
    return "busiest\nresource" if condition.is_busy else "downloads that\nsucceed"


def _percent(part: float) -> str:
    return f"{100 * part:.3g} %"


def _rates(found: Sequence[Capacity]) -> Scale:
    every = [one.rate for capacity_ in found for one in capacity_.measured]
    return Scale(min(every) / 1.15, max(every) * 1.15, log=True)


def _panel(figure: Figure, top: float, height: float) -> Axes:
    return figure.add_axes((_LEFT, (top - _PANEL) / height, _RIGHT - _LEFT, _PANEL / height))


def _numbers(axes: Axes, found: Sequence[Capacity], number: int) -> None:
    """Draw how busy the grid is (`number` 0), or the findings of a criterion."""

    def of(one: Measured) -> Interval:
        return one.busy if number == 0 else one.findings[number - 1].estimate

    for one in found:
        look = style.look(one.strategy)
        rates = [measured.rate for measured in one.measured]
        means = [of(measured).estimate for measured in one.measured]
        axes.plot(rates, means, color=look.colour, linewidth=1.2, zorder=2)
        for measured in one.measured:
            end = of(measured)
            axes.plot(
                [measured.rate] * 2, [end.low, end.high], color=look.colour, linewidth=3,
                alpha=0.35, solid_capstyle="butt", zorder=2.2,
            )  # fmt: skip
            mark = look.mark(6) | ({} if measured.met else {"markerfacecolor": "white"})
            axes.plot([measured.rate], [end.estimate], linestyle="none", zorder=3, **mark)


def _limit(axes: Axes, criterion: Criterion, least: float, most: float) -> None:
    """Shade where a criterion is met."""
    good = (criterion.limit, most) if criterion.above else (least, criterion.limit)
    axes.axhspan(*good, color=_GOOD, zorder=0)
    axes.axhline(criterion.limit, color=style.INK, linewidth=1, linestyle=(0, (4, 2)))


def _answers(
    figure: Figure, found: Sequence[Capacity], scale: Scale, place: tuple[float, float, float]
) -> None:
    """Draw the capacity of each strategy as a bar on the axis of rates."""
    top, rows, height = place
    axes = figure.add_axes((_LEFT, (top - rows) / height, _RIGHT - _LEFT, rows / height))
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_yticks([])
    for y, one in enumerate(found):
        look = style.look(one.strategy)
        axes.axhline(y, color=GRID, linewidth=0.6, zorder=0.5)
        low = one.low or scale.low
        high = scale.high if one.high == inf else one.high
        axes.plot([scale.low, low], [y, y], color=look.colour, linewidth=1, zorder=2)
        axes.plot([low, high], [y, y], color=look.colour, linewidth=8, alpha=0.7, zorder=2,
                  solid_capstyle="butt")  # fmt: skip
        for text, x, side in (
            (style.plain(one.strategy, 14), -8, "right"),
            (f"{capacity(one)}/s", 8, "left"),
        ):
            axes.annotate(
                text, (0 if side == "right" else 1, y), xycoords=axes.get_yaxis_transform(),
                xytext=(x, 0), textcoords="offset points", ha=side, va="center", size=8.5,
                weight="normal" if side == "right" else "bold",
            )  # fmt: skip
    axes.spines["left"].set_visible(False)
    set_scale(axes.xaxis, scale, "downloads that arrive per second", lambda number: f"{number:g}")


def _legend(figure: Figure, found: Sequence[Capacity], height: float) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], label=style.plain(one.strategy, 24), **style.look(one.strategy).mark(6))
        for one in found
    ]
    if any(not one.met for capacity_ in found for one in capacity_.measured):
        hollow = "hollow: not carried, or not decided"
        handles.append(
            Line2D(
                [], [], linestyle="none", marker="o", color=style.GREY, mfc="white", label=hollow
            )
        )
    handles.append(Line2D([], [], linewidth=3, alpha=0.35, color=style.GREY, label="interval"))
    handles.append(Patch(color=_GOOD, label="required"))
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.01, 0.25 / height),
        ncols=min(6, len(handles)), frameon=False, fontsize=8, handletextpad=0.4,
        columnspacing=1.4, borderaxespad=0,
    )  # fmt: skip


def _made_of(found: Sequence[Capacity], version: str) -> str:
    runs = found[0].measured[0].runs
    return (
        f"{runs} runs at each rate, of {downloads(found)}; intervals of means by Student's t;"
        f" virtual time; firstk {version}"
    )
