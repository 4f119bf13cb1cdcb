"""`firstk report` makes a page of scenarios or of a store, and reports what it lacks."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from firstk.harness.sweep.batch import crashed
from firstk.harness.sweep.rows import places
from firstk.harness.sweep.store import Store
from firstk.reports.tables.reproduce import as_json
from firstk.scenarios.hashing import scenario_hash
from tests.harness import plans
from tests.harness.command_line import GOOD, firstk, write
from tests.harness.experiments import experiment, swept
from tests.reports.model.test_cases import add
from tests.reports.samples import write_empty_pictures
from tests.reports.tables.test_reproduce import ALL
from tests.tahoe import CHK_FILES, FOLDER

LOAD = """\
name = "busy"
strategies = ["first-k"]
runs = 2
[file]
size = 100
k = 3
n = 10
[grid]
servers = 10
rtt = { law = "constant", value = 0.05 }
[workload]
arrivals = { kind = "poisson", rate = 5.0 }
downloads = 20
"""


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    write_empty_pictures(monkeypatch)


def page(folder: Path) -> str:
    """Return the text of the page."""
    return (folder / "report.html").read_text("utf-8")


def test_scenarios(tmp_path: Path) -> None:
    """Scenarios are run, and the page describes each result."""
    ran = firstk("report", "one-hung", "too-few-shares", "--out", str(tmp_path))

    assert ran.exit_code == 0, ran.stderr
    assert f"The page is {tmp_path / 'report.html'}" in ran.stdout
    assert "With 1 of 10 servers hung, wait-for-all never starts" in page(tmp_path)
    assert "every strategy fails after 0.05 s: have 2, need 3" in page(tmp_path)
    assert (tmp_path / "timeline-one-hung.svg").is_file()


def test_workload(tmp_path: Path) -> None:
    """A scenario with a workload has a report too."""
    file = tmp_path / "busy.toml"
    file.write_text(LOAD)
    ran = firstk("report", str(file), "--out", str(tmp_path))

    assert ran.exit_code == 0, ran.stderr
    assert "A run is many downloads" in page(tmp_path)
    assert "under way" in page(tmp_path)


def test_overload(tmp_path: Path) -> None:
    """A load that the grid cannot carry is reported."""
    file = tmp_path / "busy.toml"
    held = '[[servers]]\nselect = "all"\nfault = { kind = "hung", end = 99.0 }\n'
    file.write_text(LOAD + "max_under_way = 50\n" + held)
    ran = firstk("report", str(file), "--out", str(tmp_path))

    assert ran.exit_code == 2, ran.stderr
    assert "note: busy, first-k, seed 0: the grid cannot carry this load" in ran.stderr
    assert "the grid cannot carry this load" in page(tmp_path)


def test_store(tmp_path: Path) -> None:
    """The page of a store describes the effect of its axis, and shows one run in detail."""
    swept(experiment(tmp_path, runs=20), tmp_path / "e.sqlite")
    ran = firstk("report", str(tmp_path / "e.sqlite"), "--out", str(tmp_path))

    assert ran.exit_code == 0, ran.stderr
    assert ran.stderr == ""
    assert "As the number of hung servers goes from 0 to 7, the median of first-k" in page(tmp_path)
    assert "at 9 most downloads never start" in page(tmp_path)
    assert "firstk run --from e.sqlite 1<" in page(tmp_path)
    assert (tmp_path / "timeline.svg").is_file()


def test_half_finished(tmp_path: Path) -> None:
    """The page of an unfinished sweep says so."""
    wanted = experiment(tmp_path, runs=5)
    with Store(tmp_path / "e.sqlite", write=True) as store:
        store.begin(wanted)
        add(store, wanted, 0, 0, 2)
        add(store, wanted, 0, 1, 1)
        add(store, wanted, 1, 0, 2)
        add(store, wanted, 1, 1, 2)
    ran = firstk("report", str(tmp_path / "e.sqlite"), "--out", str(tmp_path))

    assert ran.exit_code == 0, ran.stderr
    for words in (
        "1 of 3 points have no runs",
        "Strategies and points have 1 to 2 runs each",
    ):
        assert words in page(tmp_path)
        assert words in ran.stderr


@pytest.mark.parametrize("begun", [False, True])
def test_empty(tmp_path: Path, begun: bool) -> None:
    """The page of a store without runs says so."""
    with Store(tmp_path / "e.sqlite", write=True) as store:
        if begun:
            store.begin(experiment(tmp_path))
    ran = firstk("report", str(tmp_path / "e.sqlite"), "--out", str(tmp_path))

    assert ran.exit_code == 0, ran.stderr
    assert "There are no results yet" in page(tmp_path)
    assert "e.sqlite has no runs yet" in ran.stderr


def test_crashed(tmp_path: Path) -> None:
    """The page lists the rows of crashed runs."""
    wanted = experiment(tmp_path, runs=1)
    hashes = [scenario_hash(point.scenario) for point in wanted.points]
    with Store(tmp_path / "e.sqlite", write=True) as store:
        store.begin(wanted)
        store.add(crashed(place, version("firstk")) for place in places(wanted, hashes, 0, 0))
    ran = firstk("report", str(tmp_path / "e.sqlite"), "--out", str(tmp_path))

    assert ran.exit_code == 0, ran.stderr
    assert "2 runs are not sound" in page(tmp_path)
    assert "crashed: it ended its process (row 1)" in page(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument"),
        (("nothing.sqlite",), "there is no such file"),
        (("other.sqlite",), "cannot be used as a store"),
        (("e.sqlite", "one-hung"), "is a store: a report of it is of nothing else"),
        (("e.sqlite", "--downloader", "tahoe"), "is a store"),
        (("one-hanged",), "did you mean"),
    ],
)
def test_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    """Arguments that cannot be reported are refused with a reason and exit status 2."""
    monkeypatch.chdir(tmp_path)
    Path("other.sqlite").write_text("no store")
    Store(tmp_path / "e.sqlite", write=True).close()
    ran = firstk("report", *arguments)

    assert ran.exit_code == 2
    assert message in ran.stderr


def test_unmet(tmp_path: Path) -> None:
    """The page shows that a scenario does not meet its expectations."""
    file = tmp_path / "busy.toml"
    scenario, _, _ = LOAD.partition("[workload]")
    file.write_text(scenario + '[expect.first-k]\noutcome = "failed"\n')
    ran = firstk("report", str(file), "--out", str(tmp_path))

    assert ran.exit_code == 0, ran.stderr
    assert "busy is not as expected, 2 times" in page(tmp_path)


def test_content_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page lists the strategies whose content was not checked."""
    monkeypatch.setattr("firstk.harness.grid.files.decode", lambda cap, shares: None)
    copytree(FOLDER / CHK_FILES[1].name, tmp_path / "shares")  # nobody has decoded these before
    file = f'[file]\nshares = "shares"\ncap = "{CHK_FILES[1].uri}"\n'
    path = write(tmp_path, text=GOOD.replace("[file]\nsize = 1000\nk = 3\nn = 10\n", file))
    page = tmp_path / "out" / "report.html"
    result = firstk("report", path, "--out", page.parent)

    assert result.exit_code == 0, result.output
    assert "content not checked: what wait-for-all wrote in t, and 1 more" in page.read_text()


def test_plan(tmp_path: Path) -> None:
    """The page of a plan shows its target, the candidates and the verdict."""
    file = plans.write(tmp_path)
    store = tmp_path / "p.sqlite"
    assert firstk("plan", str(file), "--store", str(store)).exit_code == 0
    assert firstk("report", str(store), "--out", str(tmp_path / "out")).exit_code == 0
    text = page(tmp_path / "out")

    assert "2-of-4 with hedged is the cheapest that meets p90 &lt; 0.5 s" in text
    assert "misses p90: never" in text
    assert (tmp_path / "out" / "plan.svg").exists()
    assert not list((tmp_path / "out").glob("map*"))


@pytest.mark.slow
def test_title(tmp_path: Path) -> None:
    """The title lists the given targets, or is the user's."""
    targets = ["one-hung", "tahoe-defects", "yes-then-hang"]
    assert firstk("report", *targets, "--out", str(tmp_path / "a")).exit_code == 0
    ran = firstk("report", "one-hung", "--title", "For the review", "--out", str(tmp_path / "b"))

    assert "<h1>one-hung, tahoe-defects, yes-then-hang: 8 scenarios</h1>" in page(tmp_path / "a")
    assert ran.exit_code == 0
    assert "<h1>For the review</h1>" in page(tmp_path / "b")


def test_published(tmp_path: Path) -> None:
    """Published numbers are shown; a wrong file is a usage error."""
    saved = tmp_path / "published.json"
    saved.write_text(as_json(ALL), encoding="utf-8")
    ran = firstk("report", "one-hung", "--published", saved, "--out", tmp_path)

    assert ran.exit_code == 0, ran.stderr
    assert "Of 5 published numbers from 3 sources, 2 agree" in page(tmp_path)

    saved.write_text("{}", encoding="utf-8")
    ran = firstk("report", "one-hung", "--published", saved, "--out", tmp_path)

    assert ran.exit_code == 2
    assert ran.stderr.startswith(f"{saved}: the file: Input should be a valid array")


FAULTY = GOOD.replace("seed = 7", 'strategies = ["first-k", "hedged"]')

FAULTS = [
    '[[servers]]\nselect = "0"\nfault = {{ kind = "hung", on = ["read"] }}\n',
    '[[servers]]\nselect = "1"\nfault = {{ kind = "slow", factor = 4.0 }}\n',
    '[[servers]]\nselect = "2"\nfault = {{ kind = "flaky", probability = 0.5 }}\n',
]


def play(text: str) -> dict[str, Any]:
    """Return the data of the first play of a page."""
    found = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_play_agrees_with_run(tmp_path: Path) -> None:
    """Each combination of faults on the page equals `firstk run` of a file without the others."""
    whole = write(tmp_path, "whole", FAULTY + "".join(FAULTS))
    assert firstk("report", whole, "--out", tmp_path / "out").exit_code == 0
    data = play(page(tmp_path / "out"))
    shown = {
        gone: [(data["runs"][run]["outcome"], data["runs"][run]["ttfb"]) for run in one["runs"]]
        for gone, one in data["combinations"].items()
    }
    expected = {}
    for size in range(4):
        for gone in combinations(range(3), size):
            left = "".join(fault for i, fault in enumerate(FAULTS) if i not in gone)
            ran = firstk("run", write(tmp_path, "whole", FAULTY + left), "--format", "json")
            rows = json.loads(ran.stdout)
            expected[",".join(map(str, gone))] = [(r["outcome"], r["ttfb"]) for r in rows]

    assert shown == expected
    assert len({str(results) for results in shown.values()}) > 4


def test_state_is_not_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A downloader that keeps state between runs is not played, and a message says why."""
    (tmp_path / "keeping.py").write_text(KEEPING)
    monkeypatch.syspath_prepend(tmp_path)
    target = write(tmp_path, "t", FAULTY)
    ran = firstk("report", target, "--downloader", "keeping:download", "--out", tmp_path / "out")

    assert ran.exit_code == 0, ran.stderr
    assert "t cannot be played: repeated, its runs were not the same" in ran.stderr
    assert 'class="play"' not in page(tmp_path / "out")


KEEPING = """\
from firstk import download as real

runs = []


def download(reactor, servers, cap, consumer):
    runs.append(1)
    if len(runs) % 2:
        servers = servers[1:]
    return real(reactor, servers, cap, consumer)
"""
