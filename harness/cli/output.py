"""The output of commands: tables, lists of problems, files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli.exit import OK, UNMET
from firstk.harness.cli.tables import print_table
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.grid.untriggered import Unmet
    from firstk.harness.run.comparison import Compared
    from firstk.reports.tables.compare import Extra
    from firstk.scenarios.model import Scenario

#: The maximum number of runs that are listed one by one; more are summarised.
MOST_RUNS = 20


def print_widest(compared: Sequence[Compared], extras: Sequence[Extra]) -> Extra:
    """Print the first of these tables that needs no folding, or the last; return which."""
    from firstk.reports.tables.compare import comparison_table

    tables = [comparison_table(compared, extra) for extra in extras]
    return extras[print_table(tables, keys=2)]


def tell_first(lines: Sequence[str], of_the_rest: str = "") -> None:
    """Print the first of many lines on standard error, and how many more there are."""
    for line in lines[:MOST_RUNS]:
        click.echo(printable(line, keep="\n"), err=True)
    if len(lines) > MOST_RUNS:
        click.echo(f"and {len(lines) - MOST_RUNS} more{of_the_rest}", err=True)


def tell_unmet(compared: Sequence[Compared]) -> int:
    """Print the expectations that were not met; return the exit status."""
    problems = [f"not as expected: {problem}" for one in compared for problem in one.unmet]
    tell_first(problems, " are not as expected")
    return UNMET if problems else OK


def tell_unanswered(compared: Sequence[Compared]) -> None:
    """Print the unanswered requests of failed first runs over a network."""
    lines = []
    for one in compared:
        for run in one.first_runs:
            if run.network is not None and run.result.outcome != "ok":
                why = run.network.stall or run.result.outcome
                said = [f"{run.result.strategy}, seed {run.result.seed}: {why}"]
                lines.append("\n  ".join([*said, *run.network.report.splitlines()]))
    tell_first(lines)


def tell_unmet_faults(compared: Sequence[Compared], strict: bool) -> int:
    """Print the faults that met no request in any run; return the exit status."""
    return print_unmet_faults([(one.scenario, one.untriggered_faults) for one in compared], strict)


def print_unmet_faults(found: Iterable[tuple[Scenario, Unmet]], strict: bool) -> int:
    """Print the scenarios' faults that met no request; with `strict`, that is a failure."""
    from firstk.harness.grid.untriggered import described

    what = "error" if strict else "warning"
    lines = [
        f"{printable(scenario.source)}: {what}: {fault}"
        for scenario, unmet in found
        for fault in described(scenario, unmet)
    ]
    tell_first(lines, " faults met no request")
    return UNMET if lines and strict else OK


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the error of a file that cannot be written into a usage error."""
    try:
        yield
    except OSError as e:
        raise click.UsageError(f"cannot write {e.filename or path}: {e.strerror}") from e


def make_folder(path: Path) -> None:
    """Create a folder, so that an error is reported before the work starts."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def make_file(path: Path) -> None:
    """Create a file if it does not exist, so that an error is reported before the work starts."""
    with writing(path):
        path.touch()
