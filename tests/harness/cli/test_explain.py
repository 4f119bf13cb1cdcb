"""`firstk explain` prints four lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.command_line import firstk, unmet, write


def test_lines(tmp_path: Path) -> None:
    """A run that does not succeed has four lines; the status is 0 if that was expected."""
    ran = firstk("explain", "one-hung", "--strategy", "wait-for-all")
    heading, *lines = ran.stdout.splitlines()

    assert (ran.exit_code, heading) == (0, "one-hung, wait-for-all, seed 0")
    assert [line.partition(":")[0] for line in lines] == ["  who", "  where", "  chain", "  cause"]
    assert lines[0] == "  who: never answered: s9"
    assert lines[3] == (
        "  cause: one fault: s9 hung; without it ok at 0.25 s; healing helps at any time"
    )


def test_well() -> None:
    """A run that succeeds as expected prints that all is well."""
    ran = firstk("explain", "one-hung", "--strategy", "first-k")

    assert (ran.exit_code, ran.stdout.splitlines()[1]) == (0, "  all is well: ok at 0.25 s")


def test_unmet(tmp_path: Path) -> None:
    """An unmet expectation makes exit status 1; all strategies of the file are explained."""
    ran = firstk("explain", unmet(tmp_path))

    assert ran.exit_code == 1
    assert "t, first-k, seed 7" in ran.stdout
    assert "cause: not the servers: none has a fault" in ran.stdout
    assert "t, wait-for-all, seed 7\n  all is well" in ran.stdout


def test_seed(tmp_path: Path) -> None:
    """`--seed` explains the run with another seed."""
    assert "t, first-k, seed 3" in firstk("explain", write(tmp_path), "--seed", "3").stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["ticket-928"], "`explain` runs one"),
        (["one-hung", "-s", "frist-k"], "did you mean 'first-k'"),
        (["one-hung", "--downloader", "x"], "should be MODULE:CALLABLE"),
    ],
)
def test_usage(args: list[str], said: str) -> None:
    """Arguments that cannot be explained are refused."""
    ran = firstk("explain", *args)

    assert ran.exit_code == 2
    assert said in ran.stderr
