"""`firstk explain` prints four lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.command_line import firstk, unmet, write


def test_lines(tmp_path: Path) -> None:
    """There are four lines for a run that does not succeed; it is as expected, so status 0."""
    ran = firstk("explain", "one-hung", "--strategy", "wait-for-all")
    heading, *lines = ran.stdout.splitlines()

    assert (ran.exit_code, heading) == (0, "one-hung, wait-for-all, seed 0")
    assert [line.partition(":")[0] for line in lines] == ["  who", "  where", "  chain", "  cause"]
    assert lines[0] == "  who: never answered: s9"
    assert lines[3] == (
        "  cause: one fault: s9 hung; without it ok at 0.25 s; healing helps at any time"
    )


def test_well() -> None:
    """Of a run that is as expected, and succeeds, it says so."""
    ran = firstk("explain", "one-hung", "--strategy", "first-k")

    assert (ran.exit_code, ran.stdout.splitlines()[1]) == (0, "  all is well: ok at 0.25 s")


def test_unmet(tmp_path: Path) -> None:
    """Where an expectation is not met the exit status is 1, with the strategies of the file."""
    ran = firstk("explain", unmet(tmp_path))

    assert ran.exit_code == 1
    assert "t, first-k, seed 7" in ran.stdout
    assert "cause: not the servers: none has a fault" in ran.stdout
    assert "t, wait-for-all, seed 7\n  all is well" in ran.stdout


def test_seed(tmp_path: Path) -> None:
    """The seed can be another."""
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
    """What cannot be explained is refused."""
    ran = firstk("explain", *args)

    assert ran.exit_code == 2
    assert said in ran.stderr
