"""`firstk explain`: explains why a download does not go as it should."""

from __future__ import annotations

import click

from firstk.harness.cli.exit import OK, UNMET
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import DOWNLOADER, SECONDS, SEED
from firstk.harness.cli.targets import (
    chosen_downloaders,
    is_for_downloader,
    known_strategies,
    load_one,
    refuse_load,
)
from firstk.scenarios.text import printable


@click.command(
    epilog=examples(
        "firstk explain one-hung --strategy wait-for-all",
        "firstk explain tests/scenarios/one-hung.toml --downloader mypackage.fetch:download",
    )
)
@click.argument("target", metavar="FILE|NAME")
@click.option("-s", "--strategy", "strategies", multiple=True, help="Explain this; repeatable.")
@DOWNLOADER
@click.option("--seed", type=SEED, help="The seed of the run.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=SECONDS,
    help="End a run that takes longer in real time.",
)
def explain(
    target: str,
    strategies: tuple[str, ...],
    downloaders: tuple[str, ...],
    seed: int | None,
    timeout: float | None,
) -> int:
    """Explain why a download stalls, fails, is late or writes wrong bytes.

    Prints four lines: which servers did not answer, or lied; where the code waits; for what; and
    the cause, which is the fewest faults without which all is well. Exit status 1 means that an
    expectation of the scenario was not met.
    """
    from firstk.harness.explain.cause import ending
    from firstk.harness.explain.explanation import explain as explained
    from firstk.harness.fuzz.explained import explain_violation
    from firstk.harness.run.simulate import simulate
    from firstk.harness.run.under_test import is_external

    scenario = load_one(target, "explain")
    refuse_load(scenario, "explain")
    default = not strategies and is_for_downloader(scenario)
    others = chosen_downloaders(downloaders, default=default)
    scenario = scenario.with_runs(seed=seed, runs=1)
    status = OK
    for subject in [*known_strategies(strategies), *others] or scenario.strategies:
        found = explained(scenario, subject, timeout=timeout)
        if found is None and is_external(subject):
            found = explain_violation(scenario, subject, timeout)
        click.echo(printable(f"{scenario.name}, {subject}, seed {scenario.seed}"))
        if found is None:
            result = simulate(scenario, subject, timeout=timeout).result
            click.echo(printable(f"  all is well: {ending(result)}"))
            continue
        for line in found.lines:
            click.echo(printable(f"  {line}"))
        if found.unmet:
            status = UNMET
    return status
