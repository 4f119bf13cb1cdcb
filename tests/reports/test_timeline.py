"""Timelines show every request where it was, and none as answered that never was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from downloader.strategy import STRATEGIES
from reports import timeline
from reports.comparison import Compared
from scenarios.library import load_all
from scenarios.model import Scenario
from tests.reports.samples import (
    BROKEN,
    HUNG,
    catch_figures,
    compared,
    formulas,
    outside,
    points,
    scenario,
    spans,
)

LONG = "a-scenario-with-a-name-as-long-as-a-name-may-be-and-it-may-be-eighty-letters-ok"

SOME_HUNG = [{"select": "3-9", **HUNG}]


def drawn(monkeypatch: pytest.MonkeyPatch, one: Compared) -> Figure:
    """Return the picture of a scenario's runs."""
    caught = catch_figures(monkeypatch)
    timeline.draw(one, Path("timeline"), "1.0")
    assert 1 == len(caught)
    return caught[0]


def panels(monkeypatch: pytest.MonkeyPatch, one: Scenario) -> tuple[Compared, list[Axes]]:
    """Return the runs of a scenario, and the panel of each."""
    runs = compared(one)
    return runs, drawn(monkeypatch, runs).axes


def bars(axes: Axes, hatched: bool) -> list[tuple[float, float]]:
    """Return when the bars of a panel begin and end: those of one kind."""
    found = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    return sorted(
        (bar.get_x(), bar.get_x() + bar.get_width())
        for bar in found
        if bool(bar.get_hatch()) == hatched
    )


def lanes(axes: Axes) -> list[str]:
    """Return what stands beside the lanes of a panel, from above."""
    return [label.get_text() for label in axes.get_yticklabels()]


def words(axes: Axes) -> list[str]:
    """Return what stands in a panel."""
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"entries": SOME_HUNG},
        {"entries": [{"select": "0", "fault": {"kind": "hung", "on": ["read"]}}]},
        {"entries": [{"select": "2-9", **BROKEN}]},
        {"entries": [{"select": "all", **HUNG}]},
        {"entries": [{"select": "2", "fault": {"kind": "hung", "end": 5.0}}]},
        {"rtt": 0.0},
        {"rtt": 1e-6},
        {"rtt": 3000.0, "deadline": 1e6},
        {"deadline": 0.12},
    ],
    ids=["good", "hung", "hangs", "broken", "all hung", "recovers", "0", "fast", "slow", "busy"],
)
def test_bars(tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is a bar from its request to it; what never came ends at the picture's edge."""
    one, axes = panels(monkeypatch, scenario(**tables))

    assert len(axes) == len(one.first_runs)
    for panel, run in zip(axes, one.first_runs, strict=True):
        edge = panel.get_xlim()[1]
        exchanges = run.trace.exchanges
        answered = sorted((x.sent, x.ended) for x in exchanges if x.ended is not None)
        silent = sorted((x.sent, edge) for x in exchanges if x.ended is None)

        assert [pytest.approx(bar) for bar in answered] == bars(panel, hatched=False)
        assert [pytest.approx(bar) for bar in silent] == bars(panel, hatched=True)
        assert len(silent) == words(panel).count("no answer")
        assert all(end < edge for _, end in answered)


def test_bars_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that were under way at one time lie one under the other, within their lane."""
    _, axes = panels(monkeypatch, scenario(1, file={"segment_size": 300}))
    boxes = [bar.get_bbox() for bar in axes[0].patches if isinstance(bar, Rectangle)]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]

    assert any(min(a.x1, b.x1) - max(a.x0, b.x0) > 0.01 for a, b in pairs)
    assert not any(
        min(a.x1, b.x1) - max(a.x0, b.x0) > 1e-9 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1e-9
        for a, b in pairs
    )
    assert all(-0.5 < box.y0 < box.y1 < 0.5 for box in boxes)


def test_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stall has no first block: the line that marks one is not there."""
    one, axes = panels(monkeypatch, scenario(entries=SOME_HUNG))
    assert ["stalled", "ok"] == [run.result.outcome for run in one.first_runs]
    marked = [[w for w in words(panel) if w.startswith("first block")] for panel in axes]
    drawn_lines = [[points(line) for line in panel.lines] for panel in axes]

    assert [[], ["first block, 0.25 s"]] == marked
    assert [[], [[(0.25, 0.0), (0.25, 1.0)]]] == drawn_lines
    assert "wait-for-all: stalls for ever" == axes[0].get_title(loc="left")
    assert "first-k: 0.25 s" == axes[1].get_title(loc="left")


def test_one_time_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels have one scale, so that what is above another was at the same time."""
    slow = {"select": "9", "rtt": {"law": "constant", "value": 5.0}}
    _, axes = panels(monkeypatch, scenario(entries=[slow], strategies=[*STRATEGIES]))

    assert len(STRATEGIES) == len(axes)
    assert 1 == len({panel.get_xlim() for panel in axes})
    assert 5.2 < axes[0].get_xlim()[1]


@pytest.mark.parametrize("count", [10, 24])
def test_lanes(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each server has a lane with its name, in the order in which they were asked."""
    _, axes = panels(monkeypatch, scenario(count))

    assert [[f"s{i}" for i in range(count)]] * 2 == [lanes(panel) for panel in axes]
    assert not any("not shown" in panel.get_title(loc="left") for panel in axes)


@pytest.mark.parametrize("count", [25, 30, 120])
def test_many_servers(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many servers those that were read from are shown, and how many are not is told."""
    far = {"select": f"0-{count - 6}", "rtt": {"law": "constant", "value": 2.0}, "shares": []}
    near = {"select": f"{count - 5}-{count - 1}", "shares": [0, 1, 2]}
    one, axes = panels(monkeypatch, scenario(count, entries=[far, near]))

    for panel, run in zip(axes, one.first_runs, strict=True):
        read = {x.server for x in run.trace.exchanges if x.operation == "read"}

        assert read
        assert read <= set(lanes(panel))
        assert timeline.MAX_LANES == len(lanes(panel)) == len(set(lanes(panel)))
        assert sorted(lanes(panel), key=lambda name: int(name[1:])) == lanes(panel)
        assert f"({count - 24} more servers are not shown)" in panel.get_title(loc="left")


def test_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed request has a cross at its end, and the reason beside it."""
    _, axes = panels(monkeypatch, scenario(entries=[{"select": "8-9", **BROKEN}]))
    crosses = [points(line)[0] for line in axes[0].lines if line.get_marker() == "x"]

    assert [(0.05, 8.0), (0.05, 9.0)] == crosses
    assert 2 == sum("the server is broken" in text for text in words(axes[0]))


def test_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four phases are named, where there were any; a stall ends in none."""
    _, axes = panels(monkeypatch, scenario(entries=SOME_HUNG))
    phases = {"locate", "UEB", "hashes", "blocks"}

    assert {"locate"} == phases & set(words(axes[0]))
    assert phases == phases & set(words(axes[1]))


def test_nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no server was asked there is a lane that says so."""
    _, axes = panels(monkeypatch, scenario(file={"length": 0}))

    assert [["(no server was asked)"]] * 2 == [lanes(panel) for panel in axes]
    assert "ok, nothing was asked for" in axes[0].get_title(loc="left")


def test_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ended before there was a status can be drawn."""
    one = compared(scenario())
    bare = replace(one, first_runs=[replace(run, status=None) for run in one.first_runs])

    assert 2 == len(drawn(monkeypatch, bare).axes)


@pytest.mark.parametrize(
    "name", ["one-slow", "breaks-while-reading", "two-good-eight-broken-duplicate-share"]
)
def test_library_fits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All texts of the library's timelines are inside, and the heading is off the legend."""
    figure = drawn(monkeypatch, compared(load_all([name])[0]))
    where = spans(figure)

    assert [] == outside(figure)
    assert not any(where[name].overlaps(where[text]) for _, _, text in timeline._LEGEND)


@pytest.mark.parametrize(
    ("name", "description"), [(LONG, "short"), ("short", "what it shows, at some length, " * 7)]
)
def test_long_texts(name: str, description: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long name does not stand in the legend, and nothing is cut off at the edge."""
    figure = drawn(monkeypatch, compared(scenario(name=name, description=description)))
    where = spans(figure)

    assert [] == outside(figure)
    assert not any(where[name].overlaps(where[text]) for _, _, text in timeline._LEGEND)


def test_files(tmp_path: Path) -> None:
    """A timeline is written as PNG and as well-formed SVG, each time byte for byte."""
    one = compared(
        scenario(entries=SOME_HUNG, description='<b> & "c" -- ]]>', strategies=[*STRATEGIES])
    )
    again = tmp_path / "again"
    again.mkdir()
    files = timeline.draw(one, tmp_path / "timeline-t", "1.0")

    assert [tmp_path / "timeline-t.png", tmp_path / "timeline-t.svg"] == files
    assert files[0].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert ET.parse(files[1]).getroot().tag.endswith("svg")  # noqa: S314 - it is our own
    assert [file.read_bytes() for file in files] == [
        file.read_bytes() for file in timeline.draw(one, again / "timeline-t", "1.0")
    ]


def test_no_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    """A description is text, whatever it would mean as a formula."""
    assert [] == formulas(drawn(monkeypatch, compared(scenario(description="from $1 to $2"))))
