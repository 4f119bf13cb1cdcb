"""Honest axes: from zero, or logarithmic and labelled as such, with a place for never."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log10
from typing import Any, TypeVar

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    Locator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

from firstk.harness.stats.formats import seconds
from firstk.reports.plots import style

T = TypeVar("T")

#: Above this ratio of the greatest to the least number a scale is logarithmic.
LOG_RATIO = 20

#: The part of an axis that is the strip for never.
_STRIP = 0.1

#: The maximum number of ticks of an axis from zero.
_TICKS = 7

GRID = "#E4E4E4"
STRIP = "#F2F2F2"


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale for some numbers from `low` to `high`, without the strip for never."""

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, numbers: Iterable[float], least: float | None = None) -> Scale:
        """Return a scale that contains all finite numbers.

        It begins at 0 or, if the numbers differ by much, is logarithmic. It begins at `least` at
        the latest, if given: no number can be smaller.
        """
        finite = [number for number in numbers if isfinite(number)]
        above = [number for number in finite if number > 0]
        low, high = min(above, default=0.1), max(above, default=1.0)
        if least:
            return cls(least / 1.08, max(high * 1.3, least * 2), log=True)
        if high / low > LOG_RATIO and len(above) == len(finite):
            return cls(low / 1.6, high * 1.6, log=True)
        return cls(0.0, high * 1.12, log=False)

    def at(self, part: float) -> float:
        """Return the number at a fraction of the scale: 0 is its beginning, 1 its end."""
        if self.log:
            return float(self.low * (self.high / self.low) ** part)
        return self.low + (self.high - self.low) * part

    def part(self, numbers: Any) -> Any:
        """Return the fractions of the scale at which numbers are; the inverse of `at`."""
        if self.log:
            return np.log(numbers / self.low) / np.log(self.high / self.low)
        return (numbers - self.low) / (self.high - self.low)

    def place(self, number: float) -> float:
        """Return where a number is drawn; never is in the middle of its strip."""
        return self.at(1 + _STRIP / (1 - _STRIP) / 2) if number == inf else number

    @property
    def end(self) -> float:
        """The end of the axis if it has a strip for never."""
        return self.at(1 / (1 - _STRIP))


def set_scale(
    axis: Axis,
    scale: Scale,
    what: str,
    say: Callable[[float], str] = seconds,
    *,
    never: bool = False,
) -> None:
    """Set the scale and the label of an axis, optionally with a strip for never."""
    axes = axis.axes
    vertical = axis is axes.yaxis
    (axes.set_yscale if vertical else axes.set_xscale)("log" if scale.log else "linear")
    end = scale.end if never else scale.high
    (axes.set_ylim if vertical else axes.set_xlim)(scale.low, end)
    if scale.log:
        subs: tuple[float, ...] = (1.0,)
        if log10(scale.high / scale.low) < 2:
            subs = (1.0, 2.0, 5.0)
        axis.set_major_locator(_within(scale, LogLocator(subs=subs)))
        axis.set_minor_locator(_within(scale, LogLocator(subs=range(2, 10))))
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(_within(scale, MaxNLocator(_TICKS, steps=[1, 2, 2.5, 5, 10])))

    def text(number: float, _: object = None) -> str:
        if not scale.low <= number <= scale.high * (1 + 1e-9):
            return ""
        return "0" if number == 0 else say(number)

    axis.set_major_formatter(FuncFormatter(text))
    axis.set_label_text(f"{what}\n(logarithmic scale)" if vertical and scale.log else what)
    if scale.log and not vertical:
        axis.set_label_text(f"{what} (logarithmic scale)")
    axis.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    if never:
        span = axes.axhspan if vertical else axes.axvspan
        span(scale.high, scale.end, color=STRIP, zorder=0)
        if vertical:
            axes.text(
                -0.015, scale.place(inf), "never", transform=axes.get_yaxis_transform(),
                ha="right", va="center", weight="bold", size=8,
            )  # fmt: skip


def _within(scale: Scale, locator: Locator) -> FixedLocator:
    """Return the ticks of a locator within the scale: there are none in the strip for never."""
    ticks = locator.tick_values(scale.low, scale.high)
    return FixedLocator([tick for tick in ticks if scale.low <= tick <= scale.high * (1 + 1e-9)])


def evenly(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` of the items: the first, the last, and some between them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def small_print(figure: Figure, text: str) -> None:
    """Write the small print, which says what a figure is made of, at its foot."""
    figure.text(0.015, 0.09 / figure.get_figheight(), text, size=7, color=style.GREY)


def title(figure: Figure, text: str, under: str = "") -> None:
    """Write the title of a figure, which says what it shows, above it."""
    height = figure.get_figheight()
    figure.text(0.015, 1 - 0.14 / height, text, size=11, weight="bold", va="top")
    figure.text(0.015, 1 - 0.36 / height, under, size=8.5, color=style.GREY, va="top")
