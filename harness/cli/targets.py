"""The targets of arguments and options: scenarios, strategies, other downloaders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli.exit import USAGE, Ended, note, refusing
from firstk.harness.cli.options import NO_DOWNLOADER

if TYPE_CHECKING:
    from firstk.harness.cli.project import Project
    from firstk.scenarios.model import Scenario


def load(targets: Iterable[str]) -> list[Scenario]:
    """Return the requested scenarios; exit with all mistakes in them."""
    from firstk.scenarios.library import load_all
    from firstk.scenarios.load import ScenarioError

    with refusing(ScenarioError):
        return load_all(targets)


def load_one(target: str, command: str) -> Scenario:
    """Return the one requested scenario."""
    if Path(target).is_dir():
        raise click.UsageError(f"{target} is a folder; `{command}` runs one scenario")
    scenarios = load([target])
    if len(scenarios) != 1:
        raise click.UsageError(f"{target} has {len(scenarios)} scenarios; `{command}` runs one")
    return scenarios[0]


def refuse_load(scenario: Scenario, command: str) -> None:
    """Reject a scenario of many downloads for a command that needs a single one."""
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
    others = chosen_downloaders(downloaders)
    return [one.with_runs(strategies=[*one.strategies, *others]) for one in scenarios]


def over(scenario: Scenario, transport: str | None, name: str | None = None) -> Scenario:
    """Return a scenario over the requested transport, renamed to `name` if that is different."""
    if transport is None:
        return scenario
    try:
        return scenario.with_transport(transport, name)  # type: ignore[arg-type]
    except ValueError as e:
        raise click.UsageError(f"{scenario.source}: {e}") from e


def check_expectations(scenarios: Sequence[Scenario], *, named: bool, strict: bool) -> None:
    """Reject scenarios whose expectations are all about subjects that do not run.

    If subjects were `named` on the command line, this is only noted, unless it is `strict`.
    """
    from firstk.harness.run.comparison import expectation
    from firstk.harness.run.under_test import is_external
    from firstk.scenarios.model import OTHER

    refused = False
    for scenario in scenarios:
        if not scenario.expect:
            continue
        if all(expectation(scenario, name) is None for name in scenario.strategies):
            only = ", ".join(f"[expect.{name}]" for name in scenario.expect)
            what = f"no expectations for {', '.join(scenario.strategies)}: the file has only {only}"
            if named and not strict:
                note(f"{scenario.source}: note: {what}")
            else:
                remedy = "add expectations for it, or omit --strict" if named else _remedy(scenario)
                note(f"{scenario.source}: {what}; {remedy}")
                refused = True
        elif (
            OTHER in scenario.expect
            and not named
            and not any(map(is_external, scenario.strategies))
        ):
            what = f"[expect.{OTHER}] is ignored without --downloader"
            note(f"{scenario.source}: note: {what}")
    if refused:
        raise Ended(USAGE)


def is_for_downloader(scenario: Scenario) -> bool:
    """Return whether a scenario's expectations allow a downloader to run it alone."""
    from firstk.harness.run.under_test import is_external
    from firstk.scenarios.model import OTHER

    return not scenario.expect or any(
        name == OTHER or is_external(name) for name in scenario.expect
    )


def _remedy(scenario: Scenario) -> str:
    """Return what to do about a scenario without expectations of what runs."""
    from firstk.harness.run.under_test import is_external
    from firstk.scenarios.model import OTHER, TAHOE

    if OTHER in scenario.expect:
        return "pass --downloader MODULE:CALLABLE, or set firstk_downloader in pyproject.toml"
    if TAHOE in scenario.expect:
        return "pass --downloader tahoe"
    others = list(filter(is_external, scenario.strategies))
    if others:
        return (
            f"add [expect.{OTHER}], or pass --downloader {NO_DOWNLOADER} to run firstk's own"
            " strategies"
        )
    return f"add {', '.join(scenario.expect)} to `strategies`"


def _refuse_equal_names(scenarios: Sequence[Scenario]) -> None:
    """Reject scenarios with equal names: their timelines would overwrite one another."""
    sources: dict[str, str] = {}
    for scenario in scenarios:
        other = sources.setdefault(scenario.name.casefold(), scenario.source)
        if other != scenario.source:
            raise click.UsageError(
                f"{other} and {scenario.source} are both called {scenario.name!r}: rename one"
            )


def tell_notes(scenario: Scenario) -> None:
    """Print notes about a scenario that is valid but odd."""
    for said in scenario.notes:
        note(f"{scenario.source}: note: {said}")


def tell_unchecked(scenarios: Iterable[Scenario]) -> None:
    """Print the real files whose downloaded bytes cannot be checked."""
    from firstk.harness.grid.files import file_of
    from firstk.scenarios.model import RealFile

    files = {s.file.shares: s for s in scenarios if isinstance(s.file, RealFile)}
    for shares, scenario in files.items():
        if file_of(scenario).plaintext is None:
            note(
                f"{scenario.source}: content not checked: the shares in {shares} cannot be decoded"
                " without the downloader"
            )


def known_strategies(names: Sequence[str]) -> list[str]:
    """Return the strategies that an option names, without duplicates."""
    from firstk.downloader.strategy import find_strategy

    try:
        return list(dict.fromkeys(find_strategy(name).name for name in names))
    except ValueError as e:
        raise click.BadParameter(str(e), param_hint="--strategy") from e


def chosen_downloaders(names: Sequence[str], *, default: bool = True) -> list[str]:
    """Return the other downloaders to run: those named, or by default that of the project.

    Prints a note on standard error if it is the project's, with the place where it is configured.
    """
    if NO_DOWNLOADER in names:
        if len(set(names)) > 1:
            raise click.BadParameter(
                f"{NO_DOWNLOADER!r} excludes all others", param_hint="--downloader"
            )
        return []
    if names:
        return other_downloaders(names)
    project = _project() if default else None
    if project is None or project.downloader is None:
        return []
    place = os.path.relpath(project.file)
    found = other_downloaders([project.downloader], f"firstk_downloader in {place}")
    click.echo(
        f"downloader {project.downloader}: firstk_downloader in {place}"
        f" (--downloader {NO_DOWNLOADER} runs without it)",
        err=True,
    )
    return found


def other_downloaders(names: Sequence[str], hint: str = "--downloader") -> list[str]:
    """Import the other downloaders that are named, and return their names without duplicates.

    `hint` is the option or file that names them, for error messages.
    """
    from firstk.harness.kernel.lost_errors import keep_log_off_stderr
    from firstk.harness.run.under_test import DownloaderError, find_downloader, is_external
    from firstk.scenarios.model import TAHOE

    if names:
        _make_importable()
        keep_log_off_stderr()
    # Tahoe-LAFS comes last: it loads the real reactor, which would hide that another one does too.
    for name in sorted(names, key=TAHOE.__eq__):
        if not is_external(name):
            wrong = f"should be MODULE:CALLABLE or {TAHOE}, not {name!r}"
            raise click.BadParameter(wrong, param_hint=hint)
        try:
            find_downloader(name)
        except DownloaderError as e:
            raise click.BadParameter(str(e), param_hint=hint) from e
    return list(dict.fromkeys(names))


def _make_importable() -> None:
    """Add the current folder and the project's folders, as configured for pytest, to `sys.path`."""
    project = _project()
    for folder in (Path.cwd(), *(project.folders if project is not None else ())):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))  # at the end, so that our own modules come first


def _project() -> Project | None:
    from firstk.harness.cli.project import ProjectError, find_project

    with refusing(ProjectError):
        return find_project(Path.cwd())
