"""`firstk fuzz` reports a find, writes it to a file, and replays it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firstk.harness.fuzz.fuzzer import Fuzzer
from firstk.harness.fuzz.kinds import Kinds
from firstk.harness.run.bound import Bound
from tests.harness.command_line import firstk
from tests.harness.fuzz.test_fuzzer import Patch, late_answers_ignored, responses_counted
from tests.harness.making import ROOT


def test_command_finds(monkeypatch: Patch, tmp_path: Path) -> None:
    """A find is described, and written to a file that replays it; exit status 1."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 0.5)
    responses_counted(monkeypatch)
    ran = firstk("fuzz", "--seconds", "30", "--out", str(tmp_path / "finds"))
    (file,) = (tmp_path / "finds").glob("*.toml")
    again = firstk("fuzz", str(file))

    assert (ran.exit_code, again.exit_code) == (1, 1)
    assert "counted: " in ran.stdout
    assert "the status counts what the servers count; it reported" in ran.stdout
    assert f"to replay it: firstk fuzz {file}" in ran.stdout
    assert ran.stdout.endswith("seed 0. Something was found.\n")
    assert "the status counts what the servers count; it reported" in again.stdout
    monkeypatch.undo()
    assert firstk("fuzz", str(file)).exit_code == 0


@pytest.mark.slow
def test_command_expects(monkeypatch: Patch, tmp_path: Path) -> None:
    """If a strategy should have succeeded, the file expects success, also in `firstk run`."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 0.0)
    late_answers_ignored(monkeypatch)
    found = Fuzzer(kinds=Kinds(only=["succeeds"])).search(scenarios=400)
    assert found is not None
    file = found.write(tmp_path)

    assert firstk("run", str(file)).exit_code == 1
    monkeypatch.undo()
    assert firstk("run", str(file)).exit_code == 0


def test_command_counts_the_stopped(monkeypatch: Patch, tmp_path: Path) -> None:
    """It reports how many runs did not survive, unless `--only survives` is given."""

    def search(fuzzer: Fuzzer, seconds: float) -> None:
        fuzzer.counts.stopped = 2

    monkeypatch.setattr(Fuzzer, "search", search)
    monkeypatch.chdir(tmp_path)
    hint = "In 2 runs, K good shares did not suffice; see: --only survives\n"

    assert firstk("fuzz").stdout.endswith(f"Nothing was found.\n{hint}")
    assert firstk("fuzz", "--only", "survives").stdout.endswith("Nothing was found.\n")


def test_command_finds_nothing(tmp_path: Path, monkeypatch: Patch) -> None:
    """Without a find, it prints the counts, exits with status 0, and leaves no files."""
    monkeypatch.chdir(tmp_path)
    ran = firstk("fuzz", "--seconds", "0.5", "--seed", "5")

    assert ran.exit_code == 0
    assert re.fullmatch(r"\d+ scenarios?, \d+ runs: .*, seed 5\. Nothing was found\.\n", ran.stdout)
    assert ran.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_defect_of_ours(monkeypatch: Patch) -> None:
    """An error in the simulation itself is reported with the scenario; exit status 3."""

    def boom(*args: Any) -> Bound:
        raise RuntimeError("boom")

    monkeypatch.setattr("firstk.harness.fuzz.observed.bound", boom)
    ran = firstk("fuzz", "--seconds", "30")

    assert ran.exit_code == 3
    assert "RuntimeError: boom\nThe scenario was:\nname = " in ran.stderr


def test_library() -> None:
    """The scenarios of the library break no invariant."""
    ran = firstk("fuzz", "ticket-928")

    assert ran.exit_code == 0
    assert ran.stdout.endswith("Nothing was found.\n")


def test_usage(tmp_path: Path) -> None:
    """A bad file and a bad number are usage errors."""
    (tmp_path / "bad.toml").write_text("name = 1")

    assert firstk("fuzz", str(tmp_path / "bad.toml")).exit_code == 2
    assert firstk("fuzz", "--seconds", "-1").exit_code == 2


def test_workload(tmp_path: Path) -> None:
    """A scenario with a workload is refused before any other is run."""
    file = tmp_path / "load.toml"
    file.write_text(
        'name = "load"\n[file]\nsize = 100\nk = 3\nn = 10\n'
        '[grid]\nservers = 10\nrtt = { law = "constant", value = 0.05 }\n'
        '[workload]\ndownloads = 5\narrivals = { kind = "poisson", rate = 1.0 }\n'
    )
    ran = firstk("fuzz", "three-good-seven-hung", str(file))

    assert ran.exit_code == 2
    assert f"{file} has a [workload], and `fuzz` looks at single downloads" in ran.stderr
    assert ran.stdout == ""


#: Runs firstk, and reports on standard error when a scenario has been tried.
TELLING = """
import sys
from firstk.harness.cli.main import main
from firstk.harness.fuzz.finds import Counts
add = Counts.add
def adding(self, case):
    add(self, case)
    print("tried", file=sys.stderr, flush=True)
Counts.add = adding
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_interrupted(tmp_path: Path) -> None:
    """Control-C ends it with the counts so far, and exit status 130."""
    with subprocess.Popen(  # noqa: S603 - the code is the test's own
        [sys.executable, "-c", TELLING, "fuzz", "--out", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "tried\n"
        running.send_signal(signal.SIGINT)
        told, _ = running.communicate(timeout=30)

    assert running.returncode == 130
    assert re.fullmatch(r"\d+ scenarios?, .*seed 0\. Nothing was found\.\n", told)


# Other downloaders

RIGHT = "tests.harness.fuzz.downloaders:hedged"
WRONG = "tests.harness.fuzz.downloaders:waits_for_nothing"


def fuzz_wrong(folder: Path, *more: str) -> Any:
    """Fuzz a downloader with a defect, with finds in a folder."""
    return firstk("fuzz", "--downloader", WRONG, "--seconds", "20", "--corpus", str(folder), *more)


def test_downloader(monkeypatch: Patch, tmp_path: Path) -> None:
    """A find is kept in the corpus, replayed first, and skipped if it is known."""
    monkeypatch.setattr("firstk.harness.fuzz.fuzzer.SHRINKING", 0.5)
    ran = fuzz_wrong(tmp_path, "--only", "honest-silence")
    (file,) = tmp_path.glob("*.toml")
    again = fuzz_wrong(tmp_path)
    known = fuzz_wrong(tmp_path / "more", "--known", str(tmp_path), "--seconds", "0.5")

    assert ran.exit_code == 1
    assert "honest-silence: tests" in ran.stdout
    assert f"to replay it: firstk fuzz {file} --downloader {WRONG}\n" in ran.stdout
    assert again.exit_code == 1
    assert again.stdout.startswith(f"{file}: honest-silence: ")
    assert "honest-silence" not in known.stdout
    assert (
        firstk("fuzz", str(file), "--downloader", "tests.harness.fuzz.downloaders:hedged").exit_code
        == 0
    )


@pytest.mark.slow
def test_jobs(monkeypatch: Patch, tmp_path: Path) -> None:
    """Several processes search, and their finds are reported."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ran = fuzz_wrong(tmp_path, "--jobs", "2", "--only", "honest-silence", "--only", "disconnect")

    assert ran.exit_code == 1
    assert "honest-silence: tests" in ran.stdout
    assert re.search(r"\d+ scenarios?, .*seed 0\. Something was found\.\n", ran.stdout)


def test_kind() -> None:
    """An unknown kind of fault is refused, with the closest one."""
    ran = firstk("fuzz", "--without", "hunk")

    assert ran.exit_code == 2
    assert "did you mean 'hung'?" in ran.stderr
