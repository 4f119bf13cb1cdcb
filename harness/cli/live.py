"""`firstk live`: runs a scenario on real servers and in the simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from firstk.harness.cli.exit import OK, UNMET, USAGE, fail
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import (
    DOWNLOADER,
    FOLDER,
    RUNS,
    SECONDS,
    SEED,
    TRANSPORT,
    format_option,
)
from firstk.harness.cli.output import make_folder, tell_first, writing
from firstk.harness.cli.progress import doing
from firstk.harness.cli.tables import print_legend, print_table
from firstk.harness.cli.targets import (
    chosen_downloaders,
    known_strategies,
    load_one,
    over,
    refuse_load,
)

if TYPE_CHECKING:
    from firstk.harness.live.worlds import WorldsCompared
    from firstk.scenarios.model import Scenario

#: When a live run is cut off, and how long a silence means that it has stalled, in seconds.
LIMIT, QUIET = 15.0, 2.0

#: The default number of runs in each world.
LIVE_RUNS = 10


@click.command(
    epilog=examples("firstk live three-good-seven-hung --strategy first-k --strategy hedged")
)
@click.argument("target", metavar="FILE|NAME")
@click.option("-s", "--strategy", "strategies", multiple=True, help="Run this one; repeatable.")
@DOWNLOADER
@TRANSPORT
@click.option("--seed", type=SEED, help="The seed of the first run.")
@click.option("--runs", type=RUNS, default=LIVE_RUNS, show_default=True, help="How many runs.")
@click.option(
    "--limit",
    metavar="SECONDS",
    default=LIMIT,
    show_default=True,
    type=SECONDS,
    help="When a run that is still busy is cut off, in all worlds.",
)
@click.option(
    "--quiet",
    metavar="SECONDS",
    default=QUIET,
    show_default=True,
    type=SECONDS,
    help="A live run has stalled if nothing happens for so much longer than in the simulation.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=FOLDER,
    help="Write pictures into DIR: all times, and timelines of the first runs.",
)
@format_option("json", help="How the comparison is printed.")
def live(
    target: str,
    strategies: tuple[str, ...],
    downloaders: tuple[str, ...],
    transport: str | None,
    seed: int | None,
    runs: int,
    limit: float,
    quiet: float,
    out: Path | None,
    form: str,
) -> int:
    """Run a scenario on real storage servers, and in the simulation beside it.

    Each server is a Tahoe-LAFS storage server in a process on this machine. A hung server is
    stopped by SIGSTOP, a broken one is killed, a corrupt one has corrupt files, and a proxy
    delays the traffic. The simulation uses the round-trip times measured on the real servers.
    With --transport tahoe-https, the same servers also run on a simulated network. Exit status 1
    means that outcomes differ, that times differ by more than 10 % and 10 ms (medians), or that a
    real run is not as the scenario expects.
    """
    scenario = load_one(target, "live")
    refuse_load(scenario, "live")
    if transport is not None:
        scenario = over(scenario, transport)
    others = chosen_downloaders(downloaders, default=not strategies)
    named = [*known_strategies(strategies), *others]
    try:
        scenario = scenario.with_runs(strategies=named or None, seed=seed, runs=runs)
    except ValueError as e:
        raise click.UsageError(str(e)) from e
    if out is not None:
        make_folder(out)
    found = run_live(scenario, limit, quiet)
    _print(found, form)
    if out is not None:
        _draw(found, out)
    differences = [f"differs: {one}" for one in found.differences]
    unmet = [f"not as expected: {one}" for one in found.unmet]
    tell_first([*differences, *unmet])
    return UNMET if differences or unmet else OK


def run_live(scenario: Scenario, limit: float = LIMIT, quiet: float = QUIET) -> WorldsCompared:
    """Run a scenario in all worlds; exit if a live grid does not support it."""
    from twisted.internet.defer import Deferred

    from firstk.harness.live.comparison import compare_worlds
    from firstk.harness.live.event_loop import run_in_reactor
    from firstk.harness.live.processes import Keeper, LiveError

    try:
        with doing(f"starting {scenario.grid.servers} servers") as say, Keeper() as keeper:

            def work(reactor: Any) -> Deferred[WorldsCompared]:
                return Deferred.fromCoroutine(
                    compare_worlds(reactor, keeper, scenario, limit, quiet, say)
                )

            return run_in_reactor(work)
    except LiveError as e:
        fail(f"firstk: {e}", USAGE)


def _print(found: WorldsCompared, form: str) -> None:
    """Print the comparison."""
    from firstk.reports.tables import live as table

    if form == "json":
        click.echo(table.as_json(found), nl=False)
        return
    print_table([table.table(found)], keys=2)
    print_legend(table.LEGEND)


def _draw(found: WorldsCompared, out: Path) -> None:
    """Write the picture."""
    from importlib.metadata import version

    from firstk.reports.plots import live as picture

    with writing(out):
        name = f"live-{found.scenario.name}"
        written = picture.draw(found, out / name, version("firstk"))
        written += picture.draw_times(found, out / f"{name}-times", version("firstk"))
    click.echo(f"Wrote {written[0]} and {len(written) - 1} other files.")
