"""The processes of a live grid end with their user, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from firstk.harness.live.processes import Keeper, LiveError
from tests.harness.making import ROOT, needs_live

pytestmark = needs_live

#: Starts two servers and a proxy, stops one server, prints its process ids, and waits.
_PROGRAM = """
import signal, sys, time
from firstk.harness.live.grid import LiveGrid
from firstk.harness.live.processes import Keeper
with Keeper() as keeper:
    grid = LiveGrid(keeper, 2)
    pids = [*grid.processes.values(), grid._proxy.pid, keeper._keeper.pid]
    ports = [nurl.port for nurl in grid.nurls.values()]
    grid._servers[0].process.send(signal.SIGSTOP)
    print(*pids, *ports, keeper.folder, flush=True)
    time.sleep(100)
"""


def _is_there(pid: int) -> bool:
    """Return whether there is a process of this number that is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_ends_with_its_user(number: signal.Signals) -> None:
    """No process, port or file is left when the user is interrupted, terminated or killed."""
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", _PROGRAM],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as user:
        assert user.stdout is not None
        *numbers, folder = user.stdout.readline().split()
        pids, ports = [int(n) for n in numbers[:4]], [int(n) for n in numbers[4:]]
        there = [_is_there(pid) for pid in pids], [_listens(port) for port in ports]
        had_folder = Path(folder).exists()
        user.send_signal(number)
        user.wait(20)
        _wait_until(lambda: not any(map(_is_there, pids)) and not Path(folder).exists())

    assert there == ([True] * 4, [True] * 2)
    assert had_folder
    assert [_is_there(pid) for pid in pids] == [False] * 4
    assert [_listens(port) for port in ports] == [False] * 2
    assert not Path(folder).exists()


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux signals a child when its parent ends"
)
def test_keeper_killed() -> None:
    """If the keeper itself is killed, so are all its processes."""
    from firstk.harness.live.grid import LiveGrid

    with Keeper() as keeper:
        grid = LiveGrid(keeper, 2)
        pids = list(grid.processes.values())
        grid._servers[0].process.send(signal.SIGSTOP)
        keeper._keeper.kill()
        keeper._keeper.wait()
        _wait_until(lambda: not any(map(_is_there, pids)))

        assert [_is_there(pid) for pid in pids] == [False, False]
        with pytest.raises(LiveError, match=r"is gone|has ended"):
            keeper.start("server")
    assert not keeper.folder.exists()


@pytest.mark.slow
def test_child_that_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A process that cannot start raises an error, and its own error is printed."""
    with Keeper() as keeper:
        process = keeper.start("server", name="s0", folder="/proc/nowhere", host="127.0.0.1")
        with pytest.raises(LiveError, match=r"process \d+ of the live grid has ended"):
            process.hear()

    assert "nowhere" in capfd.readouterr().err


@pytest.mark.slow
def test_100_times() -> None:
    """100 starts and stops of servers, in ten grids, leave no process or port behind."""
    from firstk.harness.live.grid import LiveGrid

    pids, ports = [], []
    for i in range(10):
        with Keeper() as keeper:
            grid = LiveGrid(keeper, 10)
            grid._servers[i].process.send(signal.SIGSTOP)
            pids += [keeper._keeper.pid, grid._proxy.pid, *grid.processes.values()]
            ports += [nurl.port for nurl in grid.nurls.values()]
        assert not keeper.folder.exists()

    assert len(pids) == 120
    assert not any(map(_is_there, pids))
    assert not any(map(_listens, ports))
