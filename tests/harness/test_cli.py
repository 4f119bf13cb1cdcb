"""The command line does what it promises, and says so by its exit status."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from downloader.strategy import STRATEGIES
from harness.bound import bound
from harness.cli import main
from harness.server import Connection
from harness.simulate import Run, simulate
from scenarios.experiment import load_experiment
from scenarios.library import experiments, load_all, sets
from tests.tahoe import FOLDER

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

BAD = GOOD.replace("k = 3", "k = 11").replace("seed = 7", "sed = 7")

#: What a program of its own runs as `firstk`.
FIRSTK = [sys.executable, "-c", "from harness.cli import main; main()"]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing in the environment make a terminal of what is none."""
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: the test is about something else."""
    monkeypatch.setattr("reports.latency.draw", lambda compared, path, version: [path])
    monkeypatch.setattr("reports.timeline.draw", lambda one, path, version: [path])


def firstk(*args: str | Path) -> Result:
    """Return what the command line comes to."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


def process(*args: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Return what it comes to in a process of its own."""
    command = [*FIRSTK, *map(str, args)]
    return subprocess.run(command, text=True, check=False, **options)  # noqa: S603 - our own


def write(folder: Path, name: str = "t", text: str = GOOD) -> Path:
    """Write a scenario file."""
    path = folder / f"{name}.toml"
    path.write_text(text.format(name=name))
    return path


def results(*args: str | Path) -> list[dict[str, Any]]:
    """Return the results that `firstk run` prints as JSON."""
    found: list[dict[str, Any]] = json.loads(firstk("run", *args, "--format", "json").stdout)
    return found


def replays(text: str) -> list[str]:
    """Return the commands in a text that run something again."""
    return re.findall(r"firstk run .*? --seed \d+", text)


# compare


def test_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments the default set is compared: a table, and all its pictures."""
    monkeypatch.chdir(tmp_path)
    result = firstk("compare")
    scenarios = load_all(["ticket-928"])
    names = ["latency", *(f"timeline-{scenario.name}" for scenario in scenarios)]
    files = sorted((tmp_path / "firstk-report").iterdir())

    assert (0, "") == (result.exit_code, result.stderr)
    assert sorted(f"{name}.{kind}" for name in names for kind in ("png", "svg")) == [
        file.name for file in files
    ]
    assert all(file.stat().st_size > 10_000 for file in files)
    assert all(scenario.name in result.stdout for scenario in scenarios)
    assert [
        f"firstk run {scenario.name} --strategy {strategy} --seed 0"
        for scenario in scenarios
        for strategy in scenario.strategies
    ] == replays(result.stdout)
    assert "The picture is firstk-report/latency.png; 27 more files" in result.stdout


def test_compare_out(tmp_path: Path) -> None:
    """Pictures go where they are told to; the folders are made."""
    out = tmp_path / "a" / "b"
    result = firstk("compare", "one-hung", "--out", out)

    assert 0 == result.exit_code
    assert ["latency.png", "latency.svg", "timeline-one-hung.png", "timeline-one-hung.svg"] == (
        sorted(file.name for file in out.iterdir())
    )
    assert "∞" in result.stdout
    assert "stalls for ever" in result.stdout
    assert "over bound: time to first block over the earliest" in result.stdout
    assert re.search(r"first-k +0\.25 s +∞ +2\.5 × +3\.5 × +1\.02 × +0 +firstk", result.stdout)


@pytest.mark.usefixtures("no_pictures")
def test_compare_targets(tmp_path: Path) -> None:
    """Files, folders and names are compared in the order in which they are named."""
    folder = tmp_path / "some"
    folder.mkdir()
    write(folder, "second")
    write(folder, "first")
    file = write(tmp_path, "third")
    result = firstk("compare", folder, "one-slow", file, "--out", tmp_path)

    assert 0 == result.exit_code
    assert [
        str(folder / "first.toml"),
        str(folder / "second.toml"),
        "one-slow",
        str(file),
    ] == list(dict.fromkeys(shlex.split(r)[2] for r in replays(result.stdout)))


@pytest.mark.usefixtures("no_pictures")
def test_equal_names(tmp_path: Path) -> None:
    """Two scenarios of one name would overwrite each other's pictures."""
    one = write(tmp_path)
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other")
    result = firstk("compare", one, other, "--out", tmp_path)

    assert (2, "") == (result.exit_code, result.stdout)
    assert f"{one} and {other} are both called 't'" in result.stderr


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("width", [80, 100, 120, 160, 170, 200])
def test_compare_on_a_terminal(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a terminal's width, every row tells its time, and some row how to replay it."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    result = firstk("compare", "hung-server", "--out", tmp_path)
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    table = text.partition("To replay")[0]
    rows = re.findall(rf"^ .*?(?:{'|'.join(STRATEGIES)}) .*$", table, re.MULTILINE)

    assert 0 == result.exit_code
    told = r"(wait-for-all|first-k\S*|windowed|hedged) +(\d+|stalls|fails)"
    assert 9 * len(STRATEGIES) == len(rows)
    assert all(re.search(told, row) for row in rows)
    assert all(re.search(r"(×|∞|-) *(\d+ |$)", row) for row in rows)
    assert replays(text)
    assert "…" not in text


# run


def test_run_table() -> None:
    """A table has a row a run, and under it what went wrong with which server."""
    result = firstk("run", "only-share-0")
    rows = [line.split() for line in result.stdout.splitlines()]

    assert (0, "") == (result.exit_code, result.stderr)
    assert ["first-k", "0", "0", "failed", "never", "never", "never", "0.05", "10", "0"] in rows
    assert "NotEnoughSharesError: not enough shares: have 1, need 3" in result.stdout
    assert "  s9: " in result.stdout


def test_run_json(tmp_path: Path) -> None:
    """JSON is all that is printed, and the same as the simulation says."""
    path = write(tmp_path)
    result = firstk("run", path, "--format", "json")
    parsed = json.loads(result.stdout)
    runs = [simulate(load_all([str(path)])[0], s).result for s in ("wait-for-all", "first-k")]

    assert (0, "") == (result.exit_code, result.stderr)
    assert [run.digest for run in runs] == [one["digest"] for one in parsed]
    assert [7, 7] == [one["seed"] for one in parsed]
    assert all(one["content_ok"] for one in parsed)


def test_run_bound(tmp_path: Path) -> None:
    """Each result has the bound of its run, which is that of no other run."""
    path = write(tmp_path)
    scenario = load_all([str(path)])[0]
    bounds = [bound(scenario, number) for number in range(3)]

    assert 3 == len({one.ttfb for one in bounds})
    assert [(one.ttfb, one.requests, one.bytes) for one in bounds] * 2 == [
        (one["bound"], one["minimum_requests"], one["minimum_bytes"])
        for one in results(path, "--runs", "3")
    ]


def test_run_csv(tmp_path: Path) -> None:
    """CSV has the rows that JSON has objects."""
    path = write(tmp_path)
    result = firstk("run", path, "--format", "csv", "--runs", "3")
    rows = list(csv.DictReader(io.StringIO(result.stdout, newline="")))

    assert (0, "") == (result.exit_code, result.stderr)
    assert [one["digest"] for one in results(path, "--runs", "3")] == [r["digest"] for r in rows]


def test_seed_and_runs(tmp_path: Path) -> None:
    """Runs have seed after seed, whatever the scenario says; each alone gives the same."""
    path = write(tmp_path)
    many = results(path, "--seed", "20", "--runs", "3", "--strategy", "first-k")
    alone = [results(path, "--seed", str(seed), "-s", "first-k")[0] for seed in (20, 21, 22)]

    assert [(0, 20), (1, 21), (2, 22)] == [(one["run"], one["seed"]) for one in many]
    assert [one["digest"] for one in alone] == [one["digest"] for one in many]
    assert 3 == len({one["digest"] for one in many})


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
    """Strategies that are named take the place of the scenario's own, once each."""
    options = [option for name in named for option in ("--strategy", name)]

    assert ran == [one["strategy"] for one in results("ten-good", *options)]


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
    """What makes no sense is told on standard error, and nothing else is done."""
    result = firstk(*args)

    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_usage_helps() -> None:
    """What would have been right is told."""
    assert "there are wait-for-all, first-k" in firstk("run", "ten-good", "-s", "x").stderr
    assert "13 scenarios; `run` runs one" in firstk("run", "ticket-928").stderr
    assert "Its sets are hung-server, laws, robustness, ticket-928" in firstk("run", "nope").stderr


def test_many_runs_are_summed_up(tmp_path: Path) -> None:
    """More than twenty runs are told in a row a strategy, with how many came to what."""
    entry = '[[servers]]\nselect = {{ probability = 0.1 }}\nfault = {{ kind = "hung" }}\n'
    path = write(tmp_path, text=GOOD + entry)
    result = firstk("run", path, "--runs", "30", "--strategy", "wait-for-all")
    stalled = sum(
        one["outcome"] == "stalled" for one in results(path, "--runs", "30", "-s", "wait-for-all")
    )

    assert 0 < stalled < 30
    assert f"but only in {30 - stalled} of 30 runs" in result.stdout
    assert f"stalls for ever in {stalled} of 30 runs" in result.stdout
    assert "7 to 36" in result.stdout


def test_trace(tmp_path: Path) -> None:
    """A trace has the first run of each strategy."""
    file = tmp_path / "trace.json"
    result = firstk("run", "ten-good", "--runs", "2", "--trace", file, "--format", "json")
    events = json.loads(file.read_text())["traceEvents"]

    assert 0 == result.exit_code
    assert [f"ten-good, {strategy}, seed 0" for strategy in STRATEGIES] == [
        event["args"]["name"] for event in events if event["name"] == "process_name"
    ]
    assert 2 * len(STRATEGIES) == len(json.loads(result.stdout))


def test_real_shares(tmp_path: Path) -> None:
    """A scenario may be about real shares: what comes out is compared with their file."""
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
        assert f"{path}: note: only the shares 0, 1, 2" in validated.stderr
        assert [right] * 2 == [one["content_ok"] for one in results(path)]


# Expectations


def unmet(folder: Path) -> Path:
    """Write a scenario that expects what does not come true."""
    text = GOOD + '[expect.first-k]\noutcome = "stalled"\n[expect.wait-for-all]\nttfb_max = 9\n'
    return write(folder, text=text)


@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.usefixtures("no_pictures")
def test_unmet(command: str, tmp_path: Path) -> None:
    """An expectation that is not met is told, with how to see it again; the status is 1."""
    path = unmet(tmp_path)
    options = ["--out", str(tmp_path)] if command == "compare" else []
    result = firstk(command, path, *options)

    assert 1 == result.exit_code
    assert (
        f"not as expected: firstk run {path} --strategy first-k --seed 7:"
        " expected outcome 'stalled', got 'ok'\n"
    ) == result.stderr
    assert "first-k" in result.stdout


def test_unmet_json(tmp_path: Path) -> None:
    """The results are printed all the same, and nothing but them."""
    result = firstk("run", unmet(tmp_path), "--format", "json")

    assert 1 == result.exit_code
    assert 2 == len(json.loads(result.stdout))


def test_many_unmet(tmp_path: Path) -> None:
    """Of very many the first are told, and how many more there are."""
    result = firstk("run", unmet(tmp_path), "--runs", "50")

    assert 1 == result.exit_code
    assert 20 == result.stderr.count("not as expected: firstk run")
    assert "and 30 more are not as expected" in result.stderr


def test_only_what_ran(tmp_path: Path) -> None:
    """Nothing is expected of a strategy that was not run."""
    assert 0 == firstk("run", unmet(tmp_path), "--strategy", "wait-for-all").exit_code


# Replays


def replayed(command: str, *options: str) -> dict[str, Any]:
    """Return the first result of a command that runs something again."""
    name, *args = shlex.split(command)
    assert "firstk" == name
    result = firstk(*args, *options, "--format", "json")
    assert not result.stderr.startswith("Usage")
    first: dict[str, Any] = json.loads(result.stdout)[0]
    return first


def digest(path: str | Path, strategy: str, run: int = 0) -> str:
    """Return the digest of a run of a scenario."""
    return simulate(load_all([str(path)])[0], strategy, run).result.digest


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("folder", ["plain", "with space", "a[old]b", "it's", "a;b"])
def test_replay_row(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command in a row runs the very same again, wherever the file lies."""
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
    """So it is with the scenarios of the library."""
    commands = replays(firstk("compare", "late-answer", "--out", tmp_path).stdout)

    assert [digest("late-answer", s) for s in STRATEGIES] == [
        replayed(command)["digest"] for command in commands
    ]


def test_replay_unmet(tmp_path: Path) -> None:
    """The command beside an expectation that was not met runs that very run again."""
    path = unmet(tmp_path)
    commands = replays(firstk("run", path, "--runs", "4").stderr)

    assert [digest(path, "first-k", run) for run in range(4)] == [
        replayed(command)["digest"] for command in commands
    ]


# validate, list, schema


def test_validate(tmp_path: Path) -> None:
    """Each good file is told to be good, by the name it was given."""
    path = write(tmp_path)
    result = firstk("validate", path, "one-hung")

    assert (0, "") == (result.exit_code, result.stderr)
    assert [f"{path}: ok: 3-of-10, 10 servers", "one-hung: ok: 3-of-10, 10 servers"] == (
        result.stdout.splitlines()
    )


@pytest.mark.parametrize("command", ["validate", "run", "compare"])
def test_bad_file(command: str, tmp_path: Path) -> None:
    """All that is wrong with a file goes to standard error, each with its line."""
    path = write(tmp_path, text=BAD)
    result = firstk(command, path)
    lines = result.stderr.splitlines()

    assert (2, "") == (result.exit_code, result.stdout)
    assert 2 == len(lines)
    assert lines[0].startswith(f"{path}:3: sed: unknown key; did you mean 'seed'?")
    assert f"{path}:7: file.k: should be 10 (n) or less, not 11" == lines[1]


def test_validate_several(tmp_path: Path) -> None:
    """What is wrong with several files is told at once."""
    bad, worse = write(tmp_path, "bad", BAD), write(tmp_path, "worse", "x")
    result = firstk("validate", bad, "one-hung", worse, "nope")

    assert (2, "one-hung: ok: 3-of-10, 10 servers\n") == (result.exit_code, result.stdout)
    assert [str(bad), str(bad), str(worse), "nope"] == [
        line.split(":")[0] for line in result.stderr.splitlines()
    ]


def test_list() -> None:
    """All scenarios and experiments are shown, under their sets, with what they show."""
    result = firstk("list")
    lines = result.stdout.splitlines()

    assert (0, "") == (result.exit_code, result.stderr)
    own = [(name, load_experiment(file).description) for name, file in experiments().items()]

    assert [*sets(), "experiments"] == [line for line in lines if not line.startswith(" ")]
    shown = [(one.name, one.description) for one in load_all(sets())]
    assert [*shown, *own] == [
        tuple(line.split(maxsplit=1)) for line in lines if line.startswith(" ")
    ]


def test_schema() -> None:
    """The schema is JSON, and says which schema it is."""
    result = firstk("schema")
    schema = json.loads(result.stdout)

    assert (0, "") == (result.exit_code, result.stderr)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"name", "file", "grid", "servers", "expect"} <= set(schema["properties"])


def test_version_and_help() -> None:
    """They are printed, and all is well; each command has its help."""
    assert re.fullmatch(r"\S+ \d+\.\d+\S*\n", firstk("--version").stdout)
    for command in (
        [],
        ["compare"],
        ["run"],
        ["list"],
        ["validate"],
        ["schema"],
        ["diff"],
        ["doctor"],
    ):
        result = firstk(*command, "-h")

        assert (0, "") == (result.exit_code, result.stderr)
        assert "Usage: " in result.stdout


# What goes wrong


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_unwritable_out(below: str, tmp_path: Path) -> None:
    """A folder that cannot be written is found out before the work is done."""
    (tmp_path / "file").write_text("in the way")
    result = firstk("compare", "one-hung", "--out", f"{tmp_path}/file{below}")

    assert (2, "") == (result.exit_code, result.stdout)
    assert f"{tmp_path}/file" in result.stderr
    assert "Traceback" not in result.stderr


def test_unwritable_trace(tmp_path: Path) -> None:
    """So it is with a trace, and before any work is done."""
    (tmp_path / "file").write_text("in the way")
    result = firstk("run", "one-hung", "--trace", tmp_path / "file" / "t", "--format", "json")

    assert (2, "") == (result.exit_code, result.stdout)
    assert f"cannot write {tmp_path}/file/t: Not a directory" in result.stderr


def raising(error: BaseException) -> Any:
    """Return a function that raises."""

    def function(*args: object) -> Run:
        raise error

    return function


def test_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in firstk is told to be one, with its traceback."""
    monkeypatch.setattr("harness.simulate.simulate", raising(ZeroDivisionError("oops")))
    result = firstk("run", "one-hung")

    assert (3, "") == (result.exit_code, result.stdout)
    assert "ZeroDivisionError: oops" in result.stderr
    assert "firstk: internal error: this is a defect in firstk" in result.stderr


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C between two runs ends the program, and is told."""
    monkeypatch.setattr("harness.simulate.simulate", raising(KeyboardInterrupt()))
    result = firstk("run", "one-hung")

    assert (130, "") == (result.exit_code, result.stdout)
    assert "firstk: interrupted" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("method", ["get_buckets", "read"])
def test_interrupted_in_a_download(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C ends it as well where a Deferred would catch it: it fails no server."""
    original = getattr(Connection, method)

    def interrupted(*args: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return original(*args)

    monkeypatch.setattr(Connection, method, interrupted)
    result = firstk("run", "one-hung", "--strategy", "first-k")

    assert (130, "") == (result.exit_code, result.stdout)


# In a process of its own


def test_process(tmp_path: Path) -> None:
    """What a shell sees is what is promised: output, errors and status."""
    good = process("run", unmet(tmp_path), "--format", "json", capture_output=True)
    bad = process("validate", write(tmp_path, "bad", BAD), capture_output=True)

    assert (1, 2) == (good.returncode, len(json.loads(good.stdout)))
    assert good.stderr.startswith("not as expected: firstk run ")
    assert (2, "", 2) == (bad.returncode, bad.stdout, len(bad.stderr.splitlines()))


@pytest.mark.parametrize(
    "args",
    [["list"], ["run", "one-hung", "--format", "csv"], ["run", "one-hung"], ["--help"]],
    ids=" ".join,
)
def test_nobody_reads(args: Sequence[str]) -> None:
    """That a reader has seen enough, as `head` has, is no expectation unmet."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = process(*args, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("args", "unwanted"),
    [
        (["--help"], ["twisted", "simpy", "matplotlib", "pydantic", "zfec", "rich"]),
        (["list"], ["twisted", "simpy", "matplotlib", "pydantic", "zfec"]),
        (["run", "one-hung"], ["matplotlib", "numpy", "twisted.internet.reactor"]),
    ],
)
def test_imports(args: list[str], unwanted: list[str]) -> None:
    """A command imports what it needs, and never the real reactor."""
    program = (
        "import sys\nfrom harness.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as e:\n    assert not e.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(  # noqa: S603 - the program is above
        [sys.executable, "-c", program, *args], capture_output=True, text=True, check=True
    )

    assert not set(unwanted) & set(done.stderr.split())


def test_idle_expectations(tmp_path: Path) -> None:
    """An expectation that nothing is held to is told, unless strategies are named."""
    file = write(tmp_path, text=GOOD + '[expect.hedged]\noutcome = "failed"\n')
    note = f"{file}: note: [expect.hedged] is not looked at: `strategies` does not have hedged\n"

    assert (0, note) == told(firstk("validate", file))
    assert (0, note) == told(firstk("run", file))
    assert (0, "") == told(firstk("run", file, "--strategy", "first-k"))
    assert 1 == firstk("run", file, "--strategy", "hedged").exit_code


def told(result: Result) -> tuple[int, str]:
    """Return the exit status, and what was said on standard error."""
    return result.exit_code, result.stderr
