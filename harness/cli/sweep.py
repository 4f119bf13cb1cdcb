"""`firstk sweep` and `firstk export`: run an experiment, and export its results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, UNMET, refusing
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import DOWNLOADER, FILE, format_option
from firstk.harness.cli.output import writing
from firstk.harness.cli.sweep_options import (
    STORE,
    WORKERS,
    processes,
    resumable,
    sweep_progress,
    tell_crashes,
    tell_distrusted,
)
from firstk.harness.cli.tables import print_legend, print_table
from firstk.harness.cli.targets import chosen_downloaders, tell_unchecked
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.sweep.salvage import Salvage
    from firstk.harness.sweep.store import Store
    from firstk.harness.sweep.sweep import StopRule
    from firstk.harness.sweep.workers import Workers
    from firstk.reports.tables.rows import TableRow
    from firstk.scenarios.experiment import Experiment, Precision

    #: Prints the table.
    Printer = Callable[[Sequence[TableRow], Sequence[str]], None]


@click.command(
    epilog=examples(
        "firstk sweep hung-fraction --workers 2", "firstk sweep experiment.toml --format csv"
    )
)
@click.argument("target", metavar="EXPERIMENT", shell_complete=completion.experiments)
@STORE
@WORKERS
@click.option("--scheduler", metavar="ADDRESS", help="Let a Dask cluster run it: tcp://HOST:PORT.")
@DOWNLOADER
@format_option("csv", "markdown", "json", help="Output format.")
def sweep(
    target: str,
    path: Path | None,
    workers: int | None,
    scheduler: str | None,
    downloaders: tuple[str, ...],
    form: str,
) -> int:
    """Run an experiment: a scenario, varied, many times.

    Every run is kept in a store. A sweep that was interrupted, in whatever way, continues where it
    stopped, and prints the same table as without interruption. Exit status 1 means that wrong
    bytes were written, that a run ended its process, that the grid could not carry the load of a
    run, that a downloader keeps state between runs, or that a number differs from theory, if the
    experiment asks for that comparison.
    """
    from firstk.harness.run.independence import StateError
    from firstk.harness.run.under_test import DownloaderError
    from firstk.harness.sweep.batch import OtherVersionError
    from firstk.harness.sweep.store import Store, StoreError
    from firstk.harness.sweep.sweep import Sweep
    from firstk.harness.sweep.workers import WorkersError
    from firstk.reports.model.cells import cells
    from firstk.reports.tables import sweep as sweep_table

    if workers is not None and scheduler is not None:
        raise click.UsageError("--workers and --scheduler exclude one another")
    experiment = _experiment(target, downloaders)
    tell_unchecked(point.scenario for point in experiment.points)
    path = path or Path(f"{experiment.name}.sqlite")
    rule = _enough(target, experiment.precision) if experiment.precision else None
    unusable = (StoreError, DownloaderError, WorkersError, OtherVersionError)
    with refusing(*unusable, prefix="firstk: "), Store(path, write=True) as store:
        try:
            with resumable(store), sweep_progress() as tell:
                runs = Sweep(experiment, store, rule, tell).run(_workers(workers, scheduler))
        except StateError as e:
            click.echo(str(e), err=True)
            return UNMET
        found = list(cells(experiment, store, runs))
        if experiment.oracle:
            status = _print_verdicts(experiment, store, runs, form)
        else:
            status = OK
            _print(sweep_table.rows(found), experiment.axes, form, _print_table)
            if form in ("table", "markdown"):
                _print_capacities(experiment, store, workers)
        if any(cell.crashed or cell.overloaded or cell.wrong for cell in found):
            tell_crashes(store)
            status = UNMET
        return status


def _enough(target: str, precision: Precision) -> StopRule:
    """Return the stopping rule; print a note if `max_runs` is too few for any interval."""
    from firstk.harness.stats.estimates import least_runs
    from firstk.harness.sweep.precision import enough

    needed = least_runs(precision.quantile)
    if needed > precision.max_runs:
        click.echo(
            f"{target}: note: an interval for the {precision.quantile:g} quantile needs {needed:,}"
            f" runs, and precision.max_runs is {precision.max_runs:,}",
            err=True,
        )
    return enough(precision)


def _experiment(target: str, downloaders: tuple[str, ...]) -> Experiment:
    """Return the requested experiment; exit with all mistakes in it."""
    from dataclasses import replace

    from firstk.scenarios.experiment import load_experiment
    from firstk.scenarios.library import find_experiment
    from firstk.scenarios.load import ScenarioError

    with refusing(ScenarioError):
        file = find_experiment(target)
        loaded = load_experiment(file)
        # Theory knows only our own strategies, so the project's downloader is not used there.
        others = chosen_downloaders(downloaders, default=not loaded.oracle)
        experiment = replace(loaded, strategies=(*loaded.strategies, *others))
        if experiment.oracle:
            from firstk.harness.sweep.oracle import refuse

            refuse(experiment, str(file))
    return experiment


def _workers(count: int | None, scheduler: str | None) -> Callable[[], Workers]:
    """Return a function that makes the requested workers."""
    from firstk.harness.sweep.workers import Cluster

    return processes(count) if scheduler is None else lambda: Cluster(scheduler)


def _print(rows: Sequence[TableRow], axes: Sequence[str], form: str, printer: Printer) -> None:
    """Print the results of the sweep."""
    from firstk.reports.tables.rows import as_csv, as_json, as_markdown

    match form:
        case "csv":
            click.echo(as_csv(rows, axes), nl=False)
        case "json":
            click.echo(as_json(rows), nl=False)
        case "markdown":
            click.echo(as_markdown(rows, axes), nl=False)
        case _:
            printer(rows, axes)


def _print_table(rows: Sequence[TableRow], axes: Sequence[str]) -> None:
    """Print the table, with as many details as there is room for."""
    from firstk.reports.tables.sweep import LEFT_OUT, LEGEND, Intervals, table

    tables = [table(rows, axes, intervals) for intervals in get_args(Intervals)]
    place = print_table(tables, keys=len(axes) + 1)
    print_legend(LEGEND.format(first=rows[0].words["strategy"]))
    if get_args(Intervals)[place] == "nowhere":
        more = f"intervals, {', '.join(LEFT_OUT)}"
        click.echo(f"For {more} widen the terminal, or ask for another --format.")


def _print_capacities(experiment: Experiment, store: Store, workers: int | None) -> None:
    """Print at what rate each strategy saturates the grid, if the experiment shows or asks it.

    A sweep over rates shows it. If `capacity` is true, it is searched for at the first point.
    """
    from firstk.harness.cli.capacity import find_all
    from firstk.reports.model.capacity import capacities
    from firstk.reports.model.capacity_words import basis, sentence
    from firstk.reports.model.cases import cases_of

    if experiment.capacity:
        scenario = experiment.points[0].scenario.with_runs(strategies=experiment.strategies)
        found = find_all(scenario, [], workers)
    else:
        found = capacities(cases_of(store, lambda scenario, most: ()), list(experiment.axes))
    for one in found:
        click.echo(printable(f"{sentence(one, [])}."))
    if found:
        click.echo(f"Basis: {basis(found)}.")


def _print_verdicts(experiment: Experiment, store: Store, runs: Sequence[int], form: str) -> int:
    """Print the sweep's results next to those of theory; return the exit status."""
    from firstk.reports.tables.oracle import TOO_FAR, rows, verdicts

    found = list(verdicts(experiment, store, runs))
    _print(rows(found), experiment.axes, form, _print_oracle_table)
    far = sum(verdict.is_far for verdict in found)
    if far:
        off = f"{TOO_FAR:g} standard errors or more off what mathematics says"
        click.echo(f"{far} of {len(found)} numbers are {off}", err=True)
    return UNMET if far else OK


def _print_oracle_table(rows: Sequence[TableRow], axes: Sequence[str]) -> None:
    """Print the table of the comparison with theory."""
    from firstk.reports.tables.oracle import LEGEND, table

    print_table([table(rows, axes)], keys=len(axes) + 1)
    print_legend(LEGEND)


@click.command(
    epilog=examples(
        "firstk export hung-fraction.sqlite runs.csv",
        "firstk export hung-fraction.sqlite runs.parquet",
    )
)
@click.argument("store", metavar="STORE", type=click.Path(path_type=Path))
@click.argument("file", metavar="[FILE]", required=False, type=FILE)
@click.option(
    "--salvage", is_flag=True, help="Of a damaged store, write the rows that can still be read."
)
def export(store: Path, file: Path | None, salvage: bool) -> int:
    """Write all runs of a store to FILE: as CSV, or as Parquet if it ends in .parquet.

    Without FILE, print CSV. The axes are columns; the last column is JSON. Exit status 1 means
    that --salvage had to skip rows; it prints which and why.
    """
    from firstk.harness.sweep.salvage import Salvage
    from firstk.harness.sweep.store import Store, StoreError
    from firstk.reports.tables import export as exports

    with (
        refusing(StoreError, prefix="firstk: "),
        Store(store, cut_off=salvage) as opened,
    ):
        rows = Salvage(opened) if salvage else opened
        if isinstance(rows, Store):
            tell_distrusted(opened)
        if file is None:
            exports.write_csv(rows, sys.stdout)
        elif file.suffix == ".parquet":
            with writing(file):
                exports.write_parquet(rows, file)
        else:
            with writing(file), file.open("w", encoding="utf-8", newline="") as text:
                exports.write_csv(rows, text)
    return OK if isinstance(rows, Store) else _tell_lost(store, rows)


def _tell_lost(store: Path, salvage: Salvage) -> int:
    """Print what could not be saved from a store, and why; return the exit status."""
    for reason in salvage.reasons:
        click.echo(printable(f"{store}: {reason}"), err=True)
    lost = f"{salvage.lost}{' or more' if salvage.unsure else ''} skipped"
    click.echo(printable(f"{store}: {salvage.saved} rows saved, {lost}"), err=True)
    return UNMET if salvage.reasons else OK
