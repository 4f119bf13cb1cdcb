"""`firstk compare` prints a table and draws pictures."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from firstk.downloader.strategy import STRATEGIES
from firstk.scenarios.library import load_all
from tests.harness.command_line import firstk, replays, write


@pytest.mark.usefixtures("no_pictures")
def test_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments, the default set is compared."""
    monkeypatch.chdir(tmp_path)
    result = firstk("compare")
    scenarios = load_all(["ticket-928"])

    assert (result.exit_code, result.stderr) == (0, "")
    assert all(scenario.name in result.stdout for scenario in scenarios)
    assert [
        f"firstk run {scenario.name} --strategy {strategy} --seed 0"
        for scenario in scenarios
        for strategy in scenario.strategies
    ] == replays(result.stdout)


@pytest.mark.slow
def test_compare_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments, all pictures of the default set are drawn."""
    monkeypatch.chdir(tmp_path)
    result = firstk("compare")
    scenarios = load_all(["ticket-928"])
    names = ["latency", *(f"timeline-{scenario.name}" for scenario in scenarios)]
    files = sorted((tmp_path / "firstk-report").iterdir())

    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(f"{name}.{kind}" for name in names for kind in ("png", "svg")) == [
        file.name for file in files
    ]
    assert all(file.stat().st_size > 10_000 for file in files)
    assert "Wrote firstk-report/latency.png and 27 other files" in result.stdout


def test_compare_out(tmp_path: Path) -> None:
    """Pictures are written to `--out`; missing folders are created."""
    out = tmp_path / "a" / "b"
    result = firstk("compare", "one-hung", "--out", out)

    assert result.exit_code == 0
    assert (sorted(file.name for file in out.iterdir())) == [
        "latency.png",
        "latency.svg",
        "timeline-one-hung.png",
        "timeline-one-hung.svg",
    ]
    assert "∞" in result.stdout
    assert "stalls forever" in result.stdout
    assert "over bound: the TTFB divided by the earliest" in result.stdout
    assert re.search(r"first-k +0\.25 s +∞ +2\.5 × +3\.5 × +1\.01 × +- +0 +firstk", result.stdout)


@pytest.mark.usefixtures("no_pictures")
def test_compare_targets(tmp_path: Path) -> None:
    """Files, folders and names are compared in the order in which they are given."""
    folder = tmp_path / "some"
    folder.mkdir()
    write(folder, "second")
    write(folder, "first")
    file = write(tmp_path, "third")
    result = firstk("compare", folder, "one-slow", file, "--out", tmp_path)

    assert result.exit_code == 0
    assert [
        str(folder / "first.toml"),
        str(folder / "second.toml"),
        "one-slow",
        str(file),
    ] == list(dict.fromkeys(shlex.split(r)[2] for r in replays(result.stdout)))


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "width", [80, 120, *(pytest.param(w, marks=pytest.mark.slow) for w in (100, 160, 170, 200))]
)
def test_compare_on_a_terminal(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the terminal's width, every row has its time, and the replay command is shown."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    result = firstk("compare", "hung-server", "--out", tmp_path)
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    table = text.partition("To replay")[0]
    rows = re.findall(rf"^ .*?(?:{'|'.join(STRATEGIES)}) .*$", table, re.MULTILINE)

    assert result.exit_code == 0
    told = r"(wait-for-all|first-k\S*|windowed|hedged) +(\d+|stalls|fails)"
    assert 9 * len(STRATEGIES) == len(rows)
    assert all(re.search(told, row) for row in rows)
    assert all(re.search(r"(×|∞|-) *(\d+ |$)", row) for row in rows)
    assert replays(text)
    assert "…" not in text
