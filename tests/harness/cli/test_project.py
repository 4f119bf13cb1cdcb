"""The pytest table of a `pyproject.toml` is found as pytest finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstk.harness.cli.project import ProjectError, find_project


@pytest.mark.parametrize("table", ["tool.pytest.ini_options", "tool.pytest"])
def test_found_above(table: str, tmp_path: Path) -> None:
    """The closest file with a pytest table counts, searched upwards; both table names work."""
    (tmp_path / "pyproject.toml").write_text(
        f'[{table}]\nfirstk_downloader = "a:b"\npythonpath = [".", "src"]\n'
    )
    below = tmp_path / "x" / "y"
    below.mkdir(parents=True)
    (tmp_path / "x" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    found = find_project(below)

    assert found
    assert tmp_path / "pyproject.toml" == found.file
    assert found.downloader == "a:b"
    assert [tmp_path, tmp_path, tmp_path / "src"] == found.folders


def test_nearest(tmp_path: Path) -> None:
    """A closer table hides one farther up, even if it sets no downloader."""
    (tmp_path / "pyproject.toml").write_text("[tool.pytest]\nfirstk_downloader = 'a:b'\n")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-q'\n")
    found = find_project(tmp_path / "x")

    assert found
    assert found.downloader is None


def test_paths_as_text(tmp_path: Path) -> None:
    """`pythonpath` may be a string with several folders, as in an ini file."""
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = "a b"\n')
    found = find_project(tmp_path)

    assert found
    assert [tmp_path, tmp_path / "a", tmp_path / "b"] == found.folders


def test_not_utf8(tmp_path: Path) -> None:
    """The error names a file that cannot be read."""
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")

    with pytest.raises(ProjectError, match=r"pyproject\.toml: is not TOML"):
        find_project(tmp_path)
