"""A run that takes too long in real time ends, and reports where the code under test was."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from threading import Thread

import pytest

from firstk.harness.run.simulate import simulate
from firstk.harness.testing.simgrid import SimGrid
from tests.harness.command_line import firstk, write
from tests.harness.making import scenario

SPINNING = "tests.harness.downloaders:spinning"


def test_simulate() -> None:
    """A busy loop that catches every Exception is ended, with its stack."""
    before = signal.getsignal(signal.SIGALRM)
    begun = time.monotonic()
    result = simulate(scenario(), SPINNING, timeout=0.2).result

    assert time.monotonic() - begun < 5
    assert (result.outcome, result.error) == ("failed", "StuckError")
    assert "no end after 0.2 s of real time, at 0 s of virtual time" in (result.message or "")
    assert "downloaders.py:" in (result.message or "")
    assert "in spinning" in (result.message or "")
    assert before is signal.getsignal(signal.SIGALRM)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_in_time() -> None:
    """A run that ends in time is unchanged."""
    assert (
        simulate(scenario(), "first-k").result == simulate(scenario(), "first-k", timeout=60).result
    )


def test_run(tmp_path: Path) -> None:
    """`firstk run --timeout` fails, and --traceback shows the frames."""
    args = ("--downloader", SPINNING, "--timeout", "0.2", "--traceback")
    ran = firstk("run", write(tmp_path), *args)

    assert ran.exit_code == 1
    assert "StuckError: no end after 0.2 s" in ran.stdout
    assert ", in spinning\n" in ran.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e9", "soon"])
def test_wrong_timeout(seconds: str, tmp_path: Path) -> None:
    """An invalid timeout is a usage error."""
    assert firstk("run", write(tmp_path), "--timeout", seconds).exit_code == 2


def test_grid() -> None:
    """A grid can be used again after a timeout."""
    with SimGrid() as grid:
        grid.timeout = 0.2

        assert grid.download(SPINNING).error == "StuckError"
        assert grid.download("first-k").outcome == "ok"


def test_another_thread() -> None:
    """Off the main thread, a timeout raises: there is no such timer."""
    errors: list[RuntimeError] = []

    def work() -> None:
        try:
            simulate(scenario(), "first-k", timeout=1)
        except RuntimeError as e:
            errors.append(e)

    thread = Thread(target=work)
    thread.start()
    thread.join()

    assert [str(e).partition(",")[0] for e in errors] == ["a timeout needs the main thread"]
