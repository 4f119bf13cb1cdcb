"""`firstk run --rare`: how probable a rare event is, or a far quantile, from few runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firstk.harness.cli.exit import OK, USAGE, fail
from firstk.harness.cli.progress import bar
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.scenarios.model import Scenario

#: The default number of runs, and the least that give an interval.
RARE_RUNS = 2000
_LEAST = 50


def run_rare(scenario: Scenario, text: str, runs: int | None, form: str) -> int:
    """Print the estimate of a rare event for each strategy of a scenario."""
    from firstk.harness.rare.event import parse_event
    from firstk.harness.rare.rare import RareError, estimate_rare
    from firstk.reports.tables import rare

    try:
        event = parse_event(text)
    except ValueError as e:
        raise click.BadParameter(str(e), param_hint="--rare") from e
    runs = RARE_RUNS if runs is None else runs
    if runs < _LEAST:
        raise click.UsageError(f"--rare needs {_LEAST} --runs or more, not {runs}")
    if form == "csv":
        raise click.UsageError("--rare prints sentences or, with --format json, JSON")
    found = {}
    try:
        scenario = scenario.with_runs(runs=runs)
        with bar() as shown:
            task = shown.add_task("rare", total=runs * len(scenario.strategies))
            for strategy in scenario.strategies:
                found[strategy] = estimate_rare(
                    scenario, strategy, event, runs, lambda: shown.advance(task)
                )
    except RareError as e:
        fail(f"{scenario.source}: {e}", USAGE)
    if form == "json":
        click.echo(rare.as_json(scenario.name, event, found), nl=False)
        return OK
    for strategy, one in found.items():
        click.echo(printable(f"{rare.sentence(strategy, event, one)}."))
        click.echo(f"  Basis: {rare.basis(event, one)}.")
    return OK
