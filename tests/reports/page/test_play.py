"""The play of a page: the data for JavaScript, and tables without it."""

from __future__ import annotations

import json
import re
import tomllib
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from firstk.harness.explain.alternatives import Gone, alternatives
from firstk.harness.run.simulate import simulate
from firstk.reports.model.cases import case_of
from firstk.reports.page import play as module
from firstk.reports.page.findings import headline
from firstk.reports.page.page import write
from firstk.reports.page.play import Play
from firstk.reports.page.report import Report
from firstk.scenarios.model import Scenario, Servers
from tests.reports.page.test_page import Parsed
from tests.reports.samples import HUNG, compared, scenario, write_empty_pictures

CORRUPT = {"select": "1", "fault": {"kind": "corrupt", "part": "block"}}


def troubled(**tables: Any) -> Scenario:
    """Return a scenario with a hung server and a corrupt one."""
    entries = [{"select": "9", **HUNG}, CORRUPT]
    return scenario(entries=entries, **({"strategies": ["first-k", "first-k-late"]} | tables))


def played(made: Scenario) -> Play:
    """Return the play of a scenario."""
    return Play(case_of(compared(made)), alternatives(made))


def page(folder: Path, made: Scenario) -> str:
    """Return the page of a scenario that can be played."""
    case = case_of(compared(made))
    report = Report("t", "", [case], "1.0", played={case.name: alternatives(made)})
    return write(report, folder)[0].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of a scenario that can be played."""
    with pytest.MonkeyPatch.context() as patch:
        write_empty_pictures(patch)
        return page(tmp_path_factory.mktemp("page"), troubled())


def test_data() -> None:
    """The data has the runs of each combination, by the removed faults."""
    data = played(troubled()).data
    runs = {
        gone: [data["runs"][place]["verdict"] for place in one["runs"]]
        for gone, one in data["combinations"].items()
    }
    fails = "fails after 0.25 s: have 2, need 3"

    assert [fault["words"] for fault in data["faults"]] == ["s1 corrupt (block)", "s9 hung"]
    assert runs == {
        "": [fails, "0.35 s"],
        "0": ["0.25 s", "0.25 s"],
        "1": [fails, "0.35 s"],
        "0,1": ["0.25 s", "0.25 s"],
    }
    assert data["needed"] == 3
    assert (data["asked"], data["segments"]) == (1000, 1)


def test_equal_runs() -> None:
    """Equal runs are in the data only once."""
    entries = [{"select": "8", "fault": {"kind": "hung", "start": 100.0}}]
    data = played(scenario(entries=entries, strategies=["first-k", "hedged"])).data

    assert len(data["runs"]) == 2
    assert [one["runs"] for one in data["combinations"].values()] == [[0, 1], [0, 1]]


def test_entries() -> None:
    """The entries of each combination are TOML that reproduces the shown run."""
    made = troubled()
    data = played(made).data
    for one in data["combinations"].values():
        tables = tomllib.loads(one["entries"]).get("servers", [])
        entries = [Servers.model_validate(table) for table in tables]
        changed = made.model_copy(update={"servers": [*made.servers, *entries]})
        again = [simulate(changed, name).result for name in made.strategies]

        assert [(r.outcome, r.ttfb) for r in again] == [
            (data["runs"][place]["outcome"], data["runs"][place]["ttfb"]) for place in one["runs"]
        ]


def test_headlines() -> None:
    """With all faults, the headline is that of the page; without some, it lists them."""
    made = played(troubled())

    assert made.headline(Gone()) == headline(made.case)
    assert made.headline(Gone([1])).startswith("Without the fault s9 hung, first-k ")
    assert made.headline(Gone([0, 1])).startswith("Without any fault, first-k and first-k-late ")


def test_headline_of_many() -> None:
    """Of many runs the first is played, and the headline says so."""
    made = played(troubled(runs=3))

    assert ", in the first run, first-k " in made.headline(Gone())


def test_note() -> None:
    """The page says which combinations were run."""
    hung = {"select": "3-9", **HUNG}
    some = played(scenario(entries=[hung], strategies=["first-k"]))

    assert played(troubled()).note == "Every combination of the faults was run."
    assert some.note == (
        "Of 128 combinations of the faults 9 were run: with all of them, without any, and without"
        " each fault alone."
    )


def test_too_many_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs beyond a number of requests have a result, but no course."""
    monkeypatch.setattr(module, "_MOST_REQUESTS", 60)
    runs = played(troubled()).data["runs"]

    assert runs[0]["requests"] is not None
    assert [run["verdict"] for run in runs if run["requests"] is None]


def test_without_javascript(text: str) -> None:
    """Tables have the result of each combination, and each request with its line of code."""
    parsed = Parsed(text)

    assert parsed.open == []
    assert '<td data-label="removed"><span>s1 corrupt (block)</span></td>' in text
    assert '<td data-label="removed"><span>all faults</span></td>' in text
    assert len(re.findall(r"locate.py:\d+ in ask_more <code>self._query\(", text)) == 20
    assert not list(parsed.of("button", "select"))


def test_policy(text: str) -> None:
    """The page's policy allows only its own scripts, by their hashes."""
    allowed = re.search(r"script-src([^\"]*)\"", text)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [b64encode(sha256(one.encode()).digest()).decode() for one in scripts]

    assert len(scripts) == 2
    assert allowed is not None
    assert allowed[1] == "".join(f" 'sha256-{one}'" for one in hashes)


def test_hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code and errors of a downloader cannot end the script element that contains them."""
    write_empty_pictures(monkeypatch)
    evil = "</script><script>alert(1)</script><!--"
    monkeypatch.setattr("linecache.getline", lambda *place: evil)
    text = page(tmp_path, troubled())
    data = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)

    assert evil not in text
    assert text.count("<script>") == 2
    assert any(evil in code for _, code in json.loads(data[0])["sources"])
