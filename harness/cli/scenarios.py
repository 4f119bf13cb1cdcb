"""`firstk list`, `validate` and `schema`: list scenarios, and help to write more."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, USAGE
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import Named
from firstk.harness.cli.targets import tell_notes
from firstk.scenarios.text import printable


@click.command("list", epilog=examples("firstk list"))
def list_() -> None:
    """Show the scenarios and the experiments that come with firstk."""
    from firstk.scenarios.library import EXPERIMENTS, described, experiments, sets

    shown = {set_: list(described(files)) for set_, files in sets().items()}
    named = experiments()
    texts = (description for _, description in described(named.values()))
    shown[EXPERIMENTS] = list(zip(named, texts, strict=True))
    width = max(len(name) for files in shown.values() for name, _ in files)
    for set_, files in shown.items():
        click.echo(set_)
        for name, description in files:
            click.echo(f"  {name:{width}}  {description}")


@click.command(
    epilog=examples("firstk validate tests/scenarios", "firstk validate experiment.toml")
)
@click.argument(
    "files",
    metavar="FILE|DIR|NAME...",
    nargs=-1,
    required=True,
    shell_complete=completion.scenarios_and_sets,
)
def validate(files: tuple[str, ...]) -> int:
    """Check files of scenarios, experiments and plans: mistakes are listed with their lines."""
    from firstk.scenarios.load import ScenarioError

    status = OK
    for name in (one for file in files for one in _within(file)):
        try:
            _validate(name)
        except ScenarioError as e:
            click.echo(str(e), err=True)
            status = USAGE
    return status


def _within(name: str) -> list[str]:
    """Return the TOML files in a folder, or the path itself if it is not a folder with some."""
    path = Path(name)
    found = sorted(path.glob("**/*.toml")) if path.is_dir() else []
    return list(map(str, found)) or [name]


def _validate(name: str) -> None:
    """Print what a file contains; raise `ScenarioError` if something is wrong with it."""
    from firstk.scenarios.experiment import load_experiment
    from firstk.scenarios.kinds import EXPERIMENT, PLAN, kind_of
    from firstk.scenarios.library import experiments, load_all
    from firstk.scenarios.load import read
    from firstk.scenarios.plan import load_plan

    path = Path(name)
    if not os.path.lexists(path):
        path = experiments().get(name, path)
    kind = kind_of(read(path, None).data) if path.is_file() else None
    if kind is PLAN:
        count = sum(map(len, load_plan(path).levels))
        click.echo(printable(f"{name}: ok: {count} candidate{'s' if count > 1 else ''}"))
        return
    if kind is EXPERIMENT:
        experiment = load_experiment(path)
        if experiment.oracle:
            from firstk.harness.sweep.oracle import refuse

            refuse(experiment, name)
        points = len(experiment.points)
        click.echo(printable(f"{name}: ok: {points} point{'s' if points > 1 else ''}"))
        return
    for scenario in load_all([name]):
        file, servers = scenario.file, scenario.grid.servers
        click.echo(printable(f"{scenario.source}: ok: {file.k}-of-{file.n}, {servers} servers"))
        tell_notes(scenario)


@click.command(epilog=examples("firstk schema scenario", "firstk schema experiment"))
@click.argument("of", type=Named(["scenario", "experiment", "plan"]), default="scenario")
def schema(of: str) -> None:
    """Print the JSON schema of files of scenarios, experiments or plans, for editors."""
    from firstk.scenarios.schema import schema_of

    click.echo(json.dumps(schema_of(of), indent=2))
