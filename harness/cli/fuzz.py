"""`firstk fuzz`: random scenarios, until one breaks what must always hold."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, UNMET
from firstk.harness.cli.options import FOLDER, SEED
from firstk.harness.cli.output import make_folder, writing
from firstk.harness.cli.progress import doing
from firstk.harness.cli.targets import load, refuse_load
from firstk.scenarios.text import printable, shell_word

if TYPE_CHECKING:
    from firstk.harness.fuzz.fuzzer import Fuzzer


@click.command()
@click.argument(
    "targets", metavar="[FILE|DIR|NAME]...", nargs=-1, shell_complete=completion.scenarios_and_sets
)
@click.option(
    "--seconds",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="For how long to try.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=SEED,
    help="Makes the scenarios: equal seeds, equal scenarios, as many as there is time for.",
)
@click.option(
    "--out",
    metavar="DIR",
    default=".",
    show_default=True,
    type=FOLDER,
    help="Where the scenario that is found goes.",
)
def fuzz(targets: tuple[str, ...], seconds: float, seed: int, out: Path) -> int:
    """Try random scenarios until one breaks what must always hold.

    That one is made small and written to a file. With arguments these scenarios are tried
    instead: this is how a find is replayed. Exit status 1 means that something was found.
    """
    from firstk.harness.fuzz.fuzzer import Fuzzer, no_traces

    if isnan(seconds):
        raise click.BadParameter("is no number", param_hint="--seconds")
    if targets:
        return _replay(targets)
    make_folder(out)
    fuzzer = Fuzzer(seed)
    try:
        with no_traces(), doing("fuzzing") as tell:
            fuzzer.tried = lambda: tell(f"{fuzzer.doing}: {fuzzer.counts}")
            fuzzer.search(seconds)
    except KeyboardInterrupt:
        _print_find(fuzzer, out)
        raise
    return _print_find(fuzzer, out)


def _replay(targets: tuple[str, ...]) -> int:
    """Try these scenarios; return the exit status."""
    from firstk.harness.fuzz.fuzzer import Counts, check

    counts, status = Counts(), OK
    scenarios = load(targets)
    for scenario in scenarios:
        refuse_load(scenario, "fuzz")
    for scenario in scenarios:
        for one in check(scenario, counts):
            status = UNMET
            click.echo(f"{printable(scenario.source)}: {one.invariant.name}: {one}")
    click.echo(f"{counts}. {_whether(bool(status))} was found.")
    return status


def _print_find(fuzzer: Fuzzer, out: Path) -> int:
    """Write the counterexample, if one was found, and report it; return the exit status."""
    found = fuzzer.found
    if found is not None:
        with writing(out):
            file = found.write(out)
        click.echo(f"{found.broken.invariant.name}: {found.broken}")
        again = f"firstk fuzz {shell_word(str(file))}"
        click.echo(f"The scenario is {printable(str(file))}; to replay it: {again}")
    click.echo(f"{fuzzer.counts}, seed {fuzzer.seed}. {_whether(found is not None)} was found.")
    return OK if found is None else UNMET


def _whether(something: bool) -> str:
    return "Something" if something else "Nothing"
