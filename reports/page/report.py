"""What a page is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from firstk.harness.capacity.capacity import Capacity
from firstk.harness.explain.alternatives import Alternatives
from firstk.harness.live.worlds import WorldsCompared
from firstk.harness.run.comparison import Compared
from firstk.reports.model import plan_words
from firstk.reports.model.capacity import capacities
from firstk.reports.model.cases import Case
from firstk.reports.model.plan import PlanResult
from firstk.reports.page import findings
from firstk.reports.page.published import PublishedRow


@dataclass(frozen=True)
class Report:
    """The contents of a page. `axes` are those of the experiment, if it is about a store.

    `overloaded` is True if a grid could not carry its workload with some strategy, which then has
    no results. `version` is the version of firstk that made the results. `warnings` are what the
    reader must know before believing any number. `closely` is one run of an experiment, for its
    timeline. `plan` is what a plan's store shows about it. `live` is a scenario on real servers,
    with its simulation. `played` has the runs of the cases that can be played, by name.
    `published` are published numbers beside ours. `files` maps the names of files in commands to
    their paths.
    """

    title: str
    description: str
    cases: Sequence[Case]
    version: str
    axes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    of_store: bool = False
    overloaded: bool = False
    closely: Compared | None = None
    live: WorldsCompared | None = None
    published: Sequence[PublishedRow] = ()
    played: Mapping[str, Alternatives] = field(default_factory=dict)
    plan: PlanResult | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    tell: Callable[[str], None] = field(default=lambda what: None)

    @cached_property
    def there(self) -> list[Case]:
        """The cases that have runs."""
        return [case for case in self.cases if case.strategies]

    @cached_property
    def capacities(self) -> list[Capacity]:
        """The capacities of the strategies, if it is about a sweep over the rate of arrivals."""
        return capacities(self.there, self.axes)

    @property
    def of_many(self) -> bool:
        """Whether there are estimates, because some case has more than one run."""
        return any(case.runs > 1 or case.has_workload for case in self.there)


def headlines(report: Report) -> Iterator[str]:
    """Yield the headlines of the page, computed from its results."""
    if report.plan is not None and report.there:
        plan, found = report.plan.plan, report.plan.candidates
        for line in plan_words.headline(plan, found), *plan_words.notes(plan, found):
            yield f"{line[0].upper()}{line[1:]}."
    elif not report.there:
        yield (
            "The grid cannot carry this load: there are no results."
            if report.overloaded
            else "There are no results yet."
        )
    elif len(report.axes) == 1:
        yield from findings.along(report.there, report.axes[0])
    elif len(report.axes) > 1:
        yield from findings.over(report.there)
    else:
        for case in report.there:
            yield findings.headline(case)
