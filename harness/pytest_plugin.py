"""The pytest plugin: scenario files are tests, and the fixture `firstk` runs them in others.

Every test suite in an environment with firstk loads this module, so it imports nothing slow.
The code that runs scenarios is imported only if there are scenarios.
"""

from __future__ import annotations

import argparse
import glob
import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firstk.scenarios.seeds import MAX_RUNS, MAX_SEED

if TYPE_CHECKING:
    from firstk.harness.testing.pytest_api import Firstk, Settings
    from firstk.scenarios.model import Scenario

#: The maximum time limit of a run in real time, in seconds.
_DAY = 86_400.0

_SCENARIOS = pytest.StashKey[set[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the ini keys."""
    group = parser.getgroup("firstk", "storage servers that hang (firstk)")
    group.addoption(
        "--firstk-downloader",
        metavar="MODULE:CALLABLE",
        help="Put this downloader to the test, (reactor, servers, cap, consumer) -> Deferred.",
    )
    group.addoption(
        "--firstk-seed",
        metavar="N",
        type=_whole(0, MAX_SEED),
        help="The seed of the first run, in place of the scenario's.",
    )
    group.addoption(
        "--firstk-runs",
        metavar="N",
        type=_whole(1, MAX_RUNS),
        help="How many runs of each scenario file, in place of the file's.",
    )
    group.addoption(
        "--firstk-isolation",
        action="store_true",
        help="Repeat the downloads in fresh processes, and fail where one keeps state from others.",
    )
    group.addoption(
        "--firstk-timeout",
        metavar="SECONDS",
        type=_seconds,
        help="End a run that takes longer in real time: it has failed, and the stack is named.",
    )
    parser.addini("firstk_timeout", "What --firstk-timeout is where it is not given.")
    parser.addini(
        "firstk_scenarios",
        "Which files are scenarios: globs, relative to the root folder.",
        type="args",
        default=[],
    )
    parser.addini("firstk_downloader", "What --firstk-downloader is where it is not given.")


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `least` to `most`, inclusive."""

    def read(text: str) -> int:
        # Python does not parse numbers of thousands of digits.
        if not text.isdecimal() or len(text) > 20 or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"should be a whole number, {least} to {most}, not {text!r:.40}"
            )
        return int(text)

    return read


def _seconds(text: str) -> float:
    """Parse a time in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _DAY:
        raise argparse.ArgumentTypeError(
            f"should be a number of seconds, more than 0 and at most {_DAY:.0f}, not {text!r:.40}"
        )
    return seconds


def _timeout(config: pytest.Config) -> float | None:
    """Return the limit of a run in real time, or None if there is none."""
    given: float | None = config.getoption("firstk_timeout")
    text = config.getini("firstk_timeout")
    if given is not None or not text:
        return given
    try:
        return _seconds(text)
    except argparse.ArgumentTypeError as e:
        raise pytest.UsageError(f"firstk_timeout: {e}") from None


def pytest_configure(config: pytest.Config) -> None:
    """Set up the collection of scenario files, if any are configured."""
    _timeout(config)
    if globs := config.getini("firstk_scenarios"):
        config.stash[_SCENARIOS] = found = _find(config.rootpath, globs)
        for path in sorted(found):
            _check_collected(config, path)
        config.pluginmanager.register(_Collecting(), "firstk-scenarios")


def _find(root: Path, globs: Sequence[str]) -> set[Path]:
    found: set[Path] = set()
    for one in globs:
        names = glob.glob(one, root_dir=root, recursive=True)
        if not names:
            raise pytest.UsageError(f"firstk_scenarios: no file matches {one!r} in {root}")
        found.update(Path(os.path.normpath(root / name)) for name in names)
    return found


def _check_collected(config: pytest.Config, path: Path) -> None:
    """Reject a scenario file in a folder that pytest does not collect: it would never run."""
    patterns: list[str] = config.getini("norecursedirs")
    try:
        parts = path.relative_to(config.rootpath).parts[:-1]
    except ValueError:
        parts = ()
    folder = config.rootpath
    for part in parts:
        folder /= part
        why = next((f"{p!r} of norecursedirs" for p in patterns if _matches(folder, p)), None)
        if (folder / "pyvenv.cfg").is_file() and not config.getoption("collect_in_virtualenv"):
            why = "a virtual environment"
        if why is not None:
            name = path.relative_to(config.rootpath)
            raise pytest.UsageError(
                f"firstk_scenarios: {name} would never run: pytest does not look into {part!r}"
                f" ({why}); move the file, or change norecursedirs"
            )


def _matches(folder: Path, pattern: str) -> bool:
    """Return whether a pattern of norecursedirs matches a folder, by pytest's rules."""
    if os.sep not in pattern:
        return fnmatch(folder.name, pattern)
    return fnmatch(str(folder), pattern if os.path.isabs(pattern) else f"*{os.sep}{pattern}")


def _settings(config: pytest.Config) -> Settings:
    from firstk.harness.testing.pytest_api import Settings

    downloader = config.getoption("firstk_downloader") or config.getini("firstk_downloader")
    return Settings(
        root=config.rootpath,
        here=config.invocation_params.dir,
        downloader=downloader or None,
        seed=config.getoption("firstk_seed"),
        runs=config.getoption("firstk_runs"),
        isolation=config.getoption("firstk_isolation"),
        timeout=_timeout(config),
    )


class _Collecting:
    """The hooks for a test suite that has scenario files."""

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
        """Collect a scenario file."""
        if file_path in parent.config.stash[_SCENARIOS]:
            return ScenarioFile.from_parent(parent, path=file_path)
        return None

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        """Warn of scenarios that never run because `testpaths` leaves them out."""
        if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
            return
        folders = [config.invocation_params.dir / arg for arg in config.args]
        scenarios = config.stash[_SCENARIOS]
        for path in sorted(scenarios):
            if not any(path.is_relative_to(folder) for folder in folders):
                name = os.path.relpath(path, config.rootpath)
                terminalreporter.write_line(
                    f"firstk: {name} did not run: it is in no folder of `testpaths`", yellow=True
                )


class ScenarioFile(pytest.File):
    """A scenario file: one test per strategy that has an expectation.

    With a downloader under test, there is a single test, of that downloader.
    """

    def collect(self) -> Iterator[ScenarioItem]:
        """Yield the tests; mistakes in the file are reported with their lines."""
        from firstk.harness.testing.pytest_api import DownloaderError, ScenarioError, expected_of

        settings = _settings(self.config)
        name = settings.named(self.path)
        try:
            scenario = settings.load(self.path)
            settings.find_downloader()
        except ScenarioError as e:
            mistakes = (str(replace(mistake, file=name)) for mistake in e.mistakes)
            raise self.CollectError("\n".join(mistakes)) from None
        except DownloaderError as e:
            raise self.CollectError(f"firstk_downloader: {e}") from None
        try:
            settings.changed(scenario)
        except ValueError as e:
            raise self.CollectError(f"{name}: {e}") from None
        if scenario.workload is not None:
            raise self.CollectError(
                f"{name}: has a [workload]; a test is of one download, and `firstk run` runs this"
            )
        subjects = expected_of(scenario, settings)
        if not subjects:
            raise self.CollectError(f"{name}: no test could fail here: {_lacks(settings)}")
        for subject in subjects:
            others = [name for name in subjects if name != subject]
            yield ScenarioItem.from_parent(self, name=subject, scenario=scenario, others=others)


def _lacks(settings: Settings) -> str:
    """Return what is missing from a scenario in which nothing is tested."""
    if settings.downloader is None:
        return "it has no [expect.STRATEGY], and there is no firstk_downloader"
    return f"it has no [expect.downloader], which is for {settings.downloader}"


class ScenarioItem(pytest.Item):
    """A test of one strategy, or the downloader under test; `others` are the rest of the file."""

    def __init__(self, *, scenario: Scenario, others: Sequence[str], **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]  # pytest's own arguments
        self.scenario = scenario
        self._others = others

    def runtest(self) -> None:
        """Run the scenario as often as requested, and compare each run with the expectations.

        A fault that one strategy does not meet another may meet: a fault counts as untriggered
        only if none of the strategies of the file meets it.
        """
        from firstk.harness.grid.untriggered import (
            UntriggeredFaultWarning,
            described,
            untriggered_in_all,
        )
        from firstk.harness.run.comparison import expectation, replay
        from firstk.harness.run.result import unmet
        from firstk.harness.testing.pytest_api import (
            check_isolation,
            explain_run,
            failure,
            run_all,
            unmet_error,
        )

        settings = _settings(self.config)
        scenario = settings.changed(self.scenario)
        runs = run_all(scenario, self.name, settings.timeout)
        run, failed = runs.shown, runs.failed
        result = run.result
        command = replay(self.scenario, self.name, result.seed)
        self.user_properties += [
            ("seed", result.seed),
            ("runs", scenario.runs),
            ("outcome", result.outcome),
            ("ttfb", "never" if result.ttfb is None else result.ttfb),
            ("requests", result.requests),
            ("digest", result.digest),
            ("replay", command),
        ]
        if failed:
            expected = expectation(scenario, self.name)
            assert expected is not None
            problems = list(unmet(expected, result))
            why = explain_run(run, self.name, expected, settings.timeout)
            text = failure(run, why, problems, command, failed, scenario.runs)
            raise unmet_error(text, run) from run.failure
        if settings.isolation:
            check_isolation(scenario, self.name, runs.digests)
        untriggered = runs.untriggered_faults
        for other in self._others:
            if untriggered:
                there = run_all(scenario, other, settings.timeout).untriggered_faults
                untriggered = untriggered_in_all([untriggered, there])
        for fault in described(scenario, untriggered):
            warnings.warn_explicit(fault, UntriggeredFaultWarning, scenario.source, 1)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> object:  # type: ignore[override]
        """Return the unmet expectations, and the traceback of the code under test, if any."""
        from firstk.harness.grid.untriggered import UntriggeredFaultWarning
        from firstk.harness.kernel.raised import own_traceback, traceback_of
        from firstk.harness.testing.pytest_api import StateError, UnmetError

        if isinstance(excinfo.value, UnmetError | StateError | UntriggeredFaultWarning):
            cause = excinfo.value.__cause__
            raised = cause is not None and own_traceback(cause) is not None
            return str(excinfo.value) + (f"\n{traceback_of(cause)}" if cause and raised else "")
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return the location of the test, and its heading."""
        return self.path, None, f"{self.scenario.name}: {self.name}"


class _Timelines:
    """The hook for a test suite that uses the fixture `firstk`."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show what happened in the grids of a failed test, unless it is already shown."""
        report = yield
        firstk = getattr(item, "funcargs", {}).get("firstk")
        if report.when == "call" and report.failed and firstk is not None:
            from firstk.harness.testing.pytest_api import UnmetError

            shown = call.excinfo is None or call.excinfo.errisinstance(UnmetError)
            if not shown and (timelines := firstk.timelines()):
                report.sections.append(("firstk: what happened", timelines))
        return report


@pytest.fixture
def firstk(pytestconfig: pytest.Config) -> Iterator[Firstk]:
    """Test in virtual time: `firstk.run(...)`, `.grid(...)`, `.network(...)`, `.check(...)`."""
    from firstk.harness.testing.pytest_api import Firstk

    if not pytestconfig.pluginmanager.has_plugin("firstk-timelines"):
        pytestconfig.pluginmanager.register(_Timelines(), "firstk-timelines")
    found = Firstk(_settings(pytestconfig))
    yield found
    found.close()
