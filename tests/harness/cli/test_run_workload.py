"""`firstk run` of workloads: tables, JSON, CSV, expectations, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from firstk.harness.cli.main import main
from firstk.harness.grid.connection import Connection
from firstk.harness.sweep.store import Store

LOAD = """\
name = "load"
strategies = ["first-k", "hedged"]
seed = 7
[file]
size = 56
k = 3
n = 10
[grid]
servers = 10
rtt = { law = "exponential", mean = 0.5 }
service = { law = "constant", value = 0.01 }
concurrency = 1
[workload]
arrivals = { kind = "poisson", rate = 2.0 }
downloads = 40
"""

HUNG = '[[servers]]\nselect = "2-9"\nfault = { kind = "hung" }\n'


@pytest.fixture
def firstk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that writes load.toml with a text, and runs a command."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, *arguments: str) -> Result:
        (tmp_path / "load.toml").write_text(text)
        return CliRunner().invoke(main, arguments)

    return run


def test_table(firstk: Callable[..., Result]) -> None:
    """The table has a row per strategy, and no quantile that needs more downloads."""
    result = firstk(LOAD, "run", "load.toml")

    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines() if line[:5] in (" firs", " hedg")]
    assert [row[:3] for row in rows] == [["first-k", "40", "100%"], ["hedged", "40", "100%"]]
    assert all(row[-1].endswith("%") for row in rows)
    assert "p90" not in result.stdout.split("first-k")[0]  # nothing is shown of p90 of 40
    assert "of all downloads of all runs" in " ".join(result.stdout.split())
    assert result.stderr == ""


def test_several_runs(firstk: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """With enough runs, shares and quantiles have intervals; means never have one."""
    monkeypatch.setenv("COLUMNS", "250")
    text = LOAD.replace("downloads = 40", "downloads = 20")
    few = firstk(text, "run", "load.toml", "--runs", "3", "-s", "first-k").stdout
    more = firstk(text, "run", "load.toml", "--runs", "7", "-s", "first-k").stdout
    few_row, more_row = (
        next(line for line in table.splitlines() if line.startswith(" first-k"))
        for table in (few, more)
    )

    assert "100% (22.3% to 100%)" in few_row
    assert few_row.count("~ ") == 1  # p50; of p90 there are six beyond
    assert few_row.count(" to ") == 2  # ok and busy
    assert "~" in more_row  # p90 takes 44 runs
    assert more_row.count(" to ") == 3  # the median too
    assert "means; no interval for them is valid" in " ".join(more.split())


def test_json(firstk: Callable[..., Result]) -> None:
    """JSON has one object per run, with all numbers."""
    result = firstk(LOAD, "run", "load.toml", "--runs", "2", "--format", "json")
    rows = json.loads(result.stdout)

    assert [(row["strategy"], row["seed"]) for row in rows] == [
        ("first-k", 7),
        ("first-k", 8),
        ("hedged", 7),
        ("hedged", 8),
    ]
    one = rows[0]
    assert one["outcomes"] == {"ok": 40, "failed": 0, "stalled": 0, "deadline": 0}
    assert 0 < one["ttfb"]["p50"] < one["finished"]["mean"] + 5
    assert (one["ttfb"]["p99.9"], one["ttfb"]["never"]) == (None, 0)
    assert 0 < one["utilisation"] < 1
    assert one["content_ok"] is True
    assert len(one["digest"]) == 64
    again = json.loads(firstk(LOAD, "run", "load.toml", "--format", "json").stdout)
    assert again[0] == one


def test_csv(firstk: Callable[..., Result]) -> None:
    """CSV has the same numbers."""
    arguments = ("run", "load.toml", "-s", "hedged", "--format")
    (row,) = csv.DictReader(io.StringIO(firstk(LOAD, *arguments, "csv").stdout))
    (told,) = json.loads(firstk(LOAD, *arguments, "json").stdout)

    assert str(told["ttfb"]["p50"]) == row["ttfb_p50"]
    assert str(told["outcomes"]["ok"]) == row["outcomes_ok"]
    assert told["digest"] == row["digest"]


def test_trouble(firstk: Callable[..., Result]) -> None:
    """Stalls and failures are counted, with their errors; the median may be never."""
    stalled = firstk(LOAD + HUNG, "run", "load.toml", "-s", "first-k")
    failed = firstk(LOAD + HUNG.replace("hung", "broken"), "run", "load.toml", "-s", "first-k")

    assert 0 == stalled.exit_code == failed.exit_code  # nothing is expected of it
    assert "first-k: 40 downloads stalled forever" in stalled.stdout
    assert "never" in stalled.stdout
    assert "first-k: 40 downloads failed" in failed.stdout
    assert "first-k: NotEnoughSharesError 40 times" in failed.stdout
    assert "the first: not enough shares: have 2, need 3" in failed.stdout


def test_expectations(firstk: Callable[..., Result]) -> None:
    """Expectations apply to each download."""
    expected = '[expect.first-k]\noutcome = "ok"\n'
    good = firstk(LOAD + expected, "run", "load.toml", "-s", "first-k")
    bad = firstk(LOAD + HUNG + expected, "run", "load.toml", "-s", "first-k", "--runs", "2")

    assert (good.exit_code, good.stderr) == (0, "")
    assert bad.exit_code == 1
    assert [
        f"firstk run load.toml --strategy first-k --seed {seed} --runs 1: 40 of 40 downloads are"
        " not as expected; the first: expected outcome 'ok', got 'stalled'"
        for seed in (7, 8)
    ] == bad.stderr.splitlines()


def test_errors_in_callbacks(firstk: Callable[..., Result], tmp_path: Path) -> None:
    """An error that no download reports is an error of the run."""
    (tmp_path / "stray_mine.py").write_text(
        "from firstk.downloader import download\n"
        "def mine(reactor, *them):\n"
        "    reactor.callLater(0, lambda: 1 / 0)\n"
        "    return download(reactor, *them)\n"
    )
    result = firstk(LOAD, "run", "load.toml", "--downloader", "stray_mine:mine")

    assert result.exit_code == 1
    assert "errors came up in callbacks: division by zero" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "load.toml"], "`compare` looks at single downloads: `firstk run`"),
        (["diff", "load.toml", "--seed", "1", "--seed", "2"], "`diff` looks at single downloads"),
        (["run", "load.toml", "--trace", "x"], "it has no trace of one download"),
        (["run", "load.toml", "--events", "x", "-s", "hedged"], "it has no trace of one download"),
    ],
)
def test_refused(arguments: list[str], said: str, firstk: Callable[..., Result]) -> None:
    """Options for single downloads are refused."""
    result = firstk(LOAD, *arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("x").exists()


def test_interrupted(firstk: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C ends a run inside the current download, not after all of them."""
    original = Connection.get_buckets
    asked = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 55:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(Connection, "get_buckets", interrupted)
    result = firstk(LOAD.replace("= 40", "= 10_000_000\nwarmup = 0"), "run", "load.toml")

    assert (result.exit_code, result.stdout) == (130, "")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


#: Its servers hang for a while, and the load piles up.
HELD = (
    LOAD
    + "max_under_way = 50\n"
    + HUNG.replace("2-9", "all").replace('"hung"', '"hung", end = 99.0')
)


def test_overload(firstk: Callable[..., Result]) -> None:
    """A load that the grid cannot carry is a user's error, with advice."""
    result = firstk(HELD, "run", "load.toml", "-s", "first-k")

    assert (result.exit_code, result.stdout) == (2, "")
    (said,) = result.stderr.splitlines()
    assert "load, first-k, seed 7: the grid cannot carry this load (poisson arrivals, 2 a" in said
    assert "50 downloads are under way at" in said
    assert "0 of the 40 counted downloads have finished" in said


def test_overload_of_one_strategy(firstk: Callable[..., Result], tmp_path: Path) -> None:
    """The results of the other strategies are not lost."""
    (tmp_path / "waits_of_a_test.py").write_text(
        "from twisted.internet.defer import Deferred\n"
        "def mine(reactor, *them):\n"
        "    reactor.callLater(1000, len, 'x')\n"
        "    return Deferred()\n"
    )
    text = LOAD.replace("[file]", 'description = ""\n[file]') + "max_under_way = 50\n"
    result = firstk(
        text, "run", "load.toml", "-s", "first-k", "--downloader", "waits_of_a_test:mine"
    )

    assert result.exit_code == 2
    assert "first-k" in result.stdout
    assert "waits_of_a_test:mine, seed 7: the grid cannot carry this load" in result.stderr


SWEEP = """
name = "rates"
scenario = "load.toml"
strategies = ["first-k"]
runs = 2
[axes]
workload.arrivals.rate = [0.1, 2.0]
"""


@pytest.mark.slow
def test_overload_in_a_sweep(firstk: Callable[..., Result], tmp_path: Path) -> None:
    """A point that the grid cannot carry has a row that shows it; the others have their results."""
    (tmp_path / "rates.toml").write_text(SWEEP)
    sweep = ("sweep", "rates.toml", "--workers", "1", "--format")
    result = firstk(HELD, *sweep, "csv")
    good, bad = csv.DictReader(io.StringIO(result.stdout))

    assert result.exit_code == 1, result.stderr
    assert (good["ok"], good["overloaded"], good["runs"]) == ("1.0", "0", "2")
    assert (bad["ok"], bad["p50"], bad["overloaded"], bad["requests"]) == ("0.0", "inf", "2", "")
    assert [
        f"firstk run --from rates.sqlite {row}: first-k with seed {seed} had too many downloads"
        " under way: the grid cannot carry this load"
        for row, seed in ((2, 7), (4, 8))
    ] == result.stderr.splitlines()
    again = firstk(HELD, *sweep, "table")
    assert "overloaded" in again.stdout.splitlines()[1]
    replayed = firstk(HELD, "run", "--from", "rates.sqlite", "2")
    assert (replayed.exit_code, "cannot carry" in replayed.stderr) == (2, True)
    with Store(Path("rates.sqlite")) as store:
        row = store.row(2)
    assert (row.outcome, row.load) == ("overloaded", None)
    assert "50 downloads are under way" in json.loads(row.result)["message"]
    reported = firstk(HELD, "report", "rates.sqlite", "--out", "report")
    assert reported.exit_code == 0, reported.stderr
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "overloaded 2" in page
    assert "first-k with seed 7 had too many downloads under way" in page
