"""`firstk run` of a scenario with a workload: many downloads in each run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from harness.cli import OK, UNMET, _console

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
            _console().print(reports.load_table(summaries))
            for line in reports.problems(summaries):
                click.echo(line)
            click.echo(reports.LEGEND)
    for line in unmet:
        click.echo(line, err=True)
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

    What is yielded is called after each. It raises what Control-C asked for: within a download
    a Deferred might catch it, and take it for a failure of a server.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    assert scenario.workload is not None
    counted = scenario.workload.counted
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    caught: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("load", total=len(scenario.strategies) * scenario.runs * counted)

        def tell() -> None:
            bar.advance(task)
            if caught:
                raise KeyboardInterrupt

        if in_main:
            signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
        try:
            yield tell
        finally:
            if in_main:
                signal.signal(signal.SIGINT, before)
