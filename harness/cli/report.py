"""`firstk report`: makes a page with pictures, of a sweep's store or of scenarios that it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, USAGE, refusing
from firstk.harness.cli.help import examples
from firstk.harness.cli.live import LIVE_RUNS, run_live
from firstk.harness.cli.options import DEFAULT_OUT, DOWNLOADER, FILE, FOLDER
from firstk.harness.cli.output import make_folder, writing
from firstk.harness.cli.progress import doing
from firstk.harness.cli.simulate import simulate_all
from firstk.harness.cli.targets import load, load_one, refuse_load, side_by_side
from firstk.scenarios.kinds import SQLITE_HEAD
from firstk.scenarios.reading import begins_with
from firstk.scenarios.text import listed, printable, shell_word

if TYPE_CHECKING:
    from firstk.harness.explain.alternatives import Alternatives
    from firstk.harness.live.worlds import WorldsCompared
    from firstk.harness.run.bound import Bound
    from firstk.harness.run.comparison import Compared
    from firstk.harness.run.sample import OneRun
    from firstk.harness.sweep.store import Store
    from firstk.reports.model.cases import Case
    from firstk.reports.page.report import Report
    from firstk.scenarios.model import Scenario

#: The maximum number of runs with a bound in a store's report: per point, and in total.
_BOUNDS_EACH, _BOUNDS = 200, 4000

#: The maximum number of targets named in a title.
_NAMED = 4

#: The maximum number of failed runs that are listed.
_LISTED = 5


@click.command(
    epilog=examples(
        "firstk report three-good-seven-hung late-answer --out review",
        "firstk report hung-fraction.sqlite --out hung",
    )
)
@click.argument(
    "targets",
    metavar="STORE|[FILE|DIR|NAME]...",
    nargs=-1,
    required=True,
    shell_complete=completion.scenarios_and_sets,
)
@DOWNLOADER
@click.option(
    "--live",
    metavar="FILE|NAME",
    help="Run this scenario on real servers, too, and show it beside its simulation.",
)
@click.option(
    "--published",
    metavar="FILE",
    type=FILE,
    help="Show published numbers, too: FILE has what `firstk reproduce --format json` printed.",
)
@click.option("--title", help="What the page is called; default: what it is about.")
@click.option(
    "--out",
    metavar="DIR",
    default=DEFAULT_OUT,
    show_default=True,
    type=FOLDER,
    help="Where the page and its pictures go.",
)
def report(
    targets: tuple[str, ...],
    downloaders: tuple[str, ...],
    live: str | None,
    published: Path | None,
    title: str | None,
    out: Path,
) -> int:
    """Make a page with pictures: of a sweep's store, or of scenarios, which are run for it.

    The page needs no network and no other file: it contains its pictures, which are also saved
    next to it as SVG and PNG. Equal results make equal bytes.
    """
    from firstk.reports.page.page import write
    from firstk.reports.page.published import PublishedError, read

    with refusing(PublishedError):
        numbers = () if published is None else read(published)
    stores = [target for target in targets if _is_store(target)]
    if stores and (len(targets) > 1 or downloaders):
        raise click.UsageError(f"{stores[0]} is a store: a report of it is of nothing else")
    scenarios = [] if stores else side_by_side(load(targets), downloaders)
    make_folder(out)
    compared = None if live is None else _on_real_servers(live)
    with doing("reading") as tell:
        if stores:
            found = _of_store(Path(stores[0]), tell)
        else:
            found = _of_scenarios(scenarios, targets, tell)
        found = replace(found, live=compared, published=numbers)
        if title is not None:
            found = replace(found, title=printable(title))
        with writing(out):
            files = write(found, out)
    click.echo(printable(f"The page is {files[0]}; {len(files) - 1} pictures are beside it."))
    for warning in found.warnings:
        click.echo(printable(f"note: {warning}", keep="\n"), err=True)
    return USAGE if found.overloaded else OK


def _on_real_servers(target: str) -> WorldsCompared:
    """Return the comparison of a scenario on real servers and in the simulation."""
    scenario = load_one(target, "report --live")
    refuse_load(scenario, "report --live")
    return run_live(scenario.with_runs(runs=LIVE_RUNS))


def _is_store(target: str) -> bool:
    """Return whether a target is meant as a store, so that errors call it one."""
    path = Path(target)
    if path.suffix in (".sqlite", ".sqlite3", ".db"):
        return True
    return begins_with(path, SQLITE_HEAD)


def _of_scenarios(
    scenarios: Sequence[Scenario], targets: Sequence[str], tell: Callable[[str], None]
) -> Report:
    """Run scenarios, and return the report of their results."""
    from importlib.metadata import version

    from firstk.harness.cli.run_workload import simulate_loads
    from firstk.harness.explain.alternatives import alternatives
    from firstk.reports.model.cases import case_of, case_of_load
    from firstk.reports.model.play import same_runs
    from firstk.reports.page.report import Report

    cases: list[Case] = []
    overloads: list[str] = []
    played: dict[str, Alternatives] = {}
    unlike: list[str] = []
    for scenario in scenarios:
        tell(f"simulating {scenario.name}")
        if scenario.workload is None:
            compared = simulate_all(scenario)
            cases.append(case_of(compared))
            made = alternatives(scenario, tell)
            if same_runs(made, compared):
                played[scenario.name] = made
            else:
                unlike.append(scenario.name)
        else:
            summaries, _, too_much = simulate_loads(scenario)
            cases.append(case_of_load(scenario, summaries))
            overloads += too_much
    names = [case.name for case in cases]
    return Report(
        title=" and ".join(names) if len(names) < 3 else _title(len(names), targets),
        description=cases[0].description if len(cases) == 1 else "",
        cases=cases,
        version=version("firstk"),
        warnings=[*_bad(cases), *_unlike(unlike), *overloads],
        overloaded=bool(overloads),
        played=played,
        files={shell_word(s.source): Path(s.source) for s in scenarios if Path(s.source).is_file()},
        tell=lambda name: tell(f"drew {name}"),
    )


def _unlike(names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence about scenarios whose runs were not the same the second time."""
    if names:
        yield (
            f"{listed(names)} cannot be played: repeated, its runs were not the same, so a"
            " downloader keeps state between runs, and runs without faults would show nothing."
        )


def _title(count: int, targets: Sequence[str]) -> str:
    """Return the title of a page about several scenarios: their sources and their number."""
    named = [Path(target).stem for target in targets]
    rest = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return f"{', '.join(named[:_NAMED])}{rest}: {count} scenarios"


def _of_store(path: Path, tell: Callable[[str], None]) -> Report:
    """Return the report of a store; exit if the file is not a store."""
    from importlib.metadata import version

    from firstk.harness.sweep.store import Store, StoreError
    from firstk.reports.model.cases import cases_of
    from firstk.reports.model.plan import plan_of
    from firstk.reports.page.report import Report

    with refusing(StoreError, prefix="firstk: "), Store(path) as store:
        store.verify()
        about = store.about
        each = max(1, min(_BOUNDS_EACH, _BOUNDS // max(1, len(store.all_points()))))
        cases = cases_of(store, lambda scenario, runs: _bounds(scenario, min(runs, each), tell))
        plan = plan_of(store, cases)
        made_by = store.versions()
        unfinished = [] if plan is not None else _unfinished(store, cases)
        warnings = [*_distrusted(store), *unfinished, *_crashes(store), *_bad(cases)]
    return Report(
        title=about.name or "An empty store",
        description=about.description,
        cases=cases,
        version=", ".join(made_by) or version("firstk"),
        axes=about.axes,
        warnings=warnings,
        of_store=True,
        plan=plan,
        files={shell_word(path.name): path},
        closely=_closely(cases),
        tell=lambda name: tell(f"drew {name}"),
    )


def _bounds(scenario: Scenario, runs: int, tell: Callable[[str], None]) -> list[Bound]:
    from firstk.harness.run.bound import bound

    tell("working out what is possible")
    return [bound(scenario, run) for run in range(runs)]


def _unfinished(store: Store, cases: Sequence[Case]) -> Iterator[str]:
    """Yield a sentence about each kind of runs that a store does not have yet."""
    counts = [case.runs for case in cases]
    if not any(counts):
        yield f"{store.path.name} has no runs yet: nothing of the sweep is done."
        return
    if empty := counts.count(0):
        yield (
            f"{empty} of {len(counts)} points have no runs: the sweep is not done, or a plan did"
            " not need them. They are in no table and no picture."
        )
    some = [one.runs for case in cases for one in case.strategies]
    if min(some) < max(some):
        yield (
            f"Strategies and points have {min(some)} to {max(some)} runs each: as many as a"
            " precision or a plan took, or the sweep is not done."
        )


def _distrusted(store: Store) -> Iterator[str]:
    """Yield why the rows of a store cannot be trusted, if they cannot."""
    if reason := store.distrusted:
        yield f"The runs of {store.path.name} cannot be trusted: {reason}"


def _crashes(store: Store) -> Iterator[str]:
    """Yield a sentence about the rows without results."""
    bad = list(store.bad())
    if not bad:
        return
    more = f"; and {len(bad) - _LISTED} more" if len(bad) > _LISTED else ""
    listed = "; ".join(f"{what} (row {row})" for row, what in bad[:_LISTED])
    yield f"{len(bad)} {'run is' if len(bad) == 1 else 'runs are'} not sound: {listed}{more}."


def _bad(cases: Sequence[Case]) -> Iterator[str]:
    """Yield which scenarios wrote wrong or unchecked bytes, or were not as expected."""
    of_all = [(case, one) for case in cases for one in case.strategies]
    if unchecked := [(c, one) for c, one in of_all if any(map(_unchecked, one.samples))]:
        case, one = unchecked[0]
        yield (
            f"content not checked: what {one.strategy} wrote in {case.name}"
            + (f", and {len(unchecked) - 1} more of the kind" if len(unchecked) > 1 else "")
            + "."
        )
    for case in cases:
        if case.compared is None:
            continue
        if problems := case.compared.unmet:
            yield f"{case.name} is not as expected, {len(problems)} times; the first: {problems[0]}"
        for one in case.strategies:
            wrong = [s.run for s in one.samples if s.content_ok is False]
            if wrong:
                again = case.replay(one.strategy, wrong[0])
                yield f"{case.name}: {one.strategy} wrote wrong bytes in {len(wrong)} runs: {again}"


def _unchecked(sample: OneRun) -> bool:
    """Return whether a run wrote bytes that could not be checked."""
    came = sample.ttfb is not None
    if sample.load is not None:
        came = sample.load.ttfb.never < sample.load.ttfb.count
    return came and sample.content_ok is None


def _closely(cases: Sequence[Case]) -> Compared | None:
    """Repeat the first run at the point where the strategies differ most."""
    from firstk.harness.run.under_test import is_strategy

    known = [
        case
        for case in cases
        if case.strategies and case.asks and case.scenario is not None and not case.has_workload
    ]
    if not known:
        return None
    case = max(known, key=_difference)
    assert case.scenario is not None
    names = [one.strategy for one in case.strategies if is_strategy(one.strategy)]
    if not names:
        return None
    described = case.scenario.model_copy(update={"description": case.name})
    return simulate_all(described.with_runs(strategies=names, runs=1))


def _difference(case: Case) -> float:
    """Return the difference between the medians of a point; never counts as very late."""
    halves = [one.quantile(0.5).estimate for one in case.strategies]
    times = [min(time, 1e9) for time in halves if time is not None]
    return max(times) / max(min(times), 1e-9)
