"""The stand-ins for functions and methods that code under test must not use, during a run."""

from __future__ import annotations

import _thread
import asyncio
import asyncio.mixins
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache, wraps
from types import MethodType, ModuleType
from typing import Any

from twisted.internet.base import ReactorBase

from firstk.harness.kernel.escapes import (
    CLOCK,
    LOOP,
    NO_HOST,
    PROCESS,
    REACTOR,
    REAL,
    SEED,
    THREAD,
    WAITS,
    here,
)

#: The functions that are escapes, whoever calls them.
_FUNCTIONS: list[tuple[ModuleType | None, list[str], str]] = [
    (time, ["sleep"], WAITS),
    (threading, ["_start_new_thread", "_start_joinable_thread"], THREAD),
    (_thread, ["start_new_thread", "start_joinable_thread"], THREAD),
    (
        asyncio,
        [
            *("create_task", "gather", "new_event_loop", "run", "timeout", "timeout_at"),
            *("to_thread", "wait_for"),
        ],
        LOOP,
    ),
    (asyncio, ["sleep"], WAITS),
    (sys.modules.get("_posixsubprocess"), ["fork_exec"], PROCESS),
]

#: The clocks, which libraries may read for logs and metrics.
_CLOCKS = ["monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "time", "time_ns"]

# The stand-ins for watched functions during a run. On other threads, and if they are called after
# the run, they behave like the originals.


def _way_out(real: Callable[..., Any], what: str, why: str) -> Callable[..., Any]:
    @wraps(real)
    def watched(*args: Any, **kwargs: Any) -> Any:
        guard = here.guard
        if guard is not None:
            raise guard.escape(what, why)
        return real(*args, **kwargs)

    return watched


#: The method by which events, queues and futures wait for another thread.
_wait = threading.Condition.wait


@wraps(_wait)
def _watched_wait(self: threading.Condition, timeout: float | None = None) -> bool:
    guard = here.guard
    if guard is not None and (timeout is None or timeout > 0):
        raise guard.escape("a wait for another thread", WAITS)
    return _wait(self, timeout)


def _of_asyncio(owner: Any, name: str) -> tuple[Any, str, Any, Any]:
    """Return a method by which a part of asyncio obtains its loop, and its stand-in."""
    real = vars(owner)[name]

    @wraps(real)
    def watched(self: object) -> Any:
        guard = here.guard
        if guard is not None:
            raise guard.escape(f"asyncio.{type(self).__name__}", LOOP)
        return real(self)

    return owner, name, real, watched


#: The methods that are escapes: their classes, their names, and their stand-ins. An event, a lock
#: or a queue of asyncio obtains the loop when a task has to wait.
METHODS = [
    (threading.Condition, "wait", _wait, _watched_wait),
    _of_asyncio(asyncio.mixins._LoopBoundMixin, "_get_loop"),
    _of_asyncio(asyncio.TaskGroup, "__aenter__"),
]


def _clock(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(real)
    def watched(*args: Any) -> Any:
        guard = here.guard
        if guard is not None and guard.read_clock is not None:
            return guard.read_clock(name)
        if guard is not None and guard.tests(sys._getframe(1)):
            raise guard.escape(f"time.{name}", CLOCK)
        return real(*args)

    return watched


_urandom = os.urandom


@wraps(_urandom)
def _own_urandom(size: int, /) -> bytes:
    guard = here.guard
    if guard is not None and guard.process is not None:
        return guard.process.entropy(size)
    return _urandom(size)


def _host_name(real: Callable[..., str]) -> Callable[..., str]:
    @wraps(real)
    def watched(name: str = "") -> str:
        guard = here.guard
        if guard is not None and guard.process is not None and not name:
            return guard.process.hostname
        return real(name) if name else real()

    return watched


def _draw(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(real)
    def seeded(*args: Any, **kwargs: Any) -> Any:
        guard = here.guard
        if guard is None:
            return real(*args, **kwargs)
        process = guard.process
        source = guard.random if process is None else process.random
        if name == "seed" and (args[0] if args else kwargs.get("a")) is None:
            if process is None:
                raise guard.escape("random.seed", SEED)
            return source.seed(process.entropy(32))
        return getattr(source, name)(*args, **kwargs)

    return seeded


def modules() -> list[ModuleType]:
    """Return the modules that define the watched functions."""
    modules = dict.fromkeys([*(module for module, _, _ in _FUNCTIONS), time, random, os, socket])
    return [module for module in modules if module is not None]


def stand_ins() -> Iterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """Yield each watched function with its stand-in."""
    for module, names, why in _FUNCTIONS:
        for name in names:
            if module and hasattr(module, name):  # some systems and Python versions lack some
                what = "a new thread" if why is THREAD else f"{module.__name__}.{name}"
                real = getattr(module, name)
                yield real, _way_out(real, what, why)
    for name in _CLOCKS:
        real = getattr(time, name)
        yield real, _clock(real, name)
    yield _urandom, _own_urandom
    for real in socket.gethostname, socket.getfqdn:
        yield real, _host_name(real)
    for name, real in vars(random).items():
        if getattr(real, "__self__", None) is random._inst:
            yield real, _draw(real, name)


def of_reactor(method: MethodType) -> Callable[..., Any]:
    """Return the stand-in for a method of the real reactor that code has bound to a name."""
    name, reactor = method.__name__, method.__self__

    def watched(*args: Any, **kwargs: Any) -> Any:
        return getattr(reactor, name)(*args, **kwargs)

    return watched


@cache
def watched_class(real: type[ReactorBase]) -> type[ReactorBase]:
    """Return a subclass of a real reactor's class that code under test cannot use."""

    def watched(self: ReactorBase, name: str) -> Any:
        guard = here.guard
        process = None if guard is None else guard.process
        if process is not None and process.reactor is not None and name == "__providedBy__":
            # Use the host's reactor, which has no real sockets, for example.
            return getattr(process.reactor, name)
        # Checking its type, as `isinstance` and `providedBy` do, is not an escape.
        if guard is not None and not name.startswith("__"):
            if process is None:
                raise guard.escape(f"{REACTOR}.{name}", REAL)
            if process.reactor is None:
                raise guard.escape(f"{REACTOR}.{name}", NO_HOST)
            return getattr(process.reactor, name)
        return real.__getattribute__(self, name)

    return type(real.__name__, (real,), {"__getattribute__": watched})
