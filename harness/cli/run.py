"""`firstk run`: runs one scenario, from a file or from a row of a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, UNMET, refusing
from firstk.harness.cli.help import examples
from firstk.harness.cli.independence import Independence
from firstk.harness.cli.options import (
    DOWNLOADER,
    FILE,
    RUNS,
    SECONDS,
    SEED,
    STRATEGY,
    STRICT,
    TRANSPORT,
    format_option,
)
from firstk.harness.cli.output import (
    MOST_RUNS,
    make_file,
    print_unmet_faults,
    print_widest,
    tell_first,
    tell_unanswered,
    tell_unmet,
    tell_unmet_faults,
    writing,
)
from firstk.harness.cli.run_rare import run_rare
from firstk.harness.cli.simulate import simulate_all
from firstk.harness.cli.sweep_options import tell_distrusted
from firstk.harness.cli.tables import print_legend, print_table
from firstk.harness.cli.targets import (
    check_expectations,
    chosen_downloaders,
    is_for_downloader,
    known_strategies,
    load_one,
    other_downloaders,
    over,
    tell_notes,
)
from firstk.scenarios.text import printable

if TYPE_CHECKING:
    from firstk.harness.run.comparison import Compared
    from firstk.harness.sweep.rows import Row
    from firstk.scenarios.model import Scenario

#: The maximum number of digits of a row number in SQLite.
_MOST_DIGITS = 18


@click.command(
    epilog=examples(
        "firstk run three-good-seven-hung",
        "firstk run my-scenario.toml --strategy first-k --seed 17 --trace run.json",
        "firstk run my-scenario.toml --rare p99.99",
        "firstk run --from hung-fraction.sqlite 17",
    )
)
@click.argument("target", metavar="FILE|NAME|ROW", shell_complete=completion.scenarios)
@click.option(
    "--from",
    "store",
    metavar="STORE",
    type=FILE,
    help="Re-run the given row of the store of a sweep.",
)
@STRATEGY
@DOWNLOADER
@TRANSPORT
@STRICT
@click.option("--seed", type=SEED, help="The seed of the first run.")
@click.option("--runs", type=RUNS, help="How many runs, seed after seed.")
@format_option("json", "csv", help="How the results are printed.")
@click.option(
    "--trace",
    metavar="FILE",
    type=FILE,
    help="Write the first run of each strategy as Chrome trace events, for Perfetto.",
)
@click.option(
    "--events",
    metavar="FILE",
    type=FILE,
    help="Write the first run's events as text, one a line, for `firstk diff`.",
)
@click.option(
    "--rare",
    metavar="EVENT",
    help='Estimate a rare event by weighted runs: "hangs", "fails", "ttfb > 2 s" or "p99.99".',
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=SECONDS,
    help="End a run that takes longer in real time: it has failed, and the stack is named.",
)
@click.option(
    "--traceback",
    "tracebacks",
    is_flag=True,
    help="Print the traceback of each error, from the downloader's own code on.",
)
def run(
    target: str,
    store: Path | None,
    strategies: tuple[str, ...],
    downloaders: tuple[str, ...],
    transport: str | None,
    strict: bool,
    seed: int | None,
    runs: int | None,
    form: str,
    trace: Path | None,
    events: Path | None,
    rare: str | None,
    timeout: float | None,
    tracebacks: bool,
) -> int:
    """Run one scenario and print its results.

    Options override the file. The downloader of pyproject.toml is run instead of the strategies,
    but not with --strategy, nor if the scenario has expectations of strategies only. Exit status
    1 means that an expectation of the scenario was not met, that a downloader keeps state between
    runs, or that a repeated row has another result.
    """
    row: Row | None = None
    named: list[str] = []
    if store is not None:
        if strategies or downloaders or transport or seed is not None or runs is not None:
            raise click.UsageError("--from: the row has its strategy and its seed already")
        scenario, row = _stored(store, target)
    else:
        scenario = over(load_one(target, "run"), transport)
        default = not strategies and is_for_downloader(scenario)
        others = chosen_downloaders(downloaders, default=default)
        named = [*known_strategies(strategies), *others]
    if not named:
        tell_notes(scenario)
    if rare is not None:
        if store or trace or events or timeout is not None or tracebacks:
            raise click.UsageError("--rare looks at many weighted runs, and at none of them alone")
        return run_rare(scenario.with_runs(strategies=named or None, seed=seed), rare, runs, form)
    try:
        scenario = scenario.with_runs(strategies=named or None, seed=seed, runs=runs)
    except ValueError as e:
        raise click.UsageError(str(e)) from e
    if row is None:
        check_expectations([scenario], named=bool(strategies or downloaders), strict=strict)
    if scenario.workload is not None:
        if timeout is not None or tracebacks:
            what = "--timeout and --traceback are for one download"
            raise click.UsageError(f"{scenario.name} has a [workload]: {what}")
        return _run_load(scenario, form, row, trace or events, strict)
    if events is not None and len(scenario.strategies) != 1:
        raise click.UsageError("--events takes the events of one strategy: name it by --strategy")
    for file in filter(None, (trace, events)):
        make_file(file)
    independence = Independence()
    compared = simulate_all(scenario, progress=True, timeout=timeout, sources=trace is not None)
    for summary in compared.strategies:
        independence.add(scenario, summary.results)
    _print(compared, form)
    tell_unanswered([compared])
    if tracebacks:
        _print_tracebacks(compared)
    _write(compared, trace, events)
    if row is not None:
        same = _is_same(row, compared.first_runs[0].result.digest)
        return max(OK if same else UNMET, tell_unmet([compared]))
    return max(tell_unmet([compared]), tell_unmet_faults([compared], strict), independence.check())


def _write(compared: Compared, trace: Path | None, events: Path | None) -> None:
    """Write the requested files about the first runs."""
    if trace is not None:
        from firstk.reports.tables.trace_events import trace_events

        with writing(trace):
            trace.write_text(trace_events(compared.first_runs), encoding="utf-8")
    if events is not None:
        from firstk.harness.run.events import as_text

        with writing(events):
            events.write_text(as_text(compared.first_runs[0]), encoding="utf-8")


def _run_load(
    scenario: Scenario, form: str, row: Row | None, file: Path | None, strict: bool
) -> int:
    """Run a scenario with a workload."""
    from firstk.harness.cli.run_workload import run_load
    from firstk.harness.grid.untriggered import untriggered_in_all

    if file is not None:
        raise click.UsageError(f"{scenario.name} has a [workload]: it has no trace of one download")
    independence = Independence()
    status, summaries = run_load(scenario, form)
    if not summaries:  # the grid could not carry the load with any strategy
        return status
    if row is not None:
        return status if _is_same(row, summaries[0].results[0].digest) else UNMET
    for summary in summaries:
        independence.add(scenario, summary.results)
    faults = untriggered_in_all(
        one.untriggered_faults for summary in summaries for one in summary.results
    )
    return max(status, print_unmet_faults([(scenario, faults)], strict), independence.check())


def _stored(store: Path, number: str) -> tuple[Scenario, Row]:
    """Return a row of a store, and the scenario that repeats it."""
    from firstk.downloader.text import shown
    from firstk.harness.run.under_test import is_external, is_strategy
    from firstk.harness.sweep.store import Store, StoreError

    if not number.isdecimal() or len(number) > _MOST_DIGITS:
        raise click.UsageError(f"--from takes the number of a row, not {shown(number)}")
    with refusing(StoreError), Store(store) as opened:
        tell_distrusted(opened)
        row = opened.row(int(number))
        scenario = opened.scenario(row)
        if not is_external(row.strategy) and not is_strategy(row.strategy):
            raise StoreError(f"{store}: row {row.row}: no strategy is called {shown(row.strategy)}")
    other_downloaders([row.strategy] if is_external(row.strategy) else [])
    return scenario, row


def _is_same(row: Row, digest: str) -> bool:
    """Return whether a repeated row has the same result as before; report it if not."""
    from importlib.metadata import version

    if row.digest in (None, digest):
        return True
    click.echo(
        f"row {row.row} had the digest {row.digest} with firstk {row.version}, and has {digest}"
        f" with firstk {version('firstk')}",
        err=True,
    )
    return False


def _print(compared: Compared, form: str) -> None:
    """Print the results."""
    from firstk.reports.tables.results import as_csv, as_json

    match form:
        case "json":
            click.echo(as_json(compared.strategies), nl=False)
        case "csv":
            click.echo(as_csv(compared.strategies), nl=False)
        case _:
            _print_table(compared)


def _print_table(compared: Compared) -> None:
    """Print a row per run, with its problems; if there are many runs, a row per strategy."""
    from firstk.reports.tables.compare import LEGEND, runs_table

    results = [result for summary in compared.strategies for result in summary.results]
    if len(results) > MOST_RUNS:
        print_widest([compared], ("seed", "nothing"))
        print_legend(LEGEND)
        return
    print_table([runs_table(compared.strategies)], keys=3)
    # The message of an aborted run contains the place already.
    own = [one for one in compared.raised if not one.aborted]
    places = {(one.result.strategy, one.result.seed): one.where for one in own}
    for result in results:
        if result.message is not None:
            what = f"{result.strategy}, seed {result.seed}: {result.error}: {result.message}"
            click.echo(printable(what, keep="\n"))
            place = places.get((result.strategy, result.seed))
            if place is not None:
                click.echo(printable(f"  raised at {place}"))


def _print_tracebacks(compared: Compared) -> None:
    """Print the tracebacks on standard error, since standard output may be JSON."""
    lines = [
        f"{one.result.strategy}, seed {one.result.seed}: {one.traceback}" for one in compared.raised
    ]
    tell_first(lines, " errors")
