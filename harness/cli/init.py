"""`firstk init`: writes what a project needs for its first scenario, and runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import click

from firstk.harness.cli.exit import OK, USAGE, fail
from firstk.harness.cli.help import examples
from firstk.harness.cli.output import writing

_SCENARIO = "tests/scenarios/one-hung.toml"
_PYPROJECT = "pyproject.toml"
_STUB = "downloader_under_test.py"

#: The destination of each file of the folder `starter`.
_FILES = {
    "one-hung.toml": _SCENARIO,
    "pyproject.toml": _PYPROJECT,
    "downloader_under_test.py": _STUB,
    "firstk.yml": ".github/workflows/firstk.yml",
}


@click.command(epilog=examples("firstk init", "firstk init --downloader mypackage.fetch:download"))
@click.option(
    "--downloader",
    metavar="MODULE:CALLABLE",
    help="The downloader to test, (reactor, servers, cap, consumer) -> Deferred. Default: one"
    " to start from, which a hung server hangs.",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path, downloader: str | None) -> int:
    """Add a first scenario to the project in FOLDER, and test a downloader with it.

    Writes tests/scenarios/one-hung.toml, a downloader to start from, pytest's settings in
    pyproject.toml and a CI job; existing files are not changed. Then runs pytest once. Exit
    status 0 means that the test ran, whether or not the downloader passed it.
    """
    if downloader is not None and not re.fullmatch(r"[\w.]+:[\w.]+", downloader):
        raise click.BadParameter(
            f"should be MODULE:CALLABLE, as mypackage.fetch:download, not {downloader!r}",
            param_hint="--downloader",
        )
    if find_spec("pytest") is None:
        fail("firstk: pytest is not installed: pip install pytest", USAGE)
    tested = downloader or f"{Path(_STUB).stem}:download"
    for name, place in _FILES.items():
        if place != _STUB or downloader is None:
            _write(folder, name, place, tested)
    click.echo()
    passed = _run_pytest(folder, tested)
    click.echo(_next_steps(passed, tested, downloader is None))
    return OK


def _write(folder: Path, name: str, place: str, downloader: str) -> None:
    """Write a file if it does not exist, and report what was done."""
    path = folder / place
    text = (files("firstk.harness.cli") / "starter" / name).read_text(encoding="utf-8")
    text = text.replace("DOWNLOADER", downloader)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            click.echo(f"exists    {place}")
            if place == _PYPROJECT and "firstk_scenarios" not in path.read_text(encoding="utf-8"):
                click.echo("          add these lines to it:\n")
                click.echo("".join(f"    {line}\n" for line in text.splitlines()))
        else:
            click.echo(f"wrote     {place}")


def _run_pytest(folder: Path, downloader: str) -> bool:
    """Run the scenario, whatever the settings of the project are; return whether it passed."""
    settings = (f"firstk_scenarios={_SCENARIO}", f"firstk_downloader={downloader}", "pythonpath=.")
    command = [sys.executable, "-m", "pytest", "-q", _SCENARIO]
    for setting in settings:
        command += ["-o", setting]
    result = subprocess.run(  # noqa: S603 - the module was checked to be a dotted name
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    click.echo(result.stdout + result.stderr)
    if result.returncode not in (0, 1):
        fail("firstk: the scenario could not be run; pytest says why", USAGE)
    return result.returncode == 0


def _next_steps(passed: bool, tested: str, stub: bool) -> str:
    """Return what to do next, in a few lines."""
    if passed:
        found = "The downloader does not wait for the hung server."
    elif stub:
        found = (
            "The test failed, as it should: the downloader in downloader_under_test.py waits for"
            "\nevery server, and s7 never answers."
        )
    else:
        found = "The test failed: the lines above name the server that never answered, if one did."
    steps = {
        "pytest": "run the scenarios again, in CI too",
        "firstk list": "show more scenarios; copy what you need",
        f"firstk fuzz --downloader {tested}": "search for what else breaks it",
    }
    if stub:
        steps = {"edit pyproject.toml": "name your downloader as firstk_downloader", **steps}
    width = max(map(len, steps))
    lines = [f"  {step:{width}}   {purpose}" for step, purpose in steps.items()]
    return "\n".join([found, "", "Next:", *lines])
