"""The command `firstk plan`: the cheapest k, n and strategy that meet a target."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import OK, UNMET, USAGE, _console
from harness.cli_sweep import _STORE, _WORKERS, _report_crashes, _telling, _workers

if TYPE_CHECKING:
    from reports.plan_table import Found
    from scenarios.plan import Plan


@click.command()
@click.argument("file", metavar="PLAN", type=click.Path(path_type=Path))
@_STORE
@_WORKERS
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "json"]),
    default="table",
    show_default=True,
    help="How what it came to is printed.",
)
def plan(file: Path, path: Path | None, workers: int | None, form: str) -> int:
    """Find the cheapest k, n and strategy that meet a target.

    Candidates are run until it is told whether they meet it, the cheapest first: what takes the
    least disk space, and then what sends the fewest requests. Every run is kept in a store, and
    a search that was interrupted goes on where it stopped. Exit status 1 means that none meets
    the target, or that more runs are needed to tell.
    """
    from harness.batch import OtherVersionError
    from harness.search import Search
    from harness.store import Store, StoreError
    from harness.workers import WorkersError
    from reports.plan_table import verdict
    from reports.verdict import judge

    asked = _plan(file)
    path = path or Path(f"{asked.experiment.name}.sqlite")
    at_work = _workers(workers, None)
    try:
        with Store(path, write=True) as store:
            try:
                found = Search(asked, store, partial(judge, asked.target), at_work, _telling).run()
            except KeyboardInterrupt:
                kept = f"what was run is kept in {path}; the same command goes on from there"
                click.echo(kept, err=True)
                raise
            _print(asked, found, form)
            bad = any(one.judged.crashed or one.judged.wrong for one in found if one.judged)
            status = _report_crashes(store) if bad else OK
            return status if verdict(found) == "found" else UNMET
    except (StoreError, WorkersError, OtherVersionError) as e:
        click.echo(f"firstk: {e}", err=True)
        sys.exit(USAGE)


def _plan(file: Path) -> Plan:
    """Return the plan in a file; exit with all that is wrong with it."""
    from reports.verdict import least_runs
    from scenarios.load import ScenarioError
    from scenarios.plan import load_plan

    try:
        found = load_plan(file)
    except ScenarioError as e:
        click.echo(str(e), err=True)
        sys.exit(USAGE)
    needed = least_runs(found)
    if needed > found.max_runs and not found.has_loads:
        click.echo(
            f"{file}: note: to tell that {found.target} is met takes {needed:,} runs, however good"
            f" they are, and search.max_runs is {found.max_runs:,}",
            err=True,
        )
    return found


def _print(asked: Plan, found: Found, form: str) -> None:
    """Print what the search came to."""
    from reports import plan_table

    if form == "json":
        click.echo(plan_table.as_json(asked, found), nl=False)
        return
    if form == "markdown":
        click.echo(plan_table.as_markdown(asked, found))
    else:
        _console().print(plan_table.table(asked, found))
    click.echo(plan_table.headline(asked, found))
    for line in plan_table.notes(asked, found):
        click.echo(line)
    if form == "table":
        click.echo()
        click.echo(plan_table.LEGEND, nl=False)
