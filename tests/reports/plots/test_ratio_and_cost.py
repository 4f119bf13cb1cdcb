"""The ratios of strategies to the bound, and their costs, including infinite ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from firstk.reports.model.cases import Case
from firstk.reports.plots import cost, ratio
from tests.reports.cases import case, results, spread
from tests.reports.samples import catch_figures, formulas, outside, overlaps, points, spans

SOME = {"wait-for-all": results(*[None] * 30), "first-k": spread(0.2, 30)}


def ratios(monkeypatch: pytest.MonkeyPatch, cases: list[Case]) -> Figure:
    """Return the picture of the ratios."""
    caught = catch_figures(monkeypatch)
    ratio.draw(cases, Path("ratio"), "1.0")
    return caught[0]


def costs(monkeypatch: pytest.MonkeyPatch, cases: list[Case]) -> Figure:
    """Return the picture of the costs."""
    caught = catch_figures(monkeypatch)
    cost.draw(cases, Path("cost"), "1.0")
    return caught[0]


def test_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The axis begins at the bound, and an infinite median is in the strip `never`."""
    one = case(SOME)
    figure = ratios(monkeypatch, [one])
    (axes,) = figure.axes
    at = {
        line.get_marker(): points(line)[0][0]
        for line in axes.lines
        if str(line.get_marker()) in "so"
    }
    half = one.strategies[1].over_bound(0.5)
    assert half is not None

    assert half.estimate == at["o"]
    assert at["s"] > at["o"]
    assert axes.get_xlim()[0] == pytest.approx(1, abs=0.1)
    assert "∞" in spans(figure)


def test_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many cases, some are shown and the rest are counted."""
    figure = ratios(monkeypatch, [case(SOME, x=x) for x in range(100)])

    assert any("70 more are not shown" in text for text in spans(figure))


def test_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The axes of costs begin at zero; a strategy that never starts is only listed above."""
    figure = costs(monkeypatch, [case(SOME)])
    requests, size = figure.axes
    at = {
        line.get_marker(): points(line)[0]
        for line in requests.lines
        if str(line.get_marker()) in "so"
    }

    assert at["o"][0] == 21
    assert "s" not in at  # it never starts: the few requests that it sends are no advantage
    assert "wait-for-all" in [text.get_text() for text in requests.texts]
    assert 0 == requests.get_xlim()[0] == size.get_xlim()[0]


def test_one_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """All cases have the same scales, and a strip `never` only if something never starts."""
    slow = case({"first-k": spread(2.0, 30)}, x=1)
    fast = case({"first-k": spread(0.2, 30)}, x=2)
    figure = costs(monkeypatch, [slow, fast])

    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert "never" not in spans(figure)


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strategies at one place share a label, with nested marks; others have their own."""
    one = case(
        {"first-k": spread(0.2, 30), "windowed": spread(0.2, 30), "hedged": spread(0.21, 30)}
    )
    figure = costs(monkeypatch, [one])
    sizes = {str(line.get_marker()): line.get_markersize() for line in figure.axes[0].lines}

    assert {"first-k, windowed", "hedged"} <= spans(figure).keys()
    assert sizes["o"] > sizes["v"]
    assert overlaps(figure) == []


@pytest.mark.parametrize("count", [1, 12])
def test_legible(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """No text overlaps another one, or is cut off."""
    cases = [case(SOME, x=x) for x in range(count)]
    for figure in (ratios(monkeypatch, cases), costs(monkeypatch, cases)):
        assert overlaps(figure) == []
        assert outside(figure) == []
        assert formulas(figure) == []
