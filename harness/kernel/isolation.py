"""Detection of code under test that reaches outside the simulation, and of the line that does it.

A download in virtual time is repeatable as long as it uses only the objects that it is passed: the
reactor, the servers, the consumer. `isolated` watches one run for uses of anything else: the real
reactor, asyncio's loop, sockets, threads, processes, functions that wait, and the real clock.
During the run, the module `random` draws from a generator seeded by the run.

There are three mechanisms, each for what the previous one does not cover. Audit events of CPython
(PEP 578) cannot be bypassed. Functions without an audit event are replaced during a run: in their
own modules, and under any name that modules under test, their classes, and the defaults of their
functions have bound to them.
Twisted's real reactor, if it is installed, gets a class during a run that checks its caller.

If code under test runs in the processes of simulated hosts, process-wide objects (the reactor, the
clocks, random numbers) are those of the host whose code is running, and using them is not an
escape. A `Process` provides them.

All of this applies only to the thread that simulates. `docs/boundary.md` describes the boundary,
and what is not detected.
"""

from __future__ import annotations

import asyncio
import asyncio.mixins
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import MethodType, ModuleType
from typing import Any

from twisted.internet.base import ReactorBase

from firstk.harness.kernel.bound_names import Attributes, Bound, Names, change, classes, holders
from firstk.harness.kernel.escapes import (
    LOOP,
    NETWORK,
    PROCESS,
    REACTOR,
    REAL,
    THREAD,
    WAITS,
    Guard,
    Here,
    Process,
    here,
    is_under_test,
    top_package,
)
from firstk.harness.kernel.stand_ins import METHODS, modules, of_reactor, stand_ins, watched_class
from firstk.harness.kernel.standard_streams import kept_open

#: The audit events that are escapes: the name of each, and what is wrong with it. Python 3.11 has
#: none for threads, and 3.12 none for `time.sleep`: see `stand_ins`.
_EVENTS = {
    "time.sleep": ("time.sleep", WAITS),
    "_thread.start_new_thread": ("a new thread", THREAD),
    "_thread.start_joinable_thread": ("a new thread", THREAD),
    "sys.set_asyncgen_hook_firstiter": ("an asyncio loop", LOOP),
    "socket.__new__": ("socket.socket", NETWORK),
    **{
        f"socket.{name}": (f"socket.{name}", NETWORK)
        for name in (
            *("bind", "connect", "getaddrinfo", "gethostbyaddr", "gethostbyname"),
            *("getnameinfo", "sendmsg", "sendto"),
        )
    },
    "subprocess.Popen": ("subprocess.Popen", PROCESS),
    **{
        f"os.{name}": (f"os.{name}", PROCESS)
        for name in ("exec", "fork", "forkpty", "posix_spawn", "spawn", "startfile", "system")
    },
    "import": (REACTOR, REAL),  # only of that module
}

#: Audit events that Twisted's transports raise to parse and format IPv6 addresses, without a query.
_PARSERS = {"socket.getaddrinfo", "socket.getnameinfo"}

#: Packages that are not part of the program of a simulated process.
_NOT_LIBRARIES = {"firstk", "simpy", "pytest", "_pytest"} | sys.stdlib_module_names


@contextmanager
def isolated(
    name: str,
    draws: Callable[[], random.Random],
    failures: list[BaseException],
    process: Process | None = None,
    clock: Callable[[str], float] | None = None,
) -> Iterator[None]:
    """Watch one run of the downloader `name`, on this thread.

    `draws` returns the generator for the module `random`; it is called when one is first needed.
    Each escape raises `EscapeError` where it happens. The first one is also appended to `failures`
    at the end, so that code which catches it cannot hide it. If a `process` is given, it provides
    the process-wide objects, and the clocks that libraries read. If a `clock` is given, it provides
    the clocks: it is called with the name of a function of the module `time`.
    """
    own = name.partition(":")[0].partition(".")[0]
    guard = Guard(own, draws, sys._getframe(2), process, clock)  # the frame with the `with`
    outer, loop = here.guard, asyncio._get_running_loop()
    libraries = guard.read_clock is not None
    _watch.begin(own, libraries)
    try:
        here.guard = guard
        # Hide the loop of a test suite: with it, a run would differ from one without.
        asyncio._set_running_loop(None)
        with kept_open(failures):
            yield
    finally:
        here.guard = outer
        asyncio._set_running_loop(loop)
        _watch.end()
        guard.over()
        if guard.first is not None:
            failures.append(guard.first)


@contextmanager
def not_watched() -> Iterator[None]:
    """Suspend watching on this thread, in the middle of a run."""
    guard, here.guard = here.guard, None
    try:
        yield
    finally:
        here.guard = guard


class _Watch:
    """Installs the stand-ins while a run is watched in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._hooked = False
        pairs = list(stand_ins())
        self._stand_ins = {id(one): pair for pair in pairs for one in pair}
        self._originals = [self._watched(vars(module)) for module in modules()]
        self._bound: dict[tuple[str, bool], list[Bound]] = {}  # by package and `libraries`
        self._known: object = None  # the state for which they were found
        self._changed: list[Bound] = []
        self._reactor: ReactorBase | None = None
        self._reactor_class: type[ReactorBase] = ReactorBase

    def begin(self, own: str, libraries: bool) -> None:
        """Begin to watch a run of code under test from the package `own`.

        With `libraries`, names bound in the modules of libraries are changed too.
        """
        with self._lock:
            if not self._hooked:
                sys.addaudithook(_audit)  # permanent: an audit hook cannot be removed
                self._hooked = True
            if self._runs == 0:
                self._take(self._originals)
                self._watch_methods()
                self._watch_reactor()
            self._runs += 1
            self._take(self._bound_names(own, libraries))

    def end(self) -> None:
        """Stop watching a run; after the last one, restore the original values."""
        with self._lock:
            self._runs -= 1
            if self._runs:
                return
            for names, reals, during in self._changed:
                change(names, during, reals)
            self._changed.clear()
            for owner, name, real, watched in METHODS:
                if vars(owner)[name] is watched:
                    setattr(owner, name, real)
            if self._reactor is not None:
                self._reactor.__class__ = self._reactor_class
                self._reactor = None

    def reactor_installed(self) -> None:
        """Watch a real reactor that was installed in the middle of a run."""
        with self._lock:
            self._watch_reactor()

    def _take(self, found: list[Bound]) -> None:
        for names, reals, during in found:
            change(names, reals, during)
        self._changed += found

    def _bound_names(self, own: str, libraries: bool) -> list[Bound]:
        """Return the names by which modules under test, and objects in them, refer to watched ones.

        The search is repeated if modules have been imported, if a session has bound names of its
        own, and while clocks are replaced, for example by freezegun, which changes all modules.
        """
        last = next(reversed(sys.modules))
        own_names = len(vars(sys.modules["__main__"]))
        known = len(sys.modules), last, id(sys.modules[last]), own_names
        as_ever = all(during.items() <= names.items() for names, _, during in self._originals)
        if self._known != known or not as_ever:
            self._bound.clear()
            self._known = known if as_ever else None
        key = own, libraries
        if key not in self._bound:
            found: list[Bound] = []
            real_reactor = sys.modules.get(REACTOR, self)
            for name, module in list(sys.modules.items()):
                if not isinstance(module, ModuleType):
                    continue
                if is_under_test(own, name, vars(module).get("__file__")):
                    found += map(self._watched, holders(module))
                elif libraries and name.partition(".")[0] not in _NOT_LIBRARIES:
                    found.append(self._watched(vars(module)))
                    if any(value is real_reactor for value in list(vars(module).values())):
                        # Its classes may have methods of the reactor as class attributes.
                        found += map(self._watched, classes(module))
            self._bound[key] = [names for names in found if names[1]]
        return self._bound[key]

    def _watched(self, names: Names) -> Bound:
        """Return names, and the values of the watched ones among them."""
        reals, during = {}, {}
        for name, value in list(names.items()):
            inner = value.__func__ if isinstance(value, staticmethod) else value
            if isinstance(inner, MethodType) and inner.__self__ is sys.modules.get(REACTOR):
                both = inner, of_reactor(inner)
                self._stand_ins.setdefault(id(both[0]), both)
                self._stand_ins.setdefault(id(both[1]), both)
            if pair := self._stand_ins.get(id(inner)):
                real, stand_in = pair
                reals[name] = value if inner is real else real
                # A stand-in written in Python would become a method if a class holds it.
                own = isinstance(names, Attributes)
                during[name] = staticmethod(stand_in) if own else stand_in
        return names, reals, during

    def _watch_methods(self) -> None:
        for owner, name, real, watched in METHODS:
            if vars(owner)[name] is real:
                setattr(owner, name, watched)

    def _watch_reactor(self) -> None:
        reactor = sys.modules.get(REACTOR)
        if isinstance(reactor, ReactorBase) and self._reactor is None:
            self._reactor, self._reactor_class = reactor, type(reactor)
            reactor.__class__ = watched_class(self._reactor_class)


def _audit(event: str, args: tuple[Any, ...], here: Here = here, events: Any = _EVENTS) -> None:
    """Handle an audit event. Defaults hold what it needs, since modules are cleared at exit."""
    if event not in events:
        return
    guard = here.guard
    if guard is None:
        return
    if event == "import":
        if args[0] == REACTOR:
            _import_reactor(guard)
        return
    if event in _PARSERS and guard.process is not None and guard.in_transport():
        return
    if event == "socket.__new__" and guard.makes_loop():
        event = "sys.set_asyncgen_hook_firstiter"
    raise guard.escape(*events[event])


def _import_reactor(guard: Guard) -> None:
    """Let a library, but not code under test, import the real reactor.

    Some use it as a default, as a `LoopingCall` does until its clock is set. Importing it is not
    an escape; using it is.
    """
    importer = next(f for f in guard.frames() if top_package(f.f_globals) != "importlib")
    if guard.process is None and guard.tests(importer):
        raise guard.escape(*_EVENTS["import"])
    here.guard = None
    try:
        import_module(REACTOR)
    finally:
        here.guard = guard
    _watch.reactor_installed()


_watch = _Watch()
