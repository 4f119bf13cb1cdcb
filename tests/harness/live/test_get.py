"""`firstk get`: a file from real servers, some of them stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from firstk.harness.grid.build import server_specs
from firstk.harness.grid.files import GridFile, file_of
from tests.harness.command_line import FIRSTK, process
from tests.harness.making import needs_live, scenario

pytestmark = [needs_live, pytest.mark.slow]


@dataclass
class _Grid:
    """Servers that hold a file, and a list of them."""

    file: GridFile
    listed: Path
    processes: dict[str, int]

    def get(self, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the command in a separate process."""
        where = ("--servers", self.listed, "-o", out)
        return process("get", str(self.file.cap), *where, *options, capture_output=True)


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[_Grid]:
    """Return five real servers with a file of 300 kB of which three shares are needed."""
    from firstk.harness.live.grid import LiveGrid
    from firstk.harness.live.processes import Keeper

    made = scenario(file={"size": 300_000, "k": 3, "n": 5}, grid={"servers": 5})
    file = file_of(made)
    with Keeper() as keeper:
        live = LiveGrid(keeper, 5)
        live.store(file, server_specs(made, 0, file.shares))
        listed = tmp_path / "servers"
        listed.write_text("".join(f"{name} {nurl}\n" for name, nurl in live.nurls.items()))
        yield _Grid(file, listed, live.processes)


def test_two_stopped(grid: _Grid, tmp_path: Path) -> None:
    """Two stopped servers of five do not matter; the file is right, and readable."""
    for name in ("s0", "s3"):
        os.kill(grid.processes[name], signal.SIGSTOP)
    out = tmp_path / "file"
    ran = grid.get(out)

    assert (ran.returncode, ran.stdout) == (0, "")
    assert out.read_bytes() == grid.file.plaintext
    assert "300,000 bytes in" in ran.stderr
    assert "from shares 1, 2, 4" in ran.stderr
    assert out.stat().st_mode & 0o444 == 0o444
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_standard_output(grid: _Grid) -> None:
    """With `-o -` the file goes to standard output."""
    command = [*FIRSTK, "get", str(grid.file.cap), "--servers", str(grid.listed), "-o", "-"]
    ran = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - our own

    assert ran.stdout == grid.file.plaintext


def test_too_few(grid: _Grid, tmp_path: Path) -> None:
    """A failed download leaves no file; the error lists each server, and the exit status is 1."""
    for name in ("s0", "s1", "s2"):
        os.kill(grid.processes[name], signal.SIGKILL)
    out = tmp_path / "file"
    ran = grid.get(out)

    assert ran.returncode == 1
    assert "not enough shares: have 2, need 3" in ran.stderr
    assert "s0: failed: UnreachableServerError: " in ran.stderr
    assert "Traceback" not in ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["servers"]


def test_control_c(grid: _Grid, tmp_path: Path) -> None:
    """Control-C ends it with 130, and leaves no file."""
    for pid in grid.processes.values():
        os.kill(pid, signal.SIGSTOP)
    out = tmp_path / "file"
    command = [*FIRSTK, "get", str(grid.file.cap), "--servers", str(grid.listed), "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:  # noqa: S603
        while not list(tmp_path.glob(".file.*.part")):
            assert running.poll() is None
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=20)

    assert running.returncode == 130
    assert "firstk: interrupted" in said
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["servers"]
