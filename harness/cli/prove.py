"""`firstk prove`: tries every placement of faults on a few servers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from firstk.harness.cli.exit import OK, UNMET, refusing
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import (
    DOWNLOADER,
    FOLDER,
    SECONDS,
    STRATEGY,
    Named,
    Whole,
    format_option,
)
from firstk.harness.cli.output import make_folder, writing
from firstk.harness.cli.progress import doing
from firstk.harness.cli.targets import chosen_downloaders, known_strategies
from firstk.scenarios.text import printable, shell_word

if TYPE_CHECKING:
    from firstk.harness.prove.prover import Proof

#: The maximum number of cases; more would take hours.
_MOST_CASES = 2_000_000

_FAULTS = "good,hung,hung-read,broken,corrupt"


def _processors() -> int:
    return os.cpu_count() or 1


@click.command(
    epilog=examples(
        "firstk prove --servers 3 --k 2 --strategy hedged",
        "firstk prove --faults good,hung --downloader mypackage.fetch:download",
    )
)
@click.option(
    "--servers",
    default=4,
    show_default=True,
    type=Whole(min=1, max=16),
    help="How many servers there are; each holds a share.",
)
@click.option(
    "--k", default=2, show_default=True, type=Whole(min=1, max=16), help="How many are needed."
)
@click.option(
    "--faults",
    metavar="NAME,...",
    default=_FAULTS,
    show_default=True,
    help="What each server may be; NAME@SECONDS is a fault that begins then.",
)
@STRATEGY
@DOWNLOADER
@click.option(
    "--orders",
    type=Named(["all", "one"]),
    default="all",
    show_default=True,
    help="Whether the servers' speeds are varied, or server i has a round trip of 0.05 (i + 1) s.",
)
@format_option("json", help="How the results are printed.")
@click.option(
    "--out",
    metavar="DIR",
    default=".",
    show_default=True,
    type=FOLDER,
    help="Where counterexamples go.",
)
@click.option(
    "--jobs",
    metavar="N",
    default=_processors,
    show_default="processors",
    type=Whole(min=1, max=1024),
    help="In how many processes; the result is the same.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    type=SECONDS,
    help="Give up at a run that takes longer in real time: that is a counterexample.",
)
def prove(
    servers: int,
    k: int,
    faults: str,
    strategies: tuple[str, ...],
    downloaders: tuple[str, ...],
    orders: str,
    form: str,
    out: Path,
    jobs: int,
    timeout: float,
) -> int:
    """Try every placement of faults on a few servers, in every order of their answers.

    Prints what was covered, and writes the smallest counterexample to a file for `firstk run`. A
    download must survive a placement if servers that answer have K distinct good shares.
    Exit status 1 means that there is a counterexample.
    """
    from firstk.downloader.strategy import STRATEGIES
    from firstk.harness.prove.cases import Space
    from firstk.harness.prove.kinds import find_kinds
    from firstk.harness.prove.parts import prove as proven
    from firstk.harness.sweep.workers import WorkersError

    if k > servers:
        raise click.BadParameter(f"should be {servers} (--servers) or less", param_hint="--k")
    try:
        kinds = find_kinds(name.strip() for name in faults.split(","))
    except ValueError as e:
        raise click.BadParameter(str(e), param_hint="--faults") from e
    space = Space(servers, k, kinds, orders == "all")
    if space.placements * space.orders > _MOST_CASES:
        raise click.UsageError(
            f"{space.placements:,} placements x {space.orders:,} orders are more than"
            f" {_MOST_CASES:,} cases: name fewer servers or faults, or --orders one"
        )
    others = chosen_downloaders(downloaders, default=not strategies)
    subjects = [*known_strategies(strategies), *others] or list(STRATEGIES)
    make_folder(out)
    proofs = []
    with doing("proving") as tell, refusing(WorkersError):
        for subject in subjects:

            def told(cases: int, subject: str = subject) -> None:
                tell(f"{subject}: {cases} of {len(space)} cases")

            proofs.append(proven(space, subject, jobs, timeout, told))
    with writing(out):
        written = [(proof, proof.write(out)) for proof in proofs]
    if form == "json":
        click.echo(json.dumps([_row(proof, file) for proof, file in written], indent=2))
    else:
        for proof, file in written:
            click.echo(printable(_sentence(proof, file)))
    return OK if all(proof.holds for proof in proofs) else UNMET


def _row(proof: Proof, file: Path | None) -> dict[str, Any]:
    return {
        "subject": proof.subject,
        "placements": proof.space.placements,
        "orders": proof.space.orders,
        "late": proof.delayed,
        "runs": proof.runs,
        "violations": proof.violations,
        "not_ok": len(proof.not_ok),
        "counterexample": None if file is None else str(file),
        "broken": dict(sorted(proof.broken.items())),
        "outcomes": dict(sorted(proof.outcomes.items())),
        "fastest": proof.fastest if proof.slowest else None,
        "slowest": proof.slowest or None,
        "requests": proof.requests,
    }


def _sentence(proof: Proof, file: Path | None) -> str:
    """Return what was covered, and what was found."""
    space = proof.space
    orders = f"{space.orders} order{'' if space.orders == 1 else 's'}"
    counts = ", ".join(f"{name} {count}" for name, count in sorted(proof.broken.items()))
    violations = f"{proof.violations} violations{f' ({counts})' if counts else ''}"
    kinds = ", ".join(kind.name for kind in space.kinds)
    grid = f"{{{kinds}}} on {space.n} servers, K = {space.k},"
    stopped = len(proof.not_ok)
    what = {0: "no placement", 1: "1 placement"}.get(stopped, f"{stopped} placements")
    stops = "stop" if stopped > 1 else "stops"
    example = "" if file is None else f"; the smallest counterexample: {shell_word(str(file))}"
    if proof.stuck:
        return (
            f"{space.placements} placements x {orders}: given up after {proof.runs} runs, since one"
            f" of {proof.subject} did not end in real time{example}"
        )
    late = f", nor any of {proof.delayed} late answers" if not stopped and proof.delayed else ""
    return (
        f"{space.placements} placements x {orders}, {violations}: {what} of {grid} {stops}"
        f" {proof.subject}{late}{example}"
    )
