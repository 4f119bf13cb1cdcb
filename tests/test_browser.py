"""The page in a real browser: it has no errors, and loads nothing from a network.

The tests require Chromium and its driver, and are skipped if these are missing.
"""

from __future__ import annotations

import json
import shutil
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from firstk.harness.explain.alternatives import Gone, alternatives
from firstk.reports.model.cases import case_of
from firstk.reports.page.play import Play
from firstk.scenarios.library import load_all
from tests.harness.command_line import firstk
from tests.harness.experiments import experiment, swept
from tests.harness.making import ROOT
from tests.reports.samples import compared

pytestmark = [pytest.mark.slow, pytest.mark.browser]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

#: The widths of a desktop and of a phone, in CSS pixels.
WIDTHS = (1280, 390)

#: Keys, as WebDriver names them.
HOME, RIGHT = "\ue011", "\ue014"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make two pages: of scenarios, and of a store."""
    folder = tmp_path_factory.mktemp("pages")
    swept(experiment(folder, runs=30), folder / "e.sqlite")
    made = {}
    for name, targets in {
        "scenarios": ["one-hung", "yes-then-hang", "too-few-shares"],
        "store": [str(folder / "e.sqlite")],
    }.items():
        ran = firstk("report", *targets, "--out", str(folder / name))
        assert ran.exit_code == 0, ran.stderr
        made[name] = folder / name / "report.html"
    return made


def started(*, javascript: bool = True) -> Any:
    """Return a browser; skip the test if there is none."""
    selenium = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed: nox -s browser installs it"
    )
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium or chromedriver is missing: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if not javascript:
        options.add_experimental_option(
            "prefs", {"profile.managed_default_content_settings.javascript": 2}
        )
    return selenium.Chrome(options, selenium.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a browser for the tests of this module."""
    chrome = started()
    yield chrome
    chrome.quit()


def show(browser: Any, page: Path, width: int) -> None:
    """Open a page at a width."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.get(page.as_uri())


@pytest.mark.parametrize("name", ["scenarios", "store"])
@pytest.mark.parametrize("width", WIDTHS)
def test_page(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    """A page has all its pictures, no console messages, no requests, no sideways scrolling."""
    show(browser, pages[name], width)
    images = browser.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth, i.alt])"
    )
    over = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
    messages = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
    asked = {
        one["params"]["request"]["url"]
        for one in messages
        if one["method"] == "Network.requestWillBeSent"
    }

    assert browser.get_log("browser") == []
    assert [url for url in asked if not url.startswith(("data:", pages[name].as_uri()))] == []
    assert len(images) >= 5
    assert all(complete and wide > 100 and alt for complete, wide, alt in images)
    assert over <= 0
    assert len(browser.get_screenshot_as_png()) > 10_000


def column(browser: Any, name: str) -> list[str]:
    """Return the cells of a column of the table, from the top."""
    found: list[str] = browser.execute_script(
        "const t = document.querySelector('table.sortable');"
        "const i = [...t.tHead.rows[0].cells].findIndex(c => c.textContent === arguments[0]);"
        "return [...t.tBodies[0].rows].map(r => r.cells[i].firstChild.textContent)",
        name,
    )
    return found


def test_sort(browser: Any, pages: dict[str, Path]) -> None:
    """A click on a heading sorts by numbers, with never last; a second click reverses the order."""
    show(browser, pages["store"], WIDTHS[0])
    button = browser.find_element("xpath", "//th/button[text()='p50']")
    button.click()
    up = column(browser, "p50")
    button.click()

    finite = [float(words.removesuffix(" s")) for words in up if words != "never"]
    assert finite == sorted(finite)
    assert ["never"] * (len(up) - len(finite)) == up[len(finite) :] != []
    assert up[::-1] == column(browser, "p50")


def test_sort_by_size(browser: Any, pages: dict[str, Path]) -> None:
    """Numbers are sorted by value, not by letters: the most negative one comes first."""
    show(browser, pages["store"], WIDTHS[0])
    browser.find_element("xpath", "//th/button[text()='vs first-k']").click()
    numbers = [words for words in column(browser, "vs first-k") if words.endswith(" s")]
    finite = [float(words.removesuffix(" s")) for words in numbers]

    assert len(finite) > 1
    assert finite == sorted(finite) != sorted(finite, key=str)


def test_choose(browser: Any, pages: dict[str, Path]) -> None:
    """Choosing a scenario hides the others."""
    show(browser, pages["scenarios"], WIDTHS[0])
    browser.execute_script(
        "const s = document.querySelector('select'); s.selectedIndex = 2;"
        "s.dispatchEvent(new Event('change'))"
    )
    shown = browser.execute_script(
        "return [...document.querySelectorAll('section.case')].filter(s => s.offsetHeight)"
        ".map(s => s.dataset.name)"
    )

    assert shown == ["yes-then-hang"]


def test_fits_a_desktop(browser: Any, pages: dict[str, Path]) -> None:
    """At 1280 px the table of a store fits, with the column of commands."""
    show(browser, pages["store"], WIDTHS[0])
    over = browser.execute_script(
        "const t = document.querySelector('table.sortable');"
        "return t.scrollWidth - t.parentElement.clientWidth"
    )

    assert over <= 0


@pytest.mark.parametrize("name", ["scenarios", "store"])
def test_fits_a_phone(browser: Any, pages: dict[str, Path], name: str) -> None:
    """At 390 px each cell has its name and is visible, and so is the right edge of each picture."""
    show(browser, pages[name], WIDTHS[1])
    cells, pictures = browser.execute_script(
        "const right = e => e.getBoundingClientRect().right;"
        "return [[...document.querySelectorAll('.cards td')].map("
        "  c => [right(c), getComputedStyle(c, '::before').content]),"
        " [...document.images].map(right)]"
    )

    assert cells
    assert pictures
    assert all(edge <= WIDTHS[1] and len(name) > 2 for edge, name in cells)
    assert all(edge <= WIDTHS[1] for edge in pictures)


def test_enlarge(browser: Any, pages: dict[str, Path]) -> None:
    """On a phone a tap enlarges a picture, and the page itself does not scroll sideways."""
    show(browser, pages["store"], WIDTHS[1])
    width = "return document.images[0].getBoundingClientRect().width"
    small = browser.execute_script(width)
    browser.find_element("css selector", "figure img").click()

    assert browser.execute_script(width) > 2 * small
    assert browser.execute_script("return document.documentElement.scrollWidth") <= WIDTHS[1]


def test_columns(browser: Any, pages: dict[str, Path]) -> None:
    """A column of a wide table can be hidden, and shown again."""
    show(browser, pages["store"], WIDTHS[0])
    shown = (
        "return [...document.querySelector('table.sortable').rows].filter("
        "r => [...r.cells].some(c => c.offsetWidth && (c.dataset.label ?? c.textContent) === 'p50')"
        ").length"
    )
    before = browser.execute_script(shown)
    browser.find_element("css selector", ".columns summary").click()
    browser.find_element("xpath", "//label[contains(., 'p50')]/input").click()
    hidden = browser.execute_script(shown)
    browser.find_element("xpath", "//label[contains(., 'p50')]/input").click()

    assert hidden == 0
    assert before == browser.execute_script(shown) > 2


def test_copy(browser: Any, pages: dict[str, Path]) -> None:
    """A copied command has the store's absolute path, so it works in any folder."""
    show(browser, pages["store"], WIDTHS[0])
    button = browser.find_element("css selector", "td button")
    button.click()
    copied = browser.execute_async_script(
        "const [b, done] = arguments; const wait = () => b.dataset.copied"
        " ? done(b.dataset.copied) : setTimeout(wait, 10); wait()",
        button,
    )
    store = pages["store"].parent.parent / "e.sqlite"

    assert copied.startswith(f"firstk run --from {store} ")


def test_dark(browser: Any, pages: dict[str, Path]) -> None:
    """With a dark colour scheme, text is light on dark, and prints stay dark on light."""
    show(browser, pages["store"], WIDTHS[0])
    colours = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    dark: dict[str, Any] = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    on_screen = browser.execute_script(colours)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark | {"media": "print"})
    on_paper = browser.execute_script(colours)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})

    assert on_screen == ["rgb(230, 230, 230)", "rgb(22, 24, 28)"]
    assert on_paper == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


def test_without_javascript(pages: dict[str, Path]) -> None:
    """Without JavaScript, all sections are there, and no controls that would do nothing."""
    chrome = started(javascript=False)
    try:
        chrome.get(pages["scenarios"].as_uri())
        sections = chrome.find_elements("css selector", "section.case")
        controls = chrome.find_elements("css selector", "select, button")
        heights = [section.size["height"] for section in sections]
        plays = chrome.find_elements("css selector", "section.play")
        tables = [len(one.find_elements("css selector", "table")) for one in plays]
    finally:
        chrome.quit()

    assert len(heights) == 3
    assert all(height > 300 for height in heights)
    assert controls == []
    assert tables == [6, 6, 6]


def play_of(name: str) -> Play:
    """Return the play of a scenario of the library."""
    (scenario,) = load_all([name])
    return Play(case_of(compared(scenario)), alternatives(scenario))


def section(browser: Any, pages: dict[str, Path], number: int) -> Any:
    """Open the page of scenarios; return the play with this number."""
    show(browser, pages["scenarios"], WIDTHS[0])
    return browser.find_elements("css selector", "section.play")[number]


def choose_downloader(part: Any, name: str) -> None:
    """Choose the downloader whose run is played."""
    part.find_element("xpath", f".//option[text()='{name}']").click()


def text_of(part: Any, selector: str) -> str:
    """Return the text of a part of a play."""
    text: str = part.find_element("css selector", selector).text
    return text


def test_faults(browser: Any, pages: dict[str, Path]) -> None:
    """Removing a fault shows the run without it; restoring it shows the first headline again."""
    part, expected = section(browser, pages, 0), play_of("one-hung")
    headlines = [text_of(part, ".played")]
    for _ in range(2):
        part.find_element("css selector", "fieldset input").click()
        headlines.append(text_of(part, ".played"))

    assert headlines[0] == headlines[2] == expected.headline(Gone())
    assert headlines[1] == expected.headline(Gone([0])) != headlines[0]


def test_without_one(browser: Any, pages: dict[str, Path]) -> None:
    """Each fault shows the result of the chosen downloader without it."""
    part = section(browser, pages, 0)
    notes = {}
    for name in ("wait-for-all", "first-k", "hedged"):
        choose_downloader(part, name)
        notes[name] = text_of(part, "fieldset label")

    every = section(browser, pages, 2)
    choose_downloader(every, "first-k")

    assert "Put back without any: 0.25 s" in " ".join(text_of(every, "fieldset").split())
    assert notes == {
        "wait-for-all": "s9 hung without it: 0.25 s",
        "first-k": "s9 hung without it: 0.25 s",
        "hedged": "s9 hung without it: 0.1 s",
    }


def test_every_combination(browser: Any, pages: dict[str, Path]) -> None:
    """Each fault alone, and all together, have a headline; a combination not run has none."""
    part, expected = section(browser, pages, 2), play_of("too-few-shares")
    boxes = part.find_elements("css selector", "fieldset input")
    shown = {}
    for i, box in enumerate(boxes):
        box.click()
        shown[Gone([i])] = text_of(part, ".played")
        box.click()
    part.find_element("xpath", ".//button[text()='Remove all']").click()
    shown[Gone(range(len(boxes)))] = text_of(part, ".played")
    part.find_element("xpath", ".//button[text()='Put back']").click()
    shown[Gone()] = text_of(part, ".played")
    for box in boxes[:2]:
        box.click()

    assert shown == {gone: expected.headline(gone) for gone in expected.played.runs}
    assert text_of(part, ".played").startswith("This combination was not run. Of 256 ")
    assert not part.find_element("css selector", ".stage").is_displayed()
    assert not part.find_element("css selector", ".moment").is_displayed()


def test_scrub(browser: Any, pages: dict[str, Path]) -> None:
    """At each moment the page shows what each server does, and what is known and decoded."""
    part = section(browser, pages, 0)
    choose_downloader(part, "first-k")
    slider = part.find_element("css selector", "input[type=range]")
    seen = {}
    slider.send_keys(HOME)
    while text_of(part, ".clock") not in seen:
        lanes = part.find_elements("css selector", ".lane[data-server] .state")
        seen[text_of(part, ".clock")] = (
            lanes[0].text, lanes[9].text, slider.get_attribute("aria-valuetext"),
        )  # fmt: skip
        slider.send_keys(RIGHT)

    assert list(seen) == ["0 s", "0.05 s", "0.1 s", "0.15 s", "0.2 s", "0.25 s"]
    assert [lane for lane, _, _ in seen.values()] == [
        "1 query sent just now",
        "1 read sent just now",
        "1 read sent just now",
        "1 read sent just now",
        "2 reads sent just now",
        "idle, last answer: 202 bytes",
    ]
    assert seen["0.2 s"][1] == "hung; 1 query under way for 0.2 s"
    assert "shares known 0 (3 needed), segments decoded 0 of 1" in seen["0 s"][2]
    assert "shares known 9 (3 needed), segments decoded 0 of 1" in seen["0.2 s"][2]
    assert "phase done, shares known 9 (3 needed), segments decoded 1 of 1" in seen["0.25 s"][2]


def test_sources(browser: Any, pages: dict[str, Path]) -> None:
    """Each request has the line that sent it, and its state at the current moment."""
    part = section(browser, pages, 0)
    choose_downloader(part, "first-k")
    part.find_element("css selector", ".stage summary").click()
    part.find_element("css selector", "input[type=range]").send_keys(HOME)
    rows = [row.text for row in part.find_elements("css selector", ".stage tbody tr")]

    assert len(rows) == 21
    assert all("firstk/downloader/" in row for row in rows)
    assert [("sent just now" in row, "not sent yet" in row) for row in rows] == (
        [(True, False)] * 10 + [(False, True)] * 11
    )


def test_playing(browser: Any, pages: dict[str, Path]) -> None:
    """Playing a run goes from its start to its end, and stops there."""
    part = section(browser, pages, 0)
    choose_downloader(part, "hedged")
    button = part.find_element("xpath", ".//button[text()='Play']")
    button.click()
    began = text_of(part, ".clock")
    browser.execute_async_script(
        "const [button, done] = arguments; const wait = () => button.textContent === 'Play'"
        " ? done() : setTimeout(wait, 50); wait()",
        button,
    )

    assert (began, text_of(part, ".clock")) == ("0 s", "0.1 s")


def test_pointer(browser: Any, pages: dict[str, Path]) -> None:
    """A click in the lanes shows the nearest event."""
    part = section(browser, pages, 0)
    choose_downloader(part, "first-k")
    browser.execute_script("arguments[0].scrollIntoView()", part)
    track = part.find_element("css selector", ".track")
    track.click()

    assert text_of(part, ".clock") == "0.15 s"


def test_names_of_controls(browser: Any, pages: dict[str, Path]) -> None:
    """Each control has an accessible name."""
    section(browser, pages, 2)
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ("slider", "checkbox", "button", "combobox")
    controls = [node for node in tree if node.get("role", {}).get("value") in roles]
    unnamed = [node for node in controls if not node.get("name", {}).get("value")]

    assert len(controls) > 20
    assert unnamed == []


def test_print(browser: Any, pages: dict[str, Path]) -> None:
    """The page prints to a few pages of paper."""
    show(browser, pages["scenarios"], WIDTHS[0])
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})

    assert printed["data"].startswith("JVBERi0")  # %PDF-


def picture(path: Path) -> None:
    """Draw the picture of the guide: a run that is being played."""
    with TemporaryDirectory() as folder:
        ran = firstk("report", "one-hung", "--out", folder)
        assert ran.exit_code == 0, ran.stderr
        chrome = started()
        try:
            show(chrome, Path(folder) / "report.html", 1060)
            part = chrome.find_element("css selector", "section.play")
            choose_downloader(part, "first-k")
            for key in [HOME, *[RIGHT] * 4]:
                part.find_element("css selector", "input[type=range]").send_keys(key)
            left, top, width = chrome.execute_script(
                "const box = arguments[0].getBoundingClientRect();"
                "return [box.x + scrollX, box.y + scrollY, box.width]",
                part,
            )
            bottom = chrome.execute_script(
                "return document.querySelector('.lanes').getBoundingClientRect().bottom + scrollY"
            )
            clip = {"x": left - 12, "y": top - 4, "width": width + 24, "scale": 1}
            drawn = chrome.execute_cdp_cmd(
                "Page.captureScreenshot",
                {"captureBeyondViewport": True, "clip": clip | {"height": bottom - top + 12}},
            )
            path.write_bytes(b64decode(drawn["data"]))
        finally:
            chrome.quit()


if __name__ == "__main__":
    picture(ROOT / "docs" / "play.png")
