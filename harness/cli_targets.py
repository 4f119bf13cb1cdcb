"""What arguments and options name: scenarios, strategies, other downloaders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli_exit import refusing
from scenarios.text import printable

if TYPE_CHECKING:
    from scenarios.model import Scenario


def load(targets: Iterable[str]) -> list[Scenario]:
    """Return the scenarios that are asked for; exit with all that is wrong with them."""
    from scenarios.library import load_all
    from scenarios.load import ScenarioError

    with refusing(ScenarioError):
        return load_all(targets)


def load_one(target: str, command: str) -> Scenario:
    """Return the one scenario that is asked for."""
    if Path(target).is_dir():
        raise click.UsageError(f"{target} is a folder; `{command}` runs one scenario")
    scenarios = load([target])
    if len(scenarios) != 1:
        raise click.UsageError(f"{target} has {len(scenarios)} scenarios; `{command}` runs one")
    return scenarios[0]


def refuse_load(scenario: Scenario, command: str) -> None:
    """Refuse a scenario of many downloads where one is asked for."""
    if scenario.workload is not None:
        raise click.UsageError(
            f"{scenario.source} has a [workload], and `{command}` looks at single downloads:"
            " `firstk run` and `firstk sweep` run it"
        )


def side_by_side(scenarios: Sequence[Scenario], downloaders: Sequence[str]) -> list[Scenario]:
    """Return scenarios whose pictures go into one folder, with other downloaders in each."""
    _refuse_equal_names(scenarios)
    for scenario in scenarios:
        tell_notes(scenario)
    others = other_downloaders(downloaders)
    return [one.model_copy(update={"strategies": [*one.strategies, *others]}) for one in scenarios]


def _refuse_equal_names(scenarios: Sequence[Scenario]) -> None:
    """Refuse scenarios of equal names: their timelines would overwrite one another."""
    sources: dict[str, str] = {}
    for scenario in scenarios:
        other = sources.setdefault(scenario.name.casefold(), scenario.source)
        if other != scenario.source:
            raise click.UsageError(
                f"{other} and {scenario.source} are both called {scenario.name!r}: rename one"
            )


def tell_notes(scenario: Scenario) -> None:
    """Print what is odd about a scenario, though nothing is wrong with it."""
    for note in scenario.notes:
        click.echo(printable(f"{scenario.source}: note: {note}"), err=True)


def known_strategies(names: Sequence[str]) -> list[str]:
    """Return the strategies that an option names, once each."""
    from downloader.strategy import find_strategy

    try:
        return list(dict.fromkeys(find_strategy(name).name for name in names))
    except ValueError as e:
        raise click.BadParameter(str(e), param_hint="--strategy") from e


def other_downloaders(names: Sequence[str]) -> list[str]:
    """Return the other downloaders that an option names, once each; all can be put to the test."""
    from harness.subject import SubjectError, find_subject, is_other
    from scenarios.model import TAHOE

    if names and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a script has its own folder only; ours go first
    # Tahoe-LAFS comes last: with it comes the real reactor, and who else brought it is not seen.
    for name in sorted(names, key=TAHOE.__eq__):
        if not is_other(name):
            wrong = f"should be MODULE:CALLABLE or {TAHOE}, not {name!r}"
            raise click.BadParameter(wrong, param_hint="--downloader")
        try:
            find_subject(name)
        except SubjectError as e:
            raise click.BadParameter(str(e), param_hint="--downloader") from e
    return list(dict.fromkeys(names))
