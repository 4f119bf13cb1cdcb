"""The section of published numbers shows every row of `firstk reproduce`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firstk.reports.page import published
from firstk.reports.page.published import PublishedError, PublishedRow
from firstk.reports.tables.reproduce import as_json
from tests.reports.page.test_page import of_scenario, page
from tests.reports.samples import write_empty_pictures
from tests.reports.tables.test_reproduce import ALL


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    write_empty_pictures(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file in the format of `firstk reproduce --format json`."""
    path = tmp_path / "published.json"
    path.write_text(as_json(ALL), encoding="utf-8")
    return path


def test_read(file: Path) -> None:
    """The rows are read unchanged, and formatted with their units."""
    rows = published.read(file)

    assert [row.id for row in rows] == [one.published.id for one in ALL]
    first, _, hedge, undecided, _ = rows
    assert (first.published, first.right, first.found, first.interval) == (
        "0.66 ms",
        "0.655 ms",
        "0.661 ms",
        "0.648 to 0.671",
    )
    assert (hedge.right, hedge.interval) == ("16.71 ms", "15 to never")
    assert undecided.interval == ""
    assert first.model_copy(update={"exact": None}).right == "not known"


def test_headline(file: Path) -> None:
    """One sentence counts the verdicts, and each reason lists its numbers."""
    rows = published.read(file)

    assert published.headline(rows) == (
        "Of 5 published numbers from 3 sources, 2 agree, 1 do not, for a known reason, 1 differ for"
        " no known reason, 1 have too few runs to decide."
    )
    assert published.reasons(rows) == {
        "a slip": ["bailis-2012/hedge-latency"],
        "too few runs": ["storj-2018/2-of-4"],
    }


def test_page(file: Path, tmp_path: Path) -> None:
    """The page has a section with a row for each number, and a link to it."""
    rows = published.read(file)
    text = page(tmp_path, of_scenario(), published=rows)

    assert '<a href="#published">' in text
    assert published.headline(rows) in text
    assert all(f"<span>{row.id}</span>" in text for row in rows)
    assert "bailis-2012/hedge-latency: a slip." in text


def test_hostile(tmp_path: Path) -> None:
    """Markup in a file is escaped on the page."""
    path = tmp_path / "published.json"
    row = json.loads(as_json(ALL[:1]))[0] | {"case": "<script>alert(1)</script>"}
    path.write_text(json.dumps([row]), encoding="utf-8")

    text = page(tmp_path, of_scenario(), published=published.read(path))

    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "the file: Invalid JSON"),
        ("{}", "the file: Input should be a valid"),
        ("[]", "has no published numbers"),
        ('[{"id": 3}]', "0.id: Input should be a valid string"),
        ("[1]", "0: Input should be"),
    ],
)
def test_not_of_reproduce(text: str, words: str, tmp_path: Path) -> None:
    """Another file is refused; the message has the file, the place, and a hint."""
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(PublishedError) as caught:
        published.read(path)

    assert str(caught.value).startswith(f"{path}: {words}")


def test_unknown_verdict(file: Path) -> None:
    """An unknown verdict is refused."""
    row: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))[0]

    assert PublishedRow.model_validate(row).verdict == "agrees"
    with pytest.raises(ValueError, match="verdict"):
        PublishedRow.model_validate(row | {"verdict": "perhaps"})
