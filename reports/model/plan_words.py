"""The result of a plan's search in words: the verdicts, the headline and the notes."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf, log10
from typing import Literal

from firstk.harness.stats.estimates import in_words
from firstk.harness.stats.formats import seconds
from firstk.harness.sweep.decision import Decision, Finding
from firstk.harness.sweep.search import CandidateResult
from firstk.scenarios.plan import Plan

Verdict = Literal["found", "none", "undecided"]

Found = Sequence[CandidateResult]

#: The effect of a larger `max_runs`.
_GO_ON = (
    "with a greater max_runs the same command goes on from the runs in the store, and the risk of a"
    " wrong verdict stays 2.5 % a side"
)


def verdict(found: Found) -> Verdict:
    """Return whether a candidate meets the target, none does, or more runs are needed."""
    if cheapest(found) is not None:
        return "found"
    return "undecided" if any(_is_open(one) for one in found) else "none"


def cheapest(found: Found) -> CandidateResult | None:
    """Return the cheapest candidate that is shown to meet the target."""
    return next((one for one in found if one.decision is not None and one.decision.met), None)


def _is_open(one: CandidateResult) -> bool:
    """Return whether a candidate is undecided after all its runs."""
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
    if not all(one.finished for one in found):
        return f"the search is not done: no candidate is known to meet {target} yet"
    open_ = _open(found)
    if open_:
        more = f" and {len(open_) - 1} more" if len(open_) > 1 else ""
        return (
            f"more runs are needed: of {count(found)} {open_[0].candidate}{more} may meet {target}"
        )
    nearest = min((one for one in found if one.decision), key=lambda one: _excess(one.decision))
    assert nearest.decision is not None
    missed = [finding for finding in nearest.decision.findings if finding.met is False]
    what = " and ".join(f"{f.condition.name} {value(f)}" for f in missed)
    return f"none of {count(found)} meets {target}: the nearest is {nearest.candidate}, with {what}"


def count(found: Found) -> str:
    """Return the number of candidates, in words."""
    return f"{len(found)} candidate{'s' if len(found) > 1 else ''}"


def _excess(decision: Decision | None) -> float:
    return inf if decision is None else decision.excess


def _open(found: Found, before: CandidateResult | None = None) -> list[CandidateResult]:
    """Return the undecided candidates, or those of them that are cheaper than `before`."""
    end = len(found) if before is None else list(found).index(before)
    return [one for one in found[:end] if _is_open(one)]


def notes(plan: Plan, found: Found) -> list[str]:
    """Return notes on candidates that are undecided, or were not run."""
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
        lines.append(f"{count(dearer)} with more expansion were not run")
    return lines


def basis(plan: Plan, found: Found) -> list[str]:
    """Return what the verdict rests on: runs, intervals and limits of the candidate it is about.

    That is the cheapest that meets the target or, if there is none, the one nearest to it.
    """
    run = [one for one in found if one.decision is not None]
    if not run:
        return []
    one = cheapest(found) or min(run, key=lambda one: _excess(one.decision))
    assert one.decision is not None
    first = plan.experiment.seed
    seeds = f"seeds {first} to {first + one.decision.runs - 1}"
    lines = [f"{one.candidate}: {one.decision.runs:,} runs ({seeds})"]
    for finding in one.decision.findings:
        said = {True: "meets", False: "misses", None: "is not shown to meet"}[finding.met]
        lines.append(f"{finding.condition.name} {value(finding)} {said} {finding.condition}")
    return lines


def words(one: CandidateResult, best: CandidateResult | None) -> str:
    """Return the verdict on a candidate; `best` is the cheapest that meets the target."""
    decision = one.decision
    if decision is None:
        return "not run"
    if decision.met:
        return "meets: the cheapest" if one is best else "meets, dearer"
    if decision.met is False:
        return "misses " + ", ".join(_missed(f) for f in decision.findings if f.met is False)
    if not one.finished:
        return "not run further" + (": needs more requests" if best is not None else "")
    if decision.needed is None:
        return "too near to decide"
    return f"more runs are needed: about {decision.needed:,}"


def _missed(finding: Finding) -> str:
    """Return by how much a condition is missed."""
    condition, estimate = finding.condition, finding.estimate.estimate
    if estimate is None:
        return condition.name
    if condition.is_busy:
        return f"{condition.name} by {100 * (estimate - condition.limit):.3g} points"
    if condition.quantile is None:
        return f"{condition.name} by {100 * (condition.limit - estimate):.3g} points"
    if estimate == inf:
        return f"{condition.name}: never"
    return f"{condition.name} by {seconds(estimate - condition.limit)}"


def value(finding: Finding) -> str:
    """Return the estimate of a condition as text, with its interval."""
    return in_words(finding.estimate, seconds if finding.condition.quantile else nines)


def nines(part: float) -> str:
    """Return a probability as text, with two digits of its difference from 1."""
    rest = 100 * (1 - part)
    digits = 0 if not 0 < rest < 100 else max(0, 1 - floor(log10(rest)))
    text = f"{100 * part:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"
