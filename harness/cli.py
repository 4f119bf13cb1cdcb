"""The command line.

What a command needs it imports itself: `firstk --help` loads neither Twisted nor SimPy
nor matplotlib.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.table import Table

    from harness.events import Events
    from harness.fuzz import Fuzzer
    from harness.store import Row
    from reports.baseline import Baseline
    from reports.comparison import Compared
    from reports.table import Extra
    from scenarios.model import Scenario

#: What the exit statuses mean.
OK, UNMET, USAGE, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130

#: Where pictures go.
_DEFAULT_OUT = "firstk-report"

T = TypeVar("T")

#: How wide a table may be that goes to a file, in columns: none of its rows is folded.
_NO_FOLDING = 10_000

#: More runs than this are summed up rather than told one by one.
_MOST_RUNS = 20


#: The commands of other modules, which are imported when one of them is asked for.
_ELSEWHERE = {
    "export": "harness.cli_sweep",
    "plan": "harness.cli_plan",
    "report": "harness.cli_report",
    "sweep": "harness.cli_sweep",
}


class _Group(click.Group):
    """Turns what goes wrong into the exit statuses and messages of firstk."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            command: click.Command = getattr(import_module(_ELSEWHERE[cmd_name]), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            status = super().main(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.Abort:  # click's own name for Control-C
            _fail("interrupted", INTERRUPTED)
        except click.ClickException as e:
            e.show()
            sys.exit(USAGE)
        except BrokenPipeError:  # whoever read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(OK)
        except SystemExit as e:
            # Click's own answer to a broken pipe is 1, which means something else here.
            sys.exit(OK if e.code == UNMET else e.code)
        except OSError as e:
            _fail(f"cannot read or write: {e}", USAGE)
        except Exception:
            traceback.print_exc()
            _fail("internal error: this is a defect in firstk", INTERNAL)
        sys.exit(status if isinstance(status, int) else OK)


def _fail(message: str, status: int) -> None:
    click.echo(f"firstk: {message}", err=True)
    sys.exit(status)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="firstk", message="%(prog)s %(version)s")
def main() -> None:
    """Find out, in virtual time, what hung, slow and lying storage servers do to a download."""


_DOWNLOADER = click.option(
    "--downloader",
    "downloaders",
    metavar="MODULE:CALLABLE|tahoe",
    multiple=True,
    help="Run this downloader, (reactor, servers, cap, consumer) -> Deferred, or that of"
    " Tahoe-LAFS; repeatable.",
)


@main.command()
@click.argument("targets", metavar="[FILE|DIR|NAME]...", nargs=-1)
@_DOWNLOADER
@click.option(
    "--out",
    metavar="DIR",
    show_default=_DEFAULT_OUT,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the pictures go; with --save and --check there are none but for this option.",
)
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what each run came to, for a later --check.",
)
@click.option(
    "--check",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Tell, instead of the table, what is worse and better than in this file.",
)
@click.option(
    "--tolerance",
    metavar="PERCENT",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="By how much times, requests and bytes may differ from those in the file.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown"]),
    default="table",
    show_default=True,
    help="How --check tells it.",
)
def compare(
    targets: tuple[str, ...],
    downloaders: tuple[str, ...],
    out: Path | None,
    save: Path | None,
    check: Path | None,
    tolerance: float,
    form: str,
) -> int:
    """Run the strategies of scenarios against each other.

    Prints a table, and writes a picture of the times to first block and a timeline for
    each scenario. Without arguments the scenarios are those of ticket #928. Other
    downloaders are put beside the strategies. Exit status 1 means that an expectation
    was not met, or that --check found something worse.
    """
    from scenarios.library import DEFAULT_SET

    before = _read_baseline(check)
    if before is None and (tolerance or form != "table"):
        raise click.UsageError("--tolerance and --format go with --check")
    if out is None and save is None and check is None:
        out = Path(_DEFAULT_OUT)
    scenarios = _load(targets or [DEFAULT_SET])
    for scenario in scenarios:
        _refuse_load(scenario, "compare")
    _refuse_equal_names(scenarios)
    for scenario in scenarios:
        _tell_notes(scenario)
    others = _others(downloaders)
    scenarios = [
        one.model_copy(update={"strategies": [*one.strategies, *others]}) for one in scenarios
    ]
    if out is not None:
        with _writing(out):  # before the work, not after it
            out.mkdir(parents=True, exist_ok=True)
    if save is not None:
        with _writing(save):
            save.touch()
    compared = [_run_all(scenario) for scenario in _progress(scenarios, "simulating")]
    status = OK
    if before is None:
        _print_comparison(compared)
    else:
        status = _print_check(before, compared, str(check), tolerance / 100, form)
    if out is not None:
        _draw(compared, out)
    if save is not None:
        _save(compared, save)
    return max(status, _report_unmet(compared))


def _draw(compared: Sequence[Compared], out: Path) -> None:
    """Write the pictures of a comparison."""
    from reports import latency, timeline

    release = version("firstk")
    with _writing(out):
        written = latency.draw(compared, out / "latency", release)
        for one in _progress(compared, "drawing timelines"):
            written += timeline.draw(one, out / f"timeline-{one.scenario.name}", release)
    click.echo(f"The picture is {written[0]}; {len(written) - 1} more files are beside it.")


def _read_baseline(path: Path | None) -> Baseline | None:
    """Return the baseline in a file; exit with what is wrong with it."""
    from reports.baseline import Baseline, BaselineError

    if path is None:
        return None
    try:
        return Baseline.read(path)
    except BaselineError as e:
        click.echo(str(e), err=True)
        sys.exit(USAGE)


def _save(compared: Sequence[Compared], path: Path) -> None:
    """Write a baseline."""
    from reports.baseline import Baseline

    baseline = Baseline.of(compared)
    with _writing(path):
        path.write_text(baseline.as_text(), encoding="utf-8")
    click.echo(f"The baseline of {len(baseline.rows)} runs is {path}.", err=True)


def _print_check(
    before: Baseline, compared: Sequence[Compared], name: str, tolerance: float, form: str
) -> int:
    """Print what has changed since a baseline; return the exit status."""
    from reports.baseline import Baseline
    from reports.check import as_markdown, changes_table, check, headline, notes
    from reports.comparison import replay

    checked = check(before, Baseline.of(compared), tolerance)
    if form == "markdown":
        click.echo(as_markdown(checked, name), nl=False)
    else:
        if checked.changes:
            _console().print(changes_table(checked))
        for line in (*notes(checked), headline(checked, name)):
            click.echo(line)
    for row in checked.worse[:1]:
        scenario = next(one.scenario for one in compared if one.scenario.name == row.scenario)
        click.echo(f"To replay the first: {replay(scenario, row.strategy, row.seed)}", err=True)
    return UNMET if checked.worse else OK


@main.command()
@click.argument("target", metavar="FILE|NAME|ROW")
@click.option(
    "--from",
    "store",
    metavar="STORE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Run again what the row of this number in a store of `firstk sweep` tells of.",
)
@click.option("-s", "--strategy", "strategies", multiple=True, help="Run this one; repeatable.")
@_DOWNLOADER
@click.option("--seed", type=click.IntRange(min=0), help="The seed of the first run.")
@click.option("--runs", type=click.IntRange(min=1), help="How many runs, seed after seed.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="How the results are printed.",
)
@click.option(
    "--trace",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the first run of each strategy as Chrome trace events, for Perfetto.",
)
@click.option(
    "--events",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the first run's events as text, one a line, for `firstk diff`.",
)
def run(
    target: str,
    store: Path | None,
    strategies: tuple[str, ...],
    downloaders: tuple[str, ...],
    seed: int | None,
    runs: int | None,
    form: str,
    trace: Path | None,
    events: Path | None,
) -> int:
    """Run one scenario and print its results.

    What the options say takes the place of what the file says. Exit status 1 means that
    an expectation of the scenario was not met, or that a row of a store came out otherwise.
    """
    from reports.results import as_csv, as_json

    row: Row | None = None
    if store is not None:
        if strategies or downloaders or seed is not None or runs is not None:
            raise click.UsageError("--from: the row has its strategy and its seed already")
        scenario, row = _stored(store, target)
    else:
        scenario = _load_one(target, "run")
    named = [*_known(strategies), *_others(downloaders)]
    if not named:
        _tell_notes(scenario)
    options = {"strategies": named or None, "seed": seed, "runs": runs}
    changed = {key: value for key, value in options.items() if value is not None}
    scenario = scenario.model_copy(update=changed)
    if scenario.workload is not None:
        return _run_load(scenario, form, row, trace or events)
    if events is not None and len(scenario.strategies) != 1:
        raise click.UsageError("--events takes the events of one strategy: name it by --strategy")
    for file in filter(None, (trace, events)):
        with _writing(file):  # before the work, not after it
            file.touch()
    compared = _run_all(scenario, progress=True)
    match form:
        case "json":
            click.echo(as_json(compared.summaries), nl=False)
        case "csv":
            click.echo(as_csv(compared.summaries), nl=False)
        case _:
            _print_runs(compared)
    if trace is not None:
        from reports.trace_events import trace_events

        with _writing(trace):
            trace.write_text(trace_events(compared.first_runs), encoding="utf-8")
    if events is not None:
        from harness.events import as_text

        with _writing(events):
            events.write_text(as_text(compared.first_runs[0]), encoding="utf-8")
    if row is not None and not _is_same(row, compared.first_runs[0].result.digest):
        return UNMET
    return _report_unmet([compared])


def _run_load(scenario: Scenario, form: str, row: Row | None, file: Path | None) -> int:
    """Run a scenario with a workload."""
    from harness.cli_load import run_load

    if file is not None:
        raise click.UsageError(f"{scenario.name} has a [workload]: it has no trace of one download")
    status, summaries = run_load(scenario, form)
    if row is not None and not _is_same(row, summaries[0].results[0].digest):
        return UNMET
    return status


def _is_same(row: Row, digest: str) -> bool:
    """Tell whether a row of a store came out as it did before, and say so if it did not."""
    if row.digest in (None, digest):
        return True
    click.echo(
        f"row {row.row} had the digest {row.digest} with firstk {row.version}, and has {digest}"
        f" with firstk {version('firstk')}",
        err=True,
    )
    return False


def _stored(store: Path, number: str) -> tuple[Scenario, Row]:
    """Return a row of a store, and the scenario that makes it again."""
    from harness.store import Store, StoreError
    from harness.subject import is_other

    if not number.isdecimal():
        raise click.UsageError(f"--from takes the number of a row, not {number!r}")
    try:
        with Store(store) as opened:
            row = opened.row(int(number))
            scenario = opened.scenario(row)
    except StoreError as e:
        click.echo(str(e), err=True)
        sys.exit(USAGE)
    _others((row.strategy,) if is_other(row.strategy) else ())
    return scenario, row


@main.command()
@click.argument("targets", metavar="FILE|NAME [FILE|NAME]", nargs=-1, required=True)
@click.option("-s", "--strategy", "strategies", multiple=True, help="Of one strategy, or of two.")
@_DOWNLOADER
@click.option(
    "--seed", "seeds", multiple=True, type=click.IntRange(min=0), help="Of one seed, or of two."
)
def diff(
    targets: tuple[str, ...],
    strategies: tuple[str, ...],
    downloaders: tuple[str, ...],
    seeds: tuple[int, ...],
) -> int:
    """Show where two runs part, with a few events around it.

    Name two of one thing: two seeds, two strategies, two scenarios, or two files that
    `firstk run --events` has written; one such file can also be held against a scenario.
    Exit status 1 means that the runs differ.
    """
    from reports.diff import diff_text, parting

    one, other = _two_runs(targets, [*_known(strategies), *_others(downloaders)], seeds)
    click.echo(diff_text(one, other), nl=False)
    return OK if parting(one, other) is None else UNMET


def _two_runs(targets: Sequence[str], named: list[str], seeds: Sequence[int]) -> list[Events]:
    """Return the events of the two runs that a command line means."""
    from harness.events import Events, EventsError, is_events
    from harness.simulate import simulate

    saved = {target for target in targets if is_events(Path(target))}
    scenarios = {target: _load_one(target, "diff") for target in targets if target not in saved}
    for scenario in scenarios.values():
        _refuse_load(scenario, "diff")
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
                with _uninterrupted():
                    seeded = scenario.model_copy(update={"seed": seed})
                    runs.append(Events.of(simulate(seeded, strategy)))
    return runs


@main.command("list")
def list_() -> None:
    """Show the scenarios and the experiments that come with firstk."""
    from scenarios.library import EXPERIMENTS, described, experiments, sets

    shown = {set_: list(described(files)) for set_, files in sets().items()}
    named = experiments()
    texts = (description for _, description in described(named.values()))
    shown[EXPERIMENTS] = list(zip(named, texts, strict=True))
    width = max(len(name) for files in shown.values() for name, _ in files)
    for set_, files in shown.items():
        click.echo(set_)
        for name, description in files:
            click.echo(f"  {name:{width}}  {description}")


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def validate(files: tuple[str, ...]) -> int:
    """Check files of scenarios, experiments and plans: all mistakes are told, with their lines."""
    from scenarios.experiment import is_experiment, load_experiment
    from scenarios.library import load_all
    from scenarios.load import ScenarioError
    from scenarios.plan import is_plan, load_plan

    status = OK
    for name in files:
        try:
            if is_plan(Path(name)):
                count = sum(map(len, load_plan(Path(name)).levels))
                click.echo(f"{name}: ok: {count} candidate{'s' if count > 1 else ''}")
                continue
            if is_experiment(Path(name)):
                experiment = load_experiment(Path(name))
                if experiment.oracle:
                    from reports.oracle import refuse

                    refuse(experiment, name)
                points = len(experiment.points)
                click.echo(f"{name}: ok: {points} point{'s' if points > 1 else ''}")
                continue
            scenarios = load_all([name])
        except ScenarioError as e:
            click.echo(str(e), err=True)
            status = USAGE
            continue
        for scenario in scenarios:
            file, servers = scenario.file, scenario.grid.servers
            click.echo(f"{scenario.source}: ok: {file.k}-of-{file.n}, {servers} servers")
            _tell_notes(scenario)
    return status


@main.command()
@click.argument("targets", metavar="[FILE|DIR|NAME]...", nargs=-1)
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
    type=click.IntRange(min=0),
    help="Makes the scenarios: equal seeds, equal scenarios, as many as there is time for.",
)
@click.option(
    "--out",
    metavar="DIR",
    default=".",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the scenario that is found goes.",
)
def fuzz(targets: tuple[str, ...], seconds: float, seed: int, out: Path) -> int:
    """Try random scenarios until one breaks what must always hold.

    That one is made small and written to a file. With arguments these scenarios are tried
    instead: this is how a find is replayed. Exit status 1 means that something was found.
    """
    from harness.fuzz import Counts, Fuzzer, check, no_traces

    if isnan(seconds):
        raise click.BadParameter("is no number", param_hint="--seconds")
    if targets:
        counts, status = Counts(), OK
        for scenario in _load(targets):
            with _uninterrupted():
                for one in check(scenario, counts):
                    status = UNMET
                    click.echo(f"{scenario.source}: {one.invariant.name}: {one}")
        click.echo(f"{counts}. {_whether(bool(status))} was found.")
        return status
    with _writing(out):  # before the work, not after it
        out.mkdir(parents=True, exist_ok=True)
    fuzzer = Fuzzer(seed, _uninterrupted)
    try:
        with no_traces(), _counting(fuzzer):
            fuzzer.search(seconds)
    except KeyboardInterrupt:
        _print_find(fuzzer, out)
        raise
    return _print_find(fuzzer, out)


def _print_find(fuzzer: Fuzzer, out: Path) -> int:
    """Write the scenario that was found, if one was, and tell of it; return the exit status."""
    found = fuzzer.found
    if found is not None:
        with _writing(out):
            file = found.write(out)
        click.echo(f"{found.broken.invariant.name}: {found.broken}")
        click.echo(f"The scenario is {file}; to replay it: firstk fuzz {shlex.quote(str(file))}")
    click.echo(f"{fuzzer.counts}, seed {fuzzer.seed}. {_whether(found is not None)} was found.")
    return OK if found is None else UNMET


def _whether(something: bool) -> str:
    return "Something" if something else "Nothing"


@contextmanager
def _counting(fuzzer: Fuzzer) -> Iterator[None]:
    """Show how far fuzzing is, where standard error is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status("fuzzing") as status:
        fuzzer.tried = lambda: status.update(f"{fuzzer.doing}: {fuzzer.counts}")
        yield


@main.command()
def doctor() -> int:
    """Tell whether firstk is well here: what it stands on, and a test of itself.

    Exit status 1 means that something is wrong; what would be right is told.
    """
    from harness.doctor import examine

    wrong = 0
    for finding in examine():
        click.echo(str(finding))
        wrong += not finding.good
    things = "1 thing is" if wrong == 1 else f"{wrong} things are"
    click.echo(f"{things} wrong." if wrong else "All is well.")
    return UNMET if wrong else OK


@main.command()
@click.argument("of", type=click.Choice(["scenario", "experiment", "plan"]), default="scenario")
def schema(of: str) -> None:
    """Print the JSON schema of files of scenarios, experiments or plans, for editors."""
    import json

    from pydantic.json_schema import GenerateJsonSchema

    from scenarios.experiment import ExperimentTable
    from scenarios.model import Scenario
    from scenarios.plan import PlanTable

    models: dict[str, type[BaseModel]] = {
        "scenario": Scenario,
        "experiment": ExperimentTable,
        "plan": PlanTable,
    }
    model = models[of]
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    click.echo(json.dumps(dialect | model.model_json_schema(), indent=2))


def _load(targets: Iterable[str]) -> list[Scenario]:
    """Return the scenarios that are asked for; exit with all that is wrong with them."""
    from scenarios.library import load_all
    from scenarios.load import ScenarioError

    try:
        return load_all(targets)
    except ScenarioError as e:
        click.echo(str(e), err=True)
        sys.exit(USAGE)


def _load_one(target: str, command: str) -> Scenario:
    """Return the one scenario that is asked for."""
    if Path(target).is_dir():
        raise click.UsageError(f"{target} is a folder; `{command}` runs one scenario")
    scenarios = _load([target])
    if len(scenarios) != 1:
        raise click.UsageError(f"{target} has {len(scenarios)} scenarios; `{command}` runs one")
    return scenarios[0]


def _refuse_load(scenario: Scenario, command: str) -> None:
    """Refuse a scenario of many downloads where one is asked for."""
    if scenario.workload is not None:
        raise click.UsageError(
            f"{scenario.source} has a [workload], and `{command}` looks at single downloads:"
            " `firstk run` and `firstk sweep` run it"
        )


def _tell_notes(scenario: Scenario) -> None:
    for note in scenario.notes:
        click.echo(f"{scenario.source}: note: {note}", err=True)


def _known(strategies: tuple[str, ...]) -> list[str]:
    """Return the strategies that an option names, once each."""
    from downloader.strategy import find_strategy

    try:
        return list(dict.fromkeys(find_strategy(name).name for name in strategies))
    except ValueError as e:
        raise click.BadParameter(str(e), param_hint="--strategy") from e


def _others(downloaders: tuple[str, ...]) -> list[str]:
    """Return the other downloaders that an option names, once each; all can be put to the test."""
    from harness.subject import SubjectError, find_subject, is_other
    from scenarios.model import TAHOE

    if downloaders and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a script has its own folder only; ours go first
    # Tahoe-LAFS comes last: with it comes the real reactor, and who else brought it is not seen.
    for name in sorted(downloaders, key=TAHOE.__eq__):
        if not is_other(name):
            wrong = f"should be MODULE:CALLABLE or {TAHOE}, not {name!r}"
            raise click.BadParameter(wrong, param_hint="--downloader")
        try:
            find_subject(name)
        except SubjectError as e:
            raise click.BadParameter(str(e), param_hint="--downloader") from e
    return list(dict.fromkeys(downloaders))


def _refuse_equal_names(scenarios: list[Scenario]) -> None:
    """Refuse scenarios of equal names: their timelines would overwrite one another."""
    sources: dict[str, str] = {}
    for scenario in scenarios:
        other = sources.setdefault(scenario.name.casefold(), scenario.source)
        if other != scenario.source:
            raise click.UsageError(
                f"{other} and {scenario.source} are both called {scenario.name!r}: rename one"
            )


def _run_all(scenario: Scenario, progress: bool = False) -> Compared:
    """Run all strategies of a scenario through all its runs."""
    from harness.bound import bound
    from harness.simulate import simulate
    from reports.comparison import Compared
    from reports.summary import Summary

    summaries, first_runs = [], []
    numbers = range(scenario.runs)
    bounds = [bound(scenario, n) for n in (_progress(numbers, "bound") if progress else numbers)]
    for strategy in scenario.strategies:
        results = []
        for number in _progress(numbers, strategy) if progress else numbers:
            with _uninterrupted():
                run = simulate(scenario, strategy, number)
            results.append(run.result)
            if number == 0:
                first_runs.append(run)
        summaries.append(Summary(results, bounds))
    return Compared(scenario, summaries, first_runs)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Control-C until the run that it falls into is done.

    Within a run a Deferred might catch it, and take it for a failure of a server. A run
    takes milliseconds, but on the largest grids.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        raise KeyboardInterrupt


def _progress(items: Sequence[T], what: str) -> Iterable[T]:
    """Yield the items, with a progress bar where standard error is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def _print_comparison(compared: Sequence[Compared]) -> None:
    from reports.comparison import replay
    from reports.table import LEGEND

    if _print_widest(compared, ("replay", "seed", "nothing")) != "replay":
        scenario = compared[0].scenario
        click.echo(f"To replay a row: {replay(scenario, scenario.strategies[0], scenario.seed)}")
    click.echo(LEGEND)


def _print_widest(compared: Sequence[Compared], extras: Sequence[Extra]) -> Extra:
    """Print the first of these tables that needs no folding, or else the last; return which."""
    from reports.table import comparison_table

    console = _console()
    for extra in extras:
        table = comparison_table(compared, extra)
        if _widest(console, table) <= console.width:
            break
    console.print(table)
    return extra


def _widest(console: Console, table: Table) -> int:
    """Return how wide a table is of which nothing is folded, in columns."""
    return console.measure(table, options=console.options.update(max_width=_NO_FOLDING)).maximum


def _console() -> Console:
    """Return standard output for tables; where it is no terminal no row is folded."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _NO_FOLDING
    return console


def _print_runs(compared: Compared) -> None:
    from reports.table import LEGEND, runs_table

    results = [result for summary in compared.summaries for result in summary.results]
    if len(results) > _MOST_RUNS:
        _print_widest([compared], ("seed", "nothing"))
        click.echo(LEGEND)
        return
    _console().print(runs_table(compared.summaries))
    for result in results:
        if result.message is not None:
            click.echo(f"{result.strategy}, seed {result.seed}: {result.error}: {result.message}")


def _report_unmet(compared: Sequence[Compared]) -> int:
    """Print the expectations that were not met; return the exit status."""
    problems = [problem for one in compared for problem in one.unmet]
    for problem in problems[:_MOST_RUNS]:
        click.echo(f"not as expected: {problem}", err=True)
    if len(problems) > _MOST_RUNS:
        click.echo(f"and {len(problems) - _MOST_RUNS} more are not as expected", err=True)
    return UNMET if problems else OK


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Make a file that cannot be written a usage error."""
    try:
        yield
    except OSError as e:
        raise click.UsageError(f"cannot write {e.filename or path}: {e.strerror}") from e
