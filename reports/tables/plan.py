"""What a search found: the cheapest candidate that meets the target, and all that were looked at.

The headline says whether there is one, whether there is none, or that more runs are needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import floor, inf, isinf, log10
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from firstk.harness.run.cells import Estimate
from firstk.harness.stats.estimates import CONFIDENCE, Interval, in_words
from firstk.harness.stats.figures import rounded
from firstk.harness.stats.formats import seconds
from firstk.harness.sweep.decision import Decision, Finding
from firstk.harness.sweep.search import CandidateResult
from firstk.reports.tables.rows import markdown
from firstk.scenarios.plan import Condition, Plan

Verdict = Literal["found", "none", "undecided"]

Found = Sequence[CandidateResult]

#: What the columns of the table mean.
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


def verdict(found: Found) -> Verdict:
    """Return whether one meets the target, none does, or more runs are needed."""
    if cheapest(found) is not None:
        return "found"
    return "undecided" if any(_is_open(one) for one in found) else "none"


def cheapest(found: Found) -> CandidateResult | None:
    """Return the cheapest candidate that is shown to meet the target."""
    return next((one for one in found if one.decision is not None and one.decision.met), None)


def _is_open(one: CandidateResult) -> bool:
    """Return whether all runs of a candidate do not decide it."""
    return one.finished and one.decision is not None and one.decision.met is None


def headline(plan: Plan, found: Found) -> str:
    """Return the result in a sentence."""
    target, best = plan.target, cheapest(found)
    if best is not None:
        assert best.decision is not None
        known = "that is known to meet" if _open(found, best) else "that meets"
        return (
            f"{best.candidate} is the cheapest {known} {target}:"
            f" expansion {best.candidate.expansion:.2f},"
            f" {best.decision.cost:.1f} requests a download"
        )
    open_ = _open(found)
    if open_:
        more = f" and {len(open_) - 1} more" if len(open_) > 1 else ""
        return (
            f"more runs are needed: of {_count(found)} {open_[0].candidate}{more} may meet {target}"
        )
    nearest = min((one for one in found if one.decision), key=lambda one: _excess(one.decision))
    assert nearest.decision is not None
    missed = [finding for finding in nearest.decision.findings if finding.met is False]
    what = " and ".join(f"{f.condition.name} {_value(f)}" for f in missed)
    return (
        f"none of {_count(found)} meets {target}: the nearest is {nearest.candidate}, with {what}"
    )


def _count(found: Found) -> str:
    return f"{len(found)} candidate{'s' if len(found) > 1 else ''}"


def _excess(decision: Decision | None) -> float:
    return inf if decision is None else decision.excess


def _open(found: Found, before: CandidateResult | None = None) -> list[CandidateResult]:
    """Return the undecided candidates that are cheaper than one."""
    end = len(found) if before is None else list(found).index(before)
    return [one for one in found[:end] if _is_open(one)]


def notes(plan: Plan, found: Found) -> list[str]:
    """Return notes on candidates that are undecided, or were not looked at."""
    lines = []
    open_ = _open(found, cheapest(found))
    for one in open_:
        assert one.decision is not None
        if one.decision.needed is None:
            words = "is so near the target that more runs are not likely to decide it"
        else:
            words = f"needs about {one.decision.needed:,} runs"
        lines.append(f"{one.candidate} {words}; max_runs is {plan.max_runs:,}")
    if open_:
        lines.append(_GO_ON)
    dearer = [one for one in found if one.decision is None]
    if dearer:
        lines.append(f"{_count(dearer)} with more expansion were not run")
    return lines


#: What a greater `max_runs` does.
_GO_ON = (
    "with a greater max_runs the same command goes on from the runs in the store, and the risk of a"
    " wrong verdict stays 2.5 % a side"
)


def table(plan: Plan, found: Found) -> Table:
    """Return the table."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    heading, *rows = _rows(plan, found)
    for name in heading:
        made.add_column(name)
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def as_markdown(plan: Plan, found: Found) -> str:
    """Return the table as Markdown has it."""
    return markdown(_rows(plan, found))


def _rows(plan: Plan, found: Found) -> list[list[str]]:
    """Return the cells of the table, row by row, its heading first."""
    crashes = any(one.decision.crashed for one in found if one.decision)
    names = [condition.name for condition in plan.target.conditions]
    crashed = ["crashed"] if crashes else []
    rows = [["k-of-n", "strategy", "expansion", "runs", *names, "requests", *crashed, "verdict"]]
    best = cheapest(found)
    for one in found:
        candidate, decision = one.candidate, one.decision
        if decision is None:
            continue
        row = [candidate.shares, candidate.strategy, f"{candidate.expansion:.2f}"]
        row += [str(decision.runs), *(_value(finding) for finding in decision.findings)]
        row.append("-" if decision.requests is None else f"{decision.requests:.1f}")
        row += [str(decision.crashed)] if crashes else []
        rows.append([*row, _words(one, decision, best)])
    return rows


def _words(one: CandidateResult, decision: Decision, best: CandidateResult | None) -> str:
    """Return the verdict on a candidate."""
    if decision.met:
        return "meets: the cheapest" if one is best else "meets, dearer"
    if decision.met is False:
        return "misses " + ", ".join(_missed(f) for f in decision.findings if f.met is False)
    if not one.finished:
        return "not run further: needs more requests"
    if decision.needed is None:
        return "too near to decide"
    return f"more runs are needed: about {decision.needed:,}"


def _missed(finding: Finding) -> str:
    """Return by how much a condition is missed."""
    condition, estimate = finding.condition, finding.estimate.estimate
    if estimate is None:
        return condition.name
    if condition.quantile is None:
        return f"{condition.name} by {100 * (condition.limit - estimate):.3g} points"
    if estimate == inf:
        return f"{condition.name}: never"
    return f"{condition.name} by {seconds(estimate - condition.limit)}"


def _value(finding: Finding) -> str:
    return in_words(finding.estimate, seconds if finding.condition.quantile else nines)


def nines(part: float) -> str:
    """Return a probability as text, with two digits of its difference to 1."""
    rest = 100 * (1 - part)
    digits = 0 if not 0 < rest < 100 else max(0, 1 - floor(log10(rest)))
    text = f"{100 * part:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def as_json(plan: Plan, found: Found) -> str:
    """Return a JSON object: "inf" is never, and null is not known."""
    best = cheapest(found)
    document = {
        "plan": plan.experiment.name,
        "target": {one.name: one.limit for one in plan.target.conditions},
        "confidence": CONFIDENCE,
        "max_runs": plan.max_runs,
        "verdict": verdict(found),
        "headline": headline(plan, found),
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
