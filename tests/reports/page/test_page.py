"""The page has everything in one file: findings, their intervals, and replay commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from firstk.reports.model.cases import Case, case_of
from firstk.reports.page.page import write
from firstk.reports.page.report import Report, headlines
from tests.reports.cases import case, results, spread
from tests.reports.samples import HUNG, compared, scenario, write_empty_pictures
from tests.reports.worlds import in_worlds

SOME = {"wait-for-all": results(*[None] * 30), "first-k": spread(0.2, 30)}


class Parsed(HTMLParser):
    """Parses the tags of a page, and checks that they close in order."""

    VOID = frozenset({"meta", "link", "img", "br", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the last tag, which it should be."""
        assert tag == self.open.pop()

    def of(self, *tags: str) -> Iterator[dict[str, str | None]]:
        """Yield the attributes of some tags."""
        return (attributes for tag, attributes in self.tags if tag in tags)


def of_scenario(**tables: Any) -> Case:
    """Return the case of a scenario with one hung server."""
    return case_of(compared(scenario(entries=[{"select": "3", **HUNG}], **tables)))


def page(folder: Path, *cases: Case, **about: Any) -> str:
    """Return the page for some cases."""
    files = write(Report("a title", "", cases, "1.0", **about), folder)
    return files[0].read_text(encoding="utf-8")


@pytest.fixture
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write empty pictures."""
    write_empty_pictures(monkeypatch)


def test_equal_bytes(tmp_path: Path) -> None:
    """Equal results make equal pages and pictures, byte for byte."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        page(tmp_path / name, case(SOME, x=0), axes=["x"], of_store=True)
    one, other = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("one", "other")
    )

    assert len(one) == 9
    assert one == other


@pytest.mark.usefixtures("no_drawing")
def test_one_file(tmp_path: Path) -> None:
    """The page loads nothing: pictures are embedded, and links lead to it or to nearby files."""
    parsed = Parsed(page(tmp_path, of_scenario()))
    images = list(parsed.of("img"))
    ids = {str(a["id"]) for _, a in parsed.tags if "id" in a}
    links = [str(a["href"]) for a in parsed.of("a", "link")]

    assert parsed.open == []
    assert len(images) == 4
    assert all(str(a["src"]).startswith("data:image/svg+xml;base64,") for a in images)
    assert [a for a in parsed.of("script", "link", "iframe") if "src" in a] == []
    assert all(
        link[1:] in ids if link.startswith("#") else link == "data:," or (tmp_path / link).is_file()
        for link in links
    )


@pytest.mark.usefixtures("no_drawing")
def test_accessible(tmp_path: Path) -> None:
    """There is one top-level heading, no level is skipped, and every picture has an alternative."""
    text = page(tmp_path, of_scenario())
    parsed = Parsed(text)
    levels = [tag for tag, _ in parsed.tags if re.fullmatch(r"h\d", tag)]
    alternatives = [str(a["alt"]) for a in parsed.of("img")]

    assert levels[0] == "h1"
    assert set(levels[1:]) == {"h2"}
    assert 'lang="en"' in text
    assert "With 1 of 10 servers hung, wait-for-all never starts; first-k" in alternatives[0]
    assert all(len(alt) > 40 for alt in alternatives)
    assert all("scope" in a for a in parsed.of("th"))


@pytest.mark.usefixtures("no_drawing")
def test_single(tmp_path: Path) -> None:
    """Single runs have their result and replay command, and no interval."""
    text = page(tmp_path, of_scenario())

    assert "stalls forever" in text
    assert "<code>firstk run t --strategy first-k --seed 0</code>" in text
    assert "has no interval" in text
    assert "<small>" not in text
    assert "kind = &#34;hung&#34;" in text


@pytest.mark.usefixtures("no_drawing")
def test_many(tmp_path: Path) -> None:
    """With many runs, every estimate has its interval, and runs that never start are shown."""
    text = page(tmp_path, case(SOME))

    assert "<small>0% to 14.3%</small>" in text
    assert re.search(r"0\.293 s</span><small>0\.2\d+ s to 0\.3\d+ s</small>", text)
    assert "stalled 30" in text
    assert ">never<" in text
    assert "starts only here" in text


@pytest.mark.usefixtures("no_drawing")
def test_other_strategies(tmp_path: Path) -> None:
    """Cases with other strategies have their own columns, empty for the rest."""
    other = {"first-k": spread(0.2, 30), "hedged": spread(0.1, 30)}
    text = page(tmp_path, case(SOME), replace(case(other), name="other"))
    rows = text.split("<tr")[1:]

    assert "vs wait-for-all" in rows[0]
    assert "vs first-k" in rows[0]
    assert len({row.count("<td") + row.count("<th") for row in rows[:5]}) == 1


@pytest.mark.usefixtures("no_drawing")
def test_store(tmp_path: Path) -> None:
    """A page with an axis describes its effect, and has one picture of it."""
    cases = [case(SOME, x=x) for x in (0, 1)]
    text = page(tmp_path, *cases, axes=["x"], of_store=True)

    assert "As x goes from 0 to 1, the median of first-k goes from" in text
    assert (tmp_path / "along.svg").is_file()
    assert (tmp_path / "distribution-point-0.svg").is_file()


@pytest.mark.usefixtures("no_drawing")
@pytest.mark.parametrize("axes", [["x", "y"], ["x", "y", "z"]])
def test_maps(tmp_path: Path, axes: list[str]) -> None:
    """Two axes have one map; more axes have one for each of some of their values."""
    cases = [
        case(SOME, **dict(zip(axes, (x, y, z), strict=False)))
        for x in (0, 1)
        for y in (0, 1)
        for z in (range(9) if "z" in axes else (0,))
    ]
    text = page(tmp_path, *cases, axes=axes, of_store=True)

    assert (1 if len(axes) == 2 else 6) == len(list(tmp_path.glob("map*.svg")))
    assert ("3 more of these are not drawn" in text) == (len(axes) == 3)


@pytest.mark.usefixtures("no_drawing")
def test_nothing(tmp_path: Path) -> None:
    """The page of a store without runs says so."""
    empty = replace(case(SOME, x=0), strategies=[])
    text = page(tmp_path, empty, axes=["x"], of_store=True, warnings=["it has no runs yet"])

    assert "There are no results yet" in text
    assert "it has no runs yet" in text
    assert list(Parsed(text).of("img", "table")) == []
    assert list(headlines(Report("t", "", [], "1.0"))) == ["There are no results yet."]


@pytest.mark.usefixtures("no_drawing")
def test_hostile(tmp_path: Path) -> None:
    """A user's text is escaped, whatever it contains."""
    one = of_scenario(description='<script>alert("x")</script>\x00 & $x^2$')
    text = page(tmp_path, one)

    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert Parsed(text).open == []


@pytest.mark.usefixtures("no_drawing")
def test_facts(tmp_path: Path) -> None:
    """The facts below the title list strategies, runs, seeds and the version."""
    one = case({"first-k": spread(0.2, 30), "own:download": spread(0.3, 30)}, x=0)
    text = page(tmp_path, one, axes=["x"], of_store=True)
    facts = dict(re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", text))

    assert facts == {
        "downloader": "own:download",
        "strategy": "first-k",
        "runs": "30 of each point and strategy",
        "seeds": "0 to 29",
        "firstk": "1.0",
    }


@pytest.mark.usefixtures("no_drawing")
def test_never_in_either(tmp_path: Path) -> None:
    """If no run of two strategies starts, their difference is described in words."""
    never = results(*[None] * 30)
    text = page(tmp_path, case({"wait-for-all": never, "first-k": never}, x=0), of_store=True)

    assert "never in either" in text


@pytest.mark.usefixtures("no_drawing")
def test_files_of_commands(tmp_path: Path) -> None:
    """The page has the paths of the files in its commands, relative to itself."""
    folder = tmp_path / "out"
    folder.mkdir()
    files = {"my.sqlite": tmp_path / "my.sqlite"}
    text = page(folder, case(SOME, x=0), of_store=True, files=files)

    assert '<script type="application/json" id="files">{"my.sqlite":"../my.sqlite"}<' in text


@pytest.mark.usefixtures("no_drawing")
def test_simulated_and_real(tmp_path: Path) -> None:
    """Real servers have a section: a sentence per strategy, differences, and pictures."""
    found = in_worlds(scenario(), first_k=[0.0, 10.0, 10.0], hedged=[0.0, 0.0, None])
    text = page(tmp_path, case(SOME), live=found)

    assert '<h2 id="live">Simulated and real</h2>' in text
    assert "1 of 3 runs are within 10% or 10 ms of each other." in text
    assert "It differs: first-k: the first byte comes 10 s" in text
    assert "It differs: hedged, seed 2: ok in the simulation, stalled on real servers." in text
    assert f"live-{found.scenario.name}-times.svg" in text
    assert f"live-{found.scenario.name}.svg" in text
    assert '<li><a href="#live">' in text
    Parsed(text)


@pytest.mark.usefixtures("no_drawing")
def test_not_live(tmp_path: Path) -> None:
    """Without real servers, there is no such section."""
    assert "Simulated and real" not in page(tmp_path, case(SOME))
