"""The candidates of a plan against its target: a row per candidate, a column per condition."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from firstk.harness.stats.estimates import Interval
from firstk.harness.stats.formats import seconds
from firstk.harness.sweep.decision import Finding
from firstk.harness.sweep.search import CandidateResult
from firstk.reports.model.plan import PlanResult
from firstk.reports.model.plan_words import cheapest, headline, nines, words
from firstk.reports.plots import style
from firstk.reports.plots.scale import GRID, Scale, set_scale, small_print, title
from firstk.scenarios.condition import SUCCESS, Condition

#: The maximum number of candidates that fit a page; the cheapest are shown.
MAX_ROWS = 40

_WIDTH = 10  # in inches, like the others
_LEFT = 2.05
_RIGHT = 2.75  # for the verdicts
_GAP = 0.35
_ROW = 0.27

_MEETS, _MISSES, _OPEN = "#009E73", "#D55E00", style.GREY
_GOOD = "#E6F4EF"

#: The marks of findings, by whether the condition is met.
_MARKS = {True: ("o", _MEETS), False: ("X", _MISSES), None: ("s", _OPEN)}


def shown(result: PlanResult) -> list[CandidateResult]:
    """Return the candidates to draw: those that were run, or the cheapest of them."""
    return [one for one in result.candidates if one.decision is not None][:MAX_ROWS]


def draw(result: PlanResult, path: Path, version: str) -> list[Path]:
    """Write the picture of a plan to `path`.png and `path`.svg; return the files.

    At least one candidate must have runs.
    """
    rows, conditions = shown(result), result.plan.target.conditions
    with style.style():
        panel = _ROW * len(rows)
        height = panel + 1.85
        figure = Figure(figsize=(_WIDTH, height))
        width = (_WIDTH - _LEFT - _RIGHT - _GAP * (len(conditions) - 1)) / len(conditions)
        for i, condition in enumerate(conditions):
            left = (_LEFT + i * (width + _GAP)) / _WIDTH
            axes = figure.add_axes((left, 0.95 / height, width / _WIDTH, panel / height))
            _column(axes, condition, [one.decision.findings[i] for one in rows if one.decision])
            axes.set_yticks([])
            if i == 0:
                _names(axes, rows)
        best = cheapest(result.candidates)
        for y, one in enumerate(rows):
            axes.annotate(
                style.plain(words(one, best), 44), (1, y), xycoords=axes.get_yaxis_transform(),
                xytext=(10, 0), textcoords="offset points", va="center", size=7.5,
                weight="bold" if one is best else "normal",
            )  # fmt: skip
        said = headline(result.plan, result.candidates)
        title(
            figure, f"Which candidates meet {result.plan.target}?", style.plain(said, 140),
        )  # fmt: skip
        _legend(figure, rows, height)
        small_print(figure, _made_of(result, rows, version))
        return style.save(figure, path)


def _column(axes: Axes, condition: Condition, findings: Sequence[Finding]) -> None:
    """Draw what is known about a condition, per candidate; the good side is shaded."""
    ends = [end for f in findings for end in _ends(f) if end is not None]
    axes.set_ylim(len(findings) - 0.4, -0.6)
    if condition.is_busy:
        scale = Scale(0.0, 1.0, log=False)
        set_scale(axes.xaxis, scale, "busiest resource in use", nines)
        axes.axvspan(0, condition.limit, color=_GOOD, zorder=0)
        axes.locator_params(axis="x", nbins=4)
    elif condition.quantile is None:
        low = min([*ends, condition.limit])
        scale = Scale(max(0.0, low - 0.08 * (1 - low)), 1.0, log=False)
        set_scale(axes.xaxis, scale, "downloads that succeed", nines)
        axes.axvspan(condition.limit, 1, color=_GOOD, zorder=0)
        axes.locator_params(axis="x", nbins=4)
    else:
        scale = Scale.of([*ends, condition.limit])
        set_scale(axes.xaxis, scale, f"{condition.name} time to first byte", never=inf in ends)
        axes.axvspan(scale.low, condition.limit, color=_GOOD, zorder=0)
    axes.axvline(condition.limit, color=style.INK, linewidth=1, linestyle=(0, (4, 2)))
    for y, finding in enumerate(findings):
        axes.axhline(y, color=GRID, linewidth=0.6, zorder=0.5)
        estimate, (marker, colour) = finding.estimate, _MARKS[finding.met]
        if isinstance(estimate, Interval):
            axes.plot(
                [max(scale.low, scale.place(estimate.low)), scale.place(estimate.high)], [y, y],
                color=colour, linewidth=4, alpha=0.4, solid_capstyle="butt", zorder=2,
            )  # fmt: skip
        if estimate.estimate is not None:
            sure = isinstance(estimate, Interval)
            axes.plot(
                [scale.place(estimate.estimate)], [y], marker=marker, color=colour, markersize=6,
                markerfacecolor=colour if sure else "white", zorder=3, clip_on=False,
            )  # fmt: skip
    axes.spines["left"].set_visible(False)
    limit = nines(condition.limit) if condition.quantile is None else seconds(condition.limit)
    axes.annotate(
        f"target {'>' if condition.name == SUCCESS else '<'} {limit}", (condition.limit, 1),
        xycoords=axes.get_xaxis_transform(), xytext=(0, 4), textcoords="offset points",
        ha="center", size=8,
    )  # fmt: skip


def _ends(finding: Finding) -> Sequence[float | None]:
    estimate = finding.estimate
    interval = (estimate.low, estimate.high) if isinstance(estimate, Interval) else ()
    return [estimate.estimate, *interval]


def _names(axes: Axes, rows: Sequence[CandidateResult]) -> None:
    """Write the candidates next to their rows, each with its expansion."""
    for y, one in enumerate(rows):
        candidate = one.candidate
        for text, x, place in (
            (f"{candidate.shares} {style.plain(candidate.strategy, 22)}", -10, "right"),
            (f"{candidate.expansion:.2f} ×", -142, "left"),
        ):
            axes.annotate(
                text, (0, y), xycoords=axes.get_yaxis_transform(), xytext=(x, 0),
                textcoords="offset points", ha=place, va="center", size=7.5,
            )  # fmt: skip


def _legend(figure: Figure, rows: Sequence[CandidateResult], height: float) -> None:
    findings = [finding for one in rows if one.decision for finding in one.decision.findings]
    met = {finding.met for finding in findings}
    names = {True: "meets the condition", False: "misses it", None: "not decided"}
    handles: list[Line2D | Patch] = [
        Line2D([], [], linestyle="none", marker=marker, color=colour, label=names[key])
        for key, (marker, colour) in _MARKS.items()
        if key in met
    ]
    if any(isinstance(finding.estimate, Interval) for finding in findings):
        handles.append(Line2D([], [], linewidth=4, alpha=0.4, color=_OPEN, label="95 % interval"))
    if not all(isinstance(finding.estimate, Interval) for finding in findings):
        few = "hollow: too few runs for an interval"
        handles.append(
            Line2D([], [], linestyle="none", marker="o", color=_OPEN, mfc="white", label=few)
        )
    handles.append(Patch(color=_GOOD, label="within the target"))
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.01, 0.25 / height), ncols=len(handles),
        frameon=False, fontsize=8, handletextpad=0.4, columnspacing=1.4, borderaxespad=0,
    )  # fmt: skip


def _made_of(result: PlanResult, rows: Sequence[CandidateResult], version: str) -> str:
    counts = sorted({one.decision.runs for one in rows if one.decision})
    runs = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    left = len(result.candidates) - len(rows)
    rest = f"; {left} candidates are not shown" if left else ""
    return (
        f"first column: expansion, n / k; {runs} runs of each candidate, from seed"
        f" {result.plan.experiment.seed}; virtual time; firstk {version}{rest}"
    )
