"""A comparison: scenarios, and for each what its strategies came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.bound import Bound
from harness.encounters import Unmet
from harness.result import unmet
from harness.simulate import Run
from harness.subject import is_other
from reports.runs import StrategyRuns
from scenarios.model import OTHER, Expectation, Scenario
from scenarios.text import shell_word


@dataclass(frozen=True, slots=True)
class Compared:
    """One scenario: a summary for each strategy, and the first run of each for timelines.

    `unmet_faults` are the scenario's faults that met no request in any run of any strategy.
    """

    scenario: Scenario
    strategies: Sequence[StrategyRuns]
    first_runs: Sequence[Run]
    unmet_faults: Unmet = field(default_factory=dict)

    @property
    def bounds(self) -> Sequence[Bound]:
        """The bounds, run by run."""
        return self.strategies[0].bounds

    @property
    def unmet(self) -> list[str]:
        """Each expectation that some run did not meet, in words, with how to replay it."""
        return [
            f"{replay(self.scenario, r.strategy, r.seed)}: {problem}"
            for summary in self.strategies
            for r in summary.results
            if (expected := expectation(self.scenario, r.strategy)) is not None
            for problem in unmet(expected, r)
        ]


def expectation(scenario: Scenario, strategy: str) -> Expectation | None:
    """Return what a scenario expects of a strategy, or of another downloader."""
    expect = scenario.expect
    return expect.get(strategy, expect.get(OTHER) if is_other(strategy) else None)


def replay(scenario: Scenario, strategy: str, seed: int) -> str:
    """Return the command that runs one row again."""
    one = " --runs 1" if scenario.runs > 1 else ""
    what = "--downloader" if is_other(strategy) else "--strategy"
    return f"firstk run {shell_word(scenario.source)} {what} {strategy} --seed {seed}{one}"
