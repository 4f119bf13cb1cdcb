"""The time axis of timelines: idle time is cut out, visibly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from firstk.harness.stats.formats import seconds
from firstk.reports.plots import style

#: Time without an event is idle if it is longer than this many times all the rest.
_IDLE = 4

#: Less than this part of the time is not a rest that could be drawn: floats differ by as much.
_LEAST = 1e-6

#: What is left of idle time on both sides of a break, and how wide the break is: parts of the rest.
_KEPT = 0.06
_BREAK = 0.03

#: How many ticks an axis has at most.
_TICKS = 9

#: So far on, the axis goes on as it does after the last break.
_FAR = 1e12


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """A mapping of virtual time to places on an axis, both in seconds, with breaks.

    `breaks` are the times that are cut out; each is `width` seconds wide.
    """

    breaks: tuple[tuple[float, float], ...] = ()
    width: float = 0.0

    @classmethod
    def of(cls, instants: Iterable[float]) -> TimeAxis:
        """Return an axis for events at some times, without the idle time between them."""
        times = sorted({0.0, *instants})
        gaps = sorted((end - begin, begin, end) for begin, end in pairwise(times))
        busy = 0.0
        for i, (length, *_) in enumerate(gaps):
            if busy > _LEAST * times[-1] and length > _IDLE * busy:
                kept = _KEPT * busy
                cut = [(begin + kept, end - kept) for _, begin, end in gaps[i:]]
                return cls(tuple(sorted(cut)), _BREAK * busy)
            busy += length
        return cls()

    def place(self, time: float) -> float:
        """Return where a time is on the axis."""
        return float(np.interp(time, *self._knots()))

    def time(self, place: float) -> float:
        """Return the time at a place on the axis."""
        times, places = self._knots()
        return float(np.interp(place, places, times))

    def _knots(self) -> tuple[list[float], list[float]]:
        times, places = [-_FAR, 0.0], [-_FAR, 0.0]
        for begin, end in self.breaks:
            there = places[-1] + begin - times[-1]
            times += [begin, end]
            places += [there, there + self.width]
        return [*times, times[-1] + _FAR], [*places, places[-1] + _FAR]

    def apply(self, axes: Axes, end: float) -> None:
        """Make this the horizontal axis of a panel that ends at a time, and draw its breaks."""
        times, places = self._knots()
        if self.breaks:
            axes.set_xscale(
                "function",
                functions=(
                    lambda t: np.interp(t, times, places),
                    lambda p: np.interp(p, places, times),
                ),
            )
        axes.set_xlim(0, end)
        ticks = self._ticks(end)
        texts = {tick: seconds(tick) for tick in ticks}
        if len({*texts.values()}) < len(texts):  # ticks that differ in the fourth digit
            texts = {tick: f"{tick:.9g} s" for tick in ticks}
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: texts[t] if t else "0"))
        for begin, until in self.breaks:
            if until < end:
                self._draw(axes, begin, until)

    def _ticks(self, end: float) -> list[float]:
        """Return where the ticks are: at round times, on both sides of each break."""
        edges = [0.0, *(t for cut in self.breaks if cut[1] < end for t in cut), end]
        length = self.place(end)
        ticks: list[float] = []
        for begin, until in zip(edges[::2], edges[1::2], strict=True):
            most = max(1, round(_TICKS * (until - begin) / length))
            round_times = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], min_n_ticks=1)
            found = [float(t) for t in round_times.tick_values(begin, until)]
            ticks += [round(t, 12) for t in found if begin <= t <= until] or [(begin + until) / 2]
        return ticks

    def _draw(self, axes: Axes, begin: float, end: float) -> None:
        """Draw a break: a white gap with jagged edges from top to bottom."""
        axes.axvspan(begin, end, color="white", zorder=2.2, linewidth=0)
        height = axes.get_window_extent().height
        teeth = np.arange(2 * round(height / 16) + 3)
        for edge, inside in ((begin, 1), (end, -1)):
            tip = self.time(self.place(edge) + inside * self.width / 3)
            axes.plot(
                np.where(teeth % 2, tip, edge), teeth / teeth[-1], color=style.GREY, linewidth=0.7,
                transform=axes.get_xaxis_transform(), zorder=2.3, scalex=False, scaley=False,
            )  # fmt: skip
