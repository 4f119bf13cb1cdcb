"""`firstk compare --save` and `--check`: save results, and compare later ones with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli.exit import OK, UNMET, refusing
from firstk.harness.cli.output import writing
from firstk.harness.cli.tables import print_table
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.run.comparison import Compared
    from firstk.reports.tables.baseline import Baseline


def read_baseline(path: Path) -> Baseline:
    """Return the baseline in a file; exit with a message if the file is not valid."""
    from firstk.reports.tables.baseline import Baseline, BaselineError

    with refusing(BaselineError):
        return Baseline.read(path)


def save_baseline(compared: Sequence[Compared], path: Path) -> None:
    """Write a baseline."""
    from firstk.reports.tables.baseline import Baseline

    baseline = Baseline.of(compared)
    with writing(path):
        path.write_text(baseline.as_text(), encoding="utf-8")
    click.echo(printable(f"Saved the baseline of {len(baseline.rows)} runs to {path}."), err=True)


def print_check(
    before: Baseline,
    compared: Sequence[Compared],
    name: str,
    tolerance: float,
    allow_gone: bool,
    form: str,
) -> int:
    """Print what has changed since a baseline; return the exit status."""
    from firstk.harness.run.comparison import replay
    from firstk.reports.tables.baseline import Baseline
    from firstk.reports.tables.check import (
        as_markdown,
        changes_table,
        check,
        headline,
        missing,
        notes,
    )

    checked = check(before, Baseline.of(compared), tolerance)
    if form == "markdown":
        click.echo(printable(as_markdown(checked, name), keep="\n"), nl=False)
    else:
        if checked.changes:
            print_table([changes_table(checked)], keys=4)
        for line in (*notes(checked), headline(checked, name)):
            click.echo(printable(line))
    for row in checked.worse[:1]:
        scenario = next(one.scenario for one in compared if one.scenario.name == row.scenario)
        click.echo(f"To replay the first: {replay(scenario, row.strategy, row.seed)}", err=True)
    if problem := missing(checked, allow_gone):
        click.echo(f"{name}: {problem}", err=True)
    return UNMET if checked.worse or problem else OK
