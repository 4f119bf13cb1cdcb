"""The picture of tuning: each strategy is a numbered mark at its figures."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from firstk.downloader.strategy import find_strategy
from firstk.harness.run.cells import cell
from firstk.harness.run.sample import Sample
from firstk.harness.sweep.tuning import Objectives, Round, Tuned, Tuning
from firstk.reports.plots import tune
from tests.harness.making import scenario
from tests.reports.samples import catch_figures, outside, points


def tuned(name: str, time: float, size: int, better: str | None = None) -> Tuned:
    """Return a strategy all of whose 500 runs took this time; infinity means never."""
    never = time == inf
    runs = [
        Sample(
            i, "failed" if never else "ok", None, None if never else time, 4, 2, size, True, None
        )
        for i in range(500)
    ]
    made = cell(0, {}, name, runs, None, loads=False)
    return Tuned(find_strategy(name), better is None, made, Objectives(time, size), better)


def drawn(monkeypatch: pytest.MonkeyPatch, *tuned: Tuned, stop: str = "first-block") -> Figure:
    """Return the picture."""
    caught = catch_figures(monkeypatch)
    result = Tuning(scenario(stop=stop, seed=7), [Round(4, 9)], 16, 500, tuned)
    tune.draw(result, Path("tune"), "1.0")
    return caught[0]


SOME = (
    tuned("windowed", inf, 1000, better="hedged,lateness=2"),
    tuned("hedged,lateness=2", 0.4, 2000),
    tuned("hedged", 0.3, 3000, better="hedged+1"),
    tuned("hedged+1", 0.2, 3000),
)


def test_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks are at bytes and p99, infinity is above the scale, and the legend has every name."""
    figure = drawn(monkeypatch, *SOME)
    (axes,) = figure.axes
    marks = [points(line)[0] for line in axes.lines if line.get_marker() not in ("None", None)]
    legend = axes.get_legend()

    assert legend is not None
    assert marks[1:] == [(2000, 0.4), (3000, 0.3), (3000, 0.2)]
    assert marks[0][0] == 1000
    assert marks[0][1] > 0.4
    assert [text.get_text() for text in legend.get_texts()] == [
        "1  windowed",
        "2  hedged,lateness=2",
        "3  hedged",
        "4  hedged+1",
    ]
    assert {"1", "2", "3", "4", "never"} <= {text.get_text() for text in axes.texts}
    assert outside(figure) == []


def test_front(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps join the strategies that no other one beats."""
    (axes,) = drawn(monkeypatch, *SOME).axes

    assert points(axes.lines[0]) == [(2000, 0.4), (3000, 0.2)]


@pytest.mark.parametrize(
    ("stop", "what"), [("first-block", "the first byte"), ("complete", "the whole file")]
)
def test_said(stop: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The axis says which time it shows, and the small print has the seeds."""
    figure = drawn(monkeypatch, *SOME, stop=stop)
    small = figure.texts[-1].get_text()

    assert figure.axes[0].get_ylabel() == f"p99 of the time to {what}"
    assert "500 runs of each strategy, seeds 16 to 515; search with other seeds, 7 to 15" in small


def test_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strategies at one place share it, with their numbers side by side."""
    (axes,) = drawn(monkeypatch, tuned("hedged", 0.2, 10), tuned("windowed", 0.2, 10)).axes

    assert "1, 2" in {text.get_text() for text in axes.texts}


def test_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no download ever ends, there is a picture too."""
    assert drawn(monkeypatch, tuned("hedged", inf, 0)).axes
