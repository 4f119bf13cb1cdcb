"""Tables and their legends on standard output, whatever its width and encoding."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from firstk.harness.cli.encoding import spelled
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

#: The width of a table in a file, in columns: wide enough to fold no row.
_NO_FOLDING = 10_000

#: Columns whose cells are clear without a heading.
_NAMES = ("scenario", "strategy")

#: The width of prose without a terminal, and the greatest width that is easy to read.
_PROSE = 97


def console() -> Console:
    """Return standard output for tables; if it is not a terminal, no row is folded.

    Text in tables is not treated as markup, and unprintable characters are escaped.
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


def print_table(tables: Sequence[Table], keys: int = 1) -> int:
    """Print the first of some tables that fits without folding; return its index.

    The last may also fold cells, in columns that have a minimum width. If even that does not fit,
    the first is printed as a list: a paragraph for each row, with the first `keys` cells as its
    heading, and a line for each of the other cells. So no cell is ever cut.
    """
    output = console()
    for place, table in enumerate(tables):
        spare = output.width - _width(output, table)
        if spare >= 0 or (place == len(tables) - 1 and spare + _foldable(table) >= 0):
            _print(output, table)
            return place
    for paragraph in _paragraphs(tables[0], keys):
        _print(output, paragraph)
    return 0


def _width(output: Console, table: Table) -> int:
    """Return the width of a table if nothing is folded."""
    unfolded = output.options.update(max_width=_NO_FOLDING)
    return output.measure(table, options=unfolded).maximum


def _foldable(table: Table) -> int:
    """Return by how much a table can be narrowed by folding its cells between words."""
    spare = 0
    for column in table.columns:
        if column.min_width is not None and not column.no_wrap:
            cells = [_plain(cell) for cell in (column.header, *column.cells)]
            widest = max(len(line) for cell in cells for line in cell.split("\n"))
            word = max(len(word) for cell in cells for word in cell.split() or [""])
            least = column.min_width if column.overflow == "fold" else max(column.min_width, word)
            spare += max(0, widest - least)
    return spare


def _print(output: Console, shown: RenderableType) -> None:
    """Print a table; in a file, its lines have no trailing padding."""
    if output.is_terminal:
        output.print(shown)
        return
    with output.capture() as captured:
        output.print(shown)
    _echo(line.rstrip() for line in captured.get().splitlines())


def _echo(lines: Iterable[str]) -> None:
    # Click writes UTF-8 if Python's own encoding is ASCII, which a C locale may not display.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(spelled("\n".join(lines), encoding))


def _paragraphs(table: Table, keys: int) -> list[RenderableType]:
    """Return the rows of a table as paragraphs; a blank key repeats that of the row above."""
    from rich.console import Group
    from rich.table import Table as Grid
    from rich.text import Text

    heads = [" ".join(_plain(column.header).split()) for column in table.columns]
    before = [""] * keys
    found: list[RenderableType] = []
    for row in zip(*(column.cells for column in table.columns), strict=True):
        cells = [_plain(cell) for cell in row]
        before = [cell or above for cell, above in zip(cells[:keys], before, strict=True)]
        named = [
            cell if head in _NAMES else f"{head} {cell}".strip()
            for head, cell in zip(heads, before, strict=False)
        ]
        grid = Grid.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for head, cell in zip(heads[keys:], cells[keys:], strict=True):
            if cell:
                grid.add_row(Text(f"  {head}"), Text(" ".join(cell.split("\n"))))
        found.append(Group(Text(", ".join(named), style="bold"), grid, ""))
    return found


def _plain(cell: RenderableType) -> str:
    """Return the text of a cell without its style."""
    from rich.text import Text

    return cell.plain if isinstance(cell, Text) else str(cell)


def print_legend(legend: str) -> None:
    """Print a legend of the columns, each line of the text as a paragraph."""
    width = min(console().width, _PROSE)
    _echo(line for entry in legend.splitlines() for line in wrap(entry, width) or [""])
