"""The timeline of a download: a lane a server, what was asked when and what came back.

Strategies that did just the same share a panel, and servers that did share a lane.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf, isclose
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import ScaledTranslation

from firstk.harness.run.comparison import Compared
from firstk.harness.run.simulate import Run
from firstk.harness.run.summary import verdict
from firstk.harness.stats.formats import seconds
from firstk.reports.model.requests import Bar, bars_of
from firstk.reports.plots import style

#: More lanes than this do not fit a page: what is wrong with servers comes first, then reads.
MAX_LANES = 24

#: Of a run that was busy at the deadline this many requests to one server are shown.
_ENOUGH = 100

#: Panels whose times differ by more have scales of their own.
_SPREAD = 5

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

#: What the colours mean: where it is said (a part of the width), by which sign and text.
_LEGEND = (
    (0.02, _QUERY, "■", "query (get_buckets)"),
    (0.165, _READ, "■", "read"),
    (0.225, _HEDGE, "■", "hedge: read as another is overdue"),
    (0.46, _BAD, "■", "read, corrupt answer"),
    (0.615, _BAD, "×", "failed"),
    (0.68, style.INK, "▼", "overdue"),
    (0.755, style.GREY, "", "hatched: no answer"),
)

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
    end: float

    @property
    def height(self) -> float:
        """How high it is without its heading, in inches: the lanes, and the lines' labels."""
        return (len(self.lanes) + 0.8) * _LANE


def draw(one: Compared, path: Path, version: str) -> list[Path]:
    """Write the timelines of a scenario's strategies, one above the other; return the files."""
    with style.style():
        panels = _panels(one.first_runs)
        total = sum(panel.height + _HEAD + _FOOT for panel in panels) + 1.2
        figure = Figure(figsize=(_WIDTH, total))
        top = total - 0.9
        before = panels[0].end
        for panel in panels:
            bottom = top - _HEAD - panel.height
            axes = figure.add_axes(
                (_LEFT / _WIDTH, bottom / total, _AXIS / _WIDTH, panel.height / total)
            )
            _panel(axes, panel, one.bounds[0].ttfb)
            if panel.end != before:
                axes.set_xlabel("virtual time, on another scale than above")
            top, before = bottom - _FOOT, panel.end
        axes.set_xlabel(axes.get_xlabel() or "virtual time")
        _title(figure, one, total, version, any(panel.hidden for panel in panels))
        return style.save(figure, path)


def _panels(runs: Sequence[Run]) -> list[_Panel]:
    """Return what to draw: a panel for all strategies that did just the same."""
    alike: dict[Hashable, list[Run]] = {}
    for run in runs:
        phases = tuple(run.status.phases) if run.status else ()
        bars = Counter((bar.exchange.server, bar.course, bar.hedge) for bar in bars_of(run))
        came_to = (verdict([run.result]), run.result.ttfb)
        alike.setdefault((came_to, phases, frozenset(bars.items())), []).append(run)
    ends = _scales([_end(same[0]) for same in alike.values()])
    panels = []
    for same, end in zip(alike.values(), ends, strict=True):
        lanes = _lanes(same[0])
        if len(lanes) > MAX_LANES:
            lanes = _merged(lanes)
        shown = _fitting(lanes)
        hidden = sum(len(lane.servers) for lane in lanes if lane not in shown)
        panels.append(_Panel([r.result.strategy for r in same], same[0], shown, hidden, end))
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
    """Return the time at which the picture of a run ends: a little after the download.

    What never ends is shown a little longer than anything happens; but of what goes on and on
    the beginning is enough.
    """
    end = run.result.finished
    if end is None:
        end = max((e.ended for e in run.trace.exchanges if e.ended is not None), default=1.0)
    if run.result.outcome == "deadline":
        sent: dict[str, list[float]] = {}
        for exchange in run.trace.exchanges:
            sent.setdefault(exchange.server, []).append(exchange.sent)
        end = min([end, *(times[_ENOUGH] for times in sent.values() if len(times) > _ENOUGH)])
    return end * 1.12 or 1.0


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
    axes.set_xlim(0, end)
    axes.set_ylim(len(lanes) + 0.3, -0.5)
    axes.set_yticks(range(len(lanes)), [lane.name for lane in lanes])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: "0" if t == 0 else seconds(t)))
    axes.hlines(range(len(lanes)), 0, end, color="#E4E4E4", linewidth=0.8, zorder=0)
    for y, lane in enumerate(lanes):
        _lane(axes, y, lane, end)
    _phases(axes, panel.run, end)
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
    ttfb, end = panel.run.result.ttfb, panel.end
    inch = end / _AXIS
    right = ttfb is not None and ttfb < end * 0.6
    beside = ""
    if bound is not None and ttfb is not None and isclose(bound, ttfb):
        beside = " (the bound)"
    elif bound is not None and bound <= end:
        axes.axvline(bound, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)))
        said = f"bound, {seconds(bound)}"
        begins = bound if bound < _BOUND * inch else bound - _BOUND * inch
        other = inf if ttfb is None else ttfb if right else ttfb - _FIRST * inch
        if begins + _BOUND * inch <= other or other + _FIRST * inch <= begins:
            _label(axes, bound, said, begins == bound, "normal")
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
    for bar, row in zip(bars, places, strict=True):
        _bar(axes, bar, lane - 0.35 + (row + 0.5) * thickness, thickness * 0.85, end)
    for overdue in sorted({bar.overdue for bar in shown.bars if bar.overdue is not None}):
        if overdue <= end:
            axes.plot(overdue, lane - 0.34, marker="v", color=style.INK, markersize=4.5)
    late = [bar.exchange.ended for bar in shown.bars if (bar.exchange.ended or 0.0) > end]
    if len(bars) < len(shown.bars):
        _say(axes, "goes on and on", end, lane, style.INK, right=False)
    elif any(bar.exchange.ended is None for bar in shown.bars):
        _say(axes, "no answer", end, lane, style.INK, right=False)
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
    if not exchange.ok:
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


def _phases(axes: Axes, run: Run, end: float) -> None:
    """Mark the phases above the lanes, where the downloader reports them."""
    phases = run.status.phases if run.status else []
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
        if until - begin > end * 0.04:
            axes.annotate(
                _PHASES[phase],
                ((begin + until) / 2, 1),
                xycoords=where,
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                size=7.5,
                color=style.GREY,
            )


def _title(figure: Figure, one: Compared, total: float, version: str, hidden: bool) -> None:
    figure.text(0.02, 1 - 0.15 / total, one.scenario.name, size=12, weight="bold", va="top")
    figure.text(
        0.02,
        1 - 0.42 / total,
        style.plain(one.scenario.description, 130),
        size=9,
        color=style.GREY,
        va="top",
    )
    for x, colour, sign, words in _LEGEND:
        figure.text(x, 1 - 0.66 / total, sign, color=colour, size=8, va="top")
        beside = x + 0.014 * bool(sign)
        figure.text(beside, 1 - 0.66 / total, words, color=style.INK, size=8, va="top")
    runs = len(one.bounds)
    first = f", the first of {runs} runs" if runs > 1 else ""
    chosen = ".  Shown first: who never answered, failed, was overdue or corrupt; then who was read"
    figure.text(
        0.02,
        0.1 / total,
        f"seed {one.first_runs[0].result.seed}{first}; virtual time; firstk {version}"
        + chosen * hidden,
        size=7,
        color=style.GREY,
    )
