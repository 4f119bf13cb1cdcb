"""`firstk diff`: shows where two runs diverge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, UNMET
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import SEED, downloader_option
from firstk.harness.cli.targets import known_strategies, load_one, other_downloaders, refuse_load
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.run.events import Events


@click.command(
    epilog=examples(
        "firstk diff late-answer --strategy first-k --strategy first-k-late",
        "firstk diff flaky-grid --strategy hedged --seed 1 --seed 2",
    )
)
@click.argument(
    "targets",
    metavar="FILE|NAME [FILE|NAME]",
    nargs=-1,
    required=True,
    shell_complete=completion.scenarios,
)
@click.option(
    "-s",
    "--strategy",
    "strategies",
    multiple=True,
    shell_complete=completion.strategies,
    help="Strategy to run; give two to compare them.",
)
@downloader_option()
@click.option(
    "--seed", "seeds", multiple=True, type=SEED, help="Seed to run; give two to compare them."
)
def diff(
    targets: tuple[str, ...],
    strategies: tuple[str, ...],
    downloaders: tuple[str, ...],
    seeds: tuple[int, ...],
) -> int:
    """Show where two runs diverge, with a few events around it.

    Name two of one kind: two seeds, two strategies, two scenarios, or two files written by
    `firstk run --events`; such a file can also be compared with a scenario.
    Exit status 1 means that the runs differ.
    """
    from firstk.reports.tables.diff import diff_text, parting

    named = [*known_strategies(strategies), *other_downloaders(downloaders)]
    one, other = _two_runs(targets, named, seeds)
    click.echo(printable(diff_text(one, other), keep="\n"), nl=False)
    return OK if parting(one, other) is None else UNMET


def _two_runs(targets: Sequence[str], named: list[str], seeds: Sequence[int]) -> list[Events]:
    """Return the events of the two runs that the arguments name."""
    from firstk.harness.run.events import Events, EventsError, is_events
    from firstk.harness.run.simulate import simulate

    saved = {target for target in targets if is_events(Path(target))}
    scenarios = {target: load_one(target, "diff") for target in targets if target not in saved}
    for scenario in scenarios.values():
        refuse_load(scenario, "diff")
    strategies = named or list(
        dict.fromkeys(name for scenario in scenarios.values() for name in scenario.strategies)
    )
    if not scenarios and (named or seeds):
        raise click.UsageError("a file of events has its strategy and its seed already")
    if sorted(len(of) or 1 for of in (targets, strategies, seeds)) != [1, 1, 2]:
        raise click.UsageError(
            "name two of one thing and one of the others: two --seed, two --strategy, or two"
            f" scenarios or files of events; the strategies here are {', '.join(strategies)}"
        )
    runs = []
    for target in targets:
        if target in saved:
            try:
                runs.append(Events.read(Path(target)))
            except EventsError as e:
                raise click.UsageError(str(e)) from e
            continue
        scenario = scenarios[target]
        for seed in seeds or [scenario.seed]:
            for strategy in strategies:
                seeded = scenario.with_runs(seed=seed)
                runs.append(Events.of(simulate(seeded, strategy)))
    return runs
