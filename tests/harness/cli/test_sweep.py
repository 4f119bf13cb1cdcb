"""`firstk sweep` and `firstk export`, in separate processes where that matters."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from firstk.harness.run.sample import CRASHED
from firstk.harness.sweep.store import Store, StoreError
from firstk.harness.sweep.sweep import Sweep
from firstk.reports.tables import oracle as oracle_table
from firstk.reports.tables.sweep import LEGEND
from firstk.scenarios.experiment import load_experiment
from tests.harness.command_line import FIRSTK, firstk, process, words
from tests.harness.experiments import Here, experiment, swept, write
from tests.harness.making import ROOT

CRASHING = "tests.harness.downloaders:crashing"
KILLED = "tests.harness.downloaders:killed_once"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, from which tests can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def started(*args: str) -> subprocess.Popen[str]:
    """Start firstk in a process of its own, in its own process group."""
    return subprocess.Popen(  # noqa: S603 - our own
        [*FIRSTK, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rows(store: str) -> int:
    """Return the number of rows in a store, or 0 if there is no store yet."""
    try:
        with Store(Path(store)) as opened:
            return len(opened)
    except StoreError:
        return 0


def until(store: str, number: int, running: subprocess.Popen[str]) -> bool:
    """Wait until a store has this many rows; return whether the process is still running."""
    while rows(store) < number:
        with suppress(subprocess.TimeoutExpired):
            running.wait(0.02)
            return False
    return running.poll() is None


def test_sweep(folder: Path) -> None:
    """A sweep prints its table and keeps its runs; a second sweep runs nothing."""
    write(folder, runs=3)
    first, again = (firstk("sweep", "e.toml", "--workers", "1") for _ in range(2))

    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == again.stdout
    assert words(LEGEND.format(first="first-k")) in words(first.stdout)
    assert sorted(path.name for path in folder.iterdir()) == ["e.sqlite", "e.sqlite-lock", "e.toml"]


@pytest.mark.parametrize(
    ("columns", "below", "nowhere"),
    [(250, False, False), (160, True, False), (80, False, True)],
)
def test_terminal(
    columns: int, below: bool, nowhere: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal, intervals move below the estimates, or vanish; no cell is cut off."""
    swept(experiment(folder, runs=12), folder / "e.sqlite")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    result = firstk("sweep", "e.toml")
    lines = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", result.stdout).splitlines()

    assert "…" not in result.stdout
    assert max(map(len, lines)) <= max(columns, 100)
    assert below == any(line.strip().startswith("(") for line in lines)
    assert nowhere == ("For intervals, runs, p90, bytes, saved widen the terminal" in result.stdout)


def test_formats(folder: Path) -> None:
    """The table is also printed as CSV, JSON and Markdown."""
    one = experiment(folder, runs=3)
    table = swept(one, folder / "e.sqlite")
    formats = {
        form: firstk("sweep", "e.toml", "--format", form).stdout
        for form in ("csv", "json", "markdown")
    }

    assert table == formats["csv"]
    assert len(json.loads(formats["json"])) == 6
    assert len(formats["markdown"].splitlines()) == 8


def oracle(folder: Path, **changes: str) -> str:
    """Write an experiment with `oracle = true`, and apply `changes` to its text."""
    text = write(folder, runs=30).read_text()
    changes = {'["first-k", "hedged"]': '["first-k"]\noracle = true', **changes}
    for old, new in changes.items():
        text = text.replace(old, new)
    Path("o.toml").write_text(text)
    return "o.toml"


def test_oracle(folder: Path) -> None:
    """An experiment with `oracle` is compared with theory, in four formats."""
    file = oracle(folder)
    printed = firstk("sweep", file, "--workers", "1")
    forms = {
        form: firstk("sweep", file, "--format", form).stdout for form in ("csv", "json", "markdown")
    }

    assert (printed.exit_code, printed.stderr) == (0, "")
    assert words(oracle_table.LEGEND) in words(printed.stdout)
    assert len(forms["csv"].splitlines()) == 1 + 5 + 5 + 1
    assert len(json.loads(forms["json"])) == 5 + 5 + 1
    assert len(forms["markdown"].splitlines()) == 2 + 5 + 5 + 1


@pytest.mark.parametrize("form", ["table", "csv"])
def test_oracle_is_off(folder: Path, form: str) -> None:
    """A difference from theory is reported, with exit status 1."""
    file = oracle(folder)
    with Store(Path("e.sqlite"), write=True) as store:
        swept_ = Sweep(load_experiment(Path(file)), store)
        swept_.run(Here)
        store._db.execute("UPDATE runs SET located = 3 * located WHERE point = 0")
        store._db.commit()
    printed = firstk("sweep", file, "--format", form)

    assert printed.exit_code == 1
    assert "of 11 numbers are 4 standard errors or more off" in printed.stderr


def test_no_oracle(folder: Path) -> None:
    """If there is no exact theory, nothing is run, and `sweep` and `validate` print why."""
    file = oracle(folder, exponential="constant", mean="value")
    sweep, validate = firstk("sweep", file), firstk("validate", file)

    assert (sweep.exit_code, sweep.stdout, validate.exit_code, validate.stdout) == (2, "", 2, "")
    assert sweep.stderr == validate.stderr
    assert sweep.stderr.startswith("o.toml: oracle: theory has no exact value for servers.0")
    assert "'constant' has no closed form" in sweep.stderr
    assert not Path("e.sqlite").exists()
    assert firstk("validate", oracle(folder)).exit_code == 0


def test_no_oracle_of_ones_own(folder: Path) -> None:
    """A custom downloader has no exact theory."""
    ran = firstk("sweep", oracle(folder), "--downloader", CRASHING)

    assert ran.exit_code == 2
    assert f"of {CRASHING} it is not known" in ran.stderr


def test_number_of_workers(folder: Path) -> None:
    """One, two and three processes print the same table, byte for byte."""
    undisturbed = swept(experiment(folder, runs=30), folder / "whole.sqlite")

    for workers in "123":
        args = ("--workers", workers, "--store", f"{workers}.sqlite", "--format", "csv")
        assert undisturbed == firstk("sweep", "e.toml", *args).stdout
    exports = {firstk("export", f"{name}.sqlite").stdout for name in ("whole", "1", "2", "3")}
    assert len(exports) == 1


def killed(folder: Path, kills: int, runs: int, seed: int) -> int:
    """Kill sweeps at random moments and resume them; return how many were really killed.

    The table in the end, and all rows, are those of an undisturbed one.
    """
    undisturbed = swept(experiment(folder, runs=runs), folder / "whole.sqlite")
    every = firstk("export", "whole.sqlite").stdout
    random_ = random.Random(seed)
    truly = sweeps = 0
    while truly < kills:
        sweeps += 1
        store = f"{sweeps}.sqlite"
        before = 0
        while True:
            workers = str(random_.choice([1, 2, 3]))
            args = ("--store", store, "--workers", workers, "--format", "csv")
            running = started("sweep", "e.toml", *args)
            more = before + random_.randint(1, 6 * runs // 4)
            if truly < kills and until(store, more, running):
                running.kill()  # kill -9
                running.communicate()
                truly += running.returncode == -signal.SIGKILL
                reported, before = before, rows(store)
                assert reported <= before
            else:
                out, err = running.communicate()
                assert (running.returncode, err) == (0, "")
                assert undisturbed == out
                break
        assert every == firstk("export", store).stdout
    return truly


@pytest.mark.slow
def test_killed(folder: Path) -> None:
    """A sweep that was killed resumes, and prints the same table."""
    assert killed(folder, 2, runs=100, seed=1) == 2


@pytest.mark.slow
def test_killed_often(folder: Path) -> None:
    """Fifty random kills change nothing."""
    assert killed(folder, 50, runs=400, seed=2) == 50


def test_interrupted(folder: Path) -> None:
    """Control-C ends a sweep at once, with its own exit status, and no run is lost."""
    write(folder, runs=5000)
    running = started("sweep", "e.toml", "--workers", "2")
    assert until("e.sqlite", 20, running)
    os.killpg(running.pid, signal.SIGINT)  # a terminal sends it to all of them
    out, err = running.communicate()

    kept = rows("e.sqlite")
    assert 20 <= kept < 30_000
    told = f"{kept} runs are kept in e.sqlite; run the same command again to resume\n"
    assert (130, "", f"{told}\nfirstk: interrupted\n") == (running.returncode, out, err)
    Store(folder / "e.sqlite", write=True).close()  # it is not locked


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
@pytest.mark.slow
def test_interrupted_on_a_terminal(folder: Path) -> None:
    """On a terminal with a progress bar, the message is on a line of its own."""
    import pty

    write(folder, runs=5000)
    ours, theirs = pty.openpty()
    running = subprocess.Popen(  # noqa: S603 - our own
        [*FIRSTK, "sweep", "e.toml", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # reading fails when nothing writes any more
        while b"30000" not in shown:
            shown += os.read(ours, 4096)
        os.killpg(running.pid, signal.SIGINT)
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    running.communicate()

    kept = f"\n{rows('e.sqlite')} runs are kept in e.sqlite; run the same command again to resume\r"
    assert running.returncode == 130
    assert kept.encode() in shown


@pytest.mark.slow
def test_worker_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed worker is replaced, and the table is that of an undisturbed sweep."""
    monkeypatch.setenv("FIRSTK_TEST_MARKER", str(folder / "marker"))
    (folder / "marker").touch()
    one = experiment(folder, strategies=("first-k", "hedged", KILLED))
    undisturbed = swept(one, folder / "whole.sqlite")
    (folder / "marker").unlink()
    args = ("--downloader", KILLED, "--workers", "2", "--format", "csv")
    ran = process("sweep", "e.toml", *args, capture_output=True)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (folder / "marker").exists()
    assert undisturbed == ran.stdout


@pytest.mark.slow
def test_crash(folder: Path) -> None:
    """Runs that crash twice are reported with their replay commands; exit status 1."""
    write(folder, runs=3)
    args = ("--downloader", CRASHING, "--workers", "2")
    ran = process("sweep", "e.toml", *args, capture_output=True)
    with Store(folder / "e.sqlite") as store:
        crashes = [row.row for row in store.rows() if row.outcome == CRASHED]

    assert ran.returncode == 1
    assert crashes
    assert "crashed" in ran.stdout.splitlines()[1]
    assert [f"firstk run --from e.sqlite {row}" for row in crashes] == [
        line.partition(":")[0] for line in ran.stderr.splitlines()
    ]
    assert rows("e.sqlite") == 27


def test_export(folder: Path) -> None:
    """All runs are exported as CSV, with the values of the axes."""
    swept(experiment(folder, runs=2), folder / "s")
    result = firstk("export", "s")
    found = list(csv.DictReader(io.StringIO(result.stdout)))

    assert len(found) == 12
    assert [r["servers.0.select.count"] for r in found[:6]] == ["0", "0", "7", "7", "9", "9"]
    assert firstk("export", "s", "out.csv").exit_code == 0
    assert result.stdout == (folder / "out.csv").read_text()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["sweep", "gone.toml"], "gone.toml: No such file or directory"),
        (["sweep", "hung-fracton"], "did you mean 'hung-fraction'?"),
        (["sweep", "bad.toml"], "bad.toml:2: scenario: 'x' is not a scenario of the library"),
        (["sweep", "e.toml", "--store", "e.toml"], "e.toml: cannot be used as a store"),
        (["sweep", "e.toml", "--store", "no/s"], "no/s: there is no folder no"),
        (["sweep", "e.toml", "--store", "other"], "other: holds another experiment: its name"),
        (["sweep", "e.toml", "--workers", "1", "--scheduler", "x"], "exclude one another"),
        (["sweep", "e.toml", "--workers", "0"], "0 is not in the range"),
        (["sweep", "e.toml", "--downloader", "no.such:thing"], "cannot import no.such"),
        (["export", "gone"], "gone: there is no such file"),
        (["export", "other", "no/x.csv"], "cannot write no/x.csv"),
        (["export", "other", "no/x.parquet"], "cannot write no/x.parquet"),
    ],
)
def test_usage(args: list[str], message: str, folder: Path) -> None:
    """Invalid arguments are refused with one line, and exit status 2."""
    if "x.parquet" in args[-1]:
        pytest.importorskip("pyarrow")
    one = experiment(folder, runs=1, name="other")
    swept(one, folder / "other")
    (folder / "bad.toml").write_text('name = "b"\nscenario = "x"\n')
    result = firstk(*args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_no_pyarrow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Parquet cannot be written, the error prints how to install it."""
    swept(experiment(folder, runs=1), folder / "s")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = firstk("export", "s", "x.parquet")

    assert result.exit_code == 2
    assert "pip install 'firstk[parquet]'" in result.stderr


@pytest.fixture
def scheduler(folder: Path) -> Iterator[str]:
    """Return the address of a Dask scheduler with a worker of two threads, both processes."""
    pytest.importorskip("distributed", reason="a Dask cluster needs pip install 'firstk[dask]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [
        subprocess.Popen([*dask, *args.split()], **quiet)  # noqa: S603 - our own
        for args in (
            f"scheduler --host 127.0.0.1 --port {port} --no-dashboard",
            f"worker {address} --nworkers 1 --nthreads 2 --no-dashboard",
        )
    ]
    yield address
    for one in reversed(processes):
        one.terminate()
        one.wait()


@pytest.mark.slow
def test_scheduler(folder: Path, scheduler: str) -> None:
    """A real Dask scheduler and worker produce the same table, byte for byte."""
    undisturbed = swept(experiment(folder, runs=100), folder / "whole")
    args = ("--scheduler", scheduler, "--format", "csv")
    ran = process("sweep", "e.toml", *args, capture_output=True)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert undisturbed == ran.stdout
    assert firstk("export", "whole").stdout == firstk("export", "e.sqlite").stdout


def test_precision_out_of_reach(folder: Path) -> None:
    """If max_runs cannot give an interval of the quantile, a note says so beforehand."""
    path = write(folder, 2)
    precision = "[precision]\nquantile = {}\nrelative = 0.9\nmin_runs = 2\nmax_runs = 7\n"
    text = path.read_text().replace("runs = 2\n", "")
    notes = []
    for quantile in (0.5, 0.9):
        path.write_text(text.replace("[axes]", precision.format(quantile) + "[axes]"))
        notes.append(firstk("sweep", path.name, "--store", f"{quantile}.sqlite").stderr)

    assert [
        "",
        f"{path.name}: note: an interval for the 0.9 quantile needs 44 runs, and"
        " precision.max_runs is 7\n",
    ] == notes
