"""The main picture shows each time where it is, and no time where there is none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import isfinite
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from firstk.downloader.strategy import STRATEGIES
from firstk.harness.run.bound import Bound
from firstk.harness.run.comparison import Compared
from firstk.harness.run.result import Result
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.reports.plots import latency
from firstk.scenarios.library import load_all
from firstk.scenarios.load import ScenarioError
from tests.marks import few, few_rows
from tests.reports.samples import (
    BROKEN,
    DEADLINE,
    FAILED,
    HUNG,
    NO_BOUND,
    NOTHING,
    OK,
    STALLED,
    catch_figures,
    compared,
    covered,
    formulas,
    made,
    outside,
    overlaps,
    points,
    scenario,
    spans,
    summary,
    took,
)

LONG = "a-scenario-with-a-name-as-long-as-a-name-may-be-and-it-may-be-eighty-letters-ok"


def drawn(monkeypatch: pytest.MonkeyPatch, *compared: Compared) -> Figure:
    """Return the picture of a comparison."""
    caught = catch_figures(monkeypatch)
    latency.draw(compared, Path("latency"), "1.0")
    assert len(caught) == 1
    return caught[0]


def rows(axes: Axes, strategy: str) -> list[float]:
    """Return the heights of a strategy's lines, from the top."""
    texts = [text for text in axes.texts if isinstance(text, Annotation)]
    found = [text for text in texts if strategy in text.get_text().replace("\n", " ").split(", ")]
    return [text.xy[1] for text in found]


def lines_at(axes: Axes, y: float, never: bool = False) -> list[Line2D]:
    """Return what is drawn at a height: at its time, or in the column `never`."""
    return [
        line
        for line in axes.lines
        if {y} == {height for _, height in points(line)}
        and (points(line)[0][0] == latency._NEVER) is never
    ]


def never_marks(axes: Axes, y: float) -> list[str]:
    """Return the marks of a line in the column `never`."""
    return [str(line.get_marker()) for line in lines_at(axes, y, never=True)]


def bounds(axes: Axes) -> list[tuple[float, float, float]]:
    """Return the lines of bounds: each with its time, top and bottom."""
    ends = [points(line) for line in axes.lines if len(points(line)) == 2]
    return [(x, top, bottom) for (x, top), (same, bottom) in ends if x == same and top != bottom]


def words(axes: Axes) -> list[str]:
    """Return the texts in the picture."""
    return [text.get_text() for text in axes.texts]


def times(axes: Axes, y: float) -> list[float]:
    """Return every time in a line: its marks, and the ends of its range."""
    return sorted({time for line in lines_at(axes, y) for time, _ in points(line)})


def marks(axes: Axes, y: float) -> list[tuple[str, float]]:
    """Return the marks in a line, with their times."""
    marked = [line for line in lines_at(axes, y) if line.get_marker() != "None"]
    return [(str(line.get_marker()), time) for line in marked for time, _ in points(line)]


def arrows(axes: Axes, y: float) -> int:
    """Return the number of arrows from a line to `never`."""
    texts = [text for text in axes.texts if isinstance(text, Annotation)]
    return sum(text.arrow_patch is not None and text.xy[1] == y for text in texts)


def waiting(*results: Result) -> StrategyRuns:
    """Return a summary of wait-for-all."""
    return summary(*results, strategy="wait-for-all")


def test_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time to first byte is marked where it is."""
    axes = drawn(monkeypatch, made([waiting(took(5.2)), summary(took(0.25))])).axes[0]

    assert marks(axes, rows(axes, "wait-for-all")[0]) == [("s", 5.2)]
    assert marks(axes, rows(axes, "first-k")[0]) == [("o", 0.25)]


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([STALLED], "stalls forever"),
        ([DEADLINE], "busy at the deadline"),
        ([STALLED] * 3, "3 of 3 stall"),
        ([STALLED, DEADLINE], "1 stall, 1 busy of 2"),
    ],
    ids=["stall", "deadline", "stalls", "some of each"],
)
def test_never(results: list[Result], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result without a first byte has no mark at any time, but an arrow to `never`."""
    one = waiting(*results)
    axes = drawn(monkeypatch, made([one, summary(OK)])).axes[0]
    y = rows(axes, "wait-for-all")[0]

    assert times(axes, y) == []
    assert never_marks(axes, y) == ["s"]
    assert arrows(axes, y) == 1
    assert said in [text.get_text() for text in axes.texts]
    assert arrows(axes, rows(axes, "first-k")[0]) == 0


def test_some_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """If some runs fail and others stall, both are shown."""
    axes = drawn(monkeypatch, made([waiting(STALLED, FAILED, FAILED), summary(OK)])).axes[0]
    y = rows(axes, "wait-for-all")[0]

    assert marks(axes, y) == [("x", 0.05)]
    assert "1 stall, 2 fail of 3" in words(axes)
    assert "fails in 2 of 3 runs: have 2, need 3" in words(axes)


def test_real_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real run with hung servers has no mark at any time."""
    one = compared(scenario(entries=[{"select": "3-9", **HUNG}]))
    axes = drawn(monkeypatch, one).axes[0]

    assert times(axes, rows(axes, "wait-for-all")[0]) == []
    assert times(axes, rows(axes, "first-k")[0]) == [0.25]


def test_stall_after_the_first_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that began and never ended has its mark, and an arrow from there."""
    one = made([waiting(replace(STALLED, ttfb=0.25)), summary(OK)])
    axes = drawn(monkeypatch, one).axes[0]
    y = rows(axes, "wait-for-all")[0]

    assert times(axes, y) == [0.25]
    assert arrows(axes, y) == 1
    assert "stalls forever" in [text.get_text() for text in axes.texts]


def test_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is a cross at its time, with its reason."""
    axes = drawn(monkeypatch, made([waiting(FAILED), summary(OK)])).axes[0]
    y = rows(axes, "wait-for-all")[0]

    assert marks(axes, y) == [("x", 0.05)]
    assert arrows(axes, y) == 0
    assert "fails: have 2, need 3" in [text.get_text() for text in axes.texts]


def test_many_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """For many runs, the median is marked, and a line spans them all."""
    results = [took(t) for t in (0.5, 0.1, 0.3, 0.2, 0.4)]
    axes = drawn(monkeypatch, made([summary(*results)])).axes[0]
    y = rows(axes, "first-k")[0]

    assert marks(axes, y) == [("o", 0.3)]
    assert times(axes, y) == [0.1, 0.3, 0.5]


def test_median_of_an_even_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark of the median agrees with the table."""
    one = summary(took(0.1), took(0.2), took(0.6), took(0.9))
    axes = drawn(monkeypatch, made([one])).axes[0]

    assert one.verdict.startswith("0.2 s")
    assert [pytest.approx(0.2)] == [time for _, time in marks(axes, rows(axes, "first-k")[0])]


@pytest.mark.parametrize(
    ("first", "second", "scale"),
    [(0.25, 0.25, "linear"), (4.9, 0.25, "linear"), (5.2, 0.25, "log"), (3600.0, 0.001, "log")],
)
def test_scale(first: float, second: float, scale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The axis is logarithmic if times differ much, says so, and includes them all."""
    bound = [Bound(second, 6, 4000)]
    one = made([summary(took(first), strategy="s", bounds=bound), summary(took(second))])
    axes = drawn(monkeypatch, one).axes[0]
    low, high = axes.get_xlim()

    assert scale == axes.get_xscale()
    assert (scale == "log") == ("logarithmic" in axes.get_xlabel())
    assert low < second <= first < high


def test_linear_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """A linear axis begins at zero, so that lengths can be compared."""
    axes = drawn(monkeypatch, made([waiting(took(0.5)), summary(took(0.25))])).axes[0]

    assert axes.get_xlim()[0] == 0


@pytest.mark.parametrize("result", [STALLED, NOTHING, DEADLINE], ids=["stalled", "nothing", "busy"])
def test_no_times(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture without any time can be drawn."""
    figure = drawn(monkeypatch, made([waiting(result), waiting(result)]))

    assert all(isfinite(edge) for edge in figure.axes[0].get_xlim())
    assert outside(figure) == []


@pytest.mark.parametrize("result", [took(0.0), FAILED], ids=["first byte", "failure"])
def test_at_once(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first byte at 0 s is in the picture, even if times differ much."""
    now = summary(replace(result, finished=0.0))
    figure = drawn(
        monkeypatch, made([now], name="now"), made([waiting(took(5.2)), summary(took(0.1))])
    )
    axes = figure.axes[0]
    y = rows(axes, "first-k")[0]
    spans(figure)
    (_, x) = marks(axes, y)[0]
    pixel = axes.transData.transform((x, y))

    assert axes.bbox.padded(1).contains(*pixel)


def test_all_scenarios_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each scenario has a heading, with a line for each of its strategies below."""
    strategies = ["wait-for-all", "first-k", "first-k-late"]
    several = [
        made(
            [summary(took(0.1 * i + n), strategy=s) for n, s in enumerate(strategies[:i])],
            name=f"scenario-{i}",
        )
        for i in (3, 1, 2)
    ]
    axes = drawn(monkeypatch, *several).axes[0]
    texts = [text for text in axes.texts if isinstance(text, Annotation)]
    labels = [text.get_text() for text in texts]
    names = [label for label in labels if label.startswith("scenario-") or label in strategies]

    assert [
        *["scenario-3", *strategies],
        *["scenario-1", *strategies[:1]],
        *["scenario-2", *strategies[:2]],
    ] == names
    assert [len(rows(axes, strategy)) for strategy in strategies] == [3, 2, 1]
    assert all(
        [0.1 * i + n] == times(axes, y)
        for n, strategy in enumerate(strategies)
        for y, i in zip(
            rows(axes, strategy), [i for i in (3, 1, 2) if strategy in strategies[:i]], strict=True
        )
    )


def test_strategy_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A custom strategy is drawn too."""
    axes = drawn(monkeypatch, made([summary(OK, strategy="mine")])).axes[0]

    assert marks(axes, rows(axes, "mine")[0]) == [("^", 0.25)]


def test_small_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small print has the seeds, the runs and the version."""
    figure = drawn(
        monkeypatch, made([summary(OK)], seed=3, runs=5), made([summary(OK)], seed=9, runs=5)
    )
    printed = " ".join(spans(figure))

    assert "seed 3 to 9; runs 5;" in printed
    assert "firstk 1.0" in printed


@pytest.mark.parametrize("set_", few(1, ["ticket-928", "hung-server"]))
def test_library_fits(set_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All texts in the library's pictures fit."""
    figure = drawn(monkeypatch, *(compared(one) for one in load_all([set_])))

    assert outside(figure) == []


@pytest.mark.parametrize(
    "one",
    [
        made([waiting(OK), summary(OK)], name=LONG, description="what it shows"),
        made([waiting(OK), summary(OK)], description="what it shows, at some length, " * 7),
        made([waiting(*[STALLED] * 100), summary(OK)]),
        made([waiting(*[DEADLINE] * 100), summary(OK)]),
        made([waiting(took(0.1), took(9.9), *[STALLED] * 98), summary(OK)]),
        made([waiting(took(9.0), *[FAILED] * 49, *[DEADLINE] * 50), summary(OK)]),
    ],
    ids=["name", "description", "stalls", "deadlines", "some stall", "some of each"],
)
def test_fits(one: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off at the edges, however much text there is."""
    assert outside(drawn(monkeypatch, one)) == []


def test_texts_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """If some runs stall, the texts about them do not overlap others."""
    one = made([waiting(took(0.3), took(0.5), *[STALLED] * 98)])
    figure = drawn(monkeypatch, one)

    assert {"never [0.3 s to never]", "98 of 100 stall"} <= set(words(figure.axes[0]))
    assert overlaps(figure) == []


def test_no_median_of_survivors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without a first byte counts as infinite; if most runs do, so does the median."""
    one = made(
        [
            waiting(took(0.3), took(0.5), *[STALLED] * 3),
            summary(took(0.1), took(0.2), STALLED),
        ]
    )
    axes = drawn(monkeypatch, one).axes[0]
    most, few = rows(axes, "wait-for-all")[0], rows(axes, "first-k")[0]

    assert (marks(axes, most), never_marks(axes, most)) == ([], ["s"])
    assert marks(axes, few) == [("o", 0.2)]
    assert "0.2 s [0.1 s to never]" in words(axes)


FIVE = [*STRATEGIES]


def test_same_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strategies with equal results share a line, with their marks above one another."""
    one = made([summary(took(0.1 if "-" in s else 0.2), strategy=s) for s in FIVE])
    figure = drawn(monkeypatch, one)
    axes = figure.axes[0]
    y = rows(axes, "first-k")[0]
    spans(figure)
    lines = lines_at(axes, y)
    places = [line.get_transform().transform(points(line)[0]) for line in lines]

    assert marks(axes, y) == [("s", 0.1), ("o", 0.1), ("D", 0.1)]
    assert marks(axes, rows(axes, "windowed")[0]) == [("v", 0.2), ("P", 0.2)]
    assert y == rows(axes, "wait-for-all")[0] == rows(axes, "first-k-late")[0]
    assert [x for x, _ in places] == pytest.approx([axes.transData.transform((0.1, y))[0]] * 3)
    assert all(a - b > lines[0].get_markersize() for (_, a), (_, b) in pairwise(places))
    assert words(axes).count("0.1 s") == 1


@pytest.mark.parametrize(
    ("different", "said"),
    [
        ([], ["all five"]),
        (["hedged"], ["all but hedged", "hedged"]),
        (["first-k", "hedged"], ["wait-for-all, first-k-late,\nwindowed", "first-k, hedged"]),
    ],
)
def test_names(different: list[str], said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Many strategies that share a line are named in a few words."""
    one = made([summary(took(0.2 if s in different else 0.1), strategy=s) for s in FIVE])
    axes = drawn(monkeypatch, one).axes[0]

    assert said == [word for word in words(axes) if word in said]


def test_same_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures with the same time and reason share a line, whatever is known of the servers."""
    other = replace(FAILED, message="not enough shares: have 2, need 3\n  s0: failed")
    one = made([waiting(FAILED), summary(other), summary(other, strategy="first-k-late")])

    assert "all three" in words(drawn(monkeypatch, one).axes[0])


def test_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times that differ only in the last bits are equal."""
    one = made([waiting(took(5.075)), summary(took(5.074999999999999))])

    assert "wait-for-all, first-k" in words(drawn(monkeypatch, one).axes[0])


def test_with_spares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hedged with spares is drawn in outline, and darker than hedged."""
    one = made([summary(took(0.1), strategy="hedged"), summary(took(0.2), strategy="hedged+2")])
    axes = drawn(monkeypatch, one).axes[0]
    full, hollow = (lines_at(axes, rows(axes, s)[0])[0] for s in ("hedged", "hedged+2"))

    assert full.get_color() == full.get_markerfacecolor() != hollow.get_color()
    assert hollow.get_markerfacecolor() == "white"
    assert full.get_marker() != hollow.get_marker()


def test_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is a labelled line, only through its scenario's block."""
    several = [
        made([waiting(took(0.3)), summary(took(0.2), bounds=[Bound(time, 6, 4000)])], name=name)
        for name, time in (("one", 0.1), ("two", 0.15))
    ]
    several = [replace(one, strategies=[*reversed(one.strategies)]) for one in several]
    axes = drawn(monkeypatch, *several).axes[0]
    blocks = list(zip(rows(axes, "first-k"), rows(axes, "wait-for-all"), strict=True))

    assert [time for time, _, _ in bounds(axes)] == [0.1, 0.15]
    assert all(
        top < first < last < bottom
        for (_, top, bottom), (first, last) in zip(bounds(axes), blocks, strict=True)
    )
    assert bounds(axes)[0][2] < rows(axes, "two")[0]
    assert {"bound 0.1 s", "bound 0.15 s"} <= set(words(axes))


@pytest.mark.parametrize(
    ("ttfb", "said"),
    [
        ([0.1, 0.2, 0.4], "bound (median) 0.2 s"),
        ([0.1, 0.2, None], "bound (median) 0.2 s"),
        ([0.1, None, None], "bound (median): never"),
        ([None, None, None], "bound (median): never"),
    ],
)
def test_bound_of_many_runs(
    ttfb: list[float | None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For many runs, the median of the bounds is shown; it is infinite if most of them are."""
    three = [Bound(time, 6, 4000) if time else NO_BOUND for time in ttfb]
    axes = drawn(monkeypatch, made([summary(OK, OK, OK, bounds=three)])).axes[0]

    assert said in words(axes)
    assert ([] if "never" in said else [0.2]) == [time for time, _, _ in bounds(axes)]


def test_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no byte is requested, there is no bound."""
    one = made([summary(NOTHING, bounds=[Bound(None, 0, 0)])])
    axes = drawn(monkeypatch, one).axes[0]

    assert bounds(axes) == []
    assert not any("bound" in word for word in words(axes))


@pytest.mark.parametrize("set_", few(1, ["hung-server", "ticket-928"]))
def test_nothing_overlaps(set_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With seven strategies, a picture of the library fits, and no texts overlap."""
    seven = [*FIVE, "hedged+1", "hedged+2"]
    scenarios = [one.model_copy(update={"strategies": seven}) for one in load_all([set_])]
    figure = drawn(monkeypatch, *(compared(one) for one in scenarios))

    assert outside(figure) == []
    assert overlaps(figure) == []


@pytest.mark.parametrize("latest", [0.3, 10.0], ids=["linear", "logarithmic"])
def test_wide_range(latest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a range spans the whole picture, its text is next to it, off its mark."""
    one = made([summary(took(0.1), took(0.2), took(latest))])
    axes = drawn(monkeypatch, one).axes[0]
    note = next(text for text in axes.texts if text.get_text().startswith("0.2 s ["))
    end = axes.transData.transform((latest, 0))[0]

    assert isinstance(note, Annotation)
    assert note.get_window_extent().x0 > end
    assert note.get_window_extent().x1 < axes.bbox.x1 + 1


def test_random_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many runs on a random grid, nothing is cut off, and no texts overlap."""
    some = {"select": {"probability": 0.3}, **HUNG}
    one = scenario(rtt=0.05, entries=[some], runs=12, strategies=[*FIVE, "hedged+2"])
    figure = drawn(monkeypatch, compared(one))

    assert outside(figure) == []
    assert overlaps(figure) == []
    assert covered(figure) == []


@pytest.mark.parametrize("times", few(1, [(0.2, 0.21, 0.22), (0.2, 0.2, 0.5), (0.1, 0.5, 0.5)]))
@pytest.mark.parametrize("sharing", few(1, [2, 1, 7]))
@pytest.mark.parametrize("latest", [0.5, 20.0], ids=["linear", "logarithmic"])
def test_marks_beside_a_text(
    times: tuple[float, ...], sharing: int, latest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many strategies share a line of many runs, no mark covers a letter."""
    several = [*FIVE, "hedged+1", "hedged+2"][:sharing]
    results = [took(time) for time in times]
    one = made([summary(*results, strategy=strategy) for strategy in several])
    late = made([summary(took(latest)), *([waiting(STALLED)] if sharing % 2 else [])])
    figure = drawn(monkeypatch, one, late)

    assert covered(figure) == []
    assert overlaps(figure) == []
    assert outside(figure) == []


@pytest.mark.parametrize(
    "results",
    [
        [STALLED],
        [replace(STALLED, ttfb=0.25)],
        [took(0.1), took(0.2), STALLED],
        [took(0.1), STALLED, DEADLINE],
        [took(0.1), took(0.2), FAILED],
        [took(0.1), FAILED, FAILED],
        [replace(FAILED, ttfb=0.2)] * 2,
    ],
)
def test_marks_in_the_never_column(results: list[Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line with a text in the column `never` has the marks of its strategies there."""
    one = made([waiting(*results), summary(*results), summary(*[OK] * len(results), strategy="s")])
    figure = drawn(monkeypatch, one)
    axes = figure.axes[0]

    assert never_marks(axes, rows(axes, "first-k")[0]) == ["s", "o"]
    assert never_marks(axes, rows(axes, "s")[0]) == []
    assert covered(figure) == []


@pytest.mark.parametrize(
    ("one", "column"),
    few_rows(
        3,
        [
            (made([waiting(OK), summary(OK)]), False),
            (made([waiting(FAILED), summary(OK)]), False),
            (made([waiting(FAILED, FAILED), summary(OK, OK)]), False),
            (made([waiting(STALLED), summary(OK)]), True),
            (made([waiting(OK, FAILED), summary(OK, OK)]), True),
            (made([summary(FAILED, bounds=[NO_BOUND])]), True),
            (made([summary(NOTHING, bounds=[Bound(None, 0, 0)])]), False),
        ],
    ),
)
def test_never_column(one: Compared, column: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The column `never` exists only if it is needed; otherwise the axis has its space."""
    figure = drawn(monkeypatch, made([summary(took(0.3))]), one)
    axes = figure.axes[0]
    width = axes.bbox.width / figure.dpi

    assert column is ("never" in words(axes))
    assert pytest.approx(latency._AXIS if column else latency._WIDE_AXIS) == width
    assert outside(figure) == []


def test_files(tmp_path: Path) -> None:
    """The picture is written as PNG and as well-formed SVG, with equal bytes each time."""
    one = made([waiting(STALLED), summary(OK)], description='<b> & "c" -- ]]> é')
    again = tmp_path / "again"
    again.mkdir()
    files = latency.draw([one], tmp_path / "latency", "1.0")

    assert [tmp_path / "latency.png", tmp_path / "latency.svg"] == files
    assert files[0].read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert ET.parse(files[1]).getroot().tag.endswith("svg")  # noqa: S314 - it is our own
    assert [file.read_bytes() for file in files] == [
        file.read_bytes() for file in latency.draw([one], again / "latency", "1.0")
    ]


@pytest.mark.parametrize("description", ["from $1 to $2 a month", "$_$", "a_b^c \\frac"])
def test_no_formulas(description: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A description is shown as text, even if it looks like a formula."""
    figure = drawn(monkeypatch, made([summary(OK)], description=description))

    assert formulas(figure) == []


@pytest.mark.filterwarnings("ignore:Glyph")
def test_control_characters(tmp_path: Path) -> None:
    """A description that XML cannot contain is refused, or left out of the SVG."""
    path = tmp_path / "t.toml"
    path.write_text(
        'name = "t"\ndescription = "a\\u0001b"\nfile = {size = 1, k = 1, n = 1}\n'
        'grid = {servers = 1, rtt = {law = "constant", value = 1}}\n'
    )
    try:
        one = compared(load_all([str(path)])[0])
    except ScenarioError:
        return
    files = latency.draw([one], tmp_path / "latency", "1.0")

    assert ET.parse(files[1]).getroot().tag.endswith("svg")  # noqa: S314 - it is our own


def test_all_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of only failures has their times, and no column `never`."""
    one = compared(scenario(entries=[{"select": "2-9", **BROKEN}]))
    axes = drawn(monkeypatch, one).axes[0]

    for strategy in ("wait-for-all", "first-k"):
        y = rows(axes, strategy)[0]

        assert times(axes, y) == [0.05]
        assert arrows(axes, y) == 0
