"""A comparison: scenarios, and for each the results of its strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from firstk.downloader import DownloadError
from firstk.harness.grid.untriggered import Unmet
from firstk.harness.kernel.raised import AbortedError, traceback_of, where
from firstk.harness.run.bound import Bound
from firstk.harness.run.finish import Run
from firstk.harness.run.result import Result, unmet
from firstk.harness.run.strategy_runs import StrategyRuns
from firstk.harness.run.under_test import is_external
from firstk.scenarios.model import OTHER, Expectation, Scenario
from firstk.scenarios.text import shell_word


@dataclass(frozen=True, slots=True)
class Raised:
    """A run that failed with an unexpected error, which is not a `DownloadError`.

    `where` is the place in code under test that raised it, if it is known, and `traceback` is the
    text that Python prints, from that code on. `aborted` is True if the run was ended for it.
    """

    result: Result
    where: str | None
    traceback: str
    aborted: bool

    @classmethod
    def of(cls, run: Run) -> Raised | None:
        """Return the unexpected error of a run; None if it succeeded or had a `DownloadError`."""
        error = run.failure
        if error is None or isinstance(error, DownloadError):
            return None
        aborted = isinstance(error, AbortedError)
        return cls(run.result, where(error), traceback_of(error), aborted)


@dataclass(frozen=True, slots=True)
class Compared:
    """One scenario: a summary for each strategy, and the first run of each for timelines.

    `untriggered_faults` are the scenario's faults that met no request in any run of any strategy.
    `raised` are the runs that failed with an error of the code itself.
    """

    scenario: Scenario
    strategies: Sequence[StrategyRuns]
    first_runs: Sequence[Run]
    untriggered_faults: Unmet = field(default_factory=dict)
    raised: Sequence[Raised] = ()

    @property
    def bounds(self) -> Sequence[Bound]:
        """The bounds, run by run."""
        return self.strategies[0].bounds

    @property
    def unmet(self) -> list[str]:
        """A sentence for each expectation that some run did not meet, with the replay command.

        A run that was aborted is included even if the scenario has no expectations for it.
        """
        aborted = [
            f"{replay(self.scenario, r.strategy, r.seed)}: {r.error}: {r.message}"
            for r in (one.result for one in self.raised if one.aborted)
            if expectation(self.scenario, r.strategy) is None
        ]
        return aborted + [
            f"{replay(self.scenario, r.strategy, r.seed)}: {problem}"
            for summary in self.strategies
            for r in summary.results
            if (expected := expectation(self.scenario, r.strategy)) is not None
            for problem in unmet(expected, r)
        ]


def expectation(scenario: Scenario, strategy: str) -> Expectation | None:
    """Return what a scenario expects of a strategy, or of an external downloader."""
    expect = scenario.expect
    return expect.get(strategy, expect.get(OTHER) if is_external(strategy) else None)


def replay(scenario: Scenario, strategy: str, seed: int) -> str:
    """Return the command that replays one row."""
    one = " --runs 1" if scenario.runs > 1 else ""
    what = "--downloader" if is_external(strategy) else "--strategy"
    over = f" --transport {scenario.given_transport}" if scenario.given_transport else ""
    return f"firstk run {shell_word(scenario.source)} {what} {strategy} --seed {seed}{one}{over}"
