"""Results, scenarios and comparisons to make reports from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from firstk.harness.run.bound import Bound, bound
from firstk.harness.run.comparison import Compared
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.reports.plots import style
from firstk.scenarios.model import Scenario

OK = Result(
    scenario="t",
    strategy="first-k",
    run=0,
    seed=0,
    outcome="ok",
    error=None,
    message=None,
    located=0.05,
    ttfb=0.25,
    finished=0.25,
    ended=0.25,
    queries=10,
    reads=11,
    bytes_received=4117,
    shares_used=[0, 1, 2],
    content_ok=True,
    digest="5f" * 32,
)

STALLED = replace(
    OK,
    outcome="stalled",
    located=None,
    ttfb=None,
    finished=None,
    reads=0,
    bytes_received=0,
    shares_used=[],
    content_ok=None,
)

FAILED = replace(
    STALLED,
    outcome="failed",
    error="NotEnoughSharesError",
    message="not enough shares: have 2, need 3\n  s0: answered share 0\n  s1: failed",
    finished=0.05,
)

DEADLINE = replace(STALLED, outcome="deadline", ended=3600.0)

#: A result without a requested byte.
NOTHING = replace(OK, located=None, ttfb=None, finished=0.0, ended=0.0, content_ok=None)

HUNG = {"fault": {"kind": "hung"}}
BROKEN = {"fault": {"kind": "broken"}}


def took(time: float, **changes: Any) -> Result:
    """Return a result whose first byte came after `time`."""
    return replace(OK, ttfb=time, finished=time, ended=time, **changes)


#: A bound for scenarios with the result OK.
BOUND = Bound(0.1, 6, 4000)

#: A bound for scenarios in which no strategy can succeed.
NO_BOUND = Bound(None, None, None)


def summary(
    *results: Result, strategy: str = "first-k", bounds: Sequence[Bound] | None = None
) -> StrategyRuns:
    """Return a summary of these results, as runs of one strategy."""
    runs = [replace(r, strategy=strategy, run=i, seed=i) for i, r in enumerate(results)]
    return StrategyRuns(runs[0].strategy, runs, None, bounds or [BOUND] * len(runs))


def scenario(
    count: int = 10, rtt: float = 0.05, entries: Sequence[Mapping[str, Any]] = (), **tables: Any
) -> Scenario:
    """Return a scenario with `count` servers, and entries about some of them."""
    file = {"size": 1000, "k": 3, "n": 10} | tables.pop("file", {})
    grid = {"servers": count, "rtt": {"law": "constant", "value": rtt}}
    servers = list(entries)
    return Scenario.model_validate(
        {"name": "t", "file": file, "grid": grid, "servers": servers, **tables}
    )


def compared(one: Scenario) -> Compared:
    """Return the results of a scenario's strategies."""
    runs = [[simulate(one, s, i) for i in range(one.runs)] for s in one.strategies]
    bounds = [bound(one, i) for i in range(one.runs)]
    results = [[run.result for run in of_strategy] for of_strategy in runs]
    summaries = [
        StrategyRuns(of[0].strategy, of, results[0] if i else None, bounds)
        for i, of in enumerate(results)
    ]
    return Compared(one, summaries, [of_strategy[0] for of_strategy in runs])


def made(summaries: Sequence[StrategyRuns], **tables: Any) -> Compared:
    """Return a comparison of these strategies, without any runs."""
    first, *others = summaries
    compared = [first, *(replace(one, first=first.samples) for one in others)]
    return Compared(scenario(**tables), compared, [])


class Caught(list[Figure]):
    """The figures that were drawn, instead of their files."""

    def save(self, figure: Figure, path: Path) -> list[Path]:
        """Keep a figure."""
        self.append(figure)
        return []


def catch_figures(monkeypatch: pytest.MonkeyPatch) -> Caught:
    """Catch the figures that are drawn from now on, before they are written."""
    caught = Caught()
    monkeypatch.setattr(style, "save", caught.save)
    return caught


def write_empty_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write empty pictures from now on: their contents are tested elsewhere."""

    def save(figure: Figure, path: Path) -> list[Path]:
        files = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "svg")]
        for file in files:
            file.write_text("<svg/>", encoding="utf-8")
        return files

    monkeypatch.setattr(style, "save", save)


def spans(figure: Figure) -> dict[str, Bbox]:
    """Return where the texts of a figure are, in pixels, except for the times on its axes."""
    canvas: Any = FigureCanvasAgg(figure)  # it has no types
    canvas.draw()
    times = [t for axes in figure.axes for t in axes.get_xticklabels(which="both")]
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return {
        text.get_text(): text.get_window_extent(canvas.get_renderer())
        for text in texts
        if text.get_text().strip() and text not in times
    }


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts that overlap, except for the times on axes."""
    canvas: Any = FigureCanvasAgg(figure)  # it has no types
    canvas.draw()
    times = [t for axes in figure.axes for t in axes.get_xticklabels(which="both")]
    texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and t not in times]
    boxes = [
        (text.get_text(), text.get_window_extent(canvas.get_renderer()))
        for text in texts
        if text.get_text().strip()
    ]
    return [
        (one, other)
        for i, (one, a) in enumerate(boxes)
        for other, b in boxes[:i]
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


def covered(figure: Figure) -> list[str]:
    """Return the texts that a mark covers, with the size at which it is drawn.

    Markers that are numbers belong to ticks, and are ignored.
    """
    texts = spans(figure)
    marked = [line for line in figure.findobj(Line2D) if isinstance(line, Line2D)]
    marked = [line for line in marked if str(line.get_marker()) in set("soDvPXhp*^x")]
    boxes = []
    for line in marked:
        half = line.get_markersize() / 2 / 72 * figure.dpi
        for x, y in line.get_transform().transform(points(line)):
            boxes.append(Bbox([(x - half, y - half), (x + half, y + half)]))
    return [text for text, span in texts.items() if any(map(span.overlaps, boxes))]


def outside(figure: Figure) -> list[str]:
    """Return the texts that the figure's edge cuts off."""
    box = figure.bbox.padded(1)
    return [
        text
        for text, span in spans(figure).items()
        if not (box.x0 <= span.x0 and span.x1 <= box.x1 and box.y0 <= span.y0 and span.y1 <= box.y1)
    ]


def formulas(figure: Figure) -> list[str]:
    """Return the texts that matplotlib would set as formulas."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    found = [text for text in texts if is_math_text(text.get_text())]
    return [text.get_text() for text in found if text.get_parse_math()]


def points(line: Line2D) -> list[tuple[float, float]]:
    """Return the points of a line."""
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
