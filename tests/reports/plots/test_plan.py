"""The picture of a plan shows each candidate on the right side of the target, or on neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from firstk.harness.stats.estimates import Interval, NotEnough
from firstk.harness.sweep.decision import Decision, Finding
from firstk.harness.sweep.search import CandidateResult
from firstk.reports.model.plan import PlanResult
from firstk.reports.plots.plan import MAX_ROWS, draw, shown
from firstk.scenarios.condition import Condition
from firstk.scenarios.plan import Candidate
from tests.harness.plans import plan
from tests.reports.samples import catch_figures, outside, overlaps

P90, SUCCESS = Condition("p90", 0.9, 0.5), Condition("success", None, 0.9)
NEVER = float("inf")


def candidate(n: int, met: bool | None, time: float, part: float) -> CandidateResult:
    """Return a candidate with intervals around a time and a probability; 0 runs are undecided."""
    findings = [
        Finding(P90, Interval(time, time * 0.9, time * 1.1), met, None),
        Finding(SUCCESS, Interval(part, part - 0.02, min(1.0, part + 0.02)), met, None),
    ]
    return CandidateResult(
        Candidate(2, n, "hedged", 0), Decision(40, findings, 14.1, 0, 0), met is not None
    )


def drawn(
    found: list[CandidateResult], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Figure, list[str]]:
    """Return the picture of some candidates, and the texts of its columns."""
    caught = catch_figures(monkeypatch)
    draw(PlanResult(plan(folder), found), folder / "plan", "1.0")
    texts = [text.get_text() for axes in caught[0].axes for text in axes.texts]
    return caught[0], texts


def test_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each candidate has a row with its verdict, and each condition a column with its limit."""
    found = [candidate(3, False, 0.7, 0.8), candidate(4, True, 0.3, 0.97)]
    figure, texts = drawn(found, tmp_path, monkeypatch)

    assert [t for t in texts if "hedged" in t] == ["2-of-3 hedged", "2-of-4 hedged"]
    assert [t for t in texts if t.startswith("target")] == ["target < 0.5 s", "target > 90%"]
    assert [t for t in texts if "m" in t and ("meets" in t or "misses" in t)] == [
        "misses p90 by 0.2 s, success by 10 points",
        "meets: the cheapest",
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["meets the condition", "misses it", "95 % interval", "within the target"]


def test_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An infinite quantile is drawn in a strip of its own, beyond the limit."""
    late = candidate(4, False, NEVER, 0.6)
    assert late.decision is not None
    figure, _ = drawn([late], tmp_path, monkeypatch)
    axes = figure.axes[0]
    marks = [line for line in axes.lines if line.get_marker() == "X"]

    assert float(marks[0].get_xdata()[0]) > 0.5  # type: ignore[index, arg-type]
    assert axes.get_xlim()[1] > float(marks[0].get_xdata()[0])  # type: ignore[index, arg-type]


def test_too_few_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate without an interval is hollow, and the legend explains that."""
    finding = Finding(P90, NotEnough(0.3, 40, 461), None, None)
    other = Finding(SUCCESS, Interval(1.0, 0.95, 1.0), True, None)
    open_ = CandidateResult(
        Candidate(2, 4, "hedged", 0), Decision(40, [finding, other], 14.1, 0, 0), False
    )
    figure, _ = drawn([open_], tmp_path, monkeypatch)

    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "hollow: too few runs for an interval" in legend


def test_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more candidates than fit, nothing is cut off, and no texts overlap."""
    found = [candidate(n, n > 40, 30.0 / n, 0.9) for n in range(2, MAX_ROWS + 20)]
    figure, _ = drawn(found, tmp_path, monkeypatch)

    assert len(shown(PlanResult(plan(tmp_path), found))) == MAX_ROWS
    assert outside(figure) == []
    assert overlaps(figure) == []
