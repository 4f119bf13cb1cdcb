"""The command group: its help, its imports, and how errors end it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from firstk.harness.cli.main import main
from firstk.harness.run.finish import Run
from tests.harness.command_line import BAD, firstk, process, unmet, write


def test_version_and_help() -> None:
    """`--version` and the help of each command are printed."""
    assert re.fullmatch(r"\S+ \d+\.\d+\S*\n", firstk("--version").stdout)
    for command in ([], *([name] for name in main.commands)):
        result = firstk(*command, "-h")

        assert (result.exit_code, result.stderr) == (0, "")
        assert "Usage: " in result.stdout


def test_commands() -> None:
    """All commands are listed alphabetically, each with a description."""
    _, _, shown = firstk("--help").stdout.partition("Commands:\n")

    names = re.findall(r"^  (\w+)  +[A-Z]", shown, re.MULTILINE)

    assert sorted(main.commands) == names
    assert {"compare", "list", "run", "sweep"} < set(names)


@pytest.mark.parametrize(
    "args",
    [
        ["run", "ten-good", "--strategy", "frist-k"],
        ["run", "ten-good", "--seed", "-1"],
        ["run", "ten-good", "--seed", "x"],
        ["run", "ten-good", "--runs", "0"],
        ["run", "ten-good", "--format", "xml"],
        ["run", "ten-good", "--frmat", "json"],
        ["run", "ten-good", "one-hung"],
        ["run", "ticket-928"],
        ["run", "nope"],
        ["run", "nope.toml"],
        ["run"],
        ["compare", "nope"],
        ["validate"],
        ["validate", "nope"],
        ["frobnicate"],
        [],
    ],
    ids=" ".join,
)
def test_usage(args: list[str]) -> None:
    """Invalid arguments are refused on standard error, and nothing else is done."""
    result = firstk(*args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr
    assert "Traceback" not in result.stderr


def raising(error: BaseException) -> Any:
    """Return a function that raises."""

    def function(*args: object, **options: object) -> Run:
        raise error

    return function


def test_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in firstk is reported as one, with its traceback."""
    monkeypatch.setattr("firstk.harness.run.simulate.observe", raising(ZeroDivisionError("oops")))
    result = firstk("run", "one-hung")

    assert (result.exit_code, result.stdout) == (3, "")
    assert "ZeroDivisionError: oops" in result.stderr
    assert "firstk: internal error: this is a defect in firstk" in result.stderr


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C between two runs ends the program with a message."""
    monkeypatch.setattr("firstk.harness.run.simulate.observe", raising(KeyboardInterrupt()))
    result = firstk("run", "one-hung")

    assert (result.exit_code, result.stdout) == (130, "")
    assert "firstk: interrupted" in result.stderr
    assert "Traceback" not in result.stderr


# In a process of its own


def test_process(tmp_path: Path) -> None:
    """In a real process, output, errors and exit status are as documented."""
    good = process("run", unmet(tmp_path), "--format", "json", capture_output=True)
    bad = process("validate", write(tmp_path, "bad", BAD), capture_output=True)

    assert (good.returncode, len(json.loads(good.stdout))) == (1, 2)
    assert good.stderr.startswith("not as expected: firstk run ")
    assert (bad.returncode, bad.stdout, len(bad.stderr.splitlines())) == (2, "", 2)


@pytest.mark.parametrize(
    "args",
    [
        ["list"],
        *(
            pytest.param(args, marks=pytest.mark.slow)
            for args in (["run", "one-hung", "--format", "csv"], ["run", "one-hung"], ["--help"])
        ),
    ],
    ids=" ".join,
)
def test_nobody_reads(args: Sequence[str]) -> None:
    """A reader that stops early, such as `head`, is not an error."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = process(*args, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("args", "unwanted"),
    [
        (["--help"], ["twisted", "simpy", "matplotlib", "scipy", "pydantic", "zfec", "rich"]),
        (["list"], ["twisted", "simpy", "matplotlib", "pydantic", "zfec"]),
        (["run", "one-hung"], ["matplotlib", "numpy", "twisted.internet.reactor"]),
    ],
)
def test_imports(args: list[str], unwanted: list[str]) -> None:
    """A command imports only what it needs, and never the real reactor."""
    program = (
        "import sys\nfrom firstk.harness.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as e:\n    assert not e.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(  # noqa: S603 - the program is above
        [sys.executable, "-c", program, *args], capture_output=True, text=True, check=True
    )

    assert not set(unwanted) & set(done.stderr.split())


def test_as_a_module() -> None:
    """`python -m firstk` is the command line, with the program name firstk."""
    done = subprocess.run(
        [sys.executable, "-m", "firstk", "nonsense"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith("Usage: firstk [OPTIONS] COMMAND")


@pytest.mark.slow
def test_backend_of_a_notebook(tmp_path: Path) -> None:
    """Pictures are drawn even if MPLBACKEND is a backend that does not exist."""
    done = process(
        "compare", "one-hung", "--out", tmp_path, capture_output=True,
        env={**os.environ, "MPLBACKEND": "module://no.such.notebook"},
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "latency.png").is_file()
