"""The timeline of a download: one lane per server, with its requests and answers.

Strategies with equal runs share a panel, and servers with equal requests share a lane. Requests to
one server that were outstanding at the same time are in separate rows of its lane.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isclose
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerLine2D
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from firstk.harness.run.comparison import Compared
from firstk.harness.run.finish import Run
from firstk.harness.run.summary import verdict
from firstk.harness.stats.formats import seconds
from firstk.reports.model.requests import Bar, bars_of
from firstk.reports.plots import style
from firstk.reports.plots.time_axis import TimeAxis

#: The maximum number of lanes on a page: servers with problems come first, then those with reads.
MAX_LANES = 24

#: The maximum number of requests per server shown for a run that was busy at the deadline.
_ENOUGH = 100

#: Panels have their own scales if their times differ by more than this factor.
_SPREAD = 10

#: Answers after the download are shown if the download took at least this part of their time.
_AFTER = 0.4

#: A panel ends at the time of the last event times this.
_AFTERWARDS = 1.12

#: The maximum number of servers named in a lane; the rest are counted.
_NAMED = 3

_WIDTH = 10  # in inches, like the others
_LEFT = 1.3
_AXIS = 8.2
_LANE = 0.25  # a lane of one row
_ROW = 0.13  # each further row
_LINES = 0.25  # the labels of lines, below the lanes
_LETTER = 0.058
_BOUND = 1.0  # the label of the bound
_FIRST = 1.5  # the label of the first byte
_HEAD = 0.55  # the heading of a panel, and its phases
_FOOT = 0.45  # the times of a panel
_LEGEND_ROW = 0.21
_LEGEND_COLUMNS = 5

_QUERY = "#56B4E9"
_READ = "#0072B2"
_HEDGE = "#E69F00"
_BAD = "#D55E00"
_BAND = "#F4F4F4"  # behind every other lane

#: The styles of bars: colour, hatching and its colour, which also differ in greyscale prints.
_BARS = {
    "query": (_QUERY, None, "white"),
    "connect": (style.GREY, None, "white"),
    "read": (_READ, None, "white"),
    "hedge": (_HEDGE, "\\\\\\\\", "#5C3D00"),
    "corrupt": (_BAD, "xxxx", "white"),
}

#: The hatching of requests that were never answered.
_NO_ANSWER = "////"

_FAILED: dict[str, Any] = {"marker": "x", "color": _BAD, "markeredgewidth": 2, "markersize": 6}
_CANCELLED: dict[str, Any] = {"marker": "|", "color": style.GREY, "markersize": 9}
_OVERDUE: dict[str, Any] = {"marker": "v", "color": style.INK, "markersize": 4.5}
_FIRST_LINE: dict[str, Any] = {"color": style.INK, "linewidth": 1.2}
_BOUND_LINE: dict[str, Any] = {"color": style.INK, "linewidth": 0.9, "linestyle": (0, (4, 2))}
_FAIL_LINE: dict[str, Any] = {"color": _BAD, "linewidth": 1.6}
_PHASE: dict[str, Any] = {"color": style.GREY, "marker": "|", "linewidth": 1}
_BREAK: dict[str, Any] = {"facecolor": "none", "edgecolor": style.GREY, "linestyle": (0, (1, 2))}

#: The names of a download's phases in a picture.
_PHASES = {
    "locating": "locate",
    "uri-extension": "UEB",
    "crypttext-hashes": "hashes",
    "blocks": "blocks",
}


@dataclass(frozen=True, slots=True)
class _Lane:
    """The servers that share a lane, and the requests to the first of them."""

    servers: Sequence[str]
    bars: Sequence[Bar]
    shares: Sequence[int]

    @property
    def name(self) -> str:
        """The label of the lane."""
        first, count = self.servers[0], len(self.servers)
        digits = first.removeprefix("s")
        begin = int(digits) if digits.isdecimal() else 0
        if count > 1 and list(self.servers) == [f"s{begin + i}" for i in range(count)]:
            return f"{first} to {self.servers[-1]}"
        if count <= _NAMED:
            return ", ".join(self.servers)
        named = _NAMED - 1
        return f"{', '.join(self.servers[:named])} and {count - named} more"

    @property
    def rows(self) -> list[int]:
        """The row of each bar; requests that were outstanding together are in different rows."""
        free: list[float] = []  # when each row becomes free
        rows = []
        for bar in self.bars:
            sent, ended = bar.exchange.sent, bar.exchange.ended
            row = next((i for i, time in enumerate(free) if time <= sent), len(free))
            free[row : row + 1] = [inf if ended is None else ended]
            rows.append(row)
        return rows

    @property
    def height(self) -> float:
        """The height, in inches."""
        return _LANE + _ROW * max(self.rows, default=0)


@dataclass(frozen=True, slots=True)
class _Panel:
    """Equal runs of several strategies, with what is shown of them."""

    strategies: Sequence[str]
    run: Run
    lanes: Sequence[_Lane]
    hidden: int
    axis: TimeAxis
    end: float

    @property
    def height(self) -> float:
        """The height without the heading, in inches: the lanes, and the labels of lines."""
        return sum(lane.height for lane in self.lanes) + _LINES

    @property
    def bars(self) -> Iterator[Bar]:
        """The bars that are drawn, at least in part."""
        return (bar for lane in self.lanes for bar in lane.bars if bar.exchange.sent < self.end)


def draw(one: Compared, path: Path, version: str, clock: str = "virtual time") -> list[Path]:
    """Write the timelines of a scenario's strategies, one above the other; return the files.

    `clock` is the label of the time axis.
    """
    with style.style():
        panels = _panels(one.first_runs)
        bound = one.bounds[0].ttfb if one.bounds else None
        legend = _legend(panels, bound)
        head = 0.66 + _LEGEND_ROW * -(-len(legend) // _LEGEND_COLUMNS)
        total = sum(panel.height + _HEAD + _FOOT for panel in panels) + head + 0.3
        figure = Figure(figsize=(_WIDTH, total))
        top = total - head
        own = len({panel.end for panel in panels}) > 1
        for panel in panels:
            bottom = top - _HEAD - panel.height
            axes = figure.add_axes(
                (_LEFT / _WIDTH, bottom / total, _AXIS / _WIDTH, panel.height / total)
            )
            panel.axis.set_on(axes, panel.end)
            _panel(axes, panel, bound)
            if own:
                scale = f"{clock}, 0 to {seconds(panel.end)}: scales differ between panels"
                axes.set_xlabel(scale, size=8)
            top = bottom - _FOOT
        axes.set_xlabel(axes.get_xlabel() or clock)
        _title(figure, one, total, f"{clock}; firstk {version}", any(p.hidden for p in panels))
        figure.legend(
            handles=legend, loc="upper left", bbox_to_anchor=(0.02, 1 - 0.6 / total),
            ncol=_LEGEND_COLUMNS,
            frameon=False, fontsize=8, borderpad=0, borderaxespad=0, columnspacing=1.6,
            handletextpad=0.6, handlelength=1.8, labelspacing=0.45,
            handler_map={one: HandlerLine2D(numpoints=2) for one in legend if _is_bracket(one)},
        )  # fmt: skip
        return style.save(figure, path)


def _panels(runs: Sequence[Run]) -> list[_Panel]:
    """Return the panels to draw; strategies with equal runs share one."""
    alike: dict[Hashable, list[Run]] = {}
    for run in runs:
        phases = tuple(run.status.phases) if run.status else ()
        bars = Counter((bar.exchange.server, bar.course, bar.hedge) for bar in bars_of(run))
        came_to = (verdict([run.result]), run.result.ttfb)
        alike.setdefault((came_to, phases, frozenset(bars.items())), []).append(run)
    firsts = [same[0] for same in alike.values()]
    panels = []
    for same, (axis, end) in zip(alike.values(), _axes(firsts), strict=True):
        lanes = _lanes(same[0])
        if len(lanes) > MAX_LANES:
            lanes = _merged(lanes)
        shown = _fitting(lanes)
        hidden = sum(len(lane.servers) for lane in lanes if lane not in shown)
        names = [r.result.strategy for r in same]
        panels.append(_Panel(names, same[0], shown, hidden, axis, end))
    return panels


def _axes(runs: Sequence[Run]) -> list[tuple[TimeAxis, float]]:
    """Return the time axis of each run and where it ends.

    All runs share one axis, unless some would be too short to be visible: then runs of similar
    length share an axis.
    """
    lasts = [_last(run) for run in runs]
    axis = _axis(runs, max(lasts))
    scales = _scales([float(axis.place(last)) * _AFTERWARDS or 1.0 for last in lasts])
    found = []
    for scale in scales:
        if len(set(scales)) > 1:
            alike = [i for i, other in enumerate(scales) if other == scale]
            last = max(lasts[i] for i in alike)
            axis = _axis([runs[i] for i in alike], last)
            scale = float(axis.place(last)) * _AFTERWARDS or 1.0
        found.append((axis, float(axis.time(scale))))
    return found


def _axis(runs: Sequence[Run], last: float) -> TimeAxis:
    """Return a shared axis for runs, without stretches in which nothing happens in any of them."""
    events, took = {last}, []
    for run in runs:
        for bar in bars_of(run):
            sent, ended = bar.exchange.sent, bar.exchange.ended
            events |= {time for time in (sent, ended, bar.overdue) if time is not None}
            if ended is not None:
                took.append(ended - sent)
        events |= {time for time in (run.result.ttfb, run.result.finished) if time is not None}
    return TimeAxis.of((time for time in events if time <= last), median(took) if took else 0.0)


def _lanes(run: Run) -> list[_Lane]:
    """Return the lanes of a run; adjacent servers with a single, equal request share one."""
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
    """Return lanes in which all servers with a single, equal request share one."""
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
    """Return the lanes to show, in order; those with the most information are kept."""
    kept = sorted(lanes, key=_rank)[:MAX_LANES]
    return [lane for lane in lanes if lane in kept] or [_Lane(["(no server was asked)"], [], [])]


def _rank(lane: _Lane) -> int:
    """Return the rank of a lane: 0 for unanswered requests, then problems, then reads."""
    if any(bar.exchange.ended is None for bar in lane.bars):
        return 0
    if any(_failed(bar) or bar.exchange.corrupt or bar.overdue for bar in lane.bars):
        return 1
    return 2 if len(lane.bars) > 1 else 3


def _last(run: Run) -> float:
    """Return the last time to show of a run.

    It is the end of the download, or a little later if answers came soon after. A download that
    never ends is shown until its last event, but not beyond `_ENOUGH` requests to a server.
    """
    ended = [e.ended for e in run.trace.exchanges if e.ended is not None]
    end = run.result.finished
    if end is None:
        end = max(ended, default=1.0)
    if run.result.outcome == "deadline":
        sent: dict[str, list[float]] = {}
        for exchange in run.trace.exchanges:
            sent.setdefault(exchange.server, []).append(exchange.sent)
        return min([end, *(times[_ENOUGH] for times in sent.values() if len(times) > _ENOUGH)])
    return max([end, *(time for time in ended if end >= _AFTER * time)])


def _scales(ends: Sequence[float]) -> list[float]:
    """Return where each panel ends: all at the same time, except those that are far shorter."""
    shared: dict[float, float] = {}
    scale = last = 0.0
    for end in sorted(ends, reverse=True):
        if last > end * _SPREAD or not scale:
            scale = end
        last = end
        shared[end] = scale
    return [shared[end] for end in ends]


def _legend(panels: Sequence[_Panel], bound: float | None) -> list[Artist]:
    """Return the entries of the legend, only for what is drawn."""
    bars = [(bar, panel.end) for panel in panels for bar in panel.bars]
    kinds = {_kind(bar) for bar, _ in bars}
    phases = {phase for panel in panels for phase, *_ in _phases_of(panel)}
    ueb = "; UEB: the file's hashes" if "uri-extension" in phases else ""
    silent = any(bar.exchange.ended is None for bar, _ in bars)
    failed = any(_failed(bar) and (bar.exchange.ended or 0.0) <= end for bar, end in bars)
    cancelled = any(bar.exchange.cancelled for bar, _ in bars)
    overdue = any(bar.overdue is not None and bar.overdue <= end for bar, end in bars)
    started = any(panel.run.result.ttfb is not None for panel in panels)
    bounded = any(_bound_shows(panel, bound) for panel in panels)
    lost = any(panel.run.result.outcome == "failed" for panel in panels)
    cut = any(begin < panel.end for panel in panels for begin, _ in panel.axis.cuts)
    patches = [
        ("query" in kinds, "query (get_buckets)", _look("query")),
        ("connect" in kinds, "new connection", _look("connect")),
        ("read" in kinds, "read", _look("read")),
        ("hedge" in kinds, "hedged read", _look("hedge")),
        ("corrupt" in kinds, "read, corrupt answer", _look("corrupt")),
        (silent, "never answered", _unanswered(_READ)),
        (cut, "idle time, cut out", _BREAK),
    ]
    lines = [
        (failed, "failed", {"linestyle": "none", **_FAILED}),
        (cancelled, "cancelled", {"linestyle": "none", **_CANCELLED}),
        (overdue, "overdue from here on", {"linestyle": "none", **_OVERDUE}),
        (started, "first byte", _FIRST_LINE),
        (bounded, "earliest possible (bound)", _BOUND_LINE),
        (lost, "the download fails", _FAIL_LINE),
        (bool(phases), f"phase{ueb}", _PHASE),
    ]
    return [
        *(Patch(label=words, **look) for drawn, words, look in patches if drawn),
        *(Line2D([], [], label=words, **look) for drawn, words, look in lines if drawn),
    ]


def _look(kind: str) -> dict[str, Any]:
    """Return how a bar with an answer is drawn."""
    colour, hatch, edge = _BARS[kind]
    return {"facecolor": colour, "hatch": hatch, "edgecolor": edge, "linewidth": 0.4}


def _unanswered(colour: str) -> dict[str, Any]:
    """Return how a bar without an answer is drawn."""
    return {"facecolor": "white", "edgecolor": colour, "hatch": _NO_ANSWER, "linewidth": 0.6}


def _is_bracket(entry: Artist) -> bool:
    return isinstance(entry, Line2D) and entry.get_marker() == "|"


def _kind(bar: Bar) -> str:
    """Return the style of a bar, as a key of `_BARS`."""
    if bar.exchange.operation != "read":
        return "query" if bar.exchange.operation == "get_buckets" else "connect"
    return "corrupt" if bar.exchange.corrupt else "hedge" if bar.hedge else "read"


def _failed(bar: Bar) -> bool:
    exchange = bar.exchange
    return exchange.ended is not None and not exchange.ok and not exchange.cancelled


def _panel(axes: Axes, panel: _Panel, bound: float | None) -> None:
    lanes, end, result = panel.lanes, panel.end, panel.run.result
    tops = [0.0]
    for lane in lanes:
        tops.append(tops[-1] + lane.height)
    axes.set_ylim(panel.height, 0)
    middles = [(top + bottom) / 2 for top, bottom in pairwise(tops)]
    axes.set_yticks(middles, [lane.name for lane in lanes])
    axes.tick_params(axis="y", length=0, labelsize=8)
    for i, (lane, top) in enumerate(zip(lanes, tops, strict=False)):
        if i % 2 == 0:
            axes.axhspan(top, top + lane.height, facecolor=_BAND, zorder=0, gid="band")
        _lane(axes, top, lane, panel.axis, end)
    panel.axis.draw_breaks(axes)
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


def _is_the_bound(ttfb: float | None, bound: float | None) -> bool:
    return bound is not None and ttfb is not None and isclose(bound, ttfb)


def _bound_shows(panel: _Panel, bound: float | None) -> bool:
    """Return whether the bound has its own line."""
    return (
        bound is not None and bound <= panel.end and not _is_the_bound(panel.run.result.ttfb, bound)
    )


def _lines(axes: Axes, panel: _Panel, bound: float | None) -> None:
    """Draw the first byte and the bound as lines, with labels below the lanes.

    If they are too near for two labels, that of the first byte names both.
    """
    ttfb = panel.run.result.ttfb

    def inches(time: float) -> float:
        return float(panel.axis.place(time) / panel.axis.place(panel.end)) * _AXIS

    right = ttfb is not None and inches(ttfb) < 0.6 * _AXIS
    beside = ""
    if _is_the_bound(ttfb, bound):
        beside = " (the bound)"
    elif bound is not None and bound <= panel.end:
        axes.axvline(bound, **_BOUND_LINE)
        said, at = f"bound, {seconds(bound)}", inches(bound)
        begins = at if at < _BOUND else at - _BOUND
        other = inf if ttfb is None else inches(ttfb) if right else inches(ttfb) - _FIRST
        if begins + _BOUND <= other or other + _FIRST <= begins:
            _label(axes, bound, said, begins == at, "normal")
        else:
            beside = f" ({said})"
    result = panel.run.result
    if result.outcome == "failed" and result.finished is not None:
        axes.axvline(result.finished, **_FAIL_LINE)
    if ttfb is not None:
        axes.axvline(ttfb, **_FIRST_LINE)
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
        zorder=7,
    )


def _lane(axes: Axes, top: float, lane: _Lane, axis: TimeAxis, end: float) -> None:
    """Draw the requests to a server, from `top` down."""
    bars = [bar for bar in lane.bars if bar.exchange.sent < end]
    for bar, row in zip(lane.bars, lane.rows, strict=True):
        if bar in bars:
            high = lane.height - 0.1 if len(lane.bars) == 1 else _ROW
            _bar(axes, bar, top + 0.05 + row * _ROW + high / 2, high * 0.85, end)
    for overdue in sorted({bar.overdue for bar in lane.bars if bar.overdue is not None}):
        if overdue <= end:
            axes.plot(overdue, top + 0.03, **_OVERDUE, zorder=6)
    middle = top + lane.height / 2
    late = [time for bar in lane.bars if (time := bar.exchange.ended or 0.0) > end]
    if len(bars) < len(lane.bars):
        _say(axes, "goes on and on \N{RIGHTWARDS ARROW}", end, middle, right=False)
    elif silent := [bar.exchange for bar in lane.bars if bar.exchange.ended is None]:
        source = silent[0].source
        by = f", sent by {style.plain(source.file_and_line, 80)}" if source else ""
        said = f"no answer{by}"
        _say(axes, said, end, middle, right=False)
    elif late:
        until = f"until {seconds(max(late))} \N{RIGHTWARDS ARROW}"
        _say(axes, until, end, middle, right=False)
    elif len(lane.bars) == 1:  # there is room for the answer
        exchange = lane.bars[0].exchange
        ended = exchange.ended or 0.0
        said = style.plain(exchange.error, 80) if not exchange.ok else _shares(lane.shares)
        inside = float((axis.place(ended) - axis.place(exchange.sent)) / axis.place(end)) * _AXIS
        if exchange.ok and len(said) * _LETTER + 0.1 < inside:
            _say(axes, said, ended, middle, right=False, plain=True)
        else:
            _say(axes, said if exchange.ok else f"  {said}", ended, middle, right=True)


def _bar(axes: Axes, bar: Bar, y: float, height: float, end: float) -> None:
    exchange = bar.exchange
    colour = _BARS[_kind(bar)][0]
    if exchange.ended is None:
        axes.barh(y, end - exchange.sent, height, exchange.sent, **_unanswered(colour))
        return
    axes.barh(y, exchange.ended - exchange.sent, height, exchange.sent, **_look(_kind(bar)))
    if not exchange.ok:
        axes.plot(exchange.ended, y, **(_CANCELLED if exchange.cancelled else _FAILED))


def _shares(shares: Sequence[int]) -> str:
    """Return the answer of a lane's servers to a query, such as "shares 0, 3 to 5"."""
    spans: list[list[int]] = []
    for number in sorted(set(shares)):
        if spans and spans[-1][-1] == number - 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    words = [
        f"{span[0]} to {span[-1]}" if len(span) > 2 else ", ".join(map(str, span)) for span in spans
    ]
    if not words:
        return "no shares"
    if len(words) > 6:
        words[3:-1] = ["..."]
    return f"share{'s' if len(set(shares)) > 1 else ''} {', '.join(words)}"


def _say(axes: Axes, text: str, time: float, y: float, *, right: bool, plain: bool = False) -> None:
    """Write a label next to a time, with a background unless it is in a bar."""
    axes.annotate(
        text,
        (time, y),
        xytext=(4 if right else -4, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        size=7,
        color=style.INK,
        bbox=None if plain else {"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        zorder=7,
    )


def _phases_of(panel: _Panel) -> Iterator[tuple[str, float, float]]:
    """Yield the phases to draw, each with its start and end."""
    phases = panel.run.status.phases if panel.run.status else []
    ends = [*(begin for _, begin in phases), panel.end][1:]
    for (phase, begin), until in zip(phases, ends, strict=True):
        if phase in _PHASES and begin < panel.end:
            yield phase, begin, min(until, panel.end)


def _phases(axes: Axes, panel: _Panel) -> None:
    """Mark the phases above the lanes, if the downloader reports them."""
    above = ScaledTranslation(0, 6 / 72, axes.figure.dpi_scale_trans)
    where = axes.get_xaxis_transform() + above
    pixels = axes.bbox.width
    for phase, begin, until in _phases_of(panel):
        axes.annotate(
            "",
            (begin, 1),
            (until, 1),
            xycoords=where,
            textcoords=where,
            arrowprops={"arrowstyle": "|-|", "mutation_scale": 2.5, "color": style.GREY},
        )
        x0, x1 = (axes.transData.transform((time, 0))[0] for time in (begin, until))
        if x1 - x0 > pixels * 0.04:
            axes.annotate(
                _PHASES[phase],
                (axes.transData.inverted().transform(((x0 + x1) / 2, 0))[0], 1),
                xycoords=where,
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                size=7.5,
                color=style.GREY,
            )


def _title(figure: Figure, one: Compared, total: float, small: str, hidden: bool) -> None:
    figure.text(0.02, 1 - 0.15 / total, one.scenario.name, size=12, weight="bold", va="top")
    figure.text(
        0.02,
        1 - 0.38 / total,
        style.plain(one.scenario.description, 130),
        size=9,
        color=style.GREY,
        va="top",
    )
    runs = one.strategies[0].runs
    first = f", the first of {runs} runs" if runs > 1 else ""
    chosen = ".  Shown first: who never answered, failed, was overdue or corrupt; then who was read"
    figure.text(
        0.02,
        0.1 / total,
        f"seed {one.first_runs[0].result.seed}{first}; {small}" + chosen * hidden,
        size=7,
        color=style.GREY,
    )
