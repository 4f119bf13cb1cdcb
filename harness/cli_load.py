"""`firstk run` of a scenario with a workload: many downloads in each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from harness.cli_exit import OK, UNMET
from harness.cli_output import console
from harness.cli_progress import bar
from harness.cli_simulate import uninterrupted
from scenarios.text import printable

if TYPE_CHECKING:
    from harness.load_result import LoadResult
    from harness.result import Result
    from reports.load import LoadSummary
    from scenarios.model import Scenario


def run_load(scenario: Scenario, form: str) -> tuple[int, Sequence[LoadSummary]]:
    """Run a workload with each strategy and print what it came to; return the exit status too."""
    from reports import load as reports

    summaries, unmet = simulate_loads(scenario)
    match form:
        case "json":
            click.echo(reports.as_json(summaries), nl=False)
        case "csv":
            click.echo(reports.as_csv(summaries), nl=False)
        case _:
            console().print(reports.load_table(summaries))
            for line in reports.problems(summaries):
                click.echo(printable(line, keep="\n"))
            click.echo(reports.LEGEND)
    for line in unmet:
        click.echo(printable(line, keep="\n"), err=True)
    return (UNMET if unmet else OK), summaries


def simulate_loads(scenario: Scenario) -> tuple[list[LoadSummary], list[str]]:
    """Run a workload with each strategy; return what it came to, and what was not as expected."""
    from reports.load import LoadSummary

    summaries: list[LoadSummary] = []
    unmet: list[str] = []
    with _telling(scenario) as each:
        for strategy in scenario.strategies:
            results = []
            for number in range(scenario.runs):
                result, problem = _run(scenario, strategy, number, each)
                results.append(result)
                unmet += problem
            summaries.append(LoadSummary(results))
    return summaries, unmet


def _run(
    scenario: Scenario, strategy: str, number: int, tell: Callable[[], None]
) -> tuple[LoadResult, list[str]]:
    """Return what one run comes to, and what in it was not as expected, in words."""
    from harness.result import unmet
    from harness.workload import simulate_load
    from reports.comparison import expectation, replay

    expected = expectation(scenario, strategy)
    first: list[str] = []
    bad = 0

    def each(result: Result) -> None:
        nonlocal bad
        tell()
        problems = [] if expected is None else list(unmet(expected, result))
        if expected is None and result.content_ok is False:
            problems = ["wrong bytes were written"]
        if problems:
            bad += 1
            first.extend(problems if bad == 1 else [])

    result = simulate_load(scenario, strategy, number, each)
    told = []
    command = replay(scenario, strategy, result.seed)
    if bad:
        told.append(
            f"{command}: {bad} of {result.downloads} downloads are not as expected;"
            f" the first: {'; '.join(first)}"
        )
    if result.strays:
        told.append(f"{command}: {result.strays} errors came up in callbacks: {result.message}")
    return result, told


@contextmanager
def _telling(scenario: Scenario) -> Iterator[Callable[[], None]]:
    """Show how many downloads are over, where standard error is a terminal.

    What is yielded is called after each; it raises what Control-C asked for in the meantime.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    assert scenario.workload is not None
    total = len(scenario.strategies) * scenario.runs * scenario.workload.counted
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with bar(*columns) as shown, uninterrupted() as interrupt:
        task = shown.add_task("load", total=total)

        def tell() -> None:
            shown.advance(task)
            interrupt()

        yield tell
