"""`firstk plan`, and plans in `firstk validate` and `firstk schema`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from firstk.reports.tables.plan import LEGEND
from tests.harness.command_line import firstk, words
from tests.harness.plans import write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_found(folder: Path) -> None:
    """The cheapest candidate and the table are printed, the same with one worker or two."""
    write(folder)
    first = firstk("plan", "p.toml", "--workers", "1")
    second = firstk("plan", "p.toml", "--workers", "2", "--store", "s")
    again = firstk("plan", "p.toml")

    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == second.stdout == again.stdout
    assert (
        "\n2-of-4 with hedged is the cheapest that meets p90 < 0.5 s and success > 90 %:"
        " expansion 2.00, "
    ) in first.stdout
    assert words(first.stdout).endswith(words(LEGEND))
    assert sorted(path.name for path in folder.iterdir()) == [
        "p.sqlite",
        "p.sqlite-lock",
        "p.toml",
        "s",
        "s-lock",
    ]
    told = json.loads(firstk("plan", "p.toml", "--format", "json").stdout)
    assert told["headline"] in first.stdout
    assert firstk("plan", "p.toml", "--format", "markdown").stdout.startswith("| k-of-n |")
    assert firstk("run", "--from", "p.sqlite", "1").exit_code == 0


@pytest.mark.slow
def test_downloader(folder: Path) -> None:
    """Another downloader replaces the strategies."""
    write(folder)
    name = "tests.harness.fuzz.downloaders:hedged"
    ran = firstk("plan", "p.toml", "--workers", "1", "--downloader", name, "--format", "json")
    told = json.loads(ran.stdout)

    assert ran.exit_code == 0, ran.stderr
    assert {one["strategy"] for one in told["candidates"]} == {name}
    assert f"2-of-4 with {name} is the cheapest" in told["headline"]


def test_none(folder: Path) -> None:
    """If no candidate meets the target, that is reported, with exit status 1."""
    write(folder, ("p90 = 0.5", "p90 = 0.05"))
    ran = firstk("plan", "p.toml", "--workers", "1")

    assert (ran.exit_code, ran.stderr) == (1, "")
    assert "none of 9 candidates meets p90 < 0.05 s and success > 90 %: the near" in ran.stdout


def test_undecided(folder: Path) -> None:
    """If more runs are needed to decide, their number is printed, before and after."""
    write(folder, ("success = 0.9", "success = 0.99"))
    ran = firstk("plan", "p.toml", "--workers", "1")

    assert ran.exit_code == 1
    assert ran.stderr == (
        "p.toml: note: to show that p90 < 0.5 s and success > 99 % is met takes 461 runs,"
        " however good they are, and search.max_runs is 80\n"
    )
    assert "more runs are needed: of 9 candidates 2-of-4 with hedged" in ran.stdout
    assert "2-of-4 with hedged needs about 461 runs; max_runs is 80" in ran.stdout
    assert (
        "with a greater max_runs the same command goes on from the runs in the store" in ran.stdout
    )


def test_wrong_bytes(folder: Path) -> None:
    """Runs that wrote wrong bytes are reported with their replay command."""
    write(folder)
    firstk("plan", "p.toml", "--workers", "1")
    with sqlite3.connect("p.sqlite") as db:
        db.execute("UPDATE runs SET content_ok = 0 WHERE point = 0 AND run = 0")
    db.close()
    ran = firstk("plan", "p.toml")

    assert ran.exit_code == 1
    assert "firstk run --from p.sqlite 1: windowed with seed 0 wrote wrong bytes" in ran.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["plan", "gone.toml"], "gone.toml: No such file or directory"),
        (["plan", "bad.toml"], "bad.toml:2: target: should be a table, not 3"),
        (["plan", "p.toml", "--store", "p.toml"], "p.toml: cannot be used as a store"),
        (["plan", "p.toml", "--store", "no/s"], "no/s: there is no folder no"),
        (["plan", "p.toml", "--workers", "0"], "0 is not in the range"),
        (["validate", "bad.toml"], "bad.toml:2: target: should be a table, not 3"),
    ],
)
def test_usage(args: list[str], message: str, folder: Path) -> None:
    """Invalid arguments are refused with one line, and exit status 2."""
    write(folder)
    (folder / "bad.toml").write_text('name = "b"\ntarget = 3\nscenario = "one-hung"\n')
    ran = firstk(*args)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert message in ran.stderr


def test_interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C prints where the runs are kept, and has its own exit status."""

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("firstk.harness.sweep.sweep.Sweep.run", interrupt)
    write(folder)
    ran = firstk("plan", "p.toml")

    assert ran.exit_code == 130
    assert "0 runs are kept in p.sqlite; run the same command again to resume\n" in ran.stderr
