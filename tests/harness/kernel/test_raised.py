"""Whatever code under test raises fails the run; the message says what was raised, and where."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from firstk.downloader import DownloadError
from firstk.harness.kernel.raised import (
    ExitError,
    as_error,
    error_name,
    own_traceback,
    traceback_of,
    where,
)
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.testing.simgrid import SimGrid
from tests.harness import downloaders
from tests.harness.command_line import firstk, process, results, write
from tests.harness.making import scenario

HERE = "tests.harness.downloaders"

#: Downloaders, and the class that each raises.
RAISING = {
    "leaving": "SystemExit",
    "cancelled": "CancelledError",
    "generator_exit": "GeneratorExit",
    "keyboard": "KeyboardInterrupt",
    "unprintable": "_UnprintableError",
    "closing": "ClosedStreamError",
}


@pytest.fixture(params=RAISING)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of a downloader that raises."""
    return str(request.param)


def test_simulate(name: str) -> None:
    """The run fails; the message has the file and the function."""
    result = simulate(scenario(), f"{HERE}:{name}").result

    assert ("failed", RAISING[name]) == (result.outcome, result.error)
    assert "downloaders.py:" in (result.message or "")


@pytest.mark.parametrize(
    "name", ["leaving", *(pytest.param(n, marks=pytest.mark.slow) for n in [*RAISING][1:])]
)
def test_run(name: str, tmp_path: Path) -> None:
    """`firstk run` shows the error, and fails although nothing is expected of the downloader."""
    ran = process("run", write(tmp_path), "--downloader", f"{HERE}:{name}", capture_output=True)

    assert ran.returncode == 1
    assert f"{RAISING[name]}: " in ran.stdout
    assert "downloaders.py:" in ran.stdout
    assert f"not as expected: firstk run {tmp_path}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_expected(tmp_path: Path) -> None:
    """A scenario may expect the error."""
    path = write(tmp_path)
    path.write_text(path.read_text() + '[expect.downloader]\nerror = "SystemExit"\n')

    assert firstk("run", path, "--downloader", f"{HERE}:leaving").exit_code == 0


def test_compare(name: str, tmp_path: Path) -> None:
    """`firstk compare` shows the error and fails, too."""
    path, saved = write(tmp_path), tmp_path / "saved.json"
    ran = firstk("compare", path, "--save", saved, "--downloader", f"{HERE}:{name}")

    assert ran.exit_code == 1
    assert f"{RAISING[name]}: " in ran.stderr
    assert "downloaders.py:" in ran.stderr


def test_grid(name: str) -> None:
    """A grid returns the failure as the download's result, and can be used again."""
    with SimGrid() as grid:
        bad = grid.download(f"{HERE}:{name}")

        assert ("failed", RAISING[name]) == (bad.outcome, bad.error)
        assert grid.download("first-k").outcome == "ok"


def test_load(name: str) -> None:
    """In a workload, the download fails, and the run continues."""
    load = {"arrivals": {"kind": "fixed", "rate": 1.0}, "downloads": 3}
    result = simulate_workload(scenario(workload=load), f"{HERE}:{name}")

    assert RAISING[name] in result.errors


def test_trigger() -> None:
    """An exception in a shutdown trigger fails the run, and the other triggers run."""
    ran: list[int] = []

    def leaving(reactor: Any, *_: Any) -> Deferred[None]:
        reactor.addSystemEventTrigger("before", "shutdown", sys.exit, 3)
        reactor.addSystemEventTrigger("before", "shutdown", ran.append, 1)
        return succeed(None)

    result = simulate(scenario(), leaving).result

    assert (result.outcome, result.error, ran) == ("failed", "SystemExit", [1])


def test_reactor() -> None:
    """A reactor on its own continues with other callbacks, as Twisted's does."""
    reactor = SimReactor()
    called: list[int] = []
    reactor.callLater(1, sys.exit, 1)
    reactor.callLater(2, called.append, 2)
    with pytest.raises(ExitError, match=r"raised SystemExit\(1\)"):
        reactor.run()

    assert called == [2]


def test_streams_stay() -> None:
    """Standard streams that code under test closes are open again afterwards."""
    before = sys.stdout, sys.stderr
    simulate(scenario(), downloaders.closing)

    assert before == (sys.stdout, sys.stderr)
    assert not sys.stdout.closed


def test_streams_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that code under test installs as standard output stays there."""
    own = io.StringIO()
    monkeypatch.setattr(sys, "stdout", sys.stdout)

    def replacing(*_: Any) -> Deferred[None]:
        sys.stdout = own
        return succeed(None)

    simulate(scenario(), replacing)

    assert own is sys.stdout


def test_import(tmp_path: Path) -> None:
    """A module that exits when it is imported is a usage error with file and line."""
    (tmp_path / "script.py").write_text("import sys\n\nsys.exit(0)\n")
    path = write(tmp_path)
    command = [sys.executable, "-c", "from firstk.harness.cli.main import main; main()"]
    ran = subprocess.run(  # noqa: S603 - our own
        [*command, "run", str(path), "--downloader", "script:get"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "cannot import script: SystemExit: 0 (at script.py:3 in <module>)" in ran.stderr


def test_raised_at(tmp_path: Path) -> None:
    """`firstk run` reports where an error was raised; --traceback prints frames without ours."""
    ran = firstk("run", write(tmp_path), "--downloader", f"{HERE}:misconfigured", "--traceback")

    assert "KeyError: 'endpoint'\n  raised at tests/harness/downloaders.py:" in ran.stdout
    assert "Traceback (most recent call last):" in ran.stderr
    assert ", in misconfigured\n" in ran.stderr
    assert 'return config["endpoint"]' in ran.stderr
    for ours in ("/harness/clock.py", "/harness/subject.py", "/twisted/"):
        assert ours not in ran.stderr


def test_json_and_traceback(tmp_path: Path) -> None:
    """With --traceback, standard output is still JSON."""
    args = ("--downloader", f"{HERE}:misconfigured", "--traceback")

    assert results(write(tmp_path), *args)[-1]["error"] == "KeyError"


def test_reported_on_purpose() -> None:
    """A deliberate error of a downloader has no traceback: its message says it all."""
    with pytest.raises(DownloadError) as caught:
        raise DownloadError("no")
    e = caught.value

    assert (own_traceback(e), where(e), traceback_of(e)) == (None, None, "DownloadError: no")


def test_as_error() -> None:
    """An error is unchanged; SystemExit becomes an error with its name."""
    error = ValueError("x")

    assert error is as_error(error)
    assert (error_name(error), error_name(as_error(SystemExit(2)))) == ("ValueError", "SystemExit")
