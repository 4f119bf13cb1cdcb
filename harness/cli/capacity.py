"""`firstk capacity`: at what rate of downloads a grid saturates, or misses a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, UNMET, USAGE, fail, refusing
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import DOWNLOADER, FOLDER, SEED, STRATEGY, format_option
from firstk.harness.cli.output import make_folder, writing
from firstk.harness.cli.progress import doing
from firstk.harness.cli.sweep_options import WORKERS, processes
from firstk.harness.cli.tables import print_legend, print_table
from firstk.harness.cli.targets import chosen_downloaders, known_strategies, load_one
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.capacity.capacity import Capacity
    from firstk.harness.capacity.runs import MakeRuns
    from firstk.scenarios.condition import Condition
    from firstk.scenarios.model import Scenario


@click.command(
    epilog=examples(
        "firstk capacity load --strategy hedged",
        'firstk capacity my-scenario.toml --target "p99 <= 2 s" --out capacity',
    )
)
@click.argument("scenario", metavar="FILE|NAME", shell_complete=completion.scenarios)
@click.option(
    "--target",
    "targets",
    metavar="CONDITION",
    multiple=True,
    help='What must hold: "p99 <= 2 s", "busy <= 90%", "success >= 99%"; repeatable. That the grid'
    " does not saturate is always required.",
)
@STRATEGY
@DOWNLOADER
@click.option("--seed", type=SEED, help="The seed of the first run at each rate.")
@WORKERS
@format_option("markdown", "json", help="Output format.")
@click.option("--out", metavar="DIR", type=FOLDER, help="Draw a picture in this folder.")
def capacity(
    scenario: str,
    targets: tuple[str, ...],
    strategies: tuple[str, ...],
    downloaders: tuple[str, ...],
    seed: int | None,
    workers: int | None,
    form: str,
    out: Path | None,
) -> int:
    """Find the rate of downloads at which a grid saturates, or misses a target.

    The rate replaces that of the scenario's [workload]; without a [workload] downloads arrive at
    random. The search doubles the rate until it is too high, and then bisects. Each verdict on a
    rate rests on independent runs. Exit status 1 means that the capacity with some strategy was
    not found.
    """
    from firstk.reports.model.capacity_words import basis, sentence
    from firstk.reports.tables import capacity as tables

    conditions = parse_targets(targets)
    asked = _scenario(scenario)
    named = [
        *known_strategies(strategies),
        *chosen_downloaders(downloaders, default=not strategies),
    ]
    try:
        asked = asked.with_runs(strategies=named or None, seed=seed)
    except ValueError as e:
        raise click.UsageError(str(e)) from e
    if out is not None:
        make_folder(out)
    found = find_all(asked, conditions, workers)
    if form == "json":
        click.echo(tables.as_json(asked.name, found, conditions), nl=False)
    else:
        for one in found:
            click.echo(printable(f"{sentence(one, conditions)}."))
        if form == "markdown":
            click.echo(tables.as_markdown(found, conditions), nl=False)
        else:
            print_table([tables.table(found, conditions)], keys=3)
            click.echo(f"Basis: {basis(found)}.")
            print_legend(tables.LEGEND)
    if out is not None:
        _draw(asked, found, conditions, out)
    return OK if all(one.is_found for one in found) else UNMET


def parse_targets(targets: Sequence[str]) -> list[Condition]:
    """Return the conditions that `--target` names."""
    from firstk.scenarios.condition import parse_condition

    found: list[Condition] = []
    for text in targets:
        try:
            condition = parse_condition(text)
        except ValueError as e:
            raise click.BadParameter(str(e), param_hint="--target") from e
        if any(condition.name == other.name for other in found):
            raise click.BadParameter(f"limits {condition.name} twice", param_hint="--target")
        found.append(condition)
    return found


def _scenario(target: str) -> Scenario:
    """Return the scenario, or that of an experiment of the library, at its first point."""
    from firstk.scenarios.experiment import load_experiment
    from firstk.scenarios.library import experiments
    from firstk.scenarios.load import ScenarioError

    files = experiments()
    if target not in files:
        return load_one(target, "capacity")
    with refusing(ScenarioError):
        found = load_experiment(files[target])
    return found.points[0].scenario.with_runs(strategies=found.strategies)


def find_all(
    scenario: Scenario, conditions: Sequence[Condition], workers: int | None
) -> list[Capacity]:
    """Return the capacity with each strategy of a scenario; exit if it has none."""
    from firstk.harness.capacity.capacity import find_capacity
    from firstk.harness.capacity.runs import CapacityError
    from firstk.harness.run.under_test import DownloaderError
    from firstk.harness.sweep.workers import WorkersError

    found = []
    try:
        with _making_runs(workers) as make_runs:
            for strategy in scenario.strategies:
                with doing(f"searching, with {strategy}"):
                    found.append(find_capacity(scenario, strategy, conditions, make_runs))
    except CapacityError as e:
        fail(f"{scenario.source}: {e}", USAGE)
    except (WorkersError, DownloaderError) as e:
        fail(f"firstk: {e}", USAGE)
    return found


@contextmanager
def _making_runs(workers: int | None) -> Iterator[MakeRuns]:
    """Yield what makes runs: this process if it is the only worker, or a pool of processes."""
    from firstk.harness.capacity import runs
    from firstk.harness.sweep.workers import Pool

    if workers == 1:
        yield runs.make_here
        return
    pool = processes(workers)()
    assert isinstance(pool, Pool)
    try:
        yield runs.MakeInPool(pool)
    finally:
        pool.close()


def _draw(
    scenario: Scenario, found: Sequence[Capacity], conditions: Sequence[Condition], out: Path
) -> None:
    """Draw the picture, and print where it is."""
    from importlib.metadata import version

    from firstk.reports.plots.capacity import draw

    with writing(out):
        files = draw(scenario.name, found, conditions, out / "capacity", version("firstk"))
    click.echo(printable(f"The picture is {files[0]} and {files[1].name}."), err=True)
