"""The documentation as a site in a real browser: opened from disk, it works and fetches nothing.

The tests require MkDocs, Chromium and its driver, and are skipped if these are missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.making import ROOT
from tests.test_browser import WIDTHS, show, started

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))

#: Waits for the results of a search, and returns their titles.
_FOUND = """
const [words, done] = arguments;
const input = document.querySelector("input.md-search__input");
input.focus();
input.value = words;
input.dispatchEvent(new Event("keyup"));
input.dispatchEvent(new Event("input"));
const wait = () => {
  const found = [...document.querySelectorAll(".md-search-result__article h1")];
  found.length ? done(found.map(one => one.textContent)) : setTimeout(wait, 50);
};
wait();
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; return its folder."""
    pytest.importorskip("material", reason="MkDocs is not installed: nox -s browser installs it")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - our own
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a browser for the tests of this module."""
    chrome = started()
    chrome.set_script_timeout(30)
    yield chrome
    chrome.quit()


def requested(browser: Any) -> list[str]:
    """Return the addresses that were requested since this was last called."""
    messages = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
    return [
        one["params"]["request"]["url"]
        for one in messages
        if one["method"] == "Network.requestWillBeSent"
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_pages(browser: Any, site: Path, width: int) -> None:
    """Each page has no errors, fetches nothing from a network, and does not scroll sideways."""
    for page in PAGES:
        show(browser, site / f"{page}.html", width)
        over = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
        pictures = browser.execute_script("return [...document.images].map(i => i.naturalWidth)")

        assert browser.get_log("browser") == [], page
        assert [url for url in requested(browser) if not url.startswith(("file:", "data:"))] == []
        assert over <= 0, page
        assert all(pictures), page


@pytest.mark.parametrize("width", WIDTHS)
def test_search(browser: Any, site: Path, width: int) -> None:
    """The search works from disk."""
    show(browser, site / "index.html", width)
    found = browser.execute_async_script(_FOUND, "hedged request")

    assert "Glossary" in found
    assert [url for url in requested(browser) if not url.startswith(("file:", "data:"))] == []
