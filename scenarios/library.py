"""The library: the scenario files that come with firstk, in sets, one folder each."""

from __future__ import annotations

from pathlib import Path

from scenarios.load import Mistake, ScenarioError

_FOLDER = Path(__file__).parent

#: The set that is compared where nothing else is asked for.
DEFAULT_SET = "ticket-928"


def sets() -> dict[str, list[Path]]:
    """Return the scenario files of each set, sorted."""
    files: dict[str, list[Path]] = {}
    for path in sorted(_FOLDER.glob("*/*.toml")):
        files.setdefault(path.parent.name, []).append(path)
    return files


def find(target: str) -> list[Path]:
    """Return the scenario files that `target` means.

    It is a file, a folder of files, or the name of a scenario or a set in the library.
    Raises `ScenarioError` if it is none of them.
    """
    path = Path(target)
    if path.is_dir():
        found = sorted(path.glob("**/*.toml"))
        if not found:
            raise ScenarioError([Mistake(target, None, "", "no *.toml file is in this folder")])
        return found
    if path.exists():
        return [path]
    library = sets()
    if target in library:
        return library[target]
    found = [file for files in library.values() for file in files if file.stem == target]
    if not found:
        known = ", ".join(library)
        raise ScenarioError(
            [
                Mistake(
                    target,
                    None,
                    "",
                    "no such file or folder, and no scenario or set of the library"
                    f" (its sets are {known}; `firstk list` shows them)",
                )
            ]
        )
    return found
