"""The timeline of a download: a lane a server, what was asked when and what came back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from harness.simulate import Run
from harness.trace import Exchange
from reports import style
from reports.comparison import Compared
from reports.summary import seconds, verdict

#: More lanes than this do not fit a page: the servers that were read from come first.
MAX_LANES = 24

_LANE = 0.24  # inches
_QUERY = "#56B4E9"
_READ = "#0072B2"
_BAD = "#D55E00"

#: What the colours mean: where it is said (as a part of the width), how, and by what text.
_LEGEND = (
    (0.02, _QUERY, "■ query (get_buckets)"),
    (0.165, _READ, "■ read"),
    (0.225, _BAD, "■ read, corrupt answer"),
    (0.38, _BAD, "× failed"),
    (0.45, style.GREY, "hatched: no answer"),
)

#: What the phases of a download are called in a picture.
_PHASES = {
    "locating": "locate",
    "uri-extension": "UEB",
    "crypttext-hashes": "hashes",
    "blocks": "blocks",
}


def draw(one: Compared, path: Path, version: str) -> list[Path]:
    """Write the timelines of a scenario's strategies, one above the other; return the files."""
    with style.style():
        lanes = [_lanes(run) for run in one.first_runs]
        heights = [len(shown) * _LANE for shown in lanes]
        gap = 0.95  # inches between two panels: a heading and the phases
        total = sum(heights) + gap * len(heights) + 1.4
        figure = Figure(figsize=(10, total))
        end = _end(one.first_runs)
        top = total - 0.95
        for run, shown, height in zip(one.first_runs, lanes, heights, strict=True):
            bottom = top - gap * 0.6 - height
            axes = figure.add_axes((0.09, bottom / total, 0.86, height / total))
            _panel(axes, run, shown, end)
            top = bottom - gap * 0.4
        axes.set_xlabel("virtual time")
        _title(figure, one, total, version)
        return style.save(figure, path)


def _lanes(run: Run) -> list[str]:
    """Return the servers to show, by name: those that were read from before the others."""
    names = list(dict.fromkeys(e.server for e in run.trace.exchanges))
    read = {e.server for e in run.trace.exchanges if e.operation == "read"}
    kept = sorted(names, key=lambda name: name not in read)[:MAX_LANES]
    return [name for name in names if name in kept] or ["(no server was asked)"]


def _end(runs: Sequence[Run]) -> float:
    """Return the time at which the pictures end: a little after the last event."""
    times = [e.ended for run in runs for e in run.trace.exchanges if e.ended is not None]
    finished = [run.result.finished for run in runs if run.result.finished is not None]
    return max([*times, *finished], default=1.0) * 1.12 or 1.0


def _panel(axes: Axes, run: Run, lanes: Sequence[str], end: float) -> None:
    axes.set_xlim(0, end)
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: "0" if t == 0 else seconds(t)))
    axes.hlines(range(len(lanes)), 0, end, color="#E4E4E4", linewidth=0.8, zorder=0)
    for lane, name in enumerate(lanes):
        _lane(axes, lane, [e for e in run.trace.exchanges if e.server == name], end)
    _phases(axes, run, end)
    ttfb = run.result.ttfb
    if ttfb is not None:
        axes.axvline(ttfb, color=style.INK, linewidth=1.2)
        axes.annotate(
            f"first block, {seconds(ttfb)}",
            (ttfb, 0),
            xycoords=("data", "axes fraction"),
            xytext=(4 if ttfb < end * 0.8 else -4, 3),
            textcoords="offset points",
            size=8,
            weight="bold",
            ha="left" if ttfb < end * 0.8 else "right",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    hidden = len({e.server for e in run.trace.exchanges}) - len(lanes)
    more = f"   ({hidden} more servers are not shown)" if hidden > 0 else ""
    axes.set_title(
        f"{run.result.strategy}: {style.plain(verdict([run.result]), 90)}{more}",
        loc="left",
        pad=18,
        size=9.5,
        weight="bold",
    )


def _lane(axes: Axes, lane: int, exchanges: Sequence[Exchange], end: float) -> None:
    """Draw a server's exchanges; those that overlap lie one under the other."""
    rows: list[float] = []  # when each row is free
    places = []
    for exchange in exchanges:
        row = next((i for i, free in enumerate(rows) if free <= exchange.sent), len(rows))
        rows[row : row + 1] = [end if exchange.ended is None else exchange.ended]
        places.append(row)
    thickness = 0.7 / max(1, len(rows))
    for exchange, row in zip(exchanges, places, strict=True):
        y = lane - 0.35 + (row + 0.5) * thickness
        query = exchange.operation == "get_buckets"
        colour = _QUERY if query else _BAD if exchange.spoiled else _READ
        if exchange.ended is None:
            axes.barh(
                y, end - exchange.sent, thickness * 0.85, exchange.sent,
                facecolor="none", edgecolor=colour, hatch="////", linewidth=0.6,
            )  # fmt: skip
            axes.annotate(
                "no answer",
                (end, y),
                xytext=(-4, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                size=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )
            continue
        axes.barh(
            y, exchange.ended - exchange.sent, thickness * 0.85, exchange.sent,
            color=colour, edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        if not exchange.ok:
            axes.plot(exchange.ended, y, marker="x", color=_BAD, markeredgewidth=2)
        if len(exchanges) == 1:  # there is room to say what came back
            said = f"share {exchange.detail}" if exchange.detail else "no shares"
            axes.annotate(
                said if exchange.ok else f"   {exchange.detail}",
                (exchange.ended, y),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                size=7,
                color=style.GREY,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
            )


def _phases(axes: Axes, run: Run, end: float) -> None:
    """Mark the phases above the lanes, where the downloader tells them."""
    phases = run.status.phases if run.status else []
    if not phases:
        return
    ends = [begin for _, begin in phases[1:]] + [end]
    for (phase, begin), until in zip(phases, ends, strict=True):
        if phase not in _PHASES:
            continue
        axes.annotate(
            "",
            (begin, 1.03),
            (until, 1.03),
            xycoords=("data", "axes fraction"),
            arrowprops={"arrowstyle": "|-|", "mutation_scale": 2.5, "color": style.GREY},
        )
        if until - begin > end * 0.04:
            axes.annotate(
                _PHASES[phase],
                ((begin + until) / 2, 1.03),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                size=7.5,
                color=style.GREY,
            )


def _title(figure: Figure, one: Compared, total: float, version: str) -> None:
    figure.text(0.02, 1 - 0.15 / total, one.scenario.name, size=12, weight="bold", va="top")
    figure.text(
        0.02,
        1 - 0.42 / total,
        style.plain(one.scenario.description, 130),
        size=9,
        color=style.GREY,
        va="top",
    )
    for x, colour, text in _LEGEND:
        figure.text(x, 1 - 0.66 / total, text, color=colour, size=8, va="top")
    figure.text(
        0.02,
        0.1 / total,
        f"seed {one.first_runs[0].result.seed}; virtual time; firstk {version}",
        size=7,
        color=style.GREY,
    )
