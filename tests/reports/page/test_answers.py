"""The sections of the page that answer questions: capacities, and plans."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from firstk.harness.sweep.search import CandidateResult
from firstk.reports.model.capacity import RATE, capacities
from firstk.reports.model.cases import Case, case_of_load
from firstk.reports.model.plan import PlanResult
from firstk.reports.model.workload import WorkloadSummary
from firstk.reports.page import answers
from firstk.reports.page.page import write
from firstk.reports.page.report import Report
from tests.harness import plans
from tests.reports.loads import load
from tests.reports.samples import scenario, write_empty_pictures


def at(rate: float, piled_up: int) -> Case:
    """Return a point with three runs of hedged, in which about `piled_up` downloads pile up."""
    workload = {"arrivals": {"kind": "poisson", "rate": rate}, "downloads": 100}
    runs = [
        replace(load([0.1] * 100, utilisation=0.5), run=run, piled_up=piled_up + run // 2)
        for run in range(3)
    ]
    made = case_of_load(scenario(workload=workload), [WorkloadSummary(runs)])
    return replace(made, name=f"{RATE} = {rate}", values={RATE: rate})


def test_capacities_of_a_sweep() -> None:
    """A sweep over rates shows between which two rates each strategy saturates."""
    (found,) = capacities([at(90, 40), at(20, 0), at(60, 0)], [RATE])

    assert (found.strategy, found.low, found.high) == ("hedged", 60, 90)
    assert [one.rate for one in found.measured] == [20, 60, 90]


def test_no_capacities() -> None:
    """Without an axis of rates there is no capacity; without saturation, no upper end."""
    assert capacities([at(20, 0)], ["file.k"]) == []
    assert [one.high for one in capacities([at(20, 0)], [RATE])] == [inf]


def test_section_of_a_capacity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has the answer in a sentence, its basis, each rate, and a picture."""
    write_empty_pictures(monkeypatch)
    report = Report("load", "", [at(20, 0), at(90, 40)], "0.3", axes=[RATE], of_store=True)
    page = write(report, tmp_path)[0].read_text(encoding="utf-8")

    assert '<h2 id="capacity">Capacity</h2>' in page
    sentence = "Hedged is 50% busy at 20 downloads/s, and saturates between 20 and 90 downloads/s."
    assert sentence in page
    assert "6 runs at 2 rates" in page
    assert '<td data-label="verdict"><span>saturates</span></td>' in page
    assert (tmp_path / "capacity.svg").exists()


def test_section_of_a_plan(tmp_path: Path) -> None:
    """The section of a plan has its target, the number of candidates, and the verdict."""
    plan = plans.plan(tmp_path)
    found = [CandidateResult(one, None, False) for level in plan.levels for one in level]
    section = answers.of_plan(PlanResult(plan, found))
    facts = dict(section.facts)

    assert facts["Target"] == "p90 < 0.5 s and success > 90 %"
    assert facts["Candidates"] == f"{len(found)}, of which 0 were run"
    assert facts["Verdict"] == "the search is not done"
    assert section.lines[0].startswith("The search is not done")
