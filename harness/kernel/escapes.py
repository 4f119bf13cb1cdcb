"""Escapes: what code under test does that reaches outside the simulation, and where."""

from __future__ import annotations

import os
import random
import site
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from types import FrameType
from typing import Any, Protocol

REACTOR = "twisted.internet.reactor"

#: Why each kind of escape is wrong, and what to use instead.
WAITS = "it waits in real time; use reactor.callLater, or task.deferLater(reactor, seconds)"
CLOCK = "it reads the real clock; use reactor.seconds()"
NETWORK = "there is no network in a simulation; ask the servers that the downloader is passed"
ONLY_SIMULATED = "the only network there is is the simulated one; use the host's reactor"
THREAD = (
    "a thread runs in real time; use"
    " threads.deferToThreadPool(reactor, reactor.getThreadPool(), function)"
)
PROCESS = "a process runs in real time, and there is none in a simulation"
REAL = "it is Twisted's real reactor; use the reactor that the downloader is passed"
NO_HOST = "no host's code is running; call host.run(function)"
SEED = "without a seed it takes one from the system; in a run `random` follows from the run's seed"
LOOP = "asyncio's loop runs in real time; use the reactor that the downloader is passed"

#: Packages that are never blamed for an escape: their caller is.
_FIRSTK = {"firstk"}
_BASE = _FIRSTK | {"simpy", "twisted", "zope"} | sys.stdlib_module_names

#: The modules that watch a run.
_OWN = {f"{__package__}.{name}" for name in ("escapes", "stand_ins", "isolation")}

#: Where libraries are installed.
_LIBRARIES = tuple(
    {
        os.path.join(os.path.realpath(folder), "")
        for folder in (
            sysconfig.get_path("purelib"),
            sysconfig.get_path("platlib"),
            *site.getsitepackages(),
            site.getusersitepackages(),
        )
    }
)


class EscapeError(Exception):
    """Code under test reached outside the simulation.

    The message names the function and the line of code, and says what to use instead.
    """

    __module__ = "firstk"  # as users import it


class Process(Protocol):
    """The process-wide objects of the running code, in a simulation with processes."""

    @property
    def reactor(self) -> object | None:
        """The value of `twisted.internet.reactor`; None while no process's code is running."""

    @property
    def random(self) -> random.Random:
        """The generator that the module `random` draws from."""

    def read_clock(self, name: str) -> float:
        """Return the result of the function `name` of the module `time`."""

    def entropy(self, size: int) -> bytes:
        """Return the result of `os.urandom`."""

    @property
    def hostname(self) -> str:
        """The result of `socket.gethostname`."""


class Guard:
    """Watches one run, on one thread."""

    def __init__(
        self,
        own: str,
        draws: Callable[[], random.Random],
        entered: FrameType,
        process: Process | None,
        clock: Callable[[str], float] | None = None,
    ) -> None:
        self.own = own
        self.first: EscapeError | None = None
        self.process = process
        self.read_clock = clock if process is None else process.read_clock
        self._draws = draws
        self._entered: FrameType | None = entered

    @cached_property
    def random(self) -> random.Random:
        """The generator that the module `random` draws from in a run without processes."""
        return self._draws()

    def escape(self, what: str, why: str) -> EscapeError:
        """Return the error to raise, and keep the first one, since the code may catch it."""
        if self.process is not None and why is NETWORK:
            why = ONLY_SIMULATED
        error = EscapeError(f"{what} at {self._site()}: {why}")
        self.first = self.first or error
        return error

    def over(self) -> None:
        """Drop all references to the simulation."""
        self._entered = None
        if self.first is not None:
            self.first.__traceback__ = self.first.__context__ = None

    def tests(self, frame: FrameType) -> bool:
        """Return whether a frame belongs to code under test."""
        module = frame.f_globals
        return is_under_test(self.own, str(module.get("__name__")), module.get("__file__"))

    def frames(self) -> Iterator[FrameType]:
        """Yield the stack frames of this run, the innermost first."""
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame is not self._entered:
            if frame.f_globals.get("__name__") not in _OWN:
                yield frame
            frame = frame.f_back

    def makes_loop(self) -> bool:
        """Return whether asyncio is creating a loop, for which it needs sockets."""
        return any(frame.f_code.co_name == "_make_self_pipe" for frame in self.frames())

    def in_transport(self) -> bool:
        """Return whether the running code is that of a Twisted TCP transport."""
        names = (str(frame.f_globals.get("__name__")) for frame in self.frames())
        return next((name for name in names if name != "socket"), "") == "twisted.internet.tcp"

    def _site(self) -> str:
        frames = list(self.frames())
        known = [frame for frame in frames if self.tests(frame)]
        known += [frame for frame in frames if top_package(frame.f_globals) not in _BASE]
        frame = [*known, *frames][0]
        path = frame.f_code.co_filename
        relative = os.path.relpath(path) if os.path.isabs(path) else path
        shown = path if relative.startswith(os.pardir) else relative
        straight = "" if known else ", straight from a timer or a Deferred"
        return f"{shown}:{frame.f_lineno} in {frame.f_code.co_name}{straight}"


def top_package(module: dict[str, Any]) -> str:
    """Return the name of the top-level package of a module, given its globals."""
    return str(module.get("__name__")).partition(".")[0]


@cache
def is_under_test(own: str, module: str, file: str | None) -> bool:
    """Return whether a module is under test: in the tested package, or not an installed library."""
    top = module.partition(".")[0]
    if top in _FIRSTK:
        return False
    if top == own:
        return True
    return top not in _BASE and not os.path.realpath(file or "").startswith(_LIBRARIES)


class Here(threading.local):
    """The guard of the run that this thread simulates."""

    guard: Guard | None = None


here = Here()
