"""The project in which firstk runs: the pytest table of its `pyproject.toml`.

The file is searched for as pytest does: in the current folder, then in the folders above it; the
first with a pytest table is used. `pytest.ini`, `tox.ini` and `setup.cfg` are not read.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ProjectError(ValueError):
    """A `pyproject.toml` cannot be used; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class Project:
    """The pytest settings of a `pyproject.toml` that firstk uses.

    `downloader` is its `firstk_downloader`. `folders` contain its modules: the folder of the file,
    and those of `pythonpath`.
    """

    file: Path
    downloader: str | None
    folders: Sequence[Path]


def find_project(start: Path) -> Project | None:
    """Return the project that a folder belongs to; None without a pytest table.

    Raises `ProjectError` for a file that is not TOML, or has a value of the wrong type.
    """
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file() and (table := _pytest_table(file)) is not None:
            return _project(file, table)
    return None


def _pytest_table(file: Path) -> Mapping[str, Any] | None:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise ProjectError(f"{file}: {e.strerror or e}") from e
    except (ValueError, RecursionError) as e:  # not TOML, or not UTF-8
        raise ProjectError(f"{file}: is not TOML: {e}") from e
    table: Any = data
    for key in ("tool", "pytest"):
        table = table.get(key)
        if not isinstance(table, dict):
            return None
    found = table.get("ini_options", table)  # pytest 9 also reads [tool.pytest]
    return found if isinstance(found, dict) else None


def _project(file: Path, table: Mapping[str, Any]) -> Project:
    downloader = table.get("firstk_downloader")
    if not isinstance(downloader, str | None):
        raise ProjectError(
            f'{file}: firstk_downloader: should be a text like "package.module:callable",'
            f" not {downloader!r:.80}"
        )
    paths = table.get("pythonpath", [])
    if isinstance(paths, str):
        paths = shlex.split(paths)
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ProjectError(f"{file}: pythonpath: should be a list of folders, not {paths!r:.80}")
    folders = [file.parent, *(file.parent / path for path in paths)]
    return Project(file, downloader or None, folders)
