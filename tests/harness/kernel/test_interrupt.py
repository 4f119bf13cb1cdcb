"""Control-C ends a simulation within a second, wherever it strikes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from firstk.harness.grid.connection import Connection
from firstk.harness.kernel.interrupt import interruptible
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.testing.simgrid import SimGrid
from tests.harness.command_line import firstk
from tests.harness.making import ROOT, scenario

LOAD = {"arrivals": {"kind": "fixed", "rate": 1.0}, "downloads": 10}


def endless(reactor: Any, servers: Any, cap: Any, consumer: Any) -> Deferred[Any]:
    """Set one timer after another, forever; the first time, press Control-C."""

    def again() -> None:
        reactor.callLater(1, again)

    again()
    signal.raise_signal(signal.SIGINT)
    return Deferred()


def swallowing(reactor: Any, servers: Any, cap: Any, consumer: Any) -> Deferred[Any]:
    """Press Control-C, and catch everything that is raised."""
    try:
        signal.raise_signal(signal.SIGINT)
        time.sleep  # noqa: B018 - a place where a signal is delivered
    except BaseException:  # noqa: S110 - that is what it does
        pass
    return endless(reactor, servers, cap, consumer)


def stuck(reactor: Any, servers: Any, cap: Any, consumer: Any) -> None:
    """Press Control-C, and never return."""
    signal.raise_signal(signal.SIGINT)
    while True:
        pass


def alone(downloader: Callable[..., Any]) -> None:
    """Run one download."""
    simulate(scenario(deadline=1e12), downloader)


def load(downloader: Callable[..., Any]) -> None:
    """Run a workload."""
    simulate_workload(scenario(deadline=1e12, workload=LOAD), downloader)


def grid(downloader: Callable[..., Any]) -> None:
    """Run a download in a grid."""
    with SimGrid(deadline=1e12) as grid:
        grid.download(downloader)


@pytest.mark.parametrize("downloader", [endless, swallowing, stuck])
@pytest.mark.parametrize("run", [alone, load, grid])
def test_in_a_run(run: Callable[..., None], downloader: Callable[..., Any]) -> None:
    """Control-C ends a run, and afterwards the signal handler is restored."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(downloader)

    assert before is signal.getsignal(signal.SIGINT)
    assert simulate(scenario(), "first-k").result.outcome == "ok"


@pytest.mark.parametrize("method", ["get_buckets", "read"])
def test_in_a_request(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends a run even where a Deferred would catch it, and fails no server."""
    original = getattr(Connection, method)

    def interrupted(*args: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return original(*args)

    monkeypatch.setattr(Connection, method, interrupted)
    result = firstk("run", "one-hung", "--strategy", "first-k")

    assert (result.exit_code, result.stdout) == (130, "")


def test_after_the_last_event() -> None:
    """It is not lost during the last event."""

    def work() -> None:
        with interruptible(SimReactor()):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        work()


def test_handler_of_another() -> None:
    """A custom signal handler stays in charge."""
    caught: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        with interruptible(SimReactor()):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

    assert caught == [signal.SIGINT]


def test_another_thread() -> None:
    """In another thread, the signal handler is not changed."""
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with interruptible(SimReactor()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = Thread(target=work)
    thread.start()
    thread.join()

    assert [before] == seen


# Real processes

SCENARIO = """
name = "s"
strategies = ["first-k"]
deadline = 1e12
[file]
size = 1000
k = 3
n = 10
[grid]
servers = 10
rtt = { law = "constant", value = 0.05 }
"""

#: Prints that it has begun, and queries one server again and again.
DOWNLOADER = """
import sys
from firstk.downloader import parse_cap
from twisted.internet.defer import Deferred

def asking(reactor, servers, cap, consumer):
    index = parse_cap(cap).storage_index
    again = lambda _: servers[0].get_buckets(index).addBoth(again)
    again(None)
    sys.stderr.write("begun\\n")
    sys.stderr.flush()
    return Deferred()
"""

FILES = {
    "s.toml": SCENARIO + '[expect.downloader]\noutcome = "ok"\n',
    "load.toml": SCENARIO + '[workload]\narrivals = { kind = "closed", clients = 3 }\n'
    "downloads = 10\n",
    "sweep.toml": 'name = "sweep"\nscenario = "s.toml"\nruns = 9\nstrategies = ["first-k"]\n'
    '[axes]\n"file.size" = [1000, 2000]\n',
    "test_grid.py": "def test_it(firstk):\n"
    '    firstk.grid(downloader="asks:asking", deadline=1e12).download()\n',
    "grid.py": "from firstk.harness.testing.simgrid import SimGrid\n"
    'SimGrid(downloader="asks:asking", deadline=1e12).download()\n',
    "asks.py": DOWNLOADER,
    "pytest.ini": "[pytest]\nfirstk_scenarios = s.toml\n",
}

FIRSTK = ("-c", "from firstk.harness.cli.main import main; main()")
PYTEST = ("-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
ASKS = ("--downloader", "asks:asking")

#: The commands, and the expected exit status. That of pytest is 2, as without firstk.
COMMANDS = {
    "run": (130, (*FIRSTK, "run", "s.toml", *ASKS)),
    "load": (130, (*FIRSTK, "run", "load.toml", *ASKS)),
    "compare": (130, (*FIRSTK, "compare", "s.toml", *ASKS)),
    "sweep, 1 worker": (130, (*FIRSTK, "sweep", "sweep.toml", "--workers", "1", *ASKS)),
    "sweep, 2 workers": (130, (*FIRSTK, "sweep", "sweep.toml", "--workers", "2", *ASKS)),
    "pytest": (2, (*PYTEST, "s.toml", "--firstk-downloader", "asks:asking")),
    "pytest, grid": (2, (*PYTEST, "test_grid.py")),
    "a program": (-signal.SIGINT, ("grid.py",)),
}

#: Commands that are not run each time: they take the same code path as others.
SLOW = ("a program", "compare", "load", "sweep, 1 worker", "sweep, 2 workers", "pytest")


@pytest.mark.parametrize(
    "command", [pytest.param(c, marks=[pytest.mark.slow] * (c in SLOW)) for c in COMMANDS]
)
def test_real_processes(command: str, tmp_path: Path) -> None:
    """A real Control-C ends a real process, with the documented exit status."""
    status, arguments = COMMANDS[command]
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    with subprocess.Popen(  # noqa: S603 - the commands are a test's own
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        begun = next((line for line in process.stderr if "begun" in line), None)
        pressed = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
        took = time.monotonic() - pressed

    assert begun is not None
    assert status == process.returncode, said
    assert took < 10  # less than a second, where the machine has nothing else to do
    if status == 130:
        assert said.splitlines()[-1] == "firstk: interrupted"
        assert "Traceback" not in said
