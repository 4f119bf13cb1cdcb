"""The timeline of a download: a lane a server, what was asked when and what came back.

Strategies that did just the same share a panel, and servers that did share a lane.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isclose
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from firstk.harness.run.comparison import Compared
from firstk.harness.run.simulate import Run
from firstk.harness.run.summary import verdict
from firstk.harness.stats.formats import seconds
from firstk.reports.model.requests import Bar, bars_of
from firstk.reports.plots import style
from firstk.reports.plots.time_axis import TimeAxis

#: More lanes than this do not fit a page: what is wrong with servers comes first, then reads.
MAX_LANES = 24

#: Of a run that was busy at the deadline this many requests to one server are shown.
_ENOUGH = 100

#: Panels whose times differ by more have scales of their own.
_SPREAD = 5

#: A panel ends a little after the last event: a part of the time before it.
_AFTER = 1.12

#: How many servers of a lane are named: of more the last are counted.
_NAMED = 3

_WIDTH = 10  # inches; so are the others
_LEFT = 1.3
_AXIS = 8.2
_LANE = 0.24
_BOUND = 1.0  # the label of the bound
_FIRST = 1.5  # that of the first byte
_HEAD = 0.55  # the heading of a panel, and its phases
_FOOT = 0.45  # its times

_QUERY = "#56B4E9"
_READ = "#0072B2"
_HEDGE = "#E69F00"
_BAD = "#D55E00"

#: How many entries of the legend have room side by side.
_LEGEND_COLUMNS = 6

#: What the phases of a download are called in a picture.
_PHASES = {
    "locating": "locate",
    "uri-extension": "UEB",
    "crypttext-hashes": "hashes",
    "blocks": "blocks",
}


@dataclass(frozen=True, slots=True)
class _Lane:
    """The servers that share a lane, and what went on with the first of them."""

    servers: Sequence[str]
    bars: Sequence[Bar]
    shares: Sequence[int]

    @property
    def name(self) -> str:
        """What stands beside the lane."""
        first, count = self.servers[0], len(self.servers)
        digits = first.removeprefix("s")
        begin = int(digits) if digits.isdecimal() else 0
        if count > 1 and list(self.servers) == [f"s{begin + i}" for i in range(count)]:
            return f"{first} to {self.servers[-1]}"
        if count <= _NAMED:
            return ", ".join(self.servers)
        named = _NAMED - 1
        return f"{', '.join(self.servers[:named])} and {count - named} more"


@dataclass(frozen=True, slots=True)
class _Panel:
    """The runs of strategies that did the same, with what is shown of them."""

    strategies: Sequence[str]
    run: Run
    lanes: Sequence[_Lane]
    hidden: int
    axis: TimeAxis
    end: float

    @property
    def height(self) -> float:
        """How high it is without its heading, in inches: the lanes, and the lines' labels."""
        return (len(self.lanes) + 0.8) * _LANE


def draw(one: Compared, path: Path, version: str) -> list[Path]:
    """Write the timelines of a scenario's strategies, one above the other; return the files."""
    with style.style():
        panels = _panels(one.first_runs, one.bounds[0].ttfb or 0.0)
        two_rows = len(list(_legend(panels))) > _LEGEND_COLUMNS
        total = sum(panel.height + _HEAD + _FOOT for panel in panels) + 1.2 + 0.18 * two_rows
        figure = Figure(figsize=(_WIDTH, total))
        top = total - 0.9 - 0.18 * two_rows
        scales = {panel.end for panel in panels}
        for panel in panels:
            bottom = top - _HEAD - panel.height
            axes = figure.add_axes(
                (_LEFT / _WIDTH, bottom / total, _AXIS / _WIDTH, panel.height / total)
            )
            _panel(axes, panel, one.bounds[0].ttfb)
            if len(scales) > 1:
                axes.set_xlabel(f"virtual time, from 0 to {seconds(panel.end)}")
            top = bottom - _FOOT
        axes.set_xlabel(axes.get_xlabel() or "virtual time")
        _title(figure, one, total, version, panels)
        return style.save(figure, path)


def _panels(runs: Sequence[Run], bound: float) -> list[_Panel]:
    """Return what to draw: a panel for all strategies that did just the same."""
    alike: dict[Hashable, list[Run]] = {}
    for run in runs:
        phases = tuple(run.status.phases) if run.status else ()
        bars = Counter((bar.exchange.server, bar.course, bar.hedge) for bar in bars_of(run))
        came_to = (verdict([run.result]), run.result.ttfb)
        alike.setdefault((came_to, phases, frozenset(bars.items())), []).append(run)
    firsts = [same[0] for same in alike.values()]
    axis = TimeAxis.of(t for run in firsts for t in [*_instants(run), bound] if t <= _end(run))
    ends = _scales([axis.place(_end(run)) * _AFTER or 1.0 for run in firsts])
    panels = []
    for same, end in zip(alike.values(), map(axis.time, ends), strict=True):
        lanes = _lanes(same[0])
        if len(lanes) > MAX_LANES:
            lanes = _merged(lanes)
        shown = _fitting(lanes)
        hidden = sum(len(lane.servers) for lane in lanes if lane not in shown)
        names = [run.result.strategy for run in same]
        panels.append(_Panel(names, same[0], shown, hidden, axis, end))
    return panels


def _lanes(run: Run) -> list[_Lane]:
    """Return the lanes of a run: neighbours that were only asked, and alike, share one."""
    servers: dict[str, list[Bar]] = {}
    for bar in bars_of(run):
        servers.setdefault(bar.exchange.server, []).append(bar)
    lanes: list[_Lane] = []
    for name, bars in servers.items():
        last = lanes[-1].bars if lanes else []
        shares = bars[0].exchange.shares
        if len(last) == len(bars) == 1 and last[0].course == bars[0].course:
            lane = lanes.pop()
            lanes.append(_Lane([*lane.servers, name], last, [*lane.shares, *shares]))
        else:
            lanes.append(_Lane([name], bars, shares))
    return lanes


def _merged(lanes: Sequence[_Lane]) -> list[_Lane]:
    """Return lanes of which those that were only asked, and alike, share one wherever they are."""
    found: list[_Lane] = []
    alike: dict[Hashable, int] = {}
    for lane in lanes:
        place = alike.setdefault(lane.bars[0].course, len(found)) if len(lane.bars) == 1 else None
        if place is None or place == len(found):
            found.append(lane)
            continue
        first = found[place]
        servers = [*first.servers, *lane.servers]
        found[place] = _Lane(servers, first.bars, [*first.shares, *lane.shares])
    return found


def _fitting(lanes: Sequence[_Lane]) -> list[_Lane]:
    """Return the lanes to show, in their order: those with the most to see before the others."""
    kept = sorted(lanes, key=_rank)[:MAX_LANES]
    return [lane for lane in lanes if lane in kept] or [_Lane(["(no server was asked)"], [], [])]


def _rank(lane: _Lane) -> int:
    """Return how little there is to see in a lane: silence and trouble come first, then reads."""
    if any(bar.exchange.ended is None for bar in lane.bars):
        return 0
    if any(not e.ok or e.corrupt or bar.overdue for bar in lane.bars if (e := bar.exchange)):
        return 1
    return 2 if len(lane.bars) > 1 else 3


def _end(run: Run) -> float:
    """Return the time after which a picture of a run need not show more: that of its last event.

    Of what goes on and on the beginning is enough.
    """
    end = run.result.finished
    if end is None:
        end = max((e.ended for e in run.trace.exchanges if e.ended is not None), default=1.0)
    if run.result.outcome == "deadline":
        sent: dict[str, list[float]] = {}
        for exchange in run.trace.exchanges:
            sent.setdefault(exchange.server, []).append(exchange.sent)
        end = min([end, *(times[_ENOUGH] for times in sent.values() if len(times) > _ENOUGH)])
    return end


def _instants(run: Run) -> Iterator[float]:
    """Yield the times at which something happens in the picture of a run."""
    for bar in bars_of(run):
        yield from (
            t for t in (bar.exchange.sent, bar.exchange.ended, bar.overdue) if t is not None
        )
    if run.status:
        yield from (begin for _, begin in run.status.phases)
    yield _end(run)
    yield run.result.ttfb or 0.0


def _scales(ends: Sequence[float]) -> list[float]:
    """Return where each panel ends: all at one time, but those that are shorter by far."""
    shared: dict[float, float] = {}
    scale = last = 0.0
    for end in sorted(ends, reverse=True):
        if last > end * _SPREAD or not scale:
            scale = end
        last = end
        shared[end] = scale
    return [shared[end] for end in ends]


def _panel(axes: Axes, panel: _Panel, bound: float | None) -> None:
    lanes, end, result = panel.lanes, panel.end, panel.run.result
    panel.axis.apply(axes, end)
    axes.set_ylim(len(lanes) + 0.3, -0.5)
    axes.set_yticks(range(len(lanes)), [lane.name for lane in lanes])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.hlines(range(len(lanes)), 0, end, color="#E4E4E4", linewidth=0.8, zorder=0)
    for y, lane in enumerate(lanes):
        _lane(axes, y, lane, end)
    _phases(axes, panel)
    _lines(axes, panel, bound)
    more = f"   ({panel.hidden} more servers are not shown)" if panel.hidden else ""
    axes.set_title(
        f"{', '.join(panel.strategies)}: {style.plain(verdict([result]), 90)}{more}",
        loc="left",
        pad=18,
        size=9.5,
        weight="bold",
    )


def _lines(axes: Axes, panel: _Panel, bound: float | None) -> None:
    """Draw the first byte and the bound as lines, and write under the lanes what they are.

    Where they are too near for two labels, that of the first byte says both.
    """
    ttfb, end, place = panel.run.result.ttfb, panel.end, panel.axis.place
    inch = place(end) / _AXIS
    right = ttfb is not None and place(ttfb) < place(end) * 0.6
    beside = ""
    if bound is not None and ttfb is not None and isclose(bound, ttfb):
        beside = " (the bound)"
    elif bound is not None and bound <= end:
        axes.axvline(bound, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)))
        said = f"bound, {seconds(bound)}"
        at = place(bound)
        begins = at if at < _BOUND * inch else at - _BOUND * inch
        other = inf if ttfb is None else place(ttfb) - _FIRST * inch * (not right)
        if begins + _BOUND * inch <= other or other + _FIRST * inch <= begins:
            _label(axes, bound, said, begins == at, "normal")
        else:
            beside = f" ({said})"
    if ttfb is not None:
        axes.axvline(ttfb, color=style.INK, linewidth=1.2)
        _label(axes, ttfb, f"first byte, {seconds(ttfb)}{beside}", right, "bold")


def _label(axes: Axes, time: float, text: str, right: bool, weight: str) -> None:
    axes.annotate(
        text,
        (time, 0),
        xycoords=("data", "axes fraction"),
        xytext=(4 if right else -4, 4),
        textcoords="offset points",
        size=8,
        weight=weight,
        ha="left" if right else "right",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
    )


def _lane(axes: Axes, lane: int, shown: _Lane, end: float) -> None:
    """Draw what went on with a server; what overlaps lies one under the other."""
    rows: list[float] = []  # when each row is free
    places = []
    bars = [bar for bar in shown.bars if bar.exchange.sent < end]
    for bar in bars:
        ended = bar.exchange.ended
        row = next((i for i, free in enumerate(rows) if free <= bar.exchange.sent), len(rows))
        rows[row : row + 1] = [end if ended is None else ended]
        places.append(row)
    thickness = 0.7 / max(1, len(rows))
    if len(rows) > 1:  # what lies one under the other is of one server
        axes.axhspan(lane - 0.42, lane + 0.42, color="#F1F4F7", zorder=-1)
    for bar, row in zip(bars, places, strict=True):
        _bar(axes, bar, lane - 0.35 + (row + 0.5) * thickness, thickness * 0.85, end)
    for overdue in sorted({bar.overdue for bar in shown.bars if bar.overdue is not None}):
        if overdue <= end:
            axes.plot(overdue, lane - 0.34, marker="v", color=style.INK, markersize=4.5)
    late = [bar.exchange.ended for bar in shown.bars if (bar.exchange.ended or 0.0) > end]
    if len(bars) < len(shown.bars):
        _say(axes, "goes on and on", end, lane, style.INK, right=False)
    elif any(bar.exchange.ended is None for bar in shown.bars):
        source = next(
            (bar.exchange.source for bar in shown.bars if bar.exchange.ended is None), None
        )
        said = f"no answer, sent by {source}" if source else "no answer"
        _say(axes, said, end, lane, style.INK, right=False)
    elif late:
        _say(axes, f"until {seconds(late[0] or 0.0)}", end, lane, style.INK, right=False)
    elif len(shown.bars) == 1:  # there is room to say what came back
        exchange = shown.bars[0].exchange
        said = f"   {exchange.error}" if not exchange.ok else _shares(shown.shares)
        _say(axes, said, exchange.ended or 0.0, lane, style.GREY, right=True)


def _bar(axes: Axes, bar: Bar, y: float, height: float, end: float) -> None:
    exchange = bar.exchange
    colour = _READ
    if exchange.operation == "get_buckets":
        colour = _QUERY
    elif exchange.corrupt:
        colour = _BAD
    elif bar.hedge:
        colour = _HEDGE
    if exchange.ended is None:
        axes.barh(
            y, end - exchange.sent, height, exchange.sent,
            facecolor="none", edgecolor=colour, hatch="////", linewidth=0.6,
        )  # fmt: skip
        return
    axes.barh(
        y, exchange.ended - exchange.sent, height, exchange.sent,
        color=colour, edgecolor="white", linewidth=0.4,
    )  # fmt: skip
    if exchange.ended > end:
        axes.plot(end, y, marker=">", color=style.INK, markersize=4.5, clip_on=False, zorder=5)
    elif not exchange.ok:
        axes.plot(exchange.ended, y, marker="x", color=_BAD, markeredgewidth=2)


def _shares(shares: Sequence[int]) -> str:
    """Return what the servers of a lane answered to a query."""
    numbers = list(map(str, dict.fromkeys(shares)))
    if not numbers:
        return "no shares"
    if len(numbers) > 8:
        numbers[4:-1] = ["..."]
    return f"share{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _say(axes: Axes, text: str, time: float, lane: int, colour: str, right: bool) -> None:
    axes.annotate(
        text,
        (time, lane),
        xytext=(4 if right else -4, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        size=7,
        color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
    )


def _phases(axes: Axes, panel: _Panel) -> None:
    """Mark the phases above the lanes, where the downloader reports them."""
    phases = panel.run.status.phases if panel.run.status else []
    end, place = panel.end, panel.axis.place
    if not phases:
        return
    ends = [begin for _, begin in phases[1:]] + [end]
    above = ScaledTranslation(0, 6 / 72, axes.figure.dpi_scale_trans)
    where = axes.get_xaxis_transform() + above
    for (phase, begin), until in zip(phases, ends, strict=True):
        if phase not in _PHASES:
            continue
        axes.annotate(
            "",
            (begin, 1),
            (until, 1),
            xycoords=where,
            textcoords=where,
            arrowprops={"arrowstyle": "|-|", "mutation_scale": 2.5, "color": style.GREY},
        )
        if place(until) - place(begin) > place(end) * 0.04:
            axes.annotate(
                _PHASES[phase],
                (panel.axis.time((place(begin) + place(until)) / 2), 1),
                xycoords=where,
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                size=7.5,
                color=style.GREY,
            )


def _legend(panels: Sequence[_Panel]) -> Iterator[Artist]:
    """Yield an entry for each kind of mark that is drawn, and for nothing else."""
    bars = [bar for panel in panels for lane in panel.lanes for bar in lane.bars]
    exchanges = [bar.exchange for bar in bars]
    reads = [bar for bar in bars if bar.exchange.operation == "read"]
    if any(e.operation == "get_buckets" for e in exchanges):
        yield Patch(color=_QUERY, label="query (get_buckets)")
    if any(not bar.hedge and not bar.exchange.corrupt for bar in reads):
        yield Patch(color=_READ, label="read")
    if any(bar.hedge and not bar.exchange.corrupt for bar in reads):
        yield Patch(color=_HEDGE, label="hedged read (another read is overdue)")
    if any(e.corrupt for e in exchanges):
        yield Patch(color=_BAD, label="read, corrupt answer")
    if any(e.ended is None for e in exchanges):
        yield Patch(facecolor="none", edgecolor=_QUERY, hatch="//////", label="no answer")
    marks: dict[str, Any] = {"linestyle": "none", "color": style.INK}
    if any(e.ended is not None and not e.ok for e in exchanges):
        yield Line2D([], [], **marks | {"color": _BAD}, marker="x", label="failed")
    if any(bar.overdue is not None for bar in bars):
        yield Line2D([], [], **marks, marker="v", markersize=4.5, label="overdue")
    if any((e.ended or 0.0) > panel.end for panel in panels for e in panel.run.trace.exchanges):
        yield Line2D([], [], **marks, marker=">", markersize=4.5, label="ends later")
    if any(panel.run.status for panel in panels):
        yield Line2D([], [], color=style.GREY, marker="|", linewidth=1, label="phase")


def _title(
    figure: Figure, one: Compared, total: float, version: str, panels: Sequence[_Panel]
) -> None:
    hidden = any(panel.hidden for panel in panels)
    figure.text(0.02, 1 - 0.15 / total, one.scenario.name, size=12, weight="bold", va="top")
    figure.text(
        0.02,
        1 - 0.42 / total,
        style.plain(one.scenario.description, 130),
        size=9,
        color=style.GREY,
        va="top",
    )
    figure.legend(
        handles=list(_legend(panels)), loc="upper left", bbox_to_anchor=(0.013, 1 - 0.58 / total),
        ncols=_LEGEND_COLUMNS, frameon=False, fontsize=8, handlelength=1.3, handleheight=0.8,
        columnspacing=1.4, handletextpad=0.5, borderaxespad=0, borderpad=0.2,
    )  # fmt: skip
    runs = len(one.bounds)
    first = f", the first of {runs} runs" if runs > 1 else ""
    idle = "; the axis is cut where nothing happens" * any(panel.axis.breaks for panel in panels)
    chosen = ".  Shown first: who never answered, failed, was overdue or corrupt; then who was read"
    figure.text(
        0.02,
        0.1 / total,
        f"seed {one.first_runs[0].result.seed}{first}; virtual time; firstk {version}{idle}"
        + chosen * hidden,
        size=7,
        color=style.GREY,
    )
