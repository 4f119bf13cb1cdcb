"""What commands print and write: tables, lists of what went wrong, files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli_exit import OK, UNMET
from scenarios.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from reports.comparison import Compared
    from reports.table import Extra

#: More runs than this are summed up rather than told one by one.
MOST_RUNS = 20

#: How wide a table may be that goes to a file, in columns: none of its rows is folded.
_NO_FOLDING = 10_000


def console() -> Console:
    """Return standard output for tables; where it is not a terminal no row is folded.

    What tables say is not taken for markup, and what is not printable in it is escaped.
    """
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    class Plain(Console):
        def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Any:
            for segment in super().render(renderable, options):
                text = segment.text if segment.control else printable(segment.text, keep="\n")
                yield Segment(text, segment.style, segment.control)

    made = Plain(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _NO_FOLDING
    return made


def fits(output: Console, table: Table) -> bool:
    """Tell whether nothing of a table need be folded."""
    unfolded = output.options.update(max_width=_NO_FOLDING)
    return output.measure(table, options=unfolded).maximum <= output.width


def print_widest(compared: Sequence[Compared], extras: Sequence[Extra]) -> Extra:
    """Print the first of these tables that needs no folding, or else the last; return which."""
    from reports.table import comparison_table

    output = console()
    for extra in extras:
        table = comparison_table(compared, extra)
        if fits(output, table):
            break
    output.print(table)
    return extra


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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make a file that cannot be written a usage error."""
    try:
        yield
    except OSError as e:
        raise click.UsageError(f"cannot write {e.filename or path}: {e.strerror}") from e


def make_folder(path: Path) -> None:
    """Make a folder: that it cannot be made is told before the work, not after it."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def make_file(path: Path) -> None:
    """Make a file, if it is not there: the same."""
    with writing(path):
        path.touch()
