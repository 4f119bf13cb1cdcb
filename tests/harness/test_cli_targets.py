"""What arguments and options name is found, or it is told what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result

from tests.harness.command_line import BAD, GOOD, firstk, write


def test_usage_helps() -> None:
    """What would have been right is told."""
    assert "there are wait-for-all, first-k" in firstk("run", "ten-good", "-s", "x").stderr
    assert "13 scenarios; `run` runs one" in firstk("run", "ticket-928").stderr
    assert "the sets are hung-server, laws, robustness, ticket-928" in firstk("run", "nope").stderr


@pytest.mark.parametrize("command", ["validate", "run", "compare"])
def test_bad_file(command: str, tmp_path: Path) -> None:
    """All that is wrong with a file goes to standard error, each with its line."""
    path = write(tmp_path, text=BAD)
    result = firstk(command, path)
    lines = result.stderr.splitlines()

    assert (2, "") == (result.exit_code, result.stdout)
    assert 2 == len(lines)
    assert lines[0].startswith(f"{path}:3: sed: unknown key; did you mean 'seed'?")
    assert f"{path}:7: file.k: should be 10 (n) or less, not 11" == lines[1]


@pytest.mark.usefixtures("no_pictures")
def test_equal_names(tmp_path: Path) -> None:
    """Two scenarios of one name would overwrite each other's pictures."""
    one = write(tmp_path)
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other")
    result = firstk("compare", one, other, "--out", tmp_path)

    assert (2, "") == (result.exit_code, result.stdout)
    assert f"{one} and {other} are both called 't'" in result.stderr


def test_idle_expectations(tmp_path: Path) -> None:
    """An expectation that nothing is held to is told, unless strategies are named."""
    file = write(tmp_path, text=GOOD + '[expect.hedged]\noutcome = "failed"\n')
    note = f"{file}: note: [expect.hedged] is not looked at: `strategies` does not have hedged\n"

    assert (0, note) == told(firstk("validate", file))
    assert (0, note) == told(firstk("run", file))
    assert (0, "") == told(firstk("run", file, "--strategy", "first-k"))
    assert 1 == firstk("run", file, "--strategy", "hedged").exit_code


def told(result: Result) -> tuple[int, str]:
    """Return the exit status, and what was said on standard error."""
    return result.exit_code, result.stderr
