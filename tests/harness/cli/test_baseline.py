"""`firstk compare --save` and `--check`: a later run is compared with an earlier one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.command_line import firstk, write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with a scenario in it."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    return tmp_path


def save(change: Callable[[dict[str, Any]], object] = lambda row: None) -> None:
    """Save a baseline, and change its first row, which is one of first-k."""
    assert firstk("compare", "t.toml", "--save", "b.json").exit_code == 0
    baseline = json.loads(Path("b.json").read_text())
    change(baseline["rows"][0])
    Path("b.json").write_text(json.dumps(baseline))


def test_save() -> None:
    """The results are saved, and the table is printed; no picture is drawn."""
    result = firstk("compare", "t.toml", "--save", "b.json")
    rows = json.loads(Path("b.json").read_text())["rows"]

    assert (result.exit_code, result.stderr) == (0, "Saved the baseline of 2 runs to b.json.\n")
    assert "TTFB" in result.stdout
    assert [(row["strategy"], row["seed"], row["outcome"]) for row in rows] == [
        ("first-k", 7, "ok"),
        ("wait-for-all", 7, "ok"),
    ]
    assert {path.name for path in Path().iterdir()} == {"t.toml", "b.json"}


def test_equal() -> None:
    """Equal runs print one line, with exit status 0."""
    save()
    result = firstk("compare", "t.toml", "--check", "b.json")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "Against b.json: 0 worse, 0 better, 2 equal, 0 new, 0 gone.\n"


def test_worse() -> None:
    """A regression prints its size and how to replay it, with exit status 1."""
    save(lambda row: row.update(requests=row["requests"] - 1))
    result = firstk("compare", "t.toml", "--check", "b.json")

    assert result.exit_code == 1
    assert result.stderr == "To replay the first: firstk run t.toml --strategy first-k --seed 7\n"
    assert "worse t first-k 7 requests 20 21 +1 (+5%)" in " ".join(result.stdout.split())
    assert "Against b.json: 1 worse, 0 better, 1 equal" in result.stdout


def test_better() -> None:
    """An improvement is reported, and is not a regression."""
    save(lambda row: row.update(outcome="stalled", ttfb=None, finished=None))
    result = firstk("compare", "t.toml", "--check", "b.json")

    assert (result.exit_code, result.stderr) == (0, "")
    assert "better t first-k 7 outcome stalled ok" in " ".join(result.stdout.split())


def test_tolerance() -> None:
    """The tolerance is in percent."""
    save(lambda row: row.update(requests=20))

    assert [
        firstk("compare", "t.toml", "--check", "b.json", "--tolerance", per_cent).exit_code
        for per_cent in ("4.9", "5")
    ] == [1, 0]


def test_markdown() -> None:
    """With `--format markdown`, standard output has only Markdown."""
    save(lambda row: row.update(requests=20))
    result = firstk("compare", "t.toml", "--check", "b.json", "--format", "markdown")

    assert result.exit_code == 1
    assert result.stdout.startswith("**Against `b.json`: 1 worse, ")
    assert (
        (result.stdout.splitlines(keepends=True)[-1])
        == "| **worse** | t | `first-k` | 7 | requests | 20 | 21 | +1 (+5%) |\n"
    )


def test_update() -> None:
    """`--check` and `--save` may use the same file; afterwards, all runs are equal."""
    save(lambda row: row.update(requests=20))

    assert [
        firstk("compare", "t.toml", "--check", "b.json", "--save", "b.json").exit_code
        for _ in range(2)
    ] == [1, 0]


def test_gone() -> None:
    """Runs that are gone fail the check, unless `--allow-gone` is given."""
    assert firstk("compare", "t.toml", "one-hung", "--save", "b.json").exit_code == 0
    gone = firstk("compare", "t.toml", "--check", "b.json")
    allowed = firstk("compare", "t.toml", "--check", "b.json", "--allow-gone")

    assert (gone.exit_code, allowed.exit_code) == (1, 0)
    assert "5 gone.\n" in gone.stdout
    assert "b.json: 5 runs are gone; --allow-gone lets that pass, and --save" in gone.stderr
    assert allowed.stderr == ""


@pytest.mark.parametrize("option", [[], ["--allow-gone"]])
def test_nothing_left(option: list[str]) -> None:
    """If nothing is left to compare, the check fails, whatever is allowed."""
    save()
    result = firstk("compare", "one-hung", "--check", "b.json", *option)

    assert result.exit_code == 1
    assert "b.json: none of its runs was made now, so nothing was compared" in result.stderr


@pytest.mark.usefixtures("no_pictures")
def test_pictures() -> None:
    """Pictures are drawn if `--out` is given."""
    result = firstk("compare", "t.toml", "--save", "b.json", "--out", "pictures")

    assert result.exit_code == 0
    assert "Wrote pictures/latency and " in result.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--check", "nope.json"], "'nope.json' does not exist"),
        (["--check", "t.toml"], "t.toml: is a scenario: `firstk run`"),
        (["--check", "other.toml"], "other.toml: Invalid JSON"),
        (["--save", "t.toml/b"], "cannot write t.toml/b: Not a directory"),
        (["--tolerance", "5"], "go with --check"),
        (["--format", "markdown"], "go with --check"),
        (["--allow-gone"], "go with --check"),
    ],
)
def test_usage(args: list[str], message: str) -> None:
    """Invalid files and options are refused before anything runs."""
    Path("other.toml").write_text("[tool]\n")
    result = firstk("compare", "t.toml", *args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
