"""A time axis without idle stretches, which are replaced by visible breaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from firstk.harness.stats.formats import seconds
from firstk.reports.plots import style

#: The minimum length of a stretch that is cut out, as a multiple of a typical request.
_IDLE = 8

#: The maximum number of stretches that are cut out; the longest are.
_MOST = 4

#: The part of the axis that a break takes, and the approximate number of ticks.
_GAP = 0.08
_TICKS = 7


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """An axis of times in seconds. `cuts` are the starts and ends of idle stretches, in order.

    The ends of the cuts are ticks; all ticks are `step` apart. Each break is drawn as wide as
    `gap` seconds.
    """

    cuts: Sequence[tuple[float, float]] = ()
    step: float = 0.0
    gap: float = 0.0

    @classmethod
    def of(cls, events: Iterable[float], typical: float) -> TimeAxis:
        """Return an axis without the stretches in which there is no event.

        A stretch is cut out if it is much longer than a `typical` request, and a considerable part
        of the total time. The axis keeps the length of a request before and after it.
        """
        times = sorted({0.0, *events})
        whole = times[-1]
        idle = [
            (begin, end)
            for begin, end in pairwise(times)
            if typical and end - begin > max(_IDLE * typical, whole / 10)
        ]
        idle = sorted(sorted(idle, key=lambda gap: gap[0] - gap[1])[:_MOST])
        if not idle:
            return cls()
        kept = whole - sum(end - begin - 2 * typical for begin, end in idle)
        step = _nice(kept / _TICKS)
        cuts = []
        for begin, end in idle:
            first = ceil((begin + typical) / step - 1e-9) * step
            last = floor((end - typical) / step + 1e-9) * step
            if begin <= first and last <= end and last - first > 2 * step:
                cuts.append((first, last))
        return cls(cuts, step, kept * _GAP / (1 - len(cuts) * _GAP))

    def place(self, times: Any) -> Any:
        """Return the positions of times, in seconds without idle stretches; accepts arrays."""
        at, drawn = self._knots()
        return np.interp(times, at, drawn) + np.maximum(0, np.asarray(times) - at[-1])

    def time(self, places: Any) -> Any:
        """Return the times at some positions."""
        at, drawn = self._knots()
        return np.interp(places, drawn, at) + np.maximum(0, np.asarray(places) - drawn[-1])

    def _knots(self) -> tuple[list[float], list[float]]:
        at, drawn = [0.0], [0.0]
        for begin, end in self.cuts:
            drawn += [drawn[-1] + begin - at[-1], drawn[-1] + begin - at[-1] + self.gap]
            at += [begin, end]
        return at, drawn

    def set_on(self, axes: Axes, end: float) -> None:
        """Set the time axis of a panel to the range from 0 to `end`."""
        if not self.cuts:
            axes.set_xlim(0, end)
            axes.xaxis.set_major_formatter(
                FuncFormatter(lambda t, _: "0" if t == 0 else seconds(t))
            )
            return
        axes.set_xscale("function", functions=(self.place, self.time))
        axes.set_xlim(0, end)
        ticks = _multiples(0.0, min(self.cuts[0][0], end), self.step)
        for (_, begin), (until, _) in pairwise([*self.cuts, (end, end)]):
            ticks += _multiples(begin, min(until, end), self.step)
        digits = max(0, -floor(log10(self.step)))
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelsize=7.5)  # two labels fit next to a break
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda t, _: "0" if t == 0 else f"{t:.{digits}f} s")
        )

    def draw_breaks(self, axes: Axes) -> None:
        """Interrupt everything in a panel where time is cut out, and write how much it is."""
        low, high = axes.get_ylim()
        for begin, end in self.cuts:
            if begin >= axes.get_xlim()[1]:
                continue
            axes.axvspan(begin, end, facecolor="white", zorder=4, gid="break")
            for edge in (begin, end):
                axes.axvline(edge, color=style.GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=5)
                axes.plot(
                    [edge], [0], marker=[(-0.4, -1), (0.4, 1)], markersize=10, color=style.INK,
                    transform=axes.get_xaxis_transform(), zorder=6, clip_on=False,
                )  # fmt: skip
            middle = float(self.time((self.place(begin) + self.place(end)) / 2))
            axes.text(
                middle, (low + high) / 2, f"{seconds(end - begin)} cut out", rotation=90, size=7,
                ha="center", va="center", color=style.GREY, zorder=6,
            )  # fmt: skip


def _nice(step: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power: float = 10.0 ** floor(log10(step))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= step * (1 - 1e-9))


def _multiples(begin: float, end: float, step: float) -> list[float]:
    first, last = ceil(begin / step - 1e-9), floor(end / step + 1e-9)
    return [n * step for n in range(first, last + 1)]
