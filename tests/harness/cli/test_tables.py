"""Tables fit a terminal of any width, and have no padding in a file."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from rich.box import SIMPLE_HEAD
from rich.table import Table

from firstk.harness.cli.tables import print_legend, print_table

Terminal = Callable[[int], None]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard output a terminal with a given width."""

    def make(columns: int) -> None:
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(columns))

    return make


def table(*columns: str, least: int | None = None) -> Table:
    """Return a table of two rows; the first column may fold down to the width `least`."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for i, name in enumerate(columns):
        made.add_column(name, no_wrap=i > 0 or least is None, min_width=least if i == 0 else None)
    made.add_row(*(f"the {name}" for name in columns))
    made.add_row("", *(f"no {name}" for name in columns[1:]))
    return made


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the printed lines, without escape sequences."""
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()


def test_first_that_fits(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """The first table that fits is printed, and its index is returned."""
    terminal(40)

    assert print_table([table("one", "two", "x" * 40), table("one", "two"), table("one")]) == 1
    assert any("the one" in line and "the two" in line for line in printed(capsys))


def test_list(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """If no table fits, each row becomes a paragraph; a blank key repeats the one above."""
    terminal(30)

    assert print_table([table("strategy", "two", "three", "four and many words")]) == 0
    assert [line.rstrip() for line in printed(capsys)] == [
        "the strategy",
        "  two                  the two",
        "  three                the",
        "                       three",
        "  four and many words  the",
        "                       four",
        "                       and",
        "                       many",
        "                       words",
        "",
        "the strategy",
        "  two                  no two",
        "  three                no",
        "                       three",
        "  four and many words  no four",
        "                       and",
        "                       many",
        "                       words",
        "",
    ]


def test_last_may_fold(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """The last table folds a column between words before it becomes a list."""
    terminal(30)
    print_table([table("first column of words", "two", least=8)])
    folded = printed(capsys)
    terminal(14)
    print_table([table("first column of words", "two", least=8)])

    assert max(map(len, folded)) <= 30
    assert any("words" in line and "two" not in line for line in folded)
    assert any(line.startswith("  two") for line in printed(capsys))
    assert not any(line.startswith("  two") for line in folded)


def test_file(capsys: pytest.CaptureFixture[str]) -> None:
    """In a file, no row is folded, and no line ends in blanks."""
    print_table([table("first column of words " * 20, "two")])
    lines = printed(capsys)

    assert sum("two" in line for line in lines) == 3
    assert not any(line != line.rstrip() for line in lines)


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_legend(columns: int, terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """A legend folds between words, and is never wider than readable prose."""
    terminal(columns)
    text = "column: what it means, in quite a few words that do not fit a line\n" * 2
    print_legend(text * 3)
    lines = printed(capsys)

    assert max(map(len, lines)) <= min(columns, 97)
    assert " ".join(lines).split() == (text * 3).split()
