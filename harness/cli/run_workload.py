"""`firstk run` for a scenario with a workload: many downloads in each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import click

from firstk.harness.cli.exit import OK, UNMET, USAGE
from firstk.harness.cli.progress import bar
from firstk.harness.cli.tables import print_legend, print_table
from firstk.harness.cli.targets import tell_unchecked
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.run.result import Result
    from firstk.harness.run.workload_result import WorkloadResult
    from firstk.reports.model.workload import WorkloadSummary
    from firstk.scenarios.model import Scenario


def run_load(scenario: Scenario, form: str) -> tuple[int, Sequence[WorkloadSummary]]:
    """Run a workload with each strategy and print the results; also return the exit status."""
    from firstk.reports.tables import workload as reports

    summaries, unmet, overloads = simulate_loads(scenario)
    for line in overloads:
        click.echo(line, err=True)
    if not summaries:
        return USAGE, summaries
    match form:
        case "json":
            click.echo(reports.as_json(summaries), nl=False)
        case "csv":
            click.echo(reports.as_csv(summaries), nl=False)
        case _:
            times: Literal["ttfb", "located"]
            times = "located" if scenario.stop == "located" else "ttfb"
            print_table(reports.load_tables(summaries, times))
            for line in reports.problems(summaries):
                click.echo(printable(line, keep="\n"))
            print_legend(reports.LEGEND)
    for line in unmet:
        click.echo(printable(line, keep="\n"), err=True)
    return (USAGE if overloads else UNMET if unmet else OK), summaries


def simulate_loads(scenario: Scenario) -> tuple[list[WorkloadSummary], list[str], list[str]]:
    """Run a workload with each strategy.

    Return the results, the unmet expectations, and the strategies with which the grid could not
    carry the load: those have no results.
    """
    from firstk.harness.run.workload import OverloadError
    from firstk.reports.model.workload import WorkloadSummary

    summaries: list[WorkloadSummary] = []
    unmet: list[str] = []
    overloads: list[str] = []
    tell_unchecked([scenario])
    with _telling(scenario) as each:
        for strategy in scenario.strategies:
            try:
                ran = [_run(scenario, strategy, n, each) for n in range(scenario.runs)]
            except OverloadError as e:
                overloads.append(str(e))
                continue
            summaries.append(WorkloadSummary([result for result, _ in ran]))
            unmet += [problem for _, problems in ran for problem in problems]
    return summaries, unmet, overloads


def _run(
    scenario: Scenario, strategy: str, number: int, tell: Callable[[], None]
) -> tuple[WorkloadResult, list[str]]:
    """Return the result of one run, and a sentence for each problem in it."""
    from firstk.harness.run.comparison import expectation, replay
    from firstk.harness.run.result import unmet
    from firstk.harness.run.workload import simulate_workload

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

    result = simulate_workload(scenario, strategy, number, each)
    problems = []
    command = replay(scenario, strategy, result.seed)
    if bad:
        problems.append(
            f"{command}: {bad} of {result.downloads} downloads are not as expected;"
            f" the first: {'; '.join(first)}"
        )
    if result.strays:
        problems.append(f"{command}: {result.strays} errors came up in callbacks: {result.message}")
    return result, problems


@contextmanager
def _telling(scenario: Scenario) -> Iterator[Callable[[], None]]:
    """Show how many downloads are over, if standard error is a terminal.

    The function that is yielded must be called after each download.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    assert scenario.workload is not None
    total = len(scenario.strategies) * scenario.runs * scenario.workload.counted
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with bar(*columns) as shown:
        task = shown.add_task("load", total=total)
        yield lambda: shown.advance(task)
