"""Helpers for the tests of the command line: running it, and small scenarios for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from firstk.harness.cli.main import main

#: A scenario; `write` inserts its name.
GOOD = """\
name = "{name}"
description = "what it shows"
seed = 7

[file]
size = 1000
k = 3
n = 10

[grid]
servers = 10
rtt = {{ law = "exponential", mean = 0.05 }}
"""

#: The same scenario with two mistakes.
BAD = GOOD.replace("k = 3", "k = 11").replace("seed = 7", "sed = 7")

#: The code that a separate process runs as `firstk`.
FIRSTK = [sys.executable, "-c", "from firstk.harness.cli.main import main; main()"]


def firstk(*args: str | Path) -> Result:
    """Run the command line, and return the result."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


def process(*args: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a separate process, and return the completed process."""
    command = [*FIRSTK, *map(str, args)]
    return subprocess.run(command, text=True, check=False, **options)  # noqa: S603 - our own


def write(folder: Path, name: str = "t", text: str = GOOD) -> Path:
    """Write a scenario file."""
    path = folder / f"{name}.toml"
    path.write_text(text.format(name=name))
    return path


def unmet(folder: Path) -> Path:
    """Write a scenario whose expectation is not met."""
    text = GOOD + '[expect.first-k]\noutcome = "stalled"\n[expect.wait-for-all]\nttfb_max = 9\n'
    return write(folder, text=text)


def results(*args: str | Path) -> list[dict[str, Any]]:
    """Return the results that `firstk run` prints as JSON."""
    found: list[dict[str, Any]] = json.loads(firstk("run", *args, "--format", "json").stdout)
    return found


def words(text: str) -> str:
    """Return a text on one line, because its folding depends on the terminal."""
    return " ".join(text.split())


def replays(text: str) -> list[str]:
    """Return the commands in a text that replay something."""
    return re.findall(r"firstk run .*? --seed \d+", text)
