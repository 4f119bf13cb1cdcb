"""`firstk plan`: finds the cheapest k, n and strategy that meet a target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli.exit import OK, UNMET, refusing
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import DOWNLOADER, format_option
from firstk.harness.cli.sweep_options import (
    STORE,
    WORKERS,
    processes,
    resumable,
    sweep_progress,
    tell_crashes,
)
from firstk.harness.cli.tables import print_legend, print_table
from firstk.harness.cli.targets import chosen_downloaders

if TYPE_CHECKING:
    from firstk.reports.model.plan_words import Found
    from firstk.scenarios.plan import Plan


@click.command(
    epilog=examples(
        "firstk plan half-second.toml",
        "firstk plan half-second.toml --downloader mypackage.fetch:download",
    )
)
@click.argument("file", metavar="PLAN", type=click.Path(path_type=Path))
@DOWNLOADER
@STORE
@WORKERS
@format_option("markdown", "json", help="Output format.")
def plan(
    file: Path, downloaders: tuple[str, ...], path: Path | None, workers: int | None, form: str
) -> int:
    """Find the cheapest k, n and strategy that meet a target.

    With --downloader, another downloader replaces the strategies.

    Candidates are run until their runs show whether they meet the target, the cheapest first:
    those that take the least disk space, and then those that send the fewest requests. Every run
    is kept in a store, and an interrupted search continues where it stopped. Exit status 1 means
    that no candidate meets the target, or that more runs are needed.
    """
    from firstk.harness.run.independence import StateError
    from firstk.harness.sweep.batch import OtherVersionError
    from firstk.harness.sweep.search import search_plan
    from firstk.harness.sweep.store import Store, StoreError
    from firstk.harness.sweep.workers import WorkersError
    from firstk.reports.model.plan_words import verdict

    asked = _plan(file, downloaders)
    path = path or Path(f"{asked.experiment.name}.sqlite")
    unusable = (StoreError, WorkersError, OtherVersionError)
    with refusing(*unusable, prefix="firstk: "), Store(path, write=True) as store:
        try:
            with resumable(store):
                found = search_plan(asked, store, processes(workers), sweep_progress)
        except StateError as e:
            click.echo(str(e), err=True)
            return UNMET
        _print(asked, found, form)
        bad = any(one.decision.crashed or one.decision.wrong for one in found if one.decision)
        if bad:
            tell_crashes(store)
        return OK if verdict(found) == "found" and not bad else UNMET


def _plan(file: Path, downloaders: tuple[str, ...]) -> Plan:
    """Return the plan in a file; exit with all mistakes in it."""
    from dataclasses import replace

    from firstk.harness.sweep.decision import least_runs
    from firstk.scenarios.load import ScenarioError
    from firstk.scenarios.plan import load_plan

    with refusing(ScenarioError):
        found = load_plan(file)
    if others := chosen_downloaders(downloaders):
        experiment = replace(found.experiment, strategies=tuple(others))
        found = replace(found, experiment=experiment)
    needed = least_runs(found.target)
    if needed > found.max_runs:
        click.echo(
            f"{file}: note: to show that {found.target} is met takes {needed:,} runs, however good"
            f" they are, and search.max_runs is {found.max_runs:,}",
            err=True,
        )
    return found


def _print(asked: Plan, found: Found, form: str) -> None:
    """Print the result of the search."""
    from firstk.reports.model import plan_words
    from firstk.reports.tables import plan as plan_table

    if form == "json":
        click.echo(plan_table.as_json(asked, found), nl=False)
        return
    if form == "markdown":
        click.echo(plan_table.as_markdown(asked, found))
    else:
        print_table([plan_table.table(asked, found)], keys=2)
    click.echo(plan_words.headline(asked, found))
    if rests_on := plan_words.basis(asked, found):
        click.echo(f"Basis: {'; '.join(rests_on)}.")
    for line in plan_words.notes(asked, found):
        click.echo(line)
    if form == "table":
        click.echo()
        print_legend(plan_table.LEGEND)
