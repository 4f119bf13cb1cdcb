"""`firstk reproduce`: published numbers beside exact values and our own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from firstk.harness.cli.exit import OK, UNMET, refusing
from firstk.harness.cli.options import RUNS, format_option
from firstk.harness.cli.sweep_options import WORKERS, processes, sweep_progress
from firstk.harness.cli.tables import print_legend, print_table

if TYPE_CHECKING:
    from firstk.harness.reproduce.comparison import Reproduced
    from firstk.harness.sweep.sweep import Progress


@click.command()
@click.argument("names", metavar="[PAPER|NUMBER]...", nargs=-1)
@click.option(
    "--runs",
    metavar="N",
    type=RUNS,
    show_default="as each experiment says",
    help="How many runs each number gets.",
)
@WORKERS
@format_option("json", "csv", help="Output format.")
def reproduce(names: tuple[str, ...], runs: int | None, workers: int | None, form: str) -> int:
    """Compare numbers that papers print with exact values and with our own runs.

    Each number is what an experiment of the library measures: `firstk sweep published/NAME` runs
    it alone. Without PAPER or NUMBER, all are compared, which takes some minutes. Exit status 1
    means that a number differs for no known reason, or that there are too few runs to decide any.
    """
    from firstk.harness.reproduce.numbers import UnknownNumberError, choose, load_papers
    from firstk.harness.reproduce.run import reproduce as reproduced
    from firstk.harness.sweep.workers import WorkersError

    with refusing(UnknownNumberError, WorkersError, prefix="firstk: "):
        numbers = choose(load_papers(), names)
        with ExitStack() as shown:

            def watch(name: str) -> Callable[[Progress], None]:
                shown.close()
                return shown.enter_context(sweep_progress(name))

            found = list(reproduced(numbers, processes(workers), runs, watch))
    found.sort(key=lambda one: numbers.index(one.published))  # they came by experiment
    _print(found, form)
    verdicts = {one.verdict for one in found}
    return UNMET if "differs" in verdicts or verdicts == {"undecided"} else OK


def _print(found: list[Reproduced], form: str) -> None:
    from firstk.reports.tables import reproduce as tables

    match form:
        case "json":
            click.echo(tables.as_json(found), nl=False)
        case "csv":
            click.echo(tables.as_csv(found), nl=False)
        case _:
            print_table([tables.table(found)], keys=2)
            print_legend("\n".join(tables.reasons(found)))
            print_legend("\n" + tables.LEGEND)
            click.echo(tables.summary(found))
