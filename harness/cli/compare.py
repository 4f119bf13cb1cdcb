"""`firstk compare`: compares strategies, in a table and in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli import completion
from firstk.harness.cli.baseline import print_check, read_baseline, save_baseline
from firstk.harness.cli.exit import OK
from firstk.harness.cli.help import examples
from firstk.harness.cli.independence import Independence
from firstk.harness.cli.options import (
    DEFAULT_OUT,
    DOWNLOADER,
    FILE,
    FOLDER,
    STRICT,
    TRANSPORT,
    format_option,
)
from firstk.harness.cli.output import (
    make_file,
    make_folder,
    print_widest,
    tell_unanswered,
    tell_unmet,
    tell_unmet_faults,
    writing,
)
from firstk.harness.cli.progress import each
from firstk.harness.cli.simulate import simulate_all
from firstk.harness.cli.tables import print_legend
from firstk.harness.cli.targets import check_expectations, load, over, refuse_load, side_by_side
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.run.comparison import Compared
    from firstk.scenarios.model import Scenario


@click.command(
    epilog=examples(
        "firstk compare",
        "firstk compare one-hung late-answer --out pictures",
        "firstk compare tests/scenarios --save baseline.json",
        "firstk compare tests/scenarios --check baseline.json",
    )
)
@click.argument(
    "targets", metavar="[FILE|DIR|NAME]...", nargs=-1, shell_complete=completion.scenarios_and_sets
)
@DOWNLOADER
@TRANSPORT
@STRICT
@click.option(
    "--out",
    metavar="DIR",
    show_default=DEFAULT_OUT,
    type=FOLDER,
    help="Directory for the pictures. With --save or --check none are drawn unless this is given.",
)
@click.option(
    "--save",
    metavar="FILE",
    type=FILE,
    help="Save the result of each run, for a later --check.",
)
@click.option(
    "--check",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Compare with the results in this file, and report what is worse and better.",
)
@click.option(
    "--tolerance",
    metavar="PERCENT",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How far times, requests and bytes may differ from those in the file.",
)
@click.option(
    "--allow-gone",
    is_flag=True,
    help="Let --check pass although runs of the file are missing, as long as some are left.",
)
@format_option("markdown", help="Output format of --check.")
def compare(
    targets: tuple[str, ...],
    downloaders: tuple[str, ...],
    transport: str | None,
    strict: bool,
    out: Path | None,
    save: Path | None,
    check: Path | None,
    tolerance: float,
    allow_gone: bool,
    form: str,
) -> int:
    """Compare the strategies of scenarios.

    Prints a table, and writes a picture of the times to first byte and a timeline for
    each scenario. Without arguments, the scenarios are those of ticket #928. Other
    downloaders are shown next to the strategies. A scenario over tahoe-https is shown next to
    the same scenario over objects, with the round trips of each. Exit status 1 means that an
    expectation was not met, that --check found something worse or missing, or that a downloader
    keeps state between runs.
    """
    from firstk.scenarios.library import DEFAULT_SET

    before = None if check is None else read_baseline(check)
    if before is None and (tolerance or allow_gone or form != "table"):
        raise click.UsageError("--tolerance, --allow-gone and --format go with --check")
    if out is None and save is None and check is None:
        out = Path(DEFAULT_OUT)
    scenarios = load(targets or [DEFAULT_SET])
    for scenario in scenarios:
        refuse_load(scenario, "compare")
    scenarios = [one for scenario in scenarios for one in _over(scenario, transport)]
    scenarios = side_by_side(scenarios, downloaders)
    check_expectations(scenarios, named=bool(downloaders), strict=strict)
    if out is not None:
        make_folder(out)
    if save is not None:
        make_file(save)
    independence = Independence()
    compared = [simulate_all(scenario) for scenario in each(scenarios, "simulating")]
    for one in compared:
        for summary in one.strategies:
            independence.add(one.scenario, summary.results)
    stateful = independence.check()
    status = OK
    if before is None:
        _print(compared)
        tell_unanswered(compared)
        _explain(compared)
    else:
        status = print_check(before, compared, str(check), tolerance / 100, allow_gone, form)
    if out is not None:
        _draw(compared, out)
    if save is not None:
        save_baseline(compared, save)
    return max(status, stateful, tell_unmet(compared), tell_unmet_faults(compared, strict))


def _over(scenario: Scenario, transport: str | None) -> list[Scenario]:
    """Return a scenario; if it is over HTTPS, the same scenario over objects precedes it."""
    from firstk.scenarios.transport import OBJECTS, TAHOE_HTTPS

    wanted = transport or scenario.grid.transport or OBJECTS
    names = [OBJECTS, TAHOE_HTTPS] if wanted == TAHOE_HTTPS else [wanted]
    return [over(scenario, name, f"{scenario.name}.{name}") for name in names]


def _explain(compared: Sequence[Compared]) -> None:
    """Print the round trips before the first byte, over HTTPS and over objects."""
    from firstk.harness.run.round_trips import in_words

    for one, other in pairwise(compared):
        for objects, https in zip(one.first_runs, other.first_runs, strict=False):
            if https.network is not None and objects.network is None:
                click.echo(printable(in_words(objects, https), keep="\n"))


def _print(compared: Sequence[Compared]) -> None:
    """Print the table."""
    from firstk.harness.run.comparison import replay
    from firstk.reports.tables.compare import LEGEND

    if print_widest(compared, ("replay", "seed", "nothing")) != "replay":
        scenario = compared[0].scenario
        click.echo(f"To replay a row: {replay(scenario, scenario.strategies[0], scenario.seed)}")
    print_legend(LEGEND)


def _draw(compared: Sequence[Compared], out: Path) -> None:
    """Write the pictures."""
    from importlib.metadata import version

    from firstk.reports.plots import latency, timeline

    release = version("firstk")
    with writing(out):
        written = latency.draw(compared, out / "latency", release)
        for one in each(compared, "drawing timelines"):
            written += timeline.draw(one, out / f"timeline-{one.scenario.name}", release)
    click.echo(f"Wrote {written[0]} and {len(written) - 1} other files.")
