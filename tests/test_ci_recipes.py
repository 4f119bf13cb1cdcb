"""The CI recipes work: their commands run in a project that `firstk init` made."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.command_line import firstk
from tests.harness.making import ROOT

yaml = pytest.importorskip("yaml", reason="needs PyYAML, which comes with Dask")

_ACTION = ROOT / ".github/actions/firstk"
_GUIDE = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
_GOOD = """
import firstk

def download(reactor, servers, cap, consumer):
    return firstk.download(reactor, servers, cap, consumer)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a project whose downloader passes its scenario, with a baseline."""
    (tmp_path / "fetch.py").write_text(_GOOD)
    assert firstk("init", "--downloader", "fetch:download", tmp_path).exit_code == 0
    monkeypatch.chdir(tmp_path)
    assert firstk("compare", "tests/scenarios", "--save", "tests/baseline.json").exit_code == 0
    return tmp_path


def _shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a step as a CI runner does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    summary = str(folder / "summary.md")
    return subprocess.run(  # noqa: S603 - our own
        ["bash", "-eo", "pipefail", "-c", script],  # noqa: S607 - found on the path, as in CI
        cwd=folder,
        env=os.environ | {"PATH": path, "GITHUB_STEP_SUMMARY": summary},
        capture_output=True,
        text=True,
        check=False,
    )


def _steps(**inputs: str) -> Iterator[str]:
    """Yield the scripts of the composite action, with its inputs inserted."""
    action: dict[str, Any] = yaml.safe_load((_ACTION / "action.yml").read_text())
    values = {name: about["default"] for name, about in action["inputs"].items()} | inputs
    for step in action["runs"]["steps"]:
        if "run" in step:
            script = step["run"].replace("${{ github.action_path }}", str(_ACTION))
            yield re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda m: values[m[1]], script)


@pytest.mark.slow
def test_action(project: Path) -> None:
    """Each step of the action passes, and leaves the files to keep."""
    for script in _steps(baseline="tests/baseline.json"):
        result = _shell(script, project)
        assert result.returncode == 0, (script, result.stdout, result.stderr)

    assert (
        (project / "summary.md").read_text().startswith("**Against `tests/baseline.json`: 0 worse")
    )
    assert (project / "firstk-changes.md").read_text() == (project / "summary.md").read_text()
    assert (project / "firstk.xml").exists()
    assert (project / "firstk-report/report.html").exists()


@pytest.mark.slow
def test_action_fails(project: Path) -> None:
    """A downloader that got worse fails the test and the comparison."""
    worse = _GOOD.replace("consumer)\n", 'consumer, strategy="wait-for-all")\n')
    (project / "fetch.py").write_text(worse)
    _, run, compare, _ = _steps(baseline="tests/baseline.json")

    assert _shell(run, project).returncode == 1
    assert _shell(compare, project).returncode == 1
    assert "**worse**" in (project / "summary.md").read_text()


def matched(output: str) -> list[dict[str, str]]:
    """Return the annotations that the problem matchers make of an output."""
    matchers = json.loads((_ACTION / "problem-matcher.json").read_text())["problemMatcher"]
    patterns = [pattern for matcher in matchers for pattern in matcher["pattern"]]
    return [
        {key: found[group] for key, group in pattern.items() if key != "regexp"}
        for line in output.splitlines()
        for pattern in patterns
        if (found := re.match(pattern["regexp"], line))
    ]


@pytest.mark.slow
def test_annotations(project: Path) -> None:
    """The file, the line and the message of each error become an annotation."""
    scenario = project / "tests/scenarios/one-hung.toml"
    scenario.write_text(scenario.read_text().replace('"hung"', '"hnug"'))

    shown = _shell(next(_steps()), project)

    assert shown.returncode == 2
    (annotation,) = matched(shown.stderr)
    assert annotation.pop("message").startswith("servers[0].fault: 'hnug' is unknown")
    assert annotation == {"file": "tests/scenarios/one-hung.toml", "line": "16"}


@pytest.mark.slow
def test_annotations_of_failures(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed scenario becomes an annotation with the hung server."""
    monkeypatch.setenv("CI", "true")  # then pytest does not cut its summary
    worse = _GOOD.replace("consumer)\n", 'consumer, strategy="wait-for-all")\n')
    (project / "fetch.py").write_text(worse)
    _, run, *_ = _steps()

    shown = _shell(run, project)

    assert matched(shown.stdout) == [
        {
            "file": "tests/scenarios/one-hung.toml",
            "message": "fetch:download - who: never answered: s7",
        }
    ]


@pytest.mark.slow
def test_gitlab(project: Path) -> None:
    """The commands of the GitLab job pass."""
    text = re.search(r"```yaml\n# .gitlab-ci.yml\n(.*?)```", _GUIDE, re.DOTALL)
    assert text
    job = yaml.safe_load(text[1])["firstk"]
    for script in [*job["script"], *job["after_script"]]:
        if not script.startswith("pip "):
            result = _shell(script, project)
            assert result.returncode == 0, (script, result.stdout, result.stderr)


@pytest.mark.slow
def test_pre_commit_hook(project: Path) -> None:
    """The hook's command accepts the files that pre-commit passes to it."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    file = "tests/scenarios/one-hung.toml"

    assert re.search(hook["files"], file)
    assert _shell(f"{hook['entry']} {file}", project).returncode == 0


def test_workflows_are_yaml() -> None:
    """Each recipe of the guide and the workflow that `firstk init` writes are valid YAML."""
    recipes = re.findall(r"```yaml\n(.*?)```", _GUIDE, re.DOTALL)
    recipes.append((ROOT / "firstk/harness/cli/starter/firstk.yml").read_text())

    assert len(recipes) == 5
    assert all(isinstance(yaml.safe_load(recipe), dict | list) for recipe in recipes)
