"""`firstk tune`: searches the settings of `hedged` for a grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, UNMET, refusing
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import FOLDER, RUNS, SEED, format_option
from firstk.harness.cli.output import make_folder, writing
from firstk.harness.cli.sweep_options import (
    STORE,
    WORKERS,
    processes,
    resumable,
    sweep_progress,
    tell_crashes,
)
from firstk.harness.cli.tables import print_legend, print_table
from firstk.harness.cli.targets import load_one, refuse_load, tell_notes
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.sweep.tuning import Tuning
    from firstk.scenarios.model import Scenario


@click.command(
    epilog=examples(
        "firstk tune heavy-tails --out tuned", "firstk tune my-scenario.toml --format json"
    )
)
@click.argument("target", metavar="FILE|NAME", shell_complete=completion.scenarios)
@click.option("--seed", type=SEED, help="The seed of the first run; default the scenario's.")
@click.option(
    "--runs",
    type=RUNS,
    default=500,
    show_default=True,
    help="How many runs each of the strategies that are printed has; an interval for p99 takes 461."
    " The search takes half as many, with other seeds, for the best settings.",
)
@STORE
@WORKERS
@click.option("--out", metavar="DIR", type=FOLDER, help="Directory for a picture.")
@format_option("markdown", "json", help="Output format.")
def tune(
    target: str,
    seed: int | None,
    runs: int,
    path: Path | None,
    workers: int | None,
    out: Path | None,
    form: str,
) -> int:
    """Search the settings of hedged for those that suit a grid.

    The grid is that of a scenario. The settings are the number of spares, when a read is overdue
    (quantile and lateness), and when to give up. Prints those between which only the choice of
    fewer bytes or a lower 99th percentile of the time decides: of the time to first byte or, unless
    the scenario has stop = "first-block", of the whole file. The figures are from runs that the
    search has not used. Every run is kept in a store, and an interrupted search continues where it
    stopped. Exit status 1 means that more than 1 % of the downloads fail with all settings.
    """
    from firstk.harness.run.independence import StateError
    from firstk.harness.sweep.batch import OtherVersionError
    from firstk.harness.sweep.store import Store, StoreError
    from firstk.harness.sweep.tuning import tune as search
    from firstk.harness.sweep.workers import WorkersError

    scenario = _scenario(target, seed, runs)
    if out is not None:
        make_folder(out)
    path = path or Path(f"{scenario.name}.sqlite")
    unusable = (StoreError, WorkersError, OtherVersionError)
    with refusing(*unusable, prefix="firstk: "), Store(path, write=True) as store:
        try:
            with resumable(store):
                found = search(scenario, runs, store, processes(workers), sweep_progress)
        except StateError as e:
            click.echo(str(e), err=True)
            return UNMET
        _print(found, form)
        if out is not None:
            _draw(found, out, quiet=form == "json")
        bad = any(point.cell.crashed or point.cell.wrong for point in found.points)
        if bad:
            tell_crashes(store)
        return OK if found.possible and not bad else UNMET


def _scenario(target: str, seed: int | None, runs: int) -> Scenario:
    """Return the scenario to tune for; exit if that is impossible."""
    from firstk.harness.sweep.tuning import experiment_of

    scenario = load_one(target, "tune")
    refuse_load(scenario, "tune")
    if scenario.stop == "located":
        raise click.UsageError(
            f'{scenario.source} has stop = "located": no byte is read, so nothing can be tuned'
        )
    if scenario.reads is not None:
        raise click.UsageError(
            f"{scenario.source} has [[reads]], and `tune` looks at single downloads"
        )
    tell_notes(scenario)
    try:
        scenario = scenario.with_runs(seed=seed, runs=1)
        experiment_of(scenario, runs)
    except ValueError as e:
        raise click.UsageError(str(e)) from e
    return scenario


def _print(found: Tuning, form: str) -> None:
    """Print the result."""
    from firstk.reports.model.tune_words import headline
    from firstk.reports.tables import tune as tune_table
    from firstk.reports.tables.rows import as_markdown

    if form == "json":
        click.echo(tune_table.as_json(found), nl=False)
        return
    rows = tune_table.rows(found)
    if form == "markdown":
        click.echo(as_markdown(rows, ()))
    else:
        print_table(tune_table.widths(rows))
    click.echo(printable(headline(found)))
    for line in tune_table.notes(found):
        click.echo(printable(line))
    if form == "table":
        click.echo()
        print_legend(tune_table.legend(found))


def _draw(found: Tuning, out: Path, *, quiet: bool) -> None:
    """Write the picture."""
    from importlib.metadata import version

    from firstk.reports.plots import tune

    with writing(out):
        written = tune.draw(found, out / f"tune-{found.scenario.name}", version("firstk"))
    click.echo(printable(f"Wrote {written[0]} and {written[1].name}."), err=quiet)
