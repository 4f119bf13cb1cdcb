"""`firstk tune`: the table, replayable JSON, the picture, and what cannot be tuned."""

from __future__ import annotations

import csv
import json
import shlex
from math import ceil
from pathlib import Path
from statistics import fmean

import pytest

from firstk.harness.sweep import tuning
from tests.harness.command_line import firstk, words, write
from tests.harness.experiments import Here

#: A small file on a grid with a heavy tail; `write` inserts its name.
TAIL = """\
name = "{name}"
description = "a heavy tail"
seed = 3
stop = "first-block"

[file]
size = 400
k = 1
n = 4

[grid]
servers = 4
rtt = {{ law = "lognormal", median = 0.05, sigma = 1.0 }}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder and in this process, with few settings."""
    few = {"spares": (0, 1), "quantile": (0.8,), "lateness": (1.25,), "give_up": (60.0,)}
    monkeypatch.setattr(tuning, "SETTINGS", few)
    monkeypatch.setattr("firstk.harness.cli.tune.processes", lambda count: Here)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_table(folder: Path) -> None:
    """The table has the front, the references, and replay commands; `--out` adds a picture."""
    write(folder, text=TAIL)
    ran = firstk("tune", "t.toml", "--runs", "10", "--out", "pictures")

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert " of 2 settings of hedged are on the Pareto front of p99 and bytes\n" in ran.stdout
    assert "2 with 8 runs, seeds 3 to 10; all figures are from other runs, seeds 11 to 20" in (
        words(ran.stdout)
    )
    assert "firstk run t.toml --strategy windowed --seed 11 --runs 10 --format csv" in ran.stdout
    assert "have their first byte" in words(ran.stdout)
    assert sorted(p.name for p in (folder / "pictures").iterdir()) == ["tune-t.png", "tune-t.svg"]
    again = firstk("tune", "t.toml", "--runs", "10", "--format", "markdown")
    assert again.stdout.startswith("| strategy | runs | ok | p50 | p90 | p99 | requests | bytes |")


def test_replay(folder: Path) -> None:
    """Each replay command in the JSON reproduces the figures next to it."""
    write(folder, text=TAIL)
    told = json.loads(firstk("tune", "t.toml", "--runs", "10", "--format", "json").stdout)

    assert (told["time"], told["seed"], told["runs"]) == ("ttfb", 11, 10)
    assert {"first-k", "windowed", "hedged"} <= {one["strategy"] for one in told["strategies"]}
    for one in told["strategies"]:
        ran = firstk(*shlex.split(one["replay"])[1:])
        rows = list(csv.DictReader(ran.stdout.splitlines()))
        times = sorted(float(row["ttfb"]) for row in rows)
        assert len(rows) == 10
        assert one["p99"] == pytest.approx(times[ceil(0.99 * 10) - 1], rel=1e-8)
        assert one["bytes"] == pytest.approx(fmean(int(row["bytes_received"]) for row in rows))
        assert (one["give_up"] is None) == (one["strategy"] in ("first-k", "windowed"))


def test_impossible(folder: Path) -> None:
    """If the downloads fail with all settings, that is reported, with exit status 1."""
    write(folder, text=TAIL + '[[servers]]\nselect = "all"\nfault = {{ kind = "empty" }}\n')
    ran = firstk("tune", "t.toml", "--runs", "1", "--out", "pictures")

    assert ran.exit_code == 1
    assert "none of 2 settings has a p99: more than 1 % of the downloads fail" in words(ran.stdout)
    assert (folder / "pictures" / "tune-t.png").exists()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (TAIL.replace("first-block", "located"), [], 't.toml has stop = "located"'),
        (
            TAIL.replace('stop = "first-block"', "") + "[[reads]]\nlength = 1\n",
            [],
            "t.toml has [[reads]], and `tune` looks at",
        ),
        (
            TAIL.replace('stop = "first-block"\n', "")
            + '[workload]\ndownloads = 3\narrivals = {{ kind = "poisson", rate = 1.0 }}\n',
            [],
            "t.toml has a [workload], and `tune` looks at single downloads",
        ),
        (TAIL, ["--seed", str(2**63 - 2)], "the largest is 9223372036854775807"),
        (TAIL.replace("k = 1", "k = 9"), [], "t.toml:8: file.k"),
    ],
)
def test_refused(folder: Path, text: str, options: list[str], message: str) -> None:
    """What cannot be tuned is refused before anything runs."""
    write(folder, text=text)
    ran = firstk("tune", "t.toml", *options)

    assert ran.exit_code == 2
    assert message in words(ran.stderr)
    assert not list(folder.glob("*.sqlite"))


def test_other_store(folder: Path) -> None:
    """The store of another experiment is refused."""
    write(folder, text=TAIL)
    firstk("tune", "t.toml", "--runs", "1")
    ran = firstk("tune", "t.toml", "--runs", "1", "--seed", "9")

    assert ran.exit_code == 2
    assert "t.sqlite: holds another experiment: its seed is 3, and not 9" in ran.stderr
