"""The commands of sweeps: running an experiment, and taking what it came to elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from harness.cli import (
    _DOWNLOADER,
    _MOST_RUNS,
    OK,
    UNMET,
    USAGE,
    _console,
    _others,
    _widest,
    _writing,
)

if TYPE_CHECKING:
    from harness.store import Store
    from harness.sweep import Progress
    from harness.workers import Workers
    from reports.sweep_table import Cell
    from scenarios.experiment import Experiment


_STORE = click.option(
    "--store",
    "path",
    metavar="FILE",
    show_default="NAME.sqlite",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the runs are kept; what is there already is not run again.",
)

_WORKERS = click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1, max=1000),
    show_default="the CPUs",
    help="How many processes run it.",
)


@click.command()
@click.argument("target", metavar="EXPERIMENT")
@_STORE
@_WORKERS
@click.option("--scheduler", metavar="ADDRESS", help="Let a Dask cluster run it: tcp://HOST:PORT.")
@_DOWNLOADER
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "markdown", "json"]),
    default="table",
    show_default=True,
    help="How what it came to is printed.",
)
def sweep(
    target: str,
    path: Path | None,
    workers: int | None,
    scheduler: str | None,
    downloaders: tuple[str, ...],
    form: str,
) -> int:
    """Run an experiment: a scenario, varied, many times.

    Every run is kept in a store. A sweep that was interrupted, in whatever way, goes on where it
    stopped, and prints the table that it would have printed. Exit status 1 means that wrong
    bytes were written, that a run ended the process that it ran in, or that a number is not
    what mathematics says, where the experiment asks for that.
    """
    from harness.batch import OtherVersionError
    from harness.store import Store, StoreError
    from harness.subject import SubjectError
    from harness.sweep import Sweep
    from harness.workers import WorkersError
    from reports.sweep_table import cells, enough

    if workers is not None and scheduler is not None:
        raise click.UsageError("--workers and --scheduler exclude one another")
    experiment = _experiment(target, downloaders)
    path = path or Path(f"{experiment.name}.sqlite")
    rule = enough(experiment.precision) if experiment.precision else None
    try:
        with Store(path, write=True) as store:
            with _telling() as tell:
                try:
                    runs = Sweep(experiment, store, rule, tell).run(_workers(workers, scheduler))
                except KeyboardInterrupt:
                    kept = f"{len(store)} runs are kept in {path}"
                    click.echo(f"{kept}; the same command goes on from there", err=True)
                    raise
            found = list(cells(experiment, store, runs))
            if experiment.oracle:
                status = _print_verdicts(experiment, store, runs, form)
            else:
                status = _print(experiment, found, form)
            bad = any(cell.crashed or cell.wrong for cell in found)
            return (_report_crashes(store) if bad else OK) or status
    except (StoreError, SubjectError, WorkersError, OtherVersionError) as e:
        click.echo(f"firstk: {e}", err=True)
        sys.exit(USAGE)


def _experiment(target: str, downloaders: tuple[str, ...]) -> Experiment:
    """Return the experiment that is asked for; exit with all that is wrong with it."""
    from dataclasses import replace

    from scenarios.experiment import load_experiment
    from scenarios.library import find_experiment
    from scenarios.load import ScenarioError

    try:
        file = find_experiment(target)
        loaded = load_experiment(file)
        others = _others(downloaders)
        experiment = replace(loaded, strategies=(*loaded.strategies, *others))
        if experiment.oracle:
            from reports.oracle import refuse

            refuse(experiment, str(file))
    except ScenarioError as e:
        click.echo(str(e), err=True)
        sys.exit(USAGE)
    return experiment


def _workers(count: int | None, scheduler: str | None) -> Callable[[], Workers]:
    """Return what makes the workers that are asked for."""
    from harness.workers import Cluster, Pool

    if scheduler is not None:
        return lambda: Cluster(scheduler)
    return lambda: Pool(count or _cpus())


def _cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _telling(what: str = "") -> Iterator[Callable[[Progress], None]]:
    """Show how far a sweep is, and of what, where standard error is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        *([TextColumn("{task.description}")] if what else []),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[more]}"),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, more="")
        begun = monotonic()

        def tell(progress: Progress) -> None:
            more = _more(progress, monotonic() - begun)
            bar.update(task, completed=progress.done, total=progress.total, more=more)

        yield tell


def _more(progress: Progress, elapsed: float) -> str:
    """Return what stands behind the bar: the time left, and what has gone wrong."""
    new = progress.done - progress.kept
    words = []
    if new and progress.done < progress.total:
        left = round(elapsed / new * (progress.total - progress.done))
        words.append(f"about {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
    if progress.replaced:
        words.append(f"{progress.replaced} workers replaced")
    if progress.crashed:
        words.append(f"{progress.crashed} runs crashed")
    return ", ".join(words)


def _print(experiment: Experiment, found: Sequence[Cell], form: str) -> int:
    """Print what the sweep came to; return the exit status."""
    from reports import sweep_table

    match form:
        case "csv":
            click.echo(sweep_table.as_csv(found, experiment.axes), nl=False)
        case "json":
            click.echo(sweep_table.as_json(found), nl=False)
        case "markdown":
            click.echo(sweep_table.as_markdown(found, experiment.axes), nl=False)
        case _:
            console = _console()
            made, intervals = sweep_table.fitting(
                found, experiment.axes, lambda table: _widest(console, table) <= console.width
            )
            console.print(made)
            click.echo(sweep_table.LEGEND.format(first=experiment.strategies[0]))
            if intervals == "nowhere":
                more = f"intervals and {sweep_table.LEFT_OUT}"
                click.echo(f"For {more} widen the terminal, or ask for another --format.")
    return OK


def _print_verdicts(experiment: Experiment, store: Store, runs: Sequence[int], form: str) -> int:
    """Print what mathematics says of what the sweep came to; return the exit status."""
    from reports import oracle_table

    found = list(oracle_table.verdicts(experiment, store, runs))
    match form:
        case "csv":
            click.echo(oracle_table.as_csv(found, experiment.axes), nl=False)
        case "json":
            click.echo(oracle_table.as_json(found), nl=False)
        case "markdown":
            click.echo(oracle_table.as_markdown(found, experiment.axes), nl=False)
        case _:
            _console().print(oracle_table.table(found, experiment.axes))
            click.echo(oracle_table.LEGEND)
    far = sum(verdict.is_far for verdict in found)
    if far:
        off = f"{oracle_table.TOO_FAR:g} standard errors or more off what mathematics says"
        click.echo(f"{far} of {len(found)} numbers are {off}", err=True)
    return UNMET if far else OK


def _report_crashes(store: Store) -> int:
    """Print which runs crashed or wrote wrong bytes; return the exit status."""
    bad = list(store.bad())
    for row, problem in bad[:_MOST_RUNS]:
        click.echo(f"firstk run --from {store.path} {row}: {problem}", err=True)
    if len(bad) > _MOST_RUNS:
        click.echo(f"and {len(bad) - _MOST_RUNS} more", err=True)
    return UNMET


@click.command()
@click.argument("store", metavar="STORE", type=click.Path(path_type=Path))
@click.argument(
    "file", metavar="[FILE]", required=False, type=click.Path(path_type=Path, dir_okay=False)
)
def export(store: Path, file: Path | None) -> int:
    """Write all runs of a store to FILE: as CSV, or as Parquet if it ends in .parquet.

    Without FILE, print CSV. The axes are columns; the last one is JSON.
    """
    from harness.store import Store, StoreError
    from reports import export as exports

    try:
        with Store(store) as opened:
            if file is None:
                exports.write_csv(opened, sys.stdout)
            elif file.suffix == ".parquet":
                with _writing(file):
                    exports.write_parquet(opened, file)
            else:
                with _writing(file), file.open("w", encoding="utf-8", newline="") as text:
                    exports.write_csv(opened, text)
    except (StoreError, exports.ExportError) as e:
        click.echo(f"firstk: {e}", err=True)
        sys.exit(USAGE)
    return OK
