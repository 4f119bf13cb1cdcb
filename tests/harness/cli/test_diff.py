"""`firstk diff` accepts two runs in many forms; its exit status shows whether they differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.command_line import firstk, write


def saved(folder: Path, *args: str) -> Path:
    """Return a file with the events of a run."""
    path = folder / f"{'-'.join(args)}.events"
    assert firstk("run", *args, "--events", path).exit_code == 0
    return path


def heads(*args: str | Path) -> list[str]:
    """Return the names of the two runs that differ."""
    result = firstk("diff", *args)
    assert (result.exit_code, result.stderr) == (1, "")
    return [line[4:].split(": ")[0] for line in result.stdout.splitlines()[:2]]


def test_seeds(tmp_path: Path) -> None:
    """Two seeds of one scenario are compared."""
    args = (write(tmp_path), "--strategy", "first-k", "--seed", "16", "--seed", "17")

    assert heads(*args) == ["t, first-k, seed 16", "t, first-k, seed 17"]


def test_strategies() -> None:
    """Two strategies of one scenario are compared."""
    named = heads("late-answer", "-s", "first-k-late", "-s", "first-k")

    assert named == ["late-answer, first-k-late, seed 0", "late-answer, first-k, seed 0"]


def test_own_strategies(tmp_path: Path) -> None:
    """By default, the scenario's own two strategies are compared, with the given seed."""
    path = write(tmp_path)

    assert heads(path) == ["t, wait-for-all, seed 7", "t, first-k, seed 7"]
    assert heads(path, "--seed", "9") == ["t, wait-for-all, seed 9", "t, first-k, seed 9"]


def test_scenarios() -> None:
    """Two scenarios are compared, with one strategy."""
    assert heads("one-slow", "one-hung", "-s", "first-k") == [
        "one-slow, first-k, seed 0",
        "one-hung, first-k, seed 0",
    ]


def test_files(tmp_path: Path) -> None:
    """Saved files are compared, also with a scenario, in the order of the arguments."""
    one = saved(tmp_path, "one-slow", "-s", "first-k")
    other = saved(tmp_path, "one-hung", "-s", "first-k", "--runs", "2")

    assert [f"{one}, one-slow, first-k, seed 0", f"{other}, one-hung, first-k, seed 0"] == (
        heads(one, other)
    )
    assert ["ten-good, first-k, seed 0", f"{other}, one-hung, first-k, seed 0"] == (
        heads("ten-good", other, "-s", "first-k")
    )


def test_equal(tmp_path: Path) -> None:
    """Equal runs print that they are equal: a saved run and a new one, a seed and itself."""
    again = firstk("diff", saved(tmp_path, "one-hung", "-s", "hedged"), "one-hung", "-s", "hedged")
    itself = firstk("diff", "one-hung", "-s", "hedged", "--seed", "3", "--seed", "3")

    for result in (again, itself):
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith("The runs are equal in all ")


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["one-hung"],  # it has five strategies
        ["one-hung", "-s", "first-k"],
        ["one-hung", "-s", "first-k", "-s", "hedged", "--seed", "1", "--seed", "2"],
        ["one-hung", "-s", "first-k", "--seed", "1", "--seed", "2", "--seed", "3"],
        ["one-hung", "one-slow", "-s", "first-k", "-s", "hedged"],
        ["one-hung", "one-slow", "ten-good", "-s", "first-k"],
        ["ticket-928", "-s", "first-k", "-s", "hedged"],
        ["nope", "-s", "first-k", "-s", "hedged"],
        ["one-hung", "-s", "first-k", "-s", "nope"],
    ],
    ids=" ".join,
)
def test_usage(args: list[str]) -> None:
    """Arguments that do not define two runs are refused."""
    result = firstk("diff", *args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


def test_usage_of_files(tmp_path: Path) -> None:
    """A file of events must be valid, and already has its strategy and seed."""
    good = saved(tmp_path, "one-slow", "-s", "first-k")
    bad = tmp_path / "bad"
    bad.write_text("# firstk events 1\nwhat?\n")
    wrong = {
        (good, bad): f"{bad}:2: is not an event: 'what?'",
        (good, good, "-s", "first-k"): "has its strategy and its seed already",
        (good,): "name two of one thing",
    }
    for args, message in wrong.items():
        result = firstk("diff", *args)

        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr


def test_events_of_one_strategy(tmp_path: Path) -> None:
    """`firstk run --events` saves one run, so it needs one strategy."""
    result = firstk("run", "one-hung", "--events", tmp_path / "e")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "name it by --strategy" in result.stderr
    assert not (tmp_path / "e").exists()
