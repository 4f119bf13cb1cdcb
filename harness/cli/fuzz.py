"""`firstk fuzz`: tries random scenarios until one violates an invariant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstk.harness.cli import completion
from firstk.harness.cli.exit import OK, UNMET
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import DOWNLOADER, FOLDER, SEED, Whole
from firstk.harness.cli.output import make_folder, writing
from firstk.harness.cli.progress import doing
from firstk.harness.cli.targets import chosen_downloaders, load, refuse_load
from firstk.scenarios.text import printable, shell_word

if TYPE_CHECKING:
    from firstk.harness.fuzz.finds import Counterexample, Counts
    from firstk.harness.fuzz.fuzzer import Fuzzer
    from firstk.harness.fuzz.invariants import Violation
    from firstk.harness.fuzz.kinds import Kinds
    from firstk.scenarios.model import Scenario

#: The maximum numbers of processes and of counterexamples that an option may request.
_MOST_JOBS, _MOST_FINDS = 256, 10_000


@click.command(
    epilog=examples(
        "firstk fuzz --seconds 10", "firstk fuzz --downloader mypackage.fetch:download --seconds 60"
    )
)
@click.argument(
    "targets", metavar="[FILE|DIR|NAME]...", nargs=-1, shell_complete=completion.scenarios_and_sets
)
@DOWNLOADER
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
    "--corpus",
    "--out",
    "corpus",
    metavar="DIR",
    default="firstk-corpus",
    show_default=True,
    type=FOLDER,
    help="Where finds go. Those that are there are replayed first.",
)
@click.option(
    "--keep-going",
    metavar="N",
    default=1,
    show_default=True,
    type=Whole(min=1, max=_MOST_FINDS),
    help="Continue until N different counterexamples are found.",
)
@click.option(
    "--known",
    metavar="FILE|DIR",
    multiple=True,
    help="Go on where the same is broken at the same place as by this find; repeatable.",
)
@click.option(
    "--only",
    metavar="KIND",
    multiple=True,
    help="Try only this kind of fault, or check only this invariant; repeatable.",
)
@click.option(
    "--without",
    metavar="KIND",
    multiple=True,
    help="Try no fault of this kind, or do not check this invariant; repeatable.",
)
@click.option(
    "--jobs",
    metavar="N",
    default=1,
    show_default=True,
    type=Whole(min=1, max=_MOST_JOBS),
    help="In how many processes. Each has its part of the scenarios.",
)
def fuzz(
    targets: tuple[str, ...],
    downloaders: tuple[str, ...],
    seconds: float,
    seed: int,
    corpus: Path,
    keep_going: int,
    known: tuple[str, ...],
    only: tuple[str, ...],
    without: tuple[str, ...],
    jobs: int,
) -> int:
    """Try random scenarios until one breaks what must always hold.

    The scenario that does is made small and written to a file. With arguments, those scenarios
    are tried instead, to replay a counterexample. Exit status 1 means that something was found.
    """
    from firstk.harness.fuzz.fuzzer import Fuzzer

    if isnan(seconds):
        raise click.BadParameter("is not a number", param_hint="--seconds")
    kinds = _kinds(only, without)
    subjects = chosen_downloaders(downloaders)
    if targets:
        return _Replay(subjects, kinds).targets(targets)
    replay = _Replay(subjects, kinds)
    skipped = {one.same for _, one in replay.broken(known)}
    broken = replay.corpus(corpus, skipped)
    fuzzer = Fuzzer(seed, subjects, kinds, skipped | broken, keep_going - len(broken))
    printer = _Printer(fuzzer, corpus)
    if fuzzer.keep_going > 0:
        make_folder(corpus.parent)
        with doing("fuzzing") as tell:
            fuzzer.tried = lambda: tell(f"{fuzzer.doing}: {fuzzer.counts}")
            fuzzer.on_find = printer.find
            try:
                _search(fuzzer, seconds, jobs)
            except KeyboardInterrupt:
                printer.rest()
                raise
    return max(printer.rest(), UNMET if broken else OK)


def _search(fuzzer: Fuzzer, seconds: float, jobs: int) -> None:
    if jobs == 1:
        fuzzer.search(seconds)
    else:
        from firstk.harness.fuzz.jobs import search_in_processes

        search_in_processes(fuzzer, seconds, jobs)


def _kinds(only: Sequence[str], without: Sequence[str]) -> Kinds:
    """Return the kinds that are named; reject unknown names, and selections without any kind."""
    from firstk.downloader.names import did_you_mean
    from firstk.harness.fuzz.kinds import NAMES, Kinds

    for option, names in (("--only", only), ("--without", without)):
        for name in names:
            if name not in NAMES:
                problem = f"there is no kind {name!r}; {did_you_mean(name, NAMES)}there are"
                raise click.BadParameter(f"{problem} {', '.join(NAMES)}", param_hint=option)
    kinds = Kinds(only, without)
    if not kinds.invariants:
        raise click.BadParameter("leaves no invariant to check", param_hint="--without")
    return kinds


@dataclass
class _Replay:
    """Tries given scenarios, with other downloaders or with their own strategies."""

    subjects: Sequence[str]
    kinds: Kinds

    def targets(self, targets: Sequence[str]) -> int:
        """Try the targets, print their violations, and return the exit status."""
        from firstk.harness.fuzz.finds import Counts

        counts, status = Counts(), OK
        for scenario, one in self.broken(targets, counts):
            status = UNMET
            _print_violation(scenario, one)
        click.echo(f"{counts}. {_whether(bool(status))} was found.")
        return status

    def corpus(self, folder: Path, known: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
        """Try the scenarios in a folder, if it exists; print and return the violations."""
        still: set[tuple[str, str, str]] = set()
        if any(folder.glob("**/*.toml")):
            for scenario, one in self.broken([str(folder)]):
                if one.same not in known | still:
                    still.add(one.same)
                    _print_violation(scenario, one)
        return still

    def broken(
        self, targets: Iterable[str], counts: Counts | None = None
    ) -> Iterator[tuple[Scenario, Violation]]:
        """Yield each scenario's violations."""
        from firstk.harness.fuzz.finds import Counts, check

        scenarios = load(targets)
        for scenario in scenarios:
            refuse_load(scenario, "fuzz")
        counts = counts or Counts()
        for scenario in scenarios:
            tried = scenario.with_runs(strategies=self.subjects or None)
            for one in check(tried, counts, self.kinds.invariants):
                yield scenario, one


def _print_violation(scenario: Scenario, one: Violation) -> None:
    click.echo(printable(f"{scenario.source}: {one.invariant.name}: {one}"))


class _Printer:
    """Writes and prints each counterexample, and the final counts."""

    def __init__(self, fuzzer: Fuzzer, folder: Path) -> None:
        self._fuzzer = fuzzer
        self._folder = folder
        self._printed = 0

    def find(self, found: Counterexample) -> None:
        """Write the scenario that was found, and report it."""
        self._printed += 1
        with writing(self._folder):
            file = found.write(self._folder)
        click.echo(printable(f"{found.broken.invariant.name}: {found.broken}"))
        options = "".join(f" --downloader {shell_word(name)}" for name in self._fuzzer.subjects)
        again = f"firstk fuzz {shell_word(str(file))}{options}"
        click.echo(f"The scenario is {printable(str(file))}; to replay it: {again}")

    def rest(self) -> int:
        """Report an unfinished counterexample, and the counts; return the exit status."""
        fuzzer = self._fuzzer
        for find in fuzzer.finds[self._printed :]:
            self.find(find.named)
        found = len(fuzzer.finds)
        what = f"{found} defects were" if found > 1 else f"{_whether(found > 0)} was"
        click.echo(f"{fuzzer.counts}, seed {fuzzer.seed}. {what} found.")
        stopped = fuzzer.counts.stopped
        if stopped and "survives" not in fuzzer.kinds.only:
            click.echo(f"In {stopped} runs, K good shares did not suffice; see: --only survives")
        return UNMET if found else OK


def _whether(something: bool) -> str:
    return "Something" if something else "Nothing"
