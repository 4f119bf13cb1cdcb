"""`firstk run` prints the results of a scenario or of a stored row, and how to replay them."""

from __future__ import annotations

import csv
import io
import json
import shlex
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from firstk.downloader.layout import HEADER_SIZE, parse_header
from firstk.downloader.strategy import STRATEGIES
from firstk.harness.run.bound import bound
from firstk.harness.run.simulate import simulate
from firstk.harness.sweep.store import Store
from firstk.scenarios.library import load_all
from tests.harness.command_line import GOOD, firstk, replays, results, unmet, write
from tests.harness.experiments import experiment, swept
from tests.tahoe import CHK_FILES, FOLDER


def test_run_table() -> None:
    """The table has one row per run, and below it what went wrong with which server."""
    result = firstk("run", "only-share-0")
    rows = [line.split() for line in result.stdout.splitlines()]

    assert (result.exit_code, result.stderr) == (0, "")
    assert [
        "first-k",
        "0",
        "0",
        "failed",
        "never",
        "never",
        "never",
        "0.05",
        "10",
        "0",
        "0",
        "0",
    ] in rows
    assert "NotEnoughSharesError: not enough shares: have 1, need 3" in result.stdout
    assert "  s9: " in result.stdout


def test_run_json(tmp_path: Path) -> None:
    """With `--format json`, only JSON is printed, and it equals the simulation's results."""
    path = write(tmp_path)
    result = firstk("run", path, "--format", "json")
    parsed = json.loads(result.stdout)
    runs = [simulate(load_all([str(path)])[0], s).result for s in ("wait-for-all", "first-k")]

    assert (result.exit_code, result.stderr) == (0, "")
    assert [run.digest for run in runs] == [one["digest"] for one in parsed]
    assert [one["seed"] for one in parsed] == [7, 7]
    assert all(one["content_ok"] for one in parsed)


def test_run_bound(tmp_path: Path) -> None:
    """Each result has the bound of its own run."""
    path = write(tmp_path)
    scenario = load_all([str(path)])[0]
    bounds = [bound(scenario, number) for number in range(3)]

    assert len({one.ttfb for one in bounds}) == 3
    assert [(one.ttfb, one.requests, one.bytes) for one in bounds] * 2 == [
        (one["bound"], one["minimum_requests"], one["minimum_bytes"])
        for one in results(path, "--runs", "3")
    ]


def test_run_csv(tmp_path: Path) -> None:
    """CSV has the same runs as JSON."""
    path = write(tmp_path)
    result = firstk("run", path, "--format", "csv", "--runs", "3")
    rows = list(csv.DictReader(io.StringIO(result.stdout, newline="")))

    assert (result.exit_code, result.stderr) == (0, "")
    assert [one["digest"] for one in results(path, "--runs", "3")] == [r["digest"] for r in rows]


def test_seed_and_runs(tmp_path: Path) -> None:
    """Runs have consecutive seeds, and a single run with such a seed is the same."""
    path = write(tmp_path)
    many = results(path, "--seed", "20", "--runs", "3", "--strategy", "first-k")
    alone = [results(path, "--seed", str(seed), "-s", "first-k")[0] for seed in (20, 21, 22)]

    assert [(one["run"], one["seed"]) for one in many] == [(0, 20), (1, 21), (2, 22)]
    assert [one["digest"] for one in alone] == [one["digest"] for one in many]
    assert len({one["digest"] for one in many}) == 3


@pytest.mark.parametrize(
    ("named", "ran"),
    [
        (["first-k"], ["first-k"]),
        (["first-k-late", "wait-for-all"], ["first-k-late", "wait-for-all"]),
        (["first-k", "first-k"], ["first-k"]),
        ([], list(STRATEGIES)),
    ],
)
def test_strategies(named: list[str], ran: list[str]) -> None:
    """Strategies on the command line replace the scenario's own, each only once."""
    options = [option for name in named for option in ("--strategy", name)]

    assert ran == [one["strategy"] for one in results("ten-good", *options)]


def test_many_runs_are_summed_up(tmp_path: Path) -> None:
    """More than twenty runs are summarised in one row per strategy."""
    entry = '[[servers]]\nselect = {{ probability = 0.1 }}\nfault = {{ kind = "hung" }}\n'
    path = write(tmp_path, text=GOOD + entry)
    result = firstk("run", path, "--runs", "30", "--strategy", "wait-for-all")
    stalled = sum(
        one["outcome"] == "stalled" for one in results(path, "--runs", "30", "-s", "wait-for-all")
    )

    assert 0 < stalled < 30
    assert f"starts in {30 - stalled} of 30 runs" in result.stdout
    assert f"stalls forever in {stalled} of 30 runs" in result.stdout
    assert "7 to 36" in result.stdout


def test_trace(tmp_path: Path) -> None:
    """A trace has the first run of each strategy."""
    file = tmp_path / "trace.json"
    result = firstk("run", "ten-good", "--runs", "2", "--trace", file, "--format", "json")
    events = json.loads(file.read_text())["traceEvents"]

    assert result.exit_code == 0
    assert [f"ten-good, {strategy}, seed 0" for strategy in STRATEGIES] == [
        event["args"]["name"] for event in events if event["name"] == "process_name"
    ]
    assert 2 * len(STRATEGIES) == len(json.loads(result.stdout))


def test_trace_has_lines(tmp_path: Path) -> None:
    """Each request in a trace has the source line that sent it."""
    file = tmp_path / "trace.json"
    firstk("run", "one-hung", "--strategy", "first-k", "--trace", file)
    events = json.loads(file.read_text())["traceEvents"]
    requests = [event["args"] for event in events if "server" in event.get("args", {})]

    assert len(requests) == 21
    assert all("downloader/" in request["sent by"] for request in requests)


def test_real_shares(tmp_path: Path) -> None:
    """A scenario may use real shares: the content is compared with their file."""
    entry = next(f for f in json.loads((FOLDER / "manifest.json").read_text())["files"] if f["k"])
    shutil.copytree(FOLDER / entry["name"], tmp_path / "shares")
    (tmp_path / "shares" / "9").unlink()
    file = f'shares = "shares"\ncap = "{entry["uri"]}"\nsha256 = "{{sha256}}"\n'
    text = GOOD.replace("size = 1000\nk = 3\nn = 10\n", file)
    path = tmp_path / "t.toml"

    for sha256, right in ((entry["sha256"], True), ("0" * 64, False)):
        path.write_text(text.format(name="t", sha256=sha256))
        validated = firstk("validate", path)

        assert f"{path}: ok: 3-of-10, 10 servers\n" == validated.stdout
        assert f"{path}: note: the folder has only the shares 0, 1, 2" in validated.stderr
        assert [right] * 2 == [one["content_ok"] for one in results(path)]


def test_only_what_ran(tmp_path: Path) -> None:
    """Expectations of a strategy that was not run are ignored."""
    assert firstk("run", unmet(tmp_path), "--strategy", "wait-for-all").exit_code == 0


# Replays


def replayed(command: str, *options: str) -> dict[str, Any]:
    """Run a replay command, and return its first result."""
    name, *args = shlex.split(command)
    assert name == "firstk"
    result = firstk(*args, *options, "--format", "json")
    assert not result.stderr.startswith("Usage")
    first: dict[str, Any] = json.loads(result.stdout)[0]
    return first


def digest(path: str | Path, strategy: str, run: int = 0) -> str:
    """Return the digest of one run of a scenario."""
    return simulate(load_all([str(path)])[0], strategy, run).result.digest


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("folder", ["plain", "with space", "a[old]b", "it's", "a;b"])
def test_replay_row(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command in a row replays exactly the same run, wherever the file is."""
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir()
    write(Path(folder))
    path = f"{folder}/t.toml"
    commands = replays(firstk("compare", path, "--out", tmp_path).stdout)

    assert [digest(path, s) for s in ("wait-for-all", "first-k")] == [
        replayed(command)["digest"] for command in commands
    ]


@pytest.mark.usefixtures("no_pictures")
def test_replay_library(tmp_path: Path) -> None:
    """The command of a scenario of the library replays exactly the same run."""
    commands = replays(firstk("compare", "late-answer", "--out", tmp_path).stdout)

    assert [digest("late-answer", s) for s in STRATEGIES] == [
        replayed(command)["digest"] for command in commands
    ]


def test_replay_unmet(tmp_path: Path) -> None:
    """The command of an unmet expectation replays exactly that run."""
    path = unmet(tmp_path)
    commands = replays(firstk("run", path, "--runs", "4").stderr)

    assert [digest(path, "first-k", run) for run in range(4)] == [
        replayed(command)["digest"] for command in commands
    ]


def test_replay_stored(tmp_path: Path) -> None:
    """A stored row is replayed from the store alone, with the same result."""
    swept(experiment(tmp_path, runs=3), tmp_path / "s")
    (tmp_path / "e.toml").unlink()
    with Store(tmp_path / "s") as store:
        row = store.row(10)
    result = firstk("run", "--from", tmp_path / "s", "10", "--format", "json")
    (again,) = json.loads(result.stdout)

    assert result.exit_code == 0
    assert (row.digest, row.seed, row.strategy) == (
        again["digest"],
        again["seed"],
        again["strategy"],
    )


def test_replay_otherwise(tmp_path: Path) -> None:
    """If a replayed row differs from the stored one, that is reported, with exit status 1."""
    swept(experiment(tmp_path, runs=1), tmp_path / "s")
    with sqlite3.connect(tmp_path / "s") as db:
        db.execute("UPDATE runs SET digest = ?, version = '0.0.9' WHERE \"row\" = 1", ["ab" * 32])
    db.close()
    result = firstk("run", "--from", tmp_path / "s", "1")

    assert result.exit_code == 1
    assert result.stderr.startswith(f"row 1 had the digest {'ab' * 32} with firstk 0.0.9, and has ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["stored", "x"], "takes the number of a row, not 'x'"),
        (["stored", "77"], "there is no row 77; they are 1 to 6"),
        (["gone", "1"], "gone: there is no such file"),
        (["stored", "1", "--seed", "1"], "has its strategy and its seed"),
    ],
)
def test_no_such_row(
    args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing row, or a conflicting option, is refused with one line and exit status 2."""
    monkeypatch.chdir(tmp_path)
    swept(experiment(tmp_path, runs=1), tmp_path / "stored")
    result = firstk("run", "--from", *args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


# What is not checked


@pytest.mark.parametrize(
    ("command", "options"),
    [("run", ("-s", "first-k")), ("run", ("--format", "json")), ("compare", ("--out", "o"))],
)
def test_content_not_checked(
    command: str, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file's end is damaged in too many shares, a note says that its start is unchecked."""
    monkeypatch.chdir(tmp_path)
    damaged = next(file for file in CHK_FILES if file.name == "k3n10-131074-seg128k")
    shutil.copytree(FOLDER / damaged.name, tmp_path / "shares")
    for number in range(8):
        path = tmp_path / "shares" / str(number)
        data = bytearray(path.read_bytes())
        header = parse_header(damaged.shares[number][:HEADER_SIZE])
        data[12 + header.data + header.block_size] ^= 1  # the one byte of the last block
        path.write_bytes(data)
    file = f'[file]\nshares = "shares"\ncap = "{damaged.uri}"\n'
    text = GOOD.replace("[file]\nsize = 1000\nk = 3\nn = 10\n", file)
    path = write(tmp_path, text=text.replace("seed = 7", 'seed = 7\nstop = "first-block"'))
    result = firstk(command, path, *options)

    assert (result.exit_code, result.stderr.count("content not checked")) == (0, 1), result.stderr
    assert "t.toml: content not checked: the shares in shares cannot be decoded" in result.stderr
    if "json" in options:
        found = json.loads(result.stdout)
        assert [(one["outcome"], one["content_ok"]) for one in found] == [("ok", None)] * 2
        assert all(one["ttfb"] for one in found)


def test_content_checked(tmp_path: Path) -> None:
    """If the shares are good, there is no message, and the content is right."""
    file = f'[file]\nshares = "{FOLDER / CHK_FILES[0].name}"\ncap = "{CHK_FILES[0].uri}"\n'
    path = write(tmp_path, text=GOOD.replace("[file]\nsize = 1000\nk = 3\nn = 10\n", file))
    result = firstk("run", path, "--format", "json")

    assert (result.exit_code, result.stderr) == (0, "")
    assert [one["content_ok"] for one in json.loads(result.stdout)] == [True, True]
