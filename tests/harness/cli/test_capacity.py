"""`firstk capacity`: targets, output, exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firstk.harness.capacity import runs
from firstk.harness.cli.sweep import _print_capacities
from firstk.harness.sweep.store import Store
from firstk.scenarios.experiment import load_experiment
from firstk.scenarios.load import ScenarioError
from tests.harness.capacity.queues import queue
from tests.harness.capacity.test_capacity import grid
from tests.harness.command_line import firstk
from tests.reports.samples import write_empty_pictures


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a scenario, whose grid is replaced by a queue."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "make_here", queue(1, 0.01))
    grid(tmp_path)
    return tmp_path


def test_sentence_and_table() -> None:
    """The output is a sentence, a table with every rate, and the basis of the answer."""
    ran = firstk("capacity", "queue.toml", "--workers", "1", "--format", "markdown")
    lines = ran.stdout.splitlines()

    assert ran.exit_code == 0
    assert lines[0].startswith("first-k is 9")
    assert ", and saturates between " in lines[0]
    assert lines[1].startswith("| strategy | capacity | rate | busy | piled up |")
    assert len(lines) > 8


def test_json_and_picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has the answer, each rate and the target; `--out` writes the picture."""
    write_empty_pictures(monkeypatch)
    target = ("--target", "p90 <= 50 ms", "--target", "busy <= 80%")
    options = ("--workers", "1", "--format", "json", "--out", "out")
    ran = firstk("capacity", "queue.toml", *target, *options)
    told = json.loads(ran.stdout)
    (answer,) = told["answers"]

    assert ran.exit_code == 0
    assert told["target"] == ["p90 < 0.05 s", "busy < 80 %"]
    assert answer["low"] < 54 < answer["high"]
    assert {one["met"] for one in answer["rates"]} >= {True, False}
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "capacity.png",
        "capacity.svg",
    ]


def test_never_met() -> None:
    """If no rate meets the target, a sentence says so, with exit status 1."""
    ran = firstk("capacity", "queue.toml", "--workers", "1", "--target", "p90 <= 1 ms")

    assert ran.exit_code == 1
    assert "first-k misses p90 < 0.001 s even at " in ran.stdout


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("p99", 'should be like "p99 <= 2 s"'),
        ("p99 >= 2 s", "p99 should be followed by <=, not >="),
        ("p99 <= 90%", "should be limited by a time over 0"),
        ("busy <= 2 s", "busy should be limited by a percentage"),
        ("success <= 90%", "success should be followed by >=, not <="),
    ],
)
def test_wrong_target(target: str, message: str) -> None:
    """A malformed target is refused, with a hint."""
    ran = firstk("capacity", "queue.toml", "--target", target)

    assert ran.exit_code == 2
    assert message in ran.stderr


def test_limited_twice() -> None:
    """Limiting one quantity twice is refused."""
    twice = ("--target", "busy <= 90%", "--target", "busy <= 80%")

    assert "limits busy twice" in firstk("capacity", "queue.toml", *twice).stderr


def test_closed_clients(folder: Path) -> None:
    """A scenario whose arrivals have no rate is refused; the error names its file."""
    grid(folder, arrivals='kind = "closed", clients = 3')
    ran = firstk("capacity", "queue.toml", "--workers", "1")

    assert ran.exit_code == 2
    assert ran.stderr.startswith("queue.toml: workload.arrivals are 3 closed clients")


#: An experiment that asks for the capacity of its grid.
EXPERIMENT = """\
name = "e"
scenario = "queue.toml"
runs = 2
capacity = true
"""


def test_after_a_sweep(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep with `capacity = true` prints the answer for each strategy."""
    (folder / "e.toml").write_text(EXPERIMENT, encoding="utf-8")
    with Store(folder / "e.sqlite", write=True) as store:
        _print_capacities(load_experiment(folder / "e.toml"), store, workers=1)
    printed = capsys.readouterr().out

    assert ", and saturates between " in printed.splitlines()[0]
    assert "Basis: " in printed


#: An experiment that varies the rate of arrivals.
RATES = """\
name = "rates"
scenario = "queue.toml"
runs = 3

[axes]
"workload.arrivals.rate" = [10.0, 400.0]
"""


def test_rates(folder: Path) -> None:
    """A sweep over rates reports the two rates between which the grid saturates."""
    text = (folder / "queue.toml").read_text(encoding="utf-8")
    (folder / "queue.toml").write_text(text.replace("downloads = 10", "downloads = 60"))
    (folder / "rates.toml").write_text(RATES, encoding="utf-8")
    printed = firstk("sweep", "rates.toml", "--workers", "1").stdout

    assert "busy at 10 downloads/s, and saturates between 10 and 400 downloads/s." in printed
    assert "6 runs at 2 rates, of 60 downloads each. A rate is carried" in printed


def test_no_workload(folder: Path) -> None:
    """`capacity` without a workload is refused; the error names its line."""
    text = (folder / "queue.toml").read_text(encoding="utf-8").partition("[workload]")[0]
    (folder / "queue.toml").write_text(text, encoding="utf-8")
    (folder / "e.toml").write_text(EXPERIMENT, encoding="utf-8")

    with pytest.raises(ScenarioError, match=r"e\.toml:4: capacity: needs a \[workload\]"):
        load_experiment(folder / "e.toml")
