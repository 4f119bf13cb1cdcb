"""`firstk init`: the files that it writes, those that it keeps, and its first test run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.command_line import firstk

_SCENARIO = "tests/scenarios/one-hung.toml"

_GOOD = """
import firstk

def download(reactor, servers, cap, consumer):
    return firstk.download(reactor, servers, cap, consumer)
"""


def _written(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "cache" not in str(path)
    )


def test_new_project(tmp_path: Path) -> None:
    """From an empty folder it makes a test that fails and reports the hung server."""
    result = firstk("init", tmp_path)

    assert result.exit_code == 0
    assert _written(tmp_path) == [
        ".github/workflows/firstk.yml",
        "downloader_under_test.py",
        "pyproject.toml",
        _SCENARIO,
    ]
    assert "never answered: s7\n" in result.stdout
    assert "The test failed, as it should" in result.stdout


@pytest.mark.slow
def test_own_downloader(tmp_path: Path) -> None:
    """With a downloader of the project, that is tested, and no other is written."""
    (tmp_path / "fetch.py").write_text(_GOOD)
    result = firstk("init", "--downloader", "fetch:download", tmp_path)

    assert result.exit_code == 0
    assert "1 passed" in result.stdout
    assert not (tmp_path / "downloader_under_test.py").exists()
    assert 'firstk_downloader = "fetch:download"' in (tmp_path / "pyproject.toml").read_text()


@pytest.mark.slow
def test_again(tmp_path: Path) -> None:
    """Existing files are kept; settings that pyproject.toml lacks are printed."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    (tmp_path / "downloader_under_test.py").write_text(_GOOD)
    result = firstk("init", tmp_path)

    assert (tmp_path / "pyproject.toml").read_text() == "[project]\nname = 'mine'\n"
    assert (tmp_path / "downloader_under_test.py").read_text() == _GOOD
    assert "exists    downloader_under_test.py\n" in result.stdout
    assert '    firstk_scenarios = ["tests/scenarios/*.toml"]\n' in result.stdout
    assert "1 passed" in result.stdout


@pytest.mark.parametrize("name", ["fetch", "fetch:", "a b:c", "../x:y"])
def test_bad_downloader(tmp_path: Path, name: str) -> None:
    """A malformed downloader name is refused before anything is written."""
    result = firstk("init", "--downloader", name, tmp_path)

    assert (result.exit_code, _written(tmp_path)) == (2, [])
    assert "should be MODULE:CALLABLE" in result.stderr


@pytest.mark.slow
def test_no_such_module(tmp_path: Path) -> None:
    """A downloader that cannot be imported is a user's error; pytest's message is shown."""
    result = firstk("init", "--downloader", "no_such:thing", tmp_path)

    assert result.exit_code == 2
    assert "no_such" in result.stdout
    assert "Traceback" not in result.stderr


def test_no_pytest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pytest, nothing is written."""
    monkeypatch.setattr("firstk.harness.cli.init.find_spec", lambda _: None)
    result = firstk("init", tmp_path)

    assert (result.exit_code, result.stderr) == (
        2,
        "firstk: pytest is not installed: pip install pytest\n",
    )
    assert _written(tmp_path) == []


def test_folder_is_a_file(tmp_path: Path) -> None:
    """A file in place of a folder is a usage error."""
    (tmp_path / "tests").write_text("")
    result = firstk("init", tmp_path)

    assert result.exit_code == 2
    assert "cannot write" in result.stderr
