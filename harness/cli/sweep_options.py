"""Shared parts of `firstk sweep` and `firstk plan`: the store, workers, and progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import click

from firstk.harness.cli.options import FILE
from firstk.harness.cli.output import tell_first
from firstk.harness.cli.progress import bar
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.sweep.store import Store
    from firstk.harness.sweep.sweep import Progress
    from firstk.harness.sweep.workers import Workers

STORE = click.option(
    "--store",
    "path",
    metavar="FILE",
    show_default="NAME.sqlite",
    type=FILE,
    help="Store of the runs. Runs that it has already are not repeated.",
)

WORKERS = click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1, max=1000),
    show_default="the CPUs",
    help="How many processes run it.",
)


def processes(count: int | None) -> Callable[[], Workers]:
    """Return a function that starts `count` processes, by default as many as there are CPUs."""
    from firstk.harness.sweep.workers import Pool

    return lambda: Pool(count or _cpus())


def _cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def sweep_progress(what: str = "") -> Iterator[Callable[[Progress], None]]:
    """Show the progress of a sweep, named `what`, if standard error is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    columns = (
        *([TextColumn("{task.description}")] if what else []),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[more]}"),
    )
    with bar(*columns) as shown:
        task = shown.add_task(what, total=None, more="")
        begun = monotonic()

        def tell(progress: Progress) -> None:
            more = _more(progress, monotonic() - begun)
            shown.update(task, completed=progress.done, total=progress.total, more=more)

        yield tell


@contextmanager
def resumable(store: Store) -> Iterator[None]:
    """On Ctrl-C, print what was saved and how to resume."""
    try:
        yield
    except KeyboardInterrupt:
        if sys.stderr is not None and sys.stderr.isatty():
            click.echo(err=True)  # the terminal has written ^C in the line of the bar
        kept = f"{len(store)} runs are kept in {store.path}"
        click.echo(printable(f"{kept}; run the same command again to resume"), err=True)
        raise


def _more(progress: Progress, elapsed: float) -> str:
    """Return the text after the bar: the remaining time, and what has gone wrong."""
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


def tell_distrusted(store: Store) -> None:
    """Print a warning if the rows of a store are not to be trusted."""
    if reason := store.distrusted:
        warning = f"{store.path}: warning: its runs cannot be trusted: {reason}"
        click.echo(printable(warning, keep="\n"), err=True)


def tell_crashes(store: Store) -> None:
    """Print which runs crashed, were overloaded or wrote wrong bytes."""
    tell_first([f"firstk run --from {store.path} {row}: {what}" for row, what in store.bad()])
