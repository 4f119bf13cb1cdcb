"""Processes of a live grid, seen from the one that uses them."""

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

#: How long a process may take to start, to answer or to end, in seconds.
_PATIENCE = 60.0

_MODULE = "firstk.harness.live.keeper"


class LiveError(Exception):
    """A live grid cannot be made here, or one of its processes failed."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the grid: its number, and the socket over which it is told what to do."""

    pid: int
    channel: Connection

    def tell(self, **message: Any) -> Any:
        """Send a message and return the answer; raises `LiveError` if there is none."""
        try:
            self.channel.send(message)
        except OSError as e:
            raise LiveError(f"process {self.pid} of the live grid is gone: {e}") from e
        return self.hear()

    def hear(self) -> Any:
        """Return what it says next; raises `LiveError` if it says nothing."""
        return _heard(self.channel, f"process {self.pid} of the live grid")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal. The keeper waits for none, so its number is not another's by now."""
        os.kill(self.pid, number)


class Keeper:
    """Starts processes, and ends all of them when it is closed or this process ends.

    `folder` is theirs, and is removed then. Use it as a context. Raises `LiveError` if it cannot
    start.
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
                start_new_session=True,  # Control-C in a terminal is for this process alone
            )
        self._channels: list[Connection] = []
        self._ready = False

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, kind: str, **wanted: Any) -> Process:
        """Start a process, and return it at once: `hear` returns what it says when it is ready."""
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
        """End all processes, and wait until they are gone, and the folder with them."""
        self._control.close()
        for channel in self._channels:
            channel.close()
        try:
            self._keeper.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        shutil.rmtree(self.folder, ignore_errors=True)  # if the keeper was killed


def _heard(channel: Connection, what: str) -> Any:
    """Return the next message on a channel."""
    try:
        if not channel.poll(_PATIENCE):
            raise LiveError(f"{what} said nothing for {_PATIENCE:g} s")
        return channel.recv()
    except (EOFError, OSError) as e:
        raise LiveError(f"{what} has ended; its own error is above") from e


def check_installed() -> None:
    """Raise `LiveError` unless there is all that a live grid takes."""
    if not hasattr(os, "fork"):
        raise LiveError("a live grid takes a POSIX system")
    for module, extra in (("allmydata", "tahoe"), ("cbor2", "http"), ("OpenSSL", "http")):
        if find_spec(module) is None:
            raise LiveError(f"{module} is not installed: pip install 'firstk[{extra}]'")
