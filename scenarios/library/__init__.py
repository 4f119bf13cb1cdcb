"""The library: the scenario files that come with firstk, in sets, one folder each.

What reads and checks them is imported when it is needed: to list them takes none of it.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from firstk.scenarios.kinds import EXPERIMENT, SCENARIO
from firstk.scenarios.text import listed

if TYPE_CHECKING:
    from firstk.scenarios.model import Scenario

_FOLDER = Path(__file__).parent

#: Where the experiments are: they are no scenarios.
EXPERIMENTS = "experiments"

#: The set that is compared where nothing else is asked for.
DEFAULT_SET = "ticket-928"


def sets() -> dict[str, list[Path]]:
    """Return the scenario files of each set, in the order in which the set presents them."""
    files: dict[str, list[Path]] = {}
    for path in sorted(_FOLDER.glob("*/*.toml")):
        if path.parent.name != EXPERIMENTS:
            files.setdefault(path.parent.name, []).append(path)
    return files


def experiments() -> dict[str, Path]:
    """Return the experiment files of the library by their names.

    The name of one in a folder of its own begins with that folder, as `oracles/one-stage`.
    """
    folder = _FOLDER / EXPERIMENTS
    files = [*sorted(folder.glob("*.toml")), *sorted(folder.glob("*/*.toml"))]
    return {
        "/".join([*file.relative_to(folder).parts[:-1], scenario_name(file)]): file
        for file in files
    }


def described(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield the name and the description of each file of the library."""
    for file in files:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        yield table["name"], table["description"]


def scenario_name(file: Path) -> str:
    """Return the name of the scenario in a file of the library: without its place's number."""
    return re.sub(r"^\d+-", "", file.stem)


def find_scenario(name: str) -> Path:
    """Return the file of the one scenario of the library that is called so.

    Raises `ScenarioError` if there is none, or if it is the name of a set.
    """
    from firstk.downloader.names import did_you_mean
    from firstk.scenarios.load import Problem, ScenarioError

    files = _scenarios()
    if name in files:
        return files[name]
    message = (
        f"{name!r:.100} is not a scenario of the library; {did_you_mean(name, files)}"
        "`firstk list` shows them, and the path of a file ends in .toml"
    )
    raise ScenarioError([Problem(name, None, "", message)])


def _scenarios() -> dict[str, Path]:
    """Return the scenario files by their names."""
    return {scenario_name(file): file for files in sets().values() for file in files}


def find_experiment(target: str) -> Path:
    """Return the experiment file that `target` means: a file, or a name in the library.

    Raises `ScenarioError` if there is none.
    """
    from firstk.downloader.names import did_you_mean
    from firstk.scenarios.load import Problem, ScenarioError

    files = experiments()
    path = Path(target)
    if path.suffix == ".toml" or (os.path.lexists(path) and not path.is_dir()):
        return path
    if target in files:
        return files[target]
    if path.is_dir():
        message = "is a folder; an experiment is a file, or a name in the library"
    elif target in _scenarios() or target in sets():
        message = f"{SCENARIO}; this command takes {EXPERIMENT.name}"
    else:
        message = (
            "no such file, and no such experiment in the library;"
            f" {did_you_mean(target, files)}there are {listed(files)}"
        )
    raise ScenarioError([Problem(target, None, "", message)])


def load_all(targets: Iterable[str]) -> list[Scenario]:
    """Return the scenarios that `targets` mean.

    Each is a file, a folder of files, or the name of a scenario or a set in the library.
    Raises `ScenarioError`, with the mistakes of all of them.
    """
    from firstk.scenarios.load import Problem, ScenarioError, load_scenario

    scenarios: list[Scenario] = []
    mistakes: list[Problem] = []
    for target in targets:
        try:
            files = _find(target)
        except ScenarioError as e:
            mistakes += e.mistakes
            continue
        except OSError as e:  # a name too long, a folder that may not be read
            mistakes.append(Problem(target, None, "", str(e.strerror)))
            continue
        for source, file in files:
            try:
                scenarios.append(load_scenario(file, source))
            except ScenarioError as e:
                mistakes += e.mistakes
    if mistakes:
        raise ScenarioError(mistakes)
    return scenarios


def _find(target: str) -> list[tuple[str, Path]]:
    """Return the files that a target means, each with what a command line calls it."""
    from firstk.downloader.names import did_you_mean
    from firstk.scenarios.load import Problem, ScenarioError

    path = Path(target)
    found = sorted(path.glob("**/*.toml")) if path.is_dir() else []
    if found:
        return [(str(file), file) for file in found]
    if (path.exists() and not path.is_dir()) or path.suffix == ".toml":
        return [(target, path)]
    library = sets()
    files = [file for name, files in library.items() for file in files if name == target]
    files = files or [f for files in library.values() for f in files if scenario_name(f) == target]
    if files:
        return [(scenario_name(file), file) for file in files]
    if path.is_dir():
        raise ScenarioError([Problem(target, None, "", "no *.toml file is in this folder")])
    if target in experiments():
        message = f"{EXPERIMENT}; this command takes {SCENARIO.name}"
        raise ScenarioError([Problem(target, None, "", message)])
    meant = did_you_mean(target, [*library, *_scenarios()])
    message = (
        f"no such file or folder, and no such scenario or set in the library; {meant}the sets are"
        f" {', '.join(library)}, and `firstk list` shows their scenarios"
    )
    raise ScenarioError([Problem(target, None, "", message)])
