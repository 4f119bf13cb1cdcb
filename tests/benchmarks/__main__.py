"""`python -m tests.benchmarks`: measure everything, print a table, save and compare it."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.benchmarks import (
    against,
    download,
    growth,
    loads,
    memory,
    network,
    reactor,
    report,
    startup,
    sweep,
)
from tests.benchmarks.measure import Figure

MODULES = {
    "reactor": reactor,
    "network": network,
    "download": download,
    "growth": growth,
    "sweep": sweep,
    "loads": loads,
    "report": report,
    "startup": startup,
    "memory": memory,
}


@click.command()
@click.argument("what", nargs=-1, type=click.Choice(list(MODULES)))
@click.option("--rounds", default=7, show_default=True, help="How often each is measured.")
@click.option("--downloads", type=int, help="How many downloads the memory is looked at after.")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    default="build/benchmarks.json",
    show_default=True,
    help="Where the figures are kept, as JSON.",
)
@click.option(
    "--check",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare the figures with those of an earlier run.",
)
@click.option(
    "--against",
    "ref",
    metavar="REF",
    help="Instead, do some tasks in turn with this version and a git revision; fail if one has"
    " become more than 5 % slower.",
)
@click.option(
    "--history",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append the figures to this file, a line of JSON with the commit.",
)
@click.option("--tolerance", default=20.0, show_default=True, help="What may differ, in per cent.")
def main(
    what: tuple[str, ...],
    rounds: int,
    downloads: int | None,
    save: Path,
    check: Path | None,
    ref: str | None,
    history: Path | None,
    tolerance: float,
) -> None:
    """Measure firstk against its peers: WHAT, or everything.

    Most figures are ratios of two things that run alternately in one process; the notes of the
    others name a unit. Exit status 1 means that one is worse than in the earlier run by more than
    the tolerance.
    """
    before = json.loads(check.read_text(encoding="utf-8")) if check else {}
    if downloads is not None:
        memory.DOWNLOADS = downloads
    if ref is None:
        figures = list(_measured(what or MODULES, rounds))
    else:
        figures = list(against.figures(ref, rounds, _SLOWER))
    Console().print(_table(figures, before))
    save.write_text(json.dumps(_as_json(figures), indent=1) + "\n", encoding="utf-8")
    if history is not None:
        with history.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"commit": _commit(), **_as_json(figures)}) + "\n")
    if ref is not None and (slower := [one.name for one in figures if not one.reached]):
        click.echo(f"slower than {ref}: {', '.join(slower)}", err=True)
        sys.exit(1)
    worse = [figure.name for figure in figures if _is_worse(figure, before, tolerance / 100)]
    for name in worse:
        click.echo(f"worse than before: {name}", err=True)
    sys.exit(bool(worse))


#: The maximum time of a task, relative to its earlier time.
_SLOWER = 1.05


def _commit() -> str:
    return subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - the user's own git
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def _measured(names: Iterable[str], rounds: int) -> Iterator[Figure]:
    for name in names:
        click.echo(f"{name} ...", err=True)
        yield from MODULES[name].figures(rounds)


def _table(figures: Iterable[Figure], before: Mapping[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, title=f"{platform.python_implementation()} {sys.version[:7]}")
    for name in ("figure", "median", "range", "target", "", *(["before"] if before else [])):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for figure in figures:
        target = f"{'>=' if figure.at_least else '<='} {figure.target:g}"
        earlier = before.get("figures", {}).get(figure.name, {}).get("median")
        table.add_row(
            f"{figure.name}\n  {figure.note}",
            f"{figure.middle:.3g}",
            f"{min(figure.ratios):.3g} to {max(figure.ratios):.3g}",
            target,
            "reached" if figure.reached else "[bold]not reached[/]",
            *([f"{earlier:.3g}" if earlier is not None else "-"] if before else []),
        )
    return table


def _as_json(figures: Iterable[Figure]) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "figures": {
            figure.name: {
                "median": figure.middle,
                "ratios": list(figure.ratios),
                "target": figure.target,
                "at_least": figure.at_least,
            }
            for figure in figures
        },
    }


def _is_worse(figure: Figure, before: Mapping[str, Any], tolerance: float) -> bool:
    earlier = before.get("figures", {}).get(figure.name)
    if earlier is None:
        return False
    median: float = earlier["median"]
    if figure.at_least:
        return figure.middle < median * (1 - tolerance)
    return figure.middle > median * (1 + tolerance)


if __name__ == "__main__":
    main()
