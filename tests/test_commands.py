"""The commands in README and the guides run, one after another, as written."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from firstk.harness.sweep import tuning
from tests.harness.command_line import firstk
from tests.harness.experiments import Here
from tests.harness.making import ROOT
from tests.reports.samples import write_empty_pictures

#: The guides whose commands no other test runs, with the minimum number of commands in each.
GUIDES = {
    "README.md": 11,
    "docs/boundary.md": 3,
    "docs/bugs-found.md": 2,
    "docs/explain.md": 1,
    "docs/fuzzing.md": 3,
    "docs/prove.md": 1,
    "docs/regressions.md": 9,
    "docs/review.md": 7,
    "docs/tune.md": 3,
}

#: The guides whose commands other tests run.
_ELSEWHERE = ("capacity", "ci", "live", "published", "pytest", "scenarios", "start")

#: Files that commands of a guide need and do not make.
_SCENARIO = re.search(
    r"```toml\n(name = .three-good.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
)
_EXPERIMENT = re.search(
    r"```toml\n(name = .experiment.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
)

#: Further files that guides show, by name.
_MORE = {
    name: text
    for guide in ("capacity", "tune")
    for name, text in re.findall(
        r"```toml\n# ([\w.-]+)\n(.*?)```",
        (ROOT / "docs" / f"{guide}.md").read_text("utf-8"),
        re.DOTALL,
    )
}

#: The settings that `firstk tune` tries here: there are 108 otherwise.
_FEW = {"spares": (0, 1), "quantile": (0.8,), "lateness": (1.25,), "give_up": (60.0,)}

#: Replacements for placeholders in a guide, and for what takes long.
_HERE = {
    "FILE": "my-scenario.toml",
    "MODULE:CALLABLE": "mypackage.fetch:download",
    "--servers 3 --k 2": "--servers 2 --k 1",
    "--seconds 10": "--seconds 1",
    "--seconds 60": "--seconds 1",
    "compare ticket-928 robustness": "compare one-hung late-answer",
    "compare laws": "compare one-hung",
    "report laws": "report one-hung",
    "compare --": "compare one-hung --",
    "sweep hung-fraction": "sweep experiment.toml",
    "hung-fraction.sqlite": "experiment.sqlite",
    "plan half-second.toml": "plan short.toml",
    "tune heavy-tails": "tune one-hung --runs 4",
    "tune mine.toml": "tune mine.toml --runs 4",
    "give_up=30 --runs 20": "give_up=30 --runs 2",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with everything that the guides presuppose."""
    write_empty_pictures(monkeypatch)  # they take long, and are tested elsewhere
    monkeypatch.setattr(tuning, "SETTINGS", _FEW)
    monkeypatch.setattr("firstk.harness.cli.tune.processes", lambda count: Here)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert _SCENARIO
    assert _EXPERIMENT
    Path("my-scenario.toml").write_text(_SCENARIO[1])
    Path("firstk-corpus").mkdir()
    Path("firstk-corpus/fuzz-honest-silence-1a2b3c4d.toml").write_text(_SCENARIO[1])
    Path("experiment.toml").write_text(_EXPERIMENT[1].replace("runs = 1000", "runs = 20"))
    Path("reads.toml").write_text(_MORE["reads.toml"])
    plan = _MORE["half-second.toml"].partition("[search]")[0]
    Path("short.toml").write_text(plan + "[search]\nk = [4]\nn = [6]\nmax_runs = 250\n")
    Path("mine.toml").write_text(_MORE["mine.toml"])
    Path("rtts.txt").write_text("0.05\n0.06\n0.3\n")
    Path("mypackage").mkdir()
    Path("mypackage/fetch.py").write_text("from firstk.downloader import download\n")
    return tmp_path


def commands(guide: str) -> list[str]:
    """Return the commands that a guide shows, as a user would type them."""
    text = (ROOT / guide).read_text("utf-8")
    lines = re.findall(r"^    (firstk .*)$", text, re.MULTILINE)
    found = [command for line in lines for command in line.partition("  #")[0].split(" && ")]
    for there, here in _HERE.items():
        found = [re.sub(rf"(?<!\w){re.escape(there)}", here, one) for one in found]
    return found


@pytest.mark.parametrize("guide", GUIDES)
def test_commands(guide: str, folder: Path) -> None:
    """Each command succeeds, and prints something."""
    shown = commands(guide)

    assert GUIDES[guide] <= len(shown)
    for command in shown:
        if not Path("after.events").exists() and Path("before.events").exists():
            shutil.copy("before.events", "after.events")
        ran = firstk(*shlex.split(command)[1:])
        assert ran.exit_code in (0, 1), (command, ran.stderr)
        assert ran.stdout or "equal" in ran.stderr, command
        if not command.startswith(("firstk diff", "firstk plan")):  # there, 1 is not a failure
            assert ran.exit_code == 0, (command, ran.stdout, ran.stderr)


def test_every_guide() -> None:
    """No guide shows a command that no test runs."""
    elsewhere = {f"docs/{name}.md" for name in _ELSEWHERE}
    guides = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

    assert [g for g in guides if commands(g) and g not in GUIDES.keys() | elsewhere] == []


def test_linked() -> None:
    """README leads to every guide, in one or two steps."""
    readme = (ROOT / "README.md").read_text("utf-8")
    seen = set(re.findall(r"docs/([\w-]+\.md)", readme))
    for name in list(seen):
        seen |= set(re.findall(r"\]\(([\w-]+\.md)", (ROOT / "docs" / name).read_text("utf-8")))

    assert {path.name for path in (ROOT / "docs").glob("*.md")} == seen
