"""Pictures look as they did: each is compared with one that was checked by eye.

`python -m tests.reports.plots.test_pictures` draws them anew. Look at them before you keep them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter

from firstk.harness.capacity import steady
from firstk.harness.capacity.capacity import Capacity, Measured
from firstk.harness.stats.estimates import Interval, NotEnough
from firstk.harness.sweep.decision import Decision, Finding
from firstk.harness.sweep.search import CandidateResult
from firstk.reports.model.plan import PlanResult
from firstk.reports.plots import (
    capacity,
    cost,
    distribution,
    latency,
    live,
    plan,
    ratio,
    style,
    sweep,
    timeline,
)
from firstk.scenarios.condition import Condition
from firstk.scenarios.experiment import Experiment
from firstk.scenarios.plan import Candidate, Plan, Target
from tests.reports.cases import case, loaded, spread
from tests.reports.samples import (
    DEADLINE,
    FAILED,
    HUNG,
    OK,
    STALLED,
    catch_figures,
    compared,
    made,
    scenario,
    summary,
    took,
)
from tests.reports.worlds import in_worlds

BASELINE = Path(__file__).parent / "baseline"

#: How far pictures may differ, as the root of the mean square of all colours, of 255 at most. The
#: releases of matplotlib from 3.8 to 3.11 draw the same; without marks or a hatching it is over 4.
TOLERANCE = 1.0

_DPI = 60

_NONE = Path("none")

_POISSON = {"kind": "poisson", "rate": 20.0}


def draw_latency() -> None:
    """Draw equal times, a failure, a stall, many runs, and overlapping strategies."""
    times = {"wait-for-all": took(2.0), "first-k": took(0.25), "first-k-late": took(0.25)}
    one = [summary(result, strategy=name) for name, result in times.items()]
    hung = [
        summary(STALLED, strategy="wait-for-all"),
        summary(FAILED),
        summary(OK, strategy="hedged"),
    ]
    many = [
        summary(took(0.2), took(0.4), STALLED, strategy="hedged"),
        summary(took(0.3), took(0.3), DEADLINE, strategy="hedged+1"),
    ]
    latency.draw(
        [
            made(one, name="times"),
            made(hung, name="ends"),
            made(many, name="many", runs=3),
        ],
        _NONE,
        "1.0",
    )


def draw_timeline() -> None:
    """Draw idle time, parallel reads, a hedge, a corrupt answer, a failure, silence."""
    entries = [
        {"select": "0", "fault": {"kind": "hung", "on": ["read"]}},
        {"select": "1", "fault": {"kind": "corrupt", "part": "block"}},
        {"select": "8", "fault": {"kind": "broken"}},
        {"select": "9", "rtt": {"law": "constant", "value": 5.0}},
        {"select": "7", **HUNG},
    ]
    one = scenario(entries=entries, strategies=["wait-for-all", "first-k", "hedged"])
    timeline.draw(compared(one), _NONE, "1.0")


def draw_along() -> None:
    """Draw equal values, too few runs, and infinite times."""
    cases = [
        case(
            {
                "wait-for-all": spread(0.4, 20, never=20 * x),
                "first-k": spread(0.2 + x / 10, 20),
                "windowed": spread(0.1, 20),
                "hedged": spread(0.1, 20),
            },
            x=x,
        )
        for x in range(4)
    ]
    sweep.draw_along(cases, "x", _NONE, "1.0")


def draw_load() -> None:
    """Draw a load, with the utilisation of the grid."""
    used = {20: (0.2, 0.1), 60: (0.6, 0.3), 120: (0.99, 0.5)}
    cases = [loaded(rate, **{"first-k": a, "hedged": b}) for rate, (a, b) in used.items()]
    sweep.draw_along(cases, "workload.arrivals.rate", _NONE, "1.0")


def draw_map() -> None:
    """Draw maps of two axes, with cells where most downloads never start."""
    cases = [
        case({"first-k": spread(0.1 + x, 9), "hedged": spread(0.1, 9, never=9 * y)}, x=x, y=y)
        for x in range(3)
        for y in range(3)
    ]
    sweep.draw_map(cases, ("x", "y"), _NONE, "1.0")


def draw_distribution() -> None:
    """Draw equal times, close ones, and downloads that never start."""
    strategies = {
        "wait-for-all": spread(0.6, 40, never=20),
        "first-k": spread(0.3, 60),
        "windowed": spread(0.1, 60),
        "hedged": spread(0.1, 60),
        "hedged+1": spread(0.101, 60),
    }
    distribution.draw(case(strategies), _NONE, "1.0")


def draw_capacity() -> None:
    """Draw capacities with both ends and with one, a rate without a verdict, and a target."""
    target = Condition("p99", 0.99, 2.0)
    p99 = steady.criterion_of(target, "ttfb")
    carried = steady.stability(scenario(workload={"arrivals": _POISSON, "downloads": 400}))

    def tried(rate: float, piled_up: float, met: bool | None, in_time: float) -> Measured:
        pile = steady.Finding(carried, Interval(piled_up, piled_up - 0.02, piled_up + 0.02), met)
        late = steady.Finding(p99, Interval(in_time, in_time - 0.003, in_time), met)
        use = min(1.0, rate / 100)
        return Measured(rate, [pile, late], Interval(use, use - 0.03, use), 8, 400)

    rates = [(40.0, 0.0, True, 0.999), (80.0, 0.01, None, 0.99), (160.0, 0.4, False, 0.2)]
    first = [tried(*one) for one in rates]
    found = [
        Capacity("first-k", 40.0, 160.0, None, first),
        Capacity("hedged", 40.0, inf, None, first[:1]),
    ]
    capacity.draw("load", found, [target], _NONE, "1.0")


def draw_ratio() -> None:
    """Draw ratios to the bound, some of them infinite."""
    one = {"wait-for-all": spread(0.6, 10, never=20), "first-k": spread(0.3, 30)}
    ratio.draw([case(one, x=1), case(one, x=2)], _NONE, "1.0")


def draw_cost() -> None:
    """Draw costs in one place, and a strategy that never starts."""
    one = {
        "wait-for-all": spread(0.6, 10, never=20),
        "first-k": spread(0.3, 30),
        "windowed": spread(0.2, 30),
        "hedged": spread(0.2, 30),
    }
    cost.draw([case(one)], _NONE, "1.0")


def draw_live() -> None:
    """Draw the times of a scenario in two worlds, some of them infinite."""
    law = {"law": "lognormal", "median": 0.05, "sigma": 0.3}
    one = scenario(name="worlds", grid={"servers": 10, "rtt": law})
    delays: list[float | None] = [0.01, -0.01, 0.02, 0.03, None, 0.0, 0.05, 0.01]
    live.draw_times(in_worlds(one, first_k=delays, hedged=delays[:4] * 2), _NONE, "1.0")


def draw_plan() -> None:
    """Draw a candidate that meets its target, one that misses it, and one with too few runs."""
    p90, success = Condition("p90", 0.9, 0.5), Condition("success", None, 0.9)
    every: list[tuple[Interval | NotEnough, Interval, bool | None]] = [
        (Interval(0.7, 0.6, inf), Interval(0.8, 0.7, 0.86), False),
        (Interval(0.3, 0.25, 0.4), Interval(0.97, 0.94, 0.99), True),
        (NotEnough(0.2, 40, 461), Interval(1.0, 0.85, 1.0), None),
    ]
    found = [
        CandidateResult(
            Candidate(2, 3 + i, "hedged", 0),
            Decision(
                40,
                [Finding(p90, time, met, None), Finding(success, part, met, None)],
                14.1,
                0,
                0,
            ),
            met is not None,
        )
        for i, (time, part, met) in enumerate(every)
    ]
    target = Target(p90=0.5, success=0.9)
    experiment = Experiment("p", "", ["hedged"], 0, 40, None, ["file.k", "file.n"], [])
    plan.draw(PlanResult(Plan(target, experiment, 40), found), _NONE, "1.0")


PICTURES: dict[str, Callable[[], None]] = {
    "latency": draw_latency,
    "timeline": draw_timeline,
    "along": draw_along,
    "load": draw_load,
    "map": draw_map,
    "distribution": draw_distribution,
    "ratio": draw_ratio,
    "cost": draw_cost,
    "plan": draw_plan,
    "capacity": draw_capacity,
    "live": draw_live,
}


def write(figure: Figure, path: Path) -> None:
    """Write a small picture without its texts: releases of matplotlib draw letters differently.

    The tests of each picture check its texts, and that they fit.
    """
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(NullFormatter())
            axis.set_minor_formatter(NullFormatter())
    for legend in figure.legends:
        legend.set_visible(False)  # it is laid out by its texts
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_text("")
    width, height = (round(inches * _DPI) + 0.25 for inches in figure.get_size_inches())
    figure.set_size_inches(width / _DPI, height / _DPI)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each picture is unchanged."""
    caught = catch_figures(monkeypatch)
    PICTURES[name]()
    path = tmp_path / f"{name}.png"
    with style.style():
        write(caught[0], path)

    assert compare_images(str(BASELINE / path.name), str(path), TOLERANCE) is None


def main() -> None:
    """Draw all pictures again, to compare others with."""
    for name, draw in PICTURES.items():
        with pytest.MonkeyPatch.context() as patch:
            caught = catch_figures(patch)
            draw()
            with style.style():
                write(caught[0], BASELINE / f"{name}.png")


if __name__ == "__main__":
    main()
