"""Whatever a file contains, the command line prints a few printable lines, never a traceback."""

from __future__ import annotations

import json
import os
import string
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.table import Table

from firstk.harness.cli.tables import console
from firstk.harness.run.events import Events, EventsError
from firstk.reports.tables.baseline import Baseline, BaselineError
from tests.harness.command_line import GOOD, firstk, process, write
from tests.harness.experiments import TEXT as EXPERIMENT
from tests.harness.plans import TEXT as PLAN

HOSTILE = "\x1b]0;pwn\x07\nfirstk: all is well"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with one file of each kind that may be refused."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "scenario")
    Path("experiment.toml").write_text(EXPERIMENT.format(runs=2))
    Path("plan.toml").write_text(PLAN)
    Path("folder").mkdir()
    os.mkfifo("fifo")
    Path("device").symlink_to("/dev/zero")
    with Path("large").open("wb") as file:
        file.truncate(100_000_000)
    return tmp_path


def refused(result: Result) -> str:
    """Check that a command was refused, and return the last line of its error."""
    assert result.exit_code == 2, result.output
    assert all(line.isprintable() for line in result.output.split("\n"))
    return str(result.stderr.splitlines()[-1])


COMMANDS = [
    ["validate"],
    ["run"],
    ["compare"],
    ["compare", "--check"],
    ["fuzz"],
    ["diff", "one-hung"],
    ["sweep"],
    ["plan"],
    ["report"],
    ["export"],
    ["run", "1", "--from"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("path", ["folder", "fifo", "device", "large"])
def test_not_regular(command: list[str], path: str) -> None:
    """Every command refuses files that are not regular, or too large."""
    assert path in refused(firstk(*command, path))


def test_nothing_is_waited_for() -> None:
    """A FIFO without a writer is refused at once, also in a separate process."""
    result = process("validate", "fifo", capture_output=True, timeout=60)

    assert (result.returncode, result.stderr) == (2, "fifo: Is a FIFO, not a regular file\n")


@pytest.mark.parametrize(
    ("command", "path", "words"),
    [
        ("run", "experiment.toml", "is an experiment: `firstk sweep` takes it"),
        ("run", "plan.toml", "is a plan: `firstk plan` takes it"),
        ("compare", "plan.toml", "is a plan: `firstk plan` takes it"),
        ("report", "experiment.toml", "is an experiment: `firstk sweep` takes it"),
        ("sweep", "plan.toml", "is a plan: `firstk plan` takes it"),
        ("sweep", "scenario.toml", "is a scenario: `firstk run`, `compare` and `report` take it"),
        ("plan", "scenario.toml", "is a scenario: `firstk run`, `compare` and `report` take it"),
        ("plan", "experiment.toml", "is an experiment: `firstk sweep` takes it"),
        ("sweep", "one-hung", "is a scenario: `firstk run`, `compare` and `report` take it"),
        ("run", "hung-fraction", "is an experiment: `firstk sweep` takes it"),
    ],
)
def test_other_kind(command: str, path: str, words: str) -> None:
    """A file of the wrong kind is refused, and the error reports what it is."""
    assert refused(firstk(command, path)).startswith(f"{path}: {words}; this command takes a")


def test_records_of_another_kind() -> None:
    """Stores, baselines, events and TOML files are refused where another kind is expected."""
    assert firstk("compare", "scenario.toml", "--save", "b.json").exit_code == 0
    assert firstk("run", "one-hung", "-s", "first-k", "--events", "e.txt").exit_code == 0
    assert firstk("sweep", "experiment.toml", "--workers", "1").exit_code == 0

    assert "is a baseline: `firstk compare --check` takes it" in refused(firstk("run", "b.json"))
    assert "is a file of events: `firstk diff` takes it" in refused(firstk("validate", "e.txt"))
    assert "is a store of runs: `firstk report`" in refused(firstk("sweep", "e.sqlite"))
    assert "is a plan" in refused(firstk("compare", "--check", "plan.toml"))
    assert "is a store of runs" in refused(firstk("compare", "--check", "e.sqlite"))


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["run", "one-hung", "-s", "frist-k"], "first-k"),
        (["diff", "one-hung", "-s", "hedge"], "hedged"),
        (["run", "one-hun"], "one-hung"),
        (["compare", "ticket-982"], "ticket-928"),
        (["sweep", "hung-fractions"], "hung-fraction"),
        (["schema", "experimnt"], "experiment"),
        (["run", "one-hung", "--format", "jsn"], "json"),
    ],
)
def test_did_you_mean(args: list[str], meant: str) -> None:
    """Misspelt names on the command line get suggestions, as those in files do."""
    assert f"did you mean '{meant}'?" in refused(firstk(*args))


@pytest.mark.parametrize(("name", "meant"), [("sweeep", "sweep"), ("validat", "validate")])
def test_misspelt_command(name: str, meant: str) -> None:
    """Misspelt commands get suggestions."""
    assert f"id you mean '{meant}'?" in refused(firstk(name))


@pytest.mark.parametrize("number", ["9" * 5000, "9223372036854775808", "x" * 5000])
@pytest.mark.parametrize(
    "args",
    [
        ["run", "one-hung", "--seed"],
        ["run", "one-hung", "--runs"],
        ["diff", "one-hung", "--seed"],
        ["fuzz", "--seed"],
        ["run", "--from", "scenario.toml"],
    ],
    ids=" ".join,
)
def test_large_numbers(args: list[str], number: str) -> None:
    """A number that is too large for an option is refused with a short line."""
    assert len(refused(firstk(*args, number))) < 250


def test_last_seed() -> None:
    """The seed of the last run is bounded, also if options set it."""
    largest = str(2**63 - 1)

    assert firstk("run", "scenario.toml", "--seed", largest).exit_code == 0
    said = refused(firstk("run", "scenario.toml", "--seed", largest, "--runs", "2"))
    assert f"the last of 2 runs would have the seed {2**63}; the largest is {largest}" in said


@pytest.mark.parametrize("command", [*COMMANDS, ["list"], ["frobnicate"], ["run", "-s", "x"]])
def test_hostile_names(command: list[str]) -> None:
    """A hostile file name is escaped, whether the file exists or not."""
    refused(firstk(*command, HOSTILE))
    Path(f"{HOSTILE}.toml").write_text("x = [")
    refused(firstk(*command, f"{HOSTILE}.toml"))


def test_hostile_source() -> None:
    """The name of a good scenario is escaped; its replay command can be pasted into a shell."""
    path = Path(f"{HOSTILE}.toml")
    path.write_text(
        GOOD.format(name="t") + '[expect.downloader]\noutcome = "ok"\n[expect.first-k]\n'
    )
    for command in (["validate"], ["run"], ["compare", "--out", "out"]):
        result = firstk(*command, path)

        assert result.exit_code == 0
        assert all(line.isprintable() for line in result.output.split("\n"))


def test_hostile_markup() -> None:
    """Text in tables is not parsed as markup or emoji, and is escaped."""
    table = Table("x")
    table.add_row("[bold]a[/bold] :smile: \x1b]0;t\x07 and more")
    output = console()
    with output.capture() as captured:
        output.print(table)

    assert r"[bold]a[/bold] :smile: \x1b]0;t" in captured.get()
    assert "\x1b" not in captured.get()


@pytest.mark.parametrize("key", ["scenario", "strategy", "error"])
def test_hostile_baseline(key: str) -> None:
    """A baseline with unprintable names is refused."""
    assert firstk("compare", "scenario.toml", "--save", "b.json").exit_code == 0
    baseline = json.loads(Path("b.json").read_text())
    baseline["rows"][0][key] = HOSTILE
    Path("b.json").write_text(json.dumps(baseline))

    assert f"rows.0.{key}: " in refused(firstk("compare", "scenario.toml", "--check", "b.json"))
    with pytest.raises(BaselineError, match="should be printable"):
        Baseline.read(Path("b.json"))


def test_hostile_events() -> None:
    """The contents of a file of events are escaped, and a file that is not text is refused."""
    assert firstk("run", "one-hung", "-s", "first-k", "--events", "e.txt").exit_code == 0
    text = Path("e.txt").read_text()
    Path("f.txt").write_text(text.replace("answered", "failed").rstrip() + "\x1b]0;t\x07\n")
    result = firstk("diff", "e.txt", "f.txt")

    assert result.exit_code == 1
    assert all(line.isprintable() for line in result.output.split("\n"))
    Path("f.txt").write_bytes(text.encode() + b"\xff")
    with pytest.raises(EventsError, match="is not UTF-8 text"):
        Events.read(Path("f.txt"))


# Any file


def texts() -> st.SearchStrategy[str]:
    """Return good files with parts deleted, repeated, and inserted."""
    words = r'[ ] [[servers]] = . " """ 1e999 [axes] inf true a.b.c=1 {} [] name # \ "x"'
    numbers = ["9" * 30, "0x" + "f" * 40]
    pieces = st.sampled_from([*words.split(), *numbers, "'", "\n", "\x1b", "\0"])
    base = st.sampled_from([GOOD.format(name="t"), EXPERIMENT.format(runs=2), PLAN])

    @st.composite
    def changed(draw: st.DrawFn) -> str:
        text = draw(base)
        for _ in range(draw(st.integers(1, 4))):
            begin = draw(st.integers(0, len(text)))
            end = draw(st.integers(begin, min(len(text), begin + 30)))
            text = text[:begin] + draw(pieces | st.just(text[begin:end] * 2)) + text[end:]
        return text

    return changed()


def tables() -> st.SearchStrategy[str]:
    """Return good files with the values of some keys replaced, and keys added."""
    scalars = (
        st.integers(-(2**63), 2**63 - 1)
        | st.floats()
        | st.booleans()
        | st.text(string.printable, max_size=8)
        | st.sampled_from(["all", "hung", "constant", "first-k", "one-hung", "t.toml", "0-3"])
    )
    names = st.sampled_from(
        ["kind", "law", "value", "path", "from", "to", "step", "points", "file.k", "servers.0", "x"]
    )
    values = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=6,
    )
    base = st.sampled_from([GOOD.format(name="t"), EXPERIMENT.format(runs=2), PLAN])

    @st.composite
    def changed(draw: st.DrawFn) -> str:
        data: Any = tomllib.loads(draw(base))
        for _ in range(draw(st.integers(1, 3))):
            at = data
            for _ in range(draw(st.integers(0, 3))):
                within = [of for of in (at.values() if isinstance(at, dict) else at) if of]
                within = [of for of in within if isinstance(of, dict | list)]
                at = draw(st.sampled_from(within)) if within else at
            if isinstance(at, dict):
                key = draw(st.sampled_from(sorted(at)) | names) if at else draw(names)
                at[key] = draw(values)
            else:
                at.append(draw(values))
        return tomli_w.dumps(data)

    return changed()


@given(texts() | tables())
@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_file(text: str) -> None:
    """Any file is valid, or refused in at most 22 lines, without a traceback."""
    Path("any.toml").write_text(text, encoding="utf-8", errors="surrogatepass")
    result = firstk("validate", "any.toml")

    assert result.exit_code in (0, 2), result.output
    assert "Traceback" not in result.output
    assert all(line.isprintable() for line in result.output.split("\n"))
    assert len(result.stderr.splitlines()) <= 22
