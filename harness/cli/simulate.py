"""All runs of a scenario, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from firstk.harness.cli.exit import refusing
from firstk.harness.cli.progress import each
from firstk.harness.cli.targets import tell_unchecked

if TYPE_CHECKING:
    from firstk.harness.run.comparison import Compared
    from firstk.scenarios.model import Scenario


def simulate_all(
    scenario: Scenario,
    progress: bool = False,
    timeout: float | None = None,
    *,
    sources: bool = False,
) -> Compared:
    """Run each strategy of a scenario for all its runs; see `simulate` for `timeout`.

    With `sources`, the trace of the first run of each has the lines that sent its requests.
    """
    from firstk.harness.grid.untriggered import Unmet, untriggered_in_all
    from firstk.harness.run.bound import bound
    from firstk.harness.run.comparison import Compared, Raised
    from firstk.harness.run.simulate import observe
    from firstk.harness.run.strategy_runs import StrategyRuns
    from firstk.harness.run.under_test import DownloaderError

    def numbers(what: str) -> Iterable[int]:
        runs = range(scenario.runs)
        return each(runs, what) if progress else runs

    tell_unchecked([scenario])
    of_strategies: list[StrategyRuns] = []
    first_runs, raised = [], []
    unmet: Unmet | None = None
    bounds = [bound(scenario, number) for number in numbers("bound")]
    for strategy in scenario.strategies:
        results = []
        for number in numbers(strategy):
            with refusing(DownloaderError):
                lines = sources and number == 0
                run = observe(scenario, strategy, number, timeout, sources=lines)
            results.append(run.result)
            if (error := Raised.of(run)) is not None:
                raised.append(error)
            found = run.untriggered_faults
            unmet = found if unmet is None else untriggered_in_all([unmet, found])
            if number == 0:
                first_runs.append(run)
        first = of_strategies[0].samples if of_strategies else None
        of_strategies.append(StrategyRuns(strategy, results, first, bounds))
    return Compared(scenario, of_strategies, first_runs, unmet or {}, raised)
