"""Timelines show every request where it was, and an unanswered one as unanswered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from firstk.downloader.strategy import STRATEGIES
from firstk.harness.grid.trace import Exchange, Trace
from firstk.harness.run.bound import Bound
from firstk.harness.run.comparison import Compared
from firstk.reports.plots import timeline
from firstk.scenarios.library import load_all
from firstk.scenarios.model import Scenario
from tests.marks import few
from tests.reports.samples import (
    BROKEN,
    HUNG,
    catch_figures,
    compared,
    formulas,
    outside,
    overlaps,
    points,
    scenario,
    spans,
)

LONG = "a-scenario-with-a-name-as-long-as-a-name-may-be-and-it-may-be-eighty-letters-ok"

FIVE = [*STRATEGIES]

CORRUPT = {"select": "0", "fault": {"kind": "corrupt", "part": "block"}}

SOME_HUNG = [{"select": "3-9", **HUNG}]


def drawn(monkeypatch: pytest.MonkeyPatch, one: Compared) -> Figure:
    """Return the picture of a scenario's runs."""
    caught = catch_figures(monkeypatch)
    timeline.draw(one, Path("timeline"), "1.0")
    assert len(caught) == 1
    return caught[0]


def panels(monkeypatch: pytest.MonkeyPatch, one: Scenario) -> tuple[Compared, list[Axes]]:
    """Return the runs of a scenario, and the panel of each; runs may share a panel."""
    runs = compared(one)
    titled = {
        strategy: axes
        for axes in drawn(monkeypatch, runs).axes
        for strategy in axes.get_title(loc="left").partition(":")[0].split(", ")
    }
    return runs, [titled[run.result.strategy] for run in runs.first_runs]


def bars(axes: Axes, hatched: bool) -> set[tuple[float, float]]:
    """Return the beginnings and ends of a panel's bars of one kind."""
    return rounded(
        (bar.get_x(), bar.get_x() + bar.get_width())
        for bar in requests(axes)
        if (bar.get_hatch() == timeline._NO_ANSWER) == hatched
    )


def requests(axes: Axes) -> list[Rectangle]:
    """Return the bars of a panel, without bands and breaks."""
    return [bar for bar in axes.patches if isinstance(bar, Rectangle) and not bar.get_gid()]


def marked(axes: Axes, gid: str) -> list[Rectangle]:
    """Return the bands of a panel, or its breaks."""
    return [bar for bar in axes.patches if isinstance(bar, Rectangle) and bar.get_gid() == gid]


def lane_at(axes: Axes, y: float) -> int:
    """Return the lane of a place."""
    return min(range(len(lanes(axes))), key=lambda i: abs(axes.get_yticks()[i] - y))


def rounded(times: Iterable[tuple[float, float]]) -> set[tuple[float, float]]:
    """Return pairs of times without their last digits."""
    return {(float(f"{begin:.9g}"), float(f"{end:.9g}")) for begin, end in times}


def coloured(axes: Axes, colour: str) -> set[float]:
    """Return the beginnings of the bars of a colour."""
    return {
        float(bar.get_x())
        for bar in requests(axes)
        if to_hex(bar.get_facecolor()) == colour.lower()
    }


def lines(axes: Axes, dashed: bool) -> list[float]:
    """Return the times of the lines through a panel: those of first bytes, or of bounds."""
    return [
        points(line)[0][0]
        for line in axes.lines
        if len(points(line)) == 2 and line.is_dashed() == dashed
    ]


def triangles(axes: Axes) -> list[tuple[float, int]]:
    """Return the marks of overdue requests: the time and the lane of each."""
    marked = [points(line)[0] for line in axes.lines if line.get_marker() == "v"]
    return [(time, lane_at(axes, y)) for time, y in marked]


def lanes(axes: Axes) -> list[str]:
    """Return the labels of a panel's lanes, from the top."""
    return [label.get_text() for label in axes.get_yticklabels()]


def legend(figure: Figure) -> list[str]:
    """Return the texts of the legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def words(axes: Axes) -> list[str]:
    """Return the texts in a panel."""
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
    """An answer is a bar from its request to its end; without one, to the picture's edge."""
    one, axes = panels(monkeypatch, scenario(**tables))

    assert len(axes) == len(one.first_runs)
    for panel, run in zip(axes, one.first_runs, strict=True):
        edge = panel.get_xlim()[1]
        exchanges = run.trace.exchanges
        answered = [(x.sent, x.ended) for x in exchanges if x.ended is not None]
        silent = [(x.sent, edge) for x in exchanges if x.ended is None]
        hatched = [bar for bar in requests(panel) if bar.get_hatch() == timeline._NO_ANSWER]
        lanes = {lane_at(panel, bar.get_y() + bar.get_height() / 2) for bar in hatched}
        finished = run.result.finished

        assert rounded(answered) == bars(panel, hatched=False)
        assert rounded(silent) == bars(panel, hatched=True)
        assert len(lanes) == words(panel).count("no answer")
        assert all(end < edge for _, end in answered if finished is None or end <= finished)


def test_bars_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests in progress at the same time are above one another, within their lane."""
    _, axes = panels(monkeypatch, scenario(1, file={"segment_size": 300}))
    boxes = [bar.get_bbox() for bar in requests(axes[0])]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]

    assert any(min(a.x1, b.x1) - max(a.x0, b.x0) > 0.01 for a, b in pairs)
    assert not any(
        min(a.x1, b.x1) - max(a.x0, b.x0) > 1e-9 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1e-9
        for a, b in pairs
    )
    assert all(0 < box.y0 < box.y1 < axes[0].get_ylim()[0] for box in boxes)
    assert len({round(box.height, 6) for box in boxes}) == 1


def test_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stall has no first byte, and so no line for it."""
    one, axes = panels(monkeypatch, scenario(entries=SOME_HUNG))
    assert [run.result.outcome for run in one.first_runs] == ["stalled", "ok"]
    marked = [[w for w in words(panel) if w.startswith("first byte")] for panel in axes]

    assert marked == [[], ["first byte, 0.25 s"]]
    assert [lines(panel, dashed=False) for panel in axes] == [[], [0.25]]
    assert axes[0].get_title(loc="left") == "wait-for-all: stalls forever"
    assert axes[1].get_title(loc="left") == "first-k: 0.25 s"


@pytest.mark.parametrize("rtt", [0.3, 0.6])
def test_one_time_axis(rtt: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels have one scale, so that equal times are above one another."""
    slow = {"select": "9", "rtt": {"law": "constant", "value": rtt}}
    _, axes = panels(monkeypatch, scenario(entries=[slow], strategies=FIVE))

    assert len(FIVE) == len(axes)
    assert len({panel.get_xlim() for panel in axes}) == 1
    assert rtt + 0.2 < axes[0].get_xlim()[1]
    assert {panel.get_xlabel() for panel in axes} == {"", "virtual time"}


def test_idle_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing happens for long in any panel, that is visibly cut out of all of them."""
    slow = {"select": "9", "rtt": {"law": "constant", "value": 5.0}}
    figure = drawn(monkeypatch, compared(scenario(entries=[slow], strategies=FIVE)))
    axes = figure.axes

    for panel in axes:
        breaks = [bar.get_bbox() for bar in marked(panel, "break")]
        assert [(round(box.x0, 6), round(box.x1, 6)) for box in breaks] == [(0.3, 4.9)]
        assert {0.3, 4.9} <= {round(float(tick), 6) for tick in panel.get_xticks()}
        assert "4.6 s cut out" in words(panel)
        width = panel.transData.transform((0.1, 0))[0] - panel.transData.transform((0, 0))[0]
        assert width > panel.bbox.width / 10
    assert len({panel.get_xlim() for panel in axes}) == 1
    assert "idle time, cut out" in legend(figure)


def test_two_time_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A much longer run has its own scale, and each panel has the label of its scale."""
    slow = {"select": "all", "rtt": {"law": "constant", "value": 1.0}}
    runs = [compared(one).first_runs[0] for one in (scenario(entries=[slow]), scenario())]
    both = replace(compared(scenario()), first_runs=runs)
    labels = [axes.get_xlabel() for axes in drawn(monkeypatch, both).axes]

    assert labels == [
        "virtual time, 0 to 5.6 s: scales differ between panels",
        "virtual time, 0 to 0.28 s: scales differ between panels",
    ]


@pytest.mark.parametrize(
    ("ends", "scales"),
    [
        ([1.0], [1.0]),
        ([1.0, 9.0], [9.0, 9.0]),
        ([6.0, 0.3, 0.1, 0.3], [6.0, 0.3, 0.3, 0.3]),
        ([1.0, 9.0, 80.0, 900.0], [80.0, 80.0, 80.0, 900.0]),
    ],
)
def test_scales(ends: list[float], scales: list[float]) -> None:
    """Panels share a scale unless the gap between their times is too wide."""
    assert scales == timeline._scales(ends)


def test_after_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer long after the end of the download is cut off, with a note."""
    slow = {"select": "9", "rtt": {"law": "constant", "value": 5.0}}
    _, axes = panels(monkeypatch, scenario(entries=[slow], strategies=["first-k"]))

    assert axes[0].get_xlim()[1] < 0.3
    assert "until 5 s →" in words(axes[0])


def test_same_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strategies with the same run share a panel; a different one has its own."""
    slow = {"select": "9", "rtt": {"law": "constant", "value": 0.1}}
    _, axes = panels(monkeypatch, scenario(entries=[slow], strategies=FIVE))

    assert axes[1].get_title(loc="left") == "first-k, first-k-late: 0.25 s"
    assert axes[1] is axes[2]
    assert len({id(panel) for panel in axes}) == 4


def test_overdue_sets_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that differ only in overdue requests do not share a panel."""
    slow = {"select": "9", "rtt": {"law": "constant", "value": 0.1}}
    _, axes = panels(monkeypatch, scenario(entries=[slow], strategies=["windowed", "hedged"]))

    assert [[lane for _, lane in triangles(panel)] for panel in axes] == [[], [4]]


def test_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    """An overdue request is marked when it became overdue; the read that followed is a hedge."""
    hangs = {"select": "0", "fault": {"kind": "hung", "on": ["read"]}}
    one, axes = panels(monkeypatch, scenario(entries=[hangs], strategies=["hedged"]))
    status = one.first_runs[0].status
    assert status
    overdue = {request.overdue for request in status.requests if request.overdue is not None}

    assert 1 == len(overdue) == status.hedges
    assert [(time, 0) for time in overdue] == triangles(axes[0])
    assert overdue == coloured(axes[0], timeline._HEDGE)


@pytest.mark.parametrize("set_", ["ticket-928", "hung-server"])
def test_requests_are_exchanges(set_: str) -> None:
    """The n-th request of the downloader is the n-th exchange of the trace."""
    for one in load_all([set_]):
        for run in compared(one.model_copy(update={"strategies": FIVE})).first_runs:
            assert run.status
            assert [(r.server, r.share, r.sent) for r in run.status.requests] == [
                (x.server, x.share, x.sent) for x in run.trace.exchanges
            ]


@pytest.mark.parametrize(
    ("entries", "bounds", "said"),
    [
        ([], [[0.1], []], [["bound, 0.1 s"], ["first byte, 0.1 s (the bound)"]]),
        (SOME_HUNG, [[0.1], []], [["bound, 0.1 s"], ["first byte, 0.1 s (the bound)"]]),
        ([{"select": "2-9", **BROKEN}], [[], []], [[], []]),
    ],
    ids=["good", "hung", "impossible"],
)
def test_bound(
    entries: list[dict[str, Any]],
    bounds: list[list[float]],
    said: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bound is a dashed line in each panel, unless the first byte is at the bound."""
    one = scenario(entries=entries, strategies=["wait-for-all", "windowed"])
    _, axes = panels(monkeypatch, one)

    assert bounds == [lines(panel, dashed=True) for panel in axes]
    assert said == [[word for word in words(panel) if "bound" in word] for panel in axes]


def test_bound_near_the_first_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is no space for two labels, one has both texts."""
    one = compared(scenario(strategies=["first-k"]))
    one = replace(one, strategies=[replace(one.strategies[0], bounds=[Bound(0.24, 6, 4000)])])
    axes = drawn(monkeypatch, one).axes

    assert [w for w in words(axes[0]) if "bound" in w] == ["first byte, 0.25 s (bound, 0.24 s)"]
    assert lines(axes[0], dashed=False) == [0.25]
    assert lines(axes[0], dashed=True) == [0.24]


def test_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours that were only queried, and answered at the same time, share a lane."""
    slow = {"select": "6", "rtt": {"law": "constant", "value": 0.1}}
    broken = {"select": "8-9", **BROKEN}
    _, axes = panels(monkeypatch, scenario(entries=[slow, broken], strategies=["first-k"]))

    assert lanes(axes[0]) == ["s0", "s1", "s2", "s3 to s5", "s6", "s7", "s8 to s9"]
    assert {"shares 3 to 5", "share 6", "share 7"} <= set(words(axes[0]))


@pytest.mark.parametrize("count", [10, 24])
def test_a_lane_each(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Different servers have a lane each, in the order in which they were queried."""
    _, axes = panels(monkeypatch, different(count))

    assert [[f"s{i}" for i in range(count)]] * 2 == [lanes(panel) for panel in axes]
    assert not any("not shown" in panel.get_title(loc="left") for panel in axes)


def different(count: int, entries: Sequence[dict[str, Any]] = ()) -> Scenario:
    """Return a scenario in which all servers differ."""
    rtts = [
        {"select": str(i), "rtt": {"law": "constant", "value": 0.05 + i / 1000}}
        for i in range(count)
    ]
    return scenario(count, entries=[*rtts, *entries])


@pytest.mark.parametrize("count", [25, 30, 120])
def test_many_servers(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many servers, those that were read from are shown, and the rest are counted."""
    far = {"select": f"0-{count - 6}", "shares": []}
    near = {"select": f"{count - 5}-{count - 1}", "shares": [0, 1, 2]}
    one, axes = panels(monkeypatch, different(count, [far, near]))

    for panel, run in zip(axes, one.first_runs, strict=True):
        read = {x.server for x in run.trace.exchanges if x.operation == "read"}

        assert read
        assert read <= set(lanes(panel))
        assert timeline.MAX_LANES == len(lanes(panel)) == len(set(lanes(panel)))
        assert sorted(lanes(panel), key=lambda name: int(name[1:])) == lanes(panel)
        assert f"({count - 24} more servers are not shown)" in panel.get_title(loc="left")


def test_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed request has a cross at its end, with the reason next to it."""
    _, axes = panels(monkeypatch, scenario(entries=[{"select": "8-9", **BROKEN}]))
    crosses = [points(line)[0] for line in axes[0].lines if line.get_marker() == "x"]

    assert [(time, lane_at(axes[0], y)) for time, y in crosses] == [(0.05, 4)]
    assert lanes(axes[0])[4] == "s8 to s9"
    assert sum("the server is broken" in text for text in words(axes[0])) == 1


@pytest.mark.parametrize(
    ("entries", "strategy", "more"),
    [
        ([], "windowed", []),
        (SOME_HUNG, "windowed", ["never answered"]),
        ([{"select": "8-9", **BROKEN}], "windowed", ["failed"]),
        ([{"select": "2-9", **BROKEN}], "windowed", ["failed", "the download fails"]),
        (
            [{"select": "0", "fault": {"kind": "corrupt", "part": "block"}}],
            "windowed",
            ["read, corrupt answer"],
        ),
        (
            [{"select": "0", "fault": {"kind": "hung", "on": ["read"]}}],
            "hedged",
            ["cancelled", "hedged read", "overdue from here on"],
        ),
    ],
    ids=["good", "hung", "broken", "fails", "corrupt", "hedged"],
)
def test_legend(
    entries: list[dict[str, Any]], strategy: str, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The legend lists exactly what is drawn."""
    figure = drawn(monkeypatch, compared(scenario(entries=entries, strategies=[strategy])))
    fails = "the download fails" in more
    always = {"query (get_buckets)", "phase"} | ({"read", "first byte"} if not fails else {"read"})

    assert set(legend(figure)) - {"earliest possible (bound)"} == {*always, *more}


def test_parallel_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel requests to a server make its lane higher, and each keeps its height."""
    figure = drawn(monkeypatch, compared(scenario(strategies=["first-k"])))
    axes = figure.axes[0]
    bands = [bar.get_bbox() for bar in marked(axes, "band")]

    assert lanes(axes) == ["s0", "s1", "s2", "s3 to s9"]
    assert bands[0].height == pytest.approx(timeline._LANE + timeline._ROW)
    assert len({round(float(bar.get_height()), 6) for bar in requests(axes)[:-1]}) == 1


def test_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phases that occurred are labelled; a stall has only the first."""
    _, axes = panels(monkeypatch, scenario(entries=SOME_HUNG))
    phases = {"locate", "UEB", "hashes", "blocks"}

    assert phases & set(words(axes[0])) == {"locate"}
    assert phases == phases & set(words(axes[1]))


def test_phases_of_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strategies that read a share in one round have two phases."""
    _, axes = panels(monkeypatch, scenario(strategies=["windowed", "hedged"]))

    for panel in axes:
        assert {"locate", "UEB", "hashes", "blocks"} & set(words(panel)) == {"locate", "blocks"}


def test_nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no server was queried, a lane says so."""
    _, axes = panels(monkeypatch, scenario(file={"length": 0}))

    assert [lanes(panel) for panel in axes] == [["(no server was asked)"]] * 2
    assert "ok, nothing was asked for" in axes[0].get_title(loc="left")


def test_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without a status can be drawn."""
    one = compared(scenario())
    bare = replace(one, first_runs=[replace(run, status=None) for run in one.first_runs])

    assert len(drawn(monkeypatch, bare).axes) == 1


def test_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a run queries one server endlessly, until the deadline, its beginning is shown."""
    one = compared(scenario())
    run = one.first_runs[0]
    reads = [Exchange(n, "s0", "read", 0, 0, 36, 0.5 * n) for n in range(5000)]
    for read in reads:
        read.ended, read.ok = read.sent + 0.5, True
    busy = replace(run.result, outcome="deadline", ttfb=None, finished=None)
    endless = replace(run, result=busy, trace=Trace(reads), status=None)
    panel = drawn(monkeypatch, replace(one, first_runs=[endless])).axes[0]

    assert 100 < len(bars(panel, hatched=False)) < 200
    assert 50 < panel.get_xlim()[1] < 100
    assert [text for text in words(panel) if "goes" in text] == ["goes on and on →"]


@pytest.mark.parametrize(
    "name", ["one-slow", "breaks-while-reading", "two-good-eight-broken-duplicate-share"]
)
def test_library_fits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All texts of the library's timelines fit, and the heading is off the legend."""
    figure = drawn(monkeypatch, compared(load_all([name])[0]))
    where = spans(figure)

    assert outside(figure) == []
    assert not any(where[name].overlaps(where[text]) for text in legend(figure))


@pytest.mark.slow
@pytest.mark.parametrize("set_", ["ticket-928", "hung-server"])
def test_nothing_overlaps(set_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With five strategies, the library's timelines fit, and no texts overlap."""
    for one in load_all([set_]):
        figure = drawn(monkeypatch, compared(one.model_copy(update={"strategies": FIVE})))
        monkeypatch.undo()

        assert outside(figure) == []
        assert overlaps(figure) == []


@pytest.mark.parametrize("name", few(1, ["duplicate-heavy", "everything-at-once"]))
def test_nothing_overlaps_above_many_lanes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However high a panel is, its phases are labelled between it and its heading."""
    one = load_all([name])[0].model_copy(update={"runs": 1, "strategies": FIVE})
    figure = drawn(monkeypatch, compared(one))

    assert one.grid.servers == 20
    assert outside(figure) == []
    assert overlaps(figure) == []


@pytest.mark.parametrize(
    ("servers", "name"),
    [
        (["s7"], "s7"),
        (["s8", "s9"], "s8 to s9"),
        (["s9", "s10", "s11", "s12"], "s9 to s12"),
        (["s7", "s2"], "s7, s2"),
        (["s2", "s4"], "s2, s4"),
        (["s3", "s2", "s1"], "s3, s2, s1"),
        (["s3", "s5", "s4", "s6"], "s3, s5 and 2 more"),
        ([f"s{i}" for i in range(120, 0, -1)], "s120, s119 and 118 more"),
        (["mine"], "mine"),
        (["mine", "s0"], "mine, s0"),
    ],
)
def test_lane_name(servers: list[str], name: str) -> None:
    """A lane is named after its servers, as a range only if it has all of the range."""
    assert name == timeline._Lane(servers, [], []).name


def test_long_lane_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is space for the name of a lane of many servers."""
    grid = {"servers": 130, "rtt": {"law": "constant", "value": 0.05}, "order": "shuffled"}
    hung = [{"select": "20-129", **HUNG}]
    one = scenario(grid=grid, entries=hung, strategies=["wait-for-all"])
    figure = drawn(monkeypatch, compared(one))

    assert any("more" in name for panel in figure.axes for name in lanes(panel))
    assert outside(figure) == []


@pytest.mark.parametrize(
    ("runs", "said"), [(1, "seed 5; virtual"), (3, "seed 5, the first of 3 runs; virtual")]
)
def test_small_print(runs: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many runs the picture shows the first, and says so."""
    figure = drawn(monkeypatch, compared(scenario(seed=5, runs=runs)))

    assert said in " ".join(spans(figure))


@pytest.mark.parametrize(
    ("name", "description"), [(LONG, "short"), ("short", "what it shows, at some length, " * 7)]
)
def test_long_texts(name: str, description: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long name does not overlap the legend, and nothing is cut off at the edge."""
    figure = drawn(monkeypatch, compared(scenario(name=name, description=description)))
    where = spans(figure)

    assert outside(figure) == []
    assert not any(where[name].overlaps(where[text]) for text in legend(figure))


def test_files(tmp_path: Path) -> None:
    """A timeline is written as PNG and as well-formed SVG, with equal bytes each time."""
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
    """A description is shown as text, even if it looks like a formula."""
    assert formulas(drawn(monkeypatch, compared(scenario(description="from $1 to $2")))) == []
