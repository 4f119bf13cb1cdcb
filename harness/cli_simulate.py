"""All runs of a scenario, one after the other; Control-C waits for the one that it falls into."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.cli_progress import each

if TYPE_CHECKING:
    from reports.comparison import Compared
    from scenarios.model import Scenario


def simulate_all(scenario: Scenario, progress: bool = False) -> Compared:
    """Run all strategies of a scenario through all its runs."""
    from harness.bound import bound
    from harness.encounters import Unmet, unmet_in_all
    from harness.simulate import simulate
    from reports.comparison import Compared
    from reports.summary import Summary

    def numbers(what: str) -> Iterable[int]:
        runs = range(scenario.runs)
        return each(runs, what) if progress else runs

    summaries, first_runs = [], []
    unmet: Unmet | None = None
    bounds = [bound(scenario, number) for number in numbers("bound")]
    for strategy in scenario.strategies:
        results = []
        for number in numbers(strategy):
            with uninterrupted():
                run = simulate(scenario, strategy, number)
            results.append(run.result)
            found = run.unmet_faults
            unmet = found if unmet is None else unmet_in_all([unmet, found])
            if number == 0:
                first_runs.append(run)
        summaries.append(Summary(results, bounds))
    return Compared(scenario, summaries, first_runs, unmet or {})


@contextmanager
def uninterrupted() -> Iterator[Callable[[], None]]:
    """Keep Control-C until the run that it falls into is done, or until what is yielded is called.

    Within a run a Deferred might catch it, and take it for a failure of a server. A run
    takes milliseconds, but on the largest grids.
    """
    caught: list[int] = []

    def interrupt() -> None:
        if caught:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
    interrupt()
