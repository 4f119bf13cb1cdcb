"""The help text of each command ends with examples, which the command accepts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from firstk.harness.cli.main import main
from tests.harness.command_line import firstk

#: Files in the examples that a command requires to exist.
_FILES = ("baseline.json", "hung-fraction.sqlite", "servers.txt")


def examples() -> Iterator[tuple[str, str]]:
    """Yield each example, with the name of its command."""
    for name in main.commands:
        lines = (main.commands[name].epilog or "").splitlines()
        yield from ((name, line.strip()) for line in lines[2:])


@pytest.mark.parametrize(("name", "example"), [*examples()])
def test_example(name: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command accepts the arguments of the example."""
    monkeypatch.chdir(tmp_path)
    for file in _FILES:
        Path(file).touch()
    program, command, *arguments = shlex.split(example)

    parent = click.Context(main, **main.context_settings)
    context = main.commands[name].make_context(name, arguments, parent)

    assert (program, command) == ("firstk", name)
    assert isinstance(context, click.Context)


def test_every_command() -> None:
    """Every command has an example."""
    assert {name for name, _ in examples()} == set(main.commands)


def test_library() -> None:
    """The scenarios in the examples exist."""
    from firstk.scenarios.library import experiments, load_all

    words = {word for _, example in examples() for word in shlex.split(example)[2:]}
    named = {"ticket-928", "flaky-grid", "late-answer", "one-hung", "three-good-seven-hung"}

    assert named <= words
    assert all(load_all([name]) for name in named)
    assert "hung-fraction" in words & set(experiments())


def test_shown() -> None:
    """The help text keeps the line breaks of the examples."""
    shown = firstk("run", "--help").stdout

    assert "\n  Examples:\n    firstk run three-good-seven-hung\n    firstk run " in shown
