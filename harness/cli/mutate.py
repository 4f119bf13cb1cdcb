"""`firstk mutate`: shows which scenarios would notice a weaker fault or downloader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, UNMET
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import DOWNLOADER, STRATEGY, format_option
from firstk.harness.cli.progress import each
from firstk.harness.cli.targets import chosen_downloaders, known_strategies, load, refuse_load
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.fuzz.mutants import Score


@click.command(
    epilog=examples(
        "firstk mutate ticket-928",
        "firstk mutate tests/scenarios --downloader mypackage.fetch:download",
    )
)
@click.argument(
    "targets",
    metavar="FILE|DIR|NAME...",
    nargs=-1,
    required=True,
    shell_complete=completion.scenarios_and_sets,
)
@STRATEGY
@DOWNLOADER
@format_option("json", help="How the results are printed.")
def mutate(
    targets: tuple[str, ...], strategies: tuple[str, ...], downloaders: tuple[str, ...], form: str
) -> int:
    """Weaken each fault of scenarios, and the downloader, and list what goes unnoticed.

    A mutant is noticed if it no longer meets an expectation of its scenario. Exit status 1 means
    that a scenario would notice no mutant, or does not meet its expectations to begin with.
    """
    from firstk.harness.fuzz.mutants import score

    scenarios = load(targets)
    for scenario in scenarios:
        refuse_load(scenario, "mutate")
    others = chosen_downloaders(downloaders, default=not strategies)
    named = [*known_strategies(strategies), *others]
    scores = [
        score(scenario.with_runs(strategies=named or None))
        for scenario in each(scenarios, "mutating")
    ]
    if form == "json":
        click.echo(json.dumps([_row(one) for one in scores], indent=2))
    else:
        _print(scores)
    return OK if all(one.noticed and not one.wrong for one in scores) else UNMET


def _row(one: Score) -> dict[str, object]:
    return {
        "scenario": one.scenario.source,
        "mutants": one.tried,
        "noticed": one.noticed,
        "unnoticed": [{"mutant": u.mutant, "same": u.same} for u in one.unnoticed],
        "wrong": one.wrong,
    }


def _print(scores: list[Score]) -> None:
    """Print what went unnoticed, scenario by scenario, and the totals."""
    for one in scores:
        click.echo(printable(f"{one.scenario.source}: {_summary(one)}"))
        for unnoticed in one.unnoticed:
            click.echo(printable(f"  {unnoticed}"))
    tried, noticed = sum(one.tried for one in scores), sum(one.noticed for one in scores)
    click.echo(f"{noticed} of {tried} mutants were noticed.")
    blind = [one.scenario.source for one in scores if not one.noticed]
    if blind:
        click.echo(printable(f"These would never notice anything: {', '.join(blind)}"))


def _summary(one: Score) -> str:
    if one.wrong is not None:
        return f"is not as expected without any mutation: {one.wrong}"
    if not one.tried:
        return "expects nothing of what runs, or has nothing that can be weaker"
    return f"{one.noticed} of {one.tried} mutants noticed"
