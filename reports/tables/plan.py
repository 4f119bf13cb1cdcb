"""The result of a search: the cheapest candidate that meets the target, and all candidates.

The headline says whether there is one, whether there is none, or that more runs are needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isinf
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.harness.run.cells import Estimate
from firstk.harness.stats.estimates import CONFIDENCE, Interval
from firstk.harness.stats.figures import rounded
from firstk.harness.sweep.search import CandidateResult
from firstk.reports.model.plan_words import Found, basis, cheapest, headline, value, verdict, words
from firstk.reports.tables.rows import markdown
from firstk.scenarios.condition import Condition
from firstk.scenarios.plan import Plan

#: The meaning of the table's columns.
LEGEND = """\
expansion: the size of all shares together, as a multiple of the file's (n / k)
p50, p90, p99: quantiles of the time to first byte; a download that never has it is later than \
all others. With a workload: of all downloads of all runs
success: the probability that a download succeeds; with a workload, of all downloads of all \
runs
requests: of a whole download, the mean over all runs; of equal expansion fewer are cheaper
In parentheses: 95 % confidence intervals, which hold however often you look and however many \
runs are added, each condition and each candidate separately. ~ marks estimates from too few \
runs for one.
"""


def table(plan: Plan, found: Found) -> Table:
    """Return the table."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    heading, *rows = table_rows(plan, found)
    for name in heading:
        made.add_column(name)
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def as_markdown(plan: Plan, found: Found) -> str:
    """Return the table as Markdown."""
    return markdown(table_rows(plan, found))


def table_rows(plan: Plan, found: Found) -> list[list[str]]:
    """Return the cells of the table, row by row, with the heading first."""
    crashes = any(one.decision.crashed for one in found if one.decision)
    names = [condition.name for condition in plan.target.conditions]
    crashed = ["crashed"] if crashes else []
    rows = [["k-of-n", "strategy", "expansion", "runs", *names, "requests", *crashed, "verdict"]]
    best = cheapest(found)
    for one in found:
        candidate, decision = one.candidate, one.decision
        row = [candidate.shares, candidate.strategy, f"{candidate.expansion:.2f}"]
        if decision is None:
            rows.append([*row, "0", *("-" for _ in names), "-", *("-" for _ in crashed), "not run"])
            continue
        row += [str(decision.runs), *(value(finding) for finding in decision.findings)]
        row.append("-" if decision.requests is None else f"{decision.requests:.1f}")
        row += [str(decision.crashed)] if crashes else []
        rows.append([*row, words(one, best)])
    return rows


def as_json(plan: Plan, found: Found) -> str:
    """Return a JSON object: "inf" is never, and null is unknown."""
    best = cheapest(found)
    document = {
        "plan": plan.experiment.name,
        "target": {one.name: one.limit for one in plan.target.conditions},
        "confidence": CONFIDENCE,
        "max_runs": plan.max_runs,
        "verdict": verdict(found),
        "headline": headline(plan, found),
        "basis": basis(plan, found),
        "cheapest": None if best is None else _name(best),
        "candidates": [_object(one, plan.target.conditions) for one in found],
    }
    return json.dumps(document, indent=1) + "\n"


def _name(one: CandidateResult) -> dict[str, Any]:
    candidate = one.candidate
    return {"k": candidate.k, "n": candidate.n, "strategy": candidate.strategy}


def _object(one: CandidateResult, conditions: Sequence[Condition]) -> dict[str, Any]:
    decision = one.decision
    row = _name(one) | {"expansion": rounded(one.candidate.expansion)}
    if decision is None:
        empty: dict[str, Any] = {"verdict": "dearer", "runs": 0, "runs_needed": None}
        for condition in conditions:
            empty |= _ends(condition.name, None)
        return row | empty | {"requests": None, "crashed": 0, "wrong_bytes": 0}
    words = {True: "meets", False: "misses", None: "undecided" if one.finished else "dearer"}
    row |= {
        "verdict": words[decision.met],
        "runs": decision.runs,
        "runs_needed": decision.needed if one.finished else None,
    }
    for finding in decision.findings:
        row |= _ends(finding.condition.name, finding.estimate)
    row |= {"requests": rounded(decision.requests)}
    return row | {"crashed": decision.crashed, "wrong_bytes": decision.wrong}


def _ends(name: str, estimate: Estimate | None) -> dict[str, float | str | None]:
    low, high = (estimate.low, estimate.high) if isinstance(estimate, Interval) else (None, None)
    middle = None if estimate is None else estimate.estimate
    return {name: _number(middle), f"{name}_low": _number(low), f"{name}_high": _number(high)}


def _number(number: float | None) -> float | str | None:
    return str(number) if number is not None and isinf(number) else rounded(number)
