"""Checks whether the runs of a command are independent, by repeating some at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING

import click

from firstk.harness.cli.exit import OK, UNMET

if TYPE_CHECKING:
    from firstk.harness.run.independence import Made
    from firstk.harness.run.result import Result
    from firstk.harness.run.workload_result import WorkloadResult
    from firstk.scenarios.model import Scenario


class Independence:
    """Checks that the downloaders of a command keep no state from one run to the next.

    Create it before the runs. Our own strategies are not checked, since they keep no state.
    """

    def __init__(self) -> None:
        self._begun = monotonic()
        self._runs = 0
        self._made: list[Made] = []

    def add(self, scenario: Scenario, results: Sequence[Result | WorkloadResult]) -> None:
        """Add completed runs of a scenario."""
        self._runs += len(results)
        self._made += _of_others(scenario, results)

    def check(self) -> int:
        """Repeat some of the runs in a fresh process; return the exit status, and print why."""
        from firstk.harness.run.independence import StateError, check, is_affordable, last_first

        if len(self._made) < 2:
            return OK
        elapsed = monotonic() - self._begun
        each = elapsed / self._runs
        order = last_first(self._made)
        if not is_affordable(each, elapsed):
            click.echo(
                f"note: did not check whether {order[0].subject} keeps state between runs: a run"
                f" takes about {each:.1f} s",
                err=True,
            )
            return OK
        try:
            check(order, each)
        except StateError as e:
            click.echo(str(e), err=True)
            return UNMET
        return OK


def _of_others(scenario: Scenario, results: Sequence[Result | WorkloadResult]) -> Iterator[Made]:
    from firstk.harness.run.independence import Made
    from firstk.harness.run.under_test import is_external

    for one in results:
        if is_external(one.strategy):
            yield Made(scenario, one.strategy, one.run, one.digest, scenario.source)
