"""The answers of a page: the section about a plan, and the one about a capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstk.harness.capacity.capacity import Capacity
from firstk.reports.model import capacity_words, plan_words
from firstk.reports.model.plan import PlanResult
from firstk.reports.tables import capacity as capacity_table


@dataclass(frozen=True, slots=True)
class Answer:
    """A section that answers a question.

    `lines` are the answer in sentences, `facts` what it is about and rests on, by name. `heading`
    and `rows` are a table; both are empty if there is none.
    """

    anchor: str
    title: str
    lines: Sequence[str]
    facts: Sequence[tuple[str, str]]
    heading: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def of_plan(result: PlanResult) -> Answer:
    """Return the section about a plan: its target, its candidates and the verdict."""
    plan, found = result.plan, result.candidates
    run = [one for one in found if one.decision is not None]
    facts = [
        ("Target", str(plan.target)),
        ("Candidates", f"{len(found)}, of which {len(run)} were run"),
        ("Verdict", _verdict(found)),
        *(("Basis", line) for line in plan_words.basis(plan, found)),
        *(("Note", line) for line in plan_words.notes(plan, found)),
    ]
    return Answer(
        "plan", "Target, candidates and verdict", [_said(plan_words.headline(plan, found))], facts
    )


def _verdict(found: plan_words.Found) -> str:
    if plan_words.cheapest(found) is not None:
        return "a candidate meets the target"
    if not all(one.finished for one in found):
        return "the search is not done"
    undecided = plan_words.verdict(found) == "undecided"
    return "more runs are needed" if undecided else "no candidate meets the target"


def of_capacity(found: Sequence[Capacity]) -> Answer:
    """Return the section about the load at which a grid saturates."""
    heading, *rows = capacity_table.table_rows(found, [])
    return Answer(
        "capacity",
        "Capacity",
        [_said(capacity_words.sentence(one, [])) for one in found],
        [("Basis", capacity_words.basis(found))],
        heading,
        rows,
    )


def _said(line: str) -> str:
    return f"{line[0].upper()}{line[1:]}."
