"""Tables are complete, and their columns are aligned."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from firstk.harness.run.bound import Bound
from firstk.harness.run.comparison import Compared
from firstk.reports.tables.compare import LEGEND, Extra, comparison_table, runs_table
from firstk.scenarios.load import load_scenario
from tests.reports.samples import (
    BOUND,
    DEADLINE,
    FAILED,
    NO_BOUND,
    OK,
    STALLED,
    made,
    summary,
    took,
)

LONG = "a-scenario-with-a-name-as-long-as-a-name-may-be-and-it-may-be-eighty-letters-ok"

COMPARED = [
    made([summary(took(5.2), strategy="wait-for-all"), summary(OK)], name="one-slow"),
    made([summary(STALLED, strategy="wait-for-all"), summary(OK)], name=LONG),
    made(
        [
            summary(took(1.0), STALLED, strategy="wait-for-all"),
            summary(OK, OK),
            summary(FAILED, DEADLINE, strategy="first-k-late"),
        ],
        name="many",
    ),
]


def rendered(table: Table, width: int = 200) -> list[str]:
    """Return the lines of a table, as written to a file of this width."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    return text.splitlines()


def column(lines: list[str], name: str, until: str | None) -> list[str]:
    """Return the non-empty cells below a heading, up to the next heading."""
    head = next(line for line in lines if name in line)
    begin, end = head.index(name), head.index(until) if until else None
    cells = [line[begin:end].strip() for line in lines[lines.index(head) + 2 :]]
    return [cell for cell in cells if cell]


@pytest.mark.parametrize("extra", ["seed", "replay"])
def test_complete(extra: Extra) -> None:
    """Every scenario and strategy has its row, with all cells."""
    lines = rendered(comparison_table(COMPARED, extra), width=400)

    assert column(lines, "scenario", "strategy") == ["one-slow", LONG, "many"]
    assert column(lines, "strategy", "TTFB") == [
        "wait-for-all",
        "first-k",
        "wait-for-all",
        "first-k",
        "wait-for-all",
        "first-k",
        "first-k-late",
    ]
    assert column(lines, "TTFB", "speed-up") == [
        "5.2 s",
        "0.25 s",
        "stalls forever",
        "0.25 s",
        "1 s [1 s to never], starts in 1 of 2 runs, stalls forever in 1 of 2 runs",
        "0.25 s",
        "is still busy at the deadline in 1 of 2 runs, fails in 1 of 2 runs",
    ]
    assert column(lines, "speed-up", "over bound") == ["20.8 ×", "∞", "-", "-"]
    assert (column(lines, "over bound", "requests")) == [
        "52 ×",
        "2.5 ×",
        "∞",
        "2.5 ×",
        "10 ×",
        "2.5 ×",
        "∞",
    ]
    assert (column(lines, "requests", "  bytes")) == [
        "3.5 ×",
        "3.5 ×",
        "∞",
        "3.5 ×",
        "∞",
        "3.5 ×",
        "∞",
    ]
    assert (column(lines, "  bytes", "  seed")) == [
        "1.03 ×",
        "1.03 ×",
        "∞",
        "1.03 ×",
        "∞",
        "1.03 ×",
        "∞",
    ]
    seeds = column(lines, "  seed", "replay" if extra == "replay" else None)
    assert seeds == ["0"] * 4 + ["0 to 1"] * 3
    assert not any("…" in line for line in lines)


def test_replay() -> None:
    """Each row has its replay command, if there is space."""
    lines = rendered(comparison_table(COMPARED, "replay"), width=400)

    assert [
        f"firstk run {name} --strategy {strategy} --seed 0"
        for name, strategies in [
            ("one-slow", ["wait-for-all", "first-k"]),
            (LONG, ["wait-for-all", "first-k"]),
            ("many", ["wait-for-all", "first-k", "first-k-late"]),
        ]
        for strategy in strategies
    ] == column(lines, "replay", None)
    assert not any("firstk run" in line for line in rendered(comparison_table(COMPARED, "seed")))


def test_name_in_the_first_row() -> None:
    """A scenario's name is in the row of its first strategy."""
    lines = rendered(comparison_table(COMPARED, "seed"))
    named = [line.split()[:2] for line in lines if line.split()[:1] and line.startswith(" ")]

    assert ["one-slow", "wait-for-all"] in named
    assert ["many", "wait-for-all"] in named


@pytest.mark.parametrize("extra", ["nothing", "seed", "replay"])
def test_aligned(extra: Extra) -> None:
    """All lines have the same width: every character is counted correctly."""
    lines = rendered(comparison_table(COMPARED, extra))

    assert len({cell_len(line) for line in lines}) == 1


@pytest.mark.parametrize("width", [80, 100])
def test_narrow(width: int) -> None:
    """On a narrow terminal, the verdict is folded, and nothing is lost."""
    short = [one for one in COMPARED if one.scenario.name != LONG]
    lines = rendered(comparison_table(short, "nothing"), width)
    verdicts = slice(
        next(line.index("TTFB") for line in lines if "TTFB" in line),
        next(line.index("speed-") for line in lines if "speed-" in line),
    )
    words = " ".join(" ".join(line[verdicts] for line in lines).split())

    assert all(cell_len(line) <= width for line in lines)
    assert not any("…" in line for line in lines)
    assert any(line.endswith("1.03 × ") for line in lines)
    assert "5.2 s" in words
    assert "1 s [1 s to never], starts in 1 of 2 runs, stalls forever in 1 of 2 runs" in words


def read_from(folder: Path) -> Compared:
    """Return a comparison of a scenario from a file in a new folder."""
    folder.mkdir(parents=True)
    (folder / "t.toml").write_text(
        'name = "t"\nfile = {size = 1, k = 1, n = 1}\n'
        'grid = {servers = 1, rtt = {law = "constant", value = 1}}\n'
    )
    return Compared(load_scenario(folder / "t.toml"), [summary(OK)], [])


@pytest.mark.parametrize("folder", ["a[old]b", "a[red]b", "a:smile:b", "a[1]"])
def test_names_are_no_markup(folder: str, tmp_path: Path) -> None:
    """A path is not parsed as markup, whatever its letters are."""
    lines = rendered(comparison_table([read_from(tmp_path / folder)], "replay"), width=400)

    assert any(f"{folder}/t.toml" in line for line in lines)


def test_runs() -> None:
    """A table of runs has a row for each, and shows infinite times as never."""
    lines = rendered(runs_table([summary(OK, STALLED, FAILED, bounds=[BOUND, BOUND, NO_BOUND])]))

    assert [line.split() for line in lines if "first-k" in line] == [
        ["first-k", "0", "0", "ok", "0.05", "0.25", "0.1", "0.25", "21", "4117"],
        ["first-k", "1", "1", "stalled", "never", "never", "0.1", "never", "10", "0"],
        ["first-k", "2", "2", "failed", "never", "never", "never", "0.05", "10", "0"],
    ]
    assert len({cell_len(line) for line in lines}) == 1


def test_times_of_runs() -> None:
    """Times of single runs have six digits."""
    lines = rendered(runs_table([summary(took(1 / 3), took(1234.5678))]))

    assert "0.333333" in "".join(lines)
    assert "1234.57" in "".join(lines)


def test_legend() -> None:
    """Each column of numbers has its line in the legend."""
    lines = LEGEND.splitlines()

    assert [line.partition(":")[0] for line in lines if ":" in line] == [
        "TTFB",
        "speed-up",
        "over bound",
        "requests, bytes",
        "saved",
    ]


def test_what_a_few_runs_cost() -> None:
    """The table has the means of requests and bytes, not the medians."""
    dear = took(0.25, queries=69, bytes_received=8000)
    one = made([summary(OK, OK, OK, dear, bounds=[Bound(0.1, 10, 4117)] * 4)])
    lines = rendered(comparison_table([one], "seed"))

    assert column(lines, "requests", "  bytes") == ["3.58 ×"]
    assert column(lines, "  bytes", "  seed") == ["1.24 ×"]


def test_what_cancelling_saved() -> None:
    """A column has the mean of saved bytes, if a request was cancelled."""
    saving = summary(took(0.25, cancelled=2, bytes_saved=300), took(0.25), strategy="hedged")
    lines = rendered(comparison_table([made([summary(OK), saving])], "seed"))

    assert column(lines, "saved", "  seed") == ["-", "150"]
    assert "saved" not in "".join(rendered(comparison_table(COMPARED, "seed")))
    assert column(rendered(runs_table([saving])), "cancelled", "  bytes saved") == ["2", "0"]
