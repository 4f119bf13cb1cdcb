"""Scenarios as tests: run them, compare them with the expectations, explain failures.

The pytest plugin imports this module only when there is something to run.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstk.harness.explain.cause import is_well
from firstk.harness.explain.explanation import Explanation, explain_run, explain_scene
from firstk.harness.explain.scene import Scene
from firstk.harness.grid.untriggered import (
    Unmet,
    UntriggeredFaultWarning,
    described,
    untriggered_in_all,
)
from firstk.harness.kernel.raised import own_traceback, where
from firstk.harness.net.network import Network
from firstk.harness.run.comparison import expectation, replay
from firstk.harness.run.finish import Run
from firstk.harness.run.independence import Made, StateError, check, last_first
from firstk.harness.run.result import Result, unmet
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import (
    DownloaderError,
    DownloaderSpec,
    find_downloader,
    is_external,
    name_of,
)
from firstk.harness.testing.simgrid import SimGrid
from firstk.harness.testing.timeline import text_timeline
from firstk.scenarios.library import load_all
from firstk.scenarios.load import ScenarioError, expectation_from, from_tables, load_scenario
from firstk.scenarios.model import OTHER, Expectation, Scenario


class UnmetError(AssertionError):
    """The error of a result that is not as expected; its message explains it, with a timeline."""

    __module__ = "firstk"  # the public name


@dataclass(frozen=True)
class Settings:
    """The settings from the command line and the ini file, for all tests.

    Files are looked up in `root`; messages name them relative to `here`, where pytest was started.
    """

    root: Path
    here: Path
    downloader: str | None = None
    seed: int | None = None
    runs: int | None = None
    isolation: bool = False
    timeout: float | None = None

    def load(self, path: Path) -> Scenario:
        """Return the scenario in a file."""
        path = self.root / path
        return load_scenario(path, self.named(path))

    def named(self, path: Path) -> str:
        """Return the name of a file as used on a command line."""
        try:
            return os.path.relpath(path, self.here)
        except ValueError:  # on another drive
            return str(path)

    def changed(self, scenario: Scenario, seed: int | None = None) -> Scenario:
        """Return a scenario with the configured seed and number of runs."""
        return scenario.with_runs(seed=self.seed if seed is None else seed, runs=self.runs)

    def find_downloader(self) -> None:
        """Import the downloader under test; raise `DownloaderError` if that is not possible."""
        if self.downloader is None:
            return
        if not is_external(self.downloader):
            raise DownloaderError(f"should be MODULE:CALLABLE, not {self.downloader!r}")
        if str(self.root) not in sys.path:
            sys.path.append(str(self.root))  # as `firstk run` does with the current folder
        find_downloader(self.downloader)


def expected_of(scenario: Scenario, settings: Settings) -> dict[str, Expectation]:
    """Return the names of what a scenario tests, each with its expectation.

    With a downloader under test, it is the only one. Otherwise the names are all strategies
    that have an expectation, including those that the scenario does not compare. A strategy
    without an expectation cannot fail, and so is not a test.
    """
    names = [*scenario.strategies, *(n for n in scenario.expect if n not in scenario.strategies)]
    if settings.downloader is not None:
        names = [settings.downloader]
    found = {name: expectation(scenario, name) for name in names if name != OTHER}
    return {name: one for name, one in found.items() if one and one.model_fields_set}


@dataclass(frozen=True)
class Runs:
    """All runs of a test.

    `shown` is the run to report: the first that is not as expected, or the first if all are.
    `failed` is the number of runs that are not as expected. `untriggered_faults` are the faults
    that met no request in any run.
    """

    shown: Run
    failed: int
    untriggered_faults: Unmet
    digests: Sequence[str]


def run_all(scenario: Scenario, name: str, timeout: float | None = None) -> Runs:
    """Run a scenario as many times as it says, and compare each run with the expectations."""
    expected = expectation(scenario, name)
    assert expected is not None
    shown, failed = simulate(scenario, name, timeout=timeout), 0
    untriggered, digests = shown.untriggered_faults, []
    for number in range(scenario.runs):
        run = simulate(scenario, name, number, timeout) if number else shown
        digests.append(run.result.digest)
        untriggered = untriggered_in_all([untriggered, run.untriggered_faults])
        if any(unmet(expected, run.result)):
            shown = run if failed == 0 else shown
            failed += 1
    return Runs(shown, failed, untriggered, digests)


def check_isolation(scenario: Scenario, name: str, digests: Sequence[str]) -> None:
    """Repeat runs in a fresh process; raise `StateError` if a digest differs there."""
    made = [
        Made(scenario, name, number, digest, scenario.source)
        for number, digest in enumerate(digests)
    ]
    check(last_first(made))


def failure(
    run: Run,
    explanation: Explanation,
    problems: Sequence[str],
    command: str | None,
    failed: int = 1,
    runs: int = 1,
) -> str:
    """Return a report of a run that is not as expected, beginning with its four-line explanation.

    `command` is the command that replays the run, or None if no command can. `failed` of `runs`
    runs are not as expected.
    """
    result = run.result
    several = f" (the first of {failed} in {runs} runs that fail)" if runs > 1 else ""
    reason, *more = problems[0].splitlines()
    lines = [*explanation.lines, f"{reason} ({result.scenario}, {result.strategy})", *more]
    lines += [f"  {problem}" for problem in problems[1:]]
    if (place := run.failure and where(run.failure)) is not None:
        lines.append(f"  raised at {place}")
    lines.append(f"seed: {result.seed}{several}")
    if command is not None:
        lines.append(f"replay: {command}")
    if run.network is not None:
        lines += filter(None, [run.network.stall, *run.network.report.splitlines()])
    return "\n".join(lines) + "\n\n" + text_timeline(run)


def unmet_error(text: str, run: Run) -> UnmetError:
    """Return the error to raise, with the traceback of the code under test for debuggers."""
    error = UnmetError(text)
    return error.with_traceback(own_traceback(run.failure) if run.failure else None)


@dataclass(frozen=True)
class _Ran:
    """A run in a test: the command that replays it, if there is one, and what was run.

    For a run in a grid that the test itself drives, this holds the final state of the grid.
    """

    run: Run
    command: str | None = None
    subject: DownloaderSpec | None = None
    scene: Scene | None = None

    def explained(self, expected: Expectation | None, timeout: float | None) -> Explanation:
        """Return the explanation of why the run is not as expected."""
        if self.subject is not None:
            return explain_run(self.run, self.subject, expected, timeout)
        scene = self.scene or Scene()
        return explain_scene(self.run, scene, "the test itself drives the grid")

    @property
    def text(self) -> str:
        """Return what happened in the run, with an explanation if it did not succeed."""
        timeline = text_timeline(self.run)
        if is_well(None, self.run.result):
            return timeline
        return f"{self.explained(Expectation(outcome='ok'), None)}\n{timeline}"


class Firstk:
    """The fixture `firstk`: runs scenarios in your own tests and checks their results."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runs: list[_Ran] = []
        self._grids: list[SimGrid] = []
        self._networks: list[Network] = []
        self._shown = False

    def run(
        self,
        scenario: str | Path | None = None,
        *,
        downloader: DownloaderSpec | None = None,
        strategy: str | None = None,
        seed: int | None = None,
        **tables: Any,
    ) -> Result:
        """Run one download, and return its result.

        `scenario` is a file (relative to pytest's root folder) or the name of a scenario in the
        library. Without it, `tables` are the keys of a scenario file: `file`, `grid`, `servers`
        and so on. `downloader` is a callable, or `package.module:callable`; the default is the
        downloader that pytest is configured to test. `strategy` runs one of firstk's own.
        """
        __tracebackhide__ = True
        if (scenario is None) == (not tables):
            raise TypeError("run() takes a scenario, or the tables of one, and not both")
        if downloader is not None and strategy is not None:
            raise TypeError("run() takes a downloader or a strategy, not both")
        subject = downloader or strategy or self._settings.downloader
        if subject is None:
            raise TypeError("run() needs a downloader, or a strategy")
        try:
            if subject is self._settings.downloader:
                self._settings.find_downloader()
            if scenario is None:
                original = from_tables({"name": "scenario", **tables})
            else:
                original = self._load(scenario)
            changed = self._settings.changed(original, seed)
            run = simulate(changed, subject, timeout=self._settings.timeout)
        except (ScenarioError, DownloaderError) as e:
            raise e.with_traceback(None) from None  # show only the user's test
        command = None
        if scenario is not None and _importable(subject):
            command = replay(original, name_of(subject), run.result.seed)
        self._runs.append(_Ran(run, command, subject))
        for fault in described(changed, run.untriggered_faults):
            warnings.warn(f"{changed.source}: {fault}", UntriggeredFaultWarning, stacklevel=2)
        if self._settings.isolation and _importable(subject):
            try:
                check_isolation(changed, name_of(subject), [run.result.digest])
            except StateError as e:
                raise e.with_traceback(None) from None
        return run.result

    def grid(self, scenario: str | Path | None = None, **keys: Any) -> SimGrid:
        """Return a grid that you drive step by step, hanging and healing servers; see `SimGrid`.

        The grid is that of a scenario, given as for `run`, or is made from keys of `SimGrid`. The
        default downloader is the one that pytest is configured to test.
        """
        __tracebackhide__ = True
        if scenario is not None and keys.keys() - {"downloader"}:
            raise TypeError("grid() takes a scenario, or the keys of a grid, and not both")
        try:
            if "downloader" not in keys:
                self._settings.find_downloader()
                keys["downloader"] = self._settings.downloader
            if scenario is not None:
                grid = SimGrid.of(self._settings.changed(self._load(scenario)), **keys)
            else:
                seed = {} if self._settings.seed is None else {"seed": self._settings.seed}
                grid = SimGrid(**seed | keys)
        except (ScenarioError, DownloaderError) as e:
            raise e.with_traceback(None) from None
        grid.timeout = self._settings.timeout
        self._grids.append(grid)
        return grid

    def network(self, **keys: Any) -> Network:
        """Return a network of hosts with Twisted reactors; it takes the arguments of `Network`.

        The default seed is the one that pytest is configured with. If the test fails, its report
        shows the connections that were never answered, and a sequence diagram.
        """
        __tracebackhide__ = True
        seed = {} if self._settings.seed is None else {"seed": self._settings.seed}
        network = Network(**seed | keys)
        network.timeout = self._settings.timeout
        self._networks.append(network)
        return network

    def __repr__(self) -> str:
        return (
            f"<Firstk: {len(self._runs)} runs, {len(self._grids)} grids,"
            f" {len(self._networks)} networks>"
        )

    def timelines(self) -> str:
        """Return timelines of the runs, and diagrams of the networks; this ends all of them."""
        self._shown = True
        found = [ran.text for ran in self._all_runs()]
        for grid in self._grids:
            found += [text_timeline(run, now) for run, now in grid.under_way()]
        found += [_shown(network) for network in self._networks]
        return "\n".join(found)

    def close(self) -> None:
        """Close the grids, and warn of faults that met no request of the downloads in them."""
        for grid in self._grids:
            try:
                grid.close()
            except Exception:
                if not self._shown:  # a failed test shows the error in its timelines
                    raise
        for grid in self._grids:
            for fault in grid.untriggered_faults():
                warnings.warn(f"grid: {fault}", UntriggeredFaultWarning, stacklevel=2)

    def _all_runs(self) -> list[_Ran]:
        both = (zip(grid.runs, grid.scenes, strict=True) for grid in self._grids)
        return [*self._runs, *(_Ran(run, scene=scene) for one in both for run, scene in one)]

    def check(self, result: Result, **expected: Any) -> None:
        """Raise `UnmetError` if a result of `run` or of a grid is not as expected.

        `expected` takes the keys of `[expect.downloader]`; without any, the expectations of the
        scenario apply.
        """
        __tracebackhide__ = True
        found = [one for one in self._all_runs() if one.run.result is result]
        if not found:
            raise TypeError("check() takes a result that run(), or a grid of grid(), returned here")
        ran = found[0]
        try:
            wanted = expectation_from(expected) if expected else None
        except ScenarioError as e:
            raise e.with_traceback(None) from None
        wanted = wanted or expectation(ran.run.scenario, result.strategy)
        if wanted is None or not wanted.model_fields_set:
            raise TypeError(
                f"check() has nothing to check: nothing is expected of {result.strategy}"
            )
        if problems := list(unmet(wanted, result)):
            why = ran.explained(wanted, self._settings.timeout)
            raise unmet_error(failure(ran.run, why, problems, ran.command), ran.run) from None

    def _load(self, scenario: str | Path) -> Scenario:
        if Path(scenario).suffix == ".toml":
            return self._settings.load(Path(scenario))
        found = load_all([str(scenario)])
        if len(found) != 1:
            raise TypeError(f"{scenario} has {len(found)} scenarios; run() runs one")
        return found[0]


def _shown(network: Network) -> str:
    """Return what happened in a network, beginning with the requests that were never answered."""
    parts = [f"network: at {network.now:.6g} s, seed {network.seed}", network.report()]
    return "\n".join(filter(None, [*parts, network.diagram()]))


def _importable(subject: DownloaderSpec) -> bool:
    """Return whether a command line can name a downloader."""
    if isinstance(subject, str):
        return True
    module, _, path = name_of(subject).partition(":")
    return getattr(sys.modules.get(module), path, None) is subject


__all__ = [
    "DownloaderError",
    "Firstk",
    "ScenarioError",
    "Settings",
    "StateError",
    "UnmetError",
    "explain_run",
]
