"""Options of several commands are the same in all of them."""

from __future__ import annotations

import click

from firstk.harness.cli.main import main


def test_formats() -> None:
    """Every command prints a table by default."""
    forms = {
        name: option.type.choices
        for name in main.commands
        for option in main.commands[name].params
        if "--format" in option.opts and isinstance(option.type, click.Choice)
    }

    assert forms == {
        "capacity": ("table", "markdown", "json"),
        "compare": ("table", "markdown"),
        "live": ("table", "json"),
        "mutate": ("table", "json"),
        "plan": ("table", "markdown", "json"),
        "prove": ("table", "json"),
        "reproduce": ("table", "json", "csv"),
        "run": ("table", "json", "csv"),
        "sweep": ("table", "csv", "markdown", "json"),
        "tune": ("table", "markdown", "json"),
    }
    for name in forms:
        assert {o.default for o in main.commands[name].params if o.name == "form"} == {"table"}
