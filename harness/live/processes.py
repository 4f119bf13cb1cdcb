"""The processes of a live grid, as seen by the process that uses them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any

#: The time limit for a process to start, to answer or to end, in seconds.
_PATIENCE = 60.0

_MODULE = "firstk.harness.live.keeper"


class LiveError(Exception):
    """A live grid is not possible here, or one of its processes failed."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the grid: its ID, and the socket for messages to it."""

    pid: int
    channel: Connection

    def tell(self, **message: Any) -> Any:
        """Send a message and return the answer; raise `LiveError` if there is none."""
        try:
            self.channel.send(message)
        except OSError as e:
            raise LiveError(f"process {self.pid} of the live grid is gone: {e}") from e
        return self.hear()

    def hear(self) -> Any:
        """Return the next message from the process; raise `LiveError` if there is none."""
        return _heard(self.channel, f"process {self.pid} of the live grid")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal. The keeper never waits for it, so its process ID cannot be reused."""
        os.kill(self.pid, number)


class Keeper:
    """Starts processes, and ends all of them when it is closed or this process ends.

    `folder` belongs to the processes, and is removed at the end. Use it as a context manager.
    Raises `LiveError` if it cannot start.
    """

    def __init__(self) -> None:
        check_installed()
        self.folder = Path(tempfile.mkdtemp(prefix="firstk-live-"))
        self._control, theirs = Pipe()
        with theirs:
            self._keeper = subprocess.Popen(  # noqa: S603 - a program of our own
                [sys.executable, "-m", _MODULE, str(theirs.fileno()), str(self.folder)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in a terminal must only reach this process
            )
        self._channels: list[Connection] = []
        self._ready = False

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, kind: str, **wanted: Any) -> Process:
        """Start a process and return it at once; `hear` returns its message when it is ready."""
        what = "the keeper of the live grid"
        if not self._ready:
            self._ready = _heard(self._control, what) == "ready"
        try:
            self._control.send((kind, wanted))
            pid = _heard(self._control, what)
            channel = Connection(recv_handle(self._control))
        except OSError as e:
            raise LiveError(f"{what} is gone: {e}") from e
        self._channels.append(channel)
        return Process(pid, channel)

    def close(self) -> None:
        """End all processes, wait until they are gone, and remove the folder."""
        self._control.close()
        for channel in self._channels:
            channel.close()
        try:
            self._keeper.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        shutil.rmtree(self.folder, ignore_errors=True)  # in case the keeper was killed


def _heard(channel: Connection, what: str) -> Any:
    """Return the next message on a channel."""
    try:
        if not channel.poll(_PATIENCE):
            raise LiveError(f"{what} said nothing for {_PATIENCE:g} s")
        return channel.recv()
    except (EOFError, OSError) as e:
        raise LiveError(f"{what} has ended; its own error is above") from e


def check_installed() -> None:
    """Raise `LiveError` unless everything that a live grid needs is installed."""
    if not hasattr(os, "fork"):
        raise LiveError("a live grid takes a POSIX system")
    for module, extra in (("allmydata", "tahoe"), ("cbor2", "http"), ("OpenSSL", "http")):
        if find_spec(module) is None:
            raise LiveError(f"{module} is not installed: pip install 'firstk[{extra}]'")
