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

import _thread
import asyncio
import asyncio.mixins
import os
import random
import site
import socket
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, ItemsView, Iterator
from contextlib import contextmanager
from functools import cache, cached_property, wraps
from importlib import import_module
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import Any, Protocol

from twisted.internet.base import ReactorBase

from firstk.harness.kernel.standard_streams import kept_open

_REACTOR = "twisted.internet.reactor"

#: Why each kind of escape is wrong, and what to use instead.
_WAITS = "it waits in real time; use reactor.callLater, or task.deferLater(reactor, seconds)"
_CLOCK = "it reads the real clock; use reactor.seconds()"
_NETWORK = "there is no network in a simulation; ask the servers that the downloader is passed"
_ONLY_SIMULATED = "the only network there is is the simulated one; use the host's reactor"
_THREAD = (
    "a thread runs in real time; use"
    " threads.deferToThreadPool(reactor, reactor.getThreadPool(), function)"
)
_PROCESS = "a process runs in real time, and there is none in a simulation"
_REAL = "it is Twisted's real reactor; use the reactor that the downloader is passed"
_NO_HOST = "no host's code is running; call host.run(function)"
_SEED = "without a seed it takes one from the system; in a run `random` follows from the run's seed"
_LOOP = "asyncio's loop runs in real time; use the reactor that the downloader is passed"

#: The audit events that are escapes: the name of each, and what is wrong with it. Python 3.11 has
#: none for threads, and 3.12 none for `time.sleep`: see `_FUNCTIONS`.
_EVENTS = {
    "time.sleep": ("time.sleep", _WAITS),
    "_thread.start_new_thread": ("a new thread", _THREAD),
    "_thread.start_joinable_thread": ("a new thread", _THREAD),
    "sys.set_asyncgen_hook_firstiter": ("an asyncio loop", _LOOP),
    "socket.__new__": ("socket.socket", _NETWORK),
    **{
        f"socket.{name}": (f"socket.{name}", _NETWORK)
        for name in (
            *("bind", "connect", "getaddrinfo", "gethostbyaddr", "gethostbyname"),
            *("getnameinfo", "sendmsg", "sendto"),
        )
    },
    "subprocess.Popen": ("subprocess.Popen", _PROCESS),
    **{
        f"os.{name}": (f"os.{name}", _PROCESS)
        for name in ("exec", "fork", "forkpty", "posix_spawn", "spawn", "startfile", "system")
    },
    "import": (_REACTOR, _REAL),  # only of that module
}

#: Audit events that Twisted's transports raise to parse and format IPv6 addresses, without a query.
_PARSERS = {"socket.getaddrinfo", "socket.getnameinfo"}

#: The functions that are escapes, whoever calls them.
_FUNCTIONS: list[tuple[ModuleType | None, list[str], str]] = [
    (time, ["sleep"], _WAITS),
    (threading, ["_start_new_thread", "_start_joinable_thread"], _THREAD),
    (_thread, ["start_new_thread", "start_joinable_thread"], _THREAD),
    (
        asyncio,
        [
            *("create_task", "gather", "new_event_loop", "run", "timeout", "timeout_at"),
            *("to_thread", "wait_for"),
        ],
        _LOOP,
    ),
    (asyncio, ["sleep"], _WAITS),
    (sys.modules.get("_posixsubprocess"), ["fork_exec"], _PROCESS),
]

#: The clocks, which libraries may read for logs and metrics.
_CLOCKS = ["monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "time", "time_ns"]

#: Packages that are never blamed for an escape: their caller is.
_FIRSTK = {"firstk"}
_BASE = _FIRSTK | {"simpy", "twisted", "zope"} | sys.stdlib_module_names

#: Packages that are not part of the program of a simulated process.
_NOT_LIBRARIES = _FIRSTK | {"simpy", "pytest", "_pytest"} | sys.stdlib_module_names

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


class _Guard:
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
        if self.process is not None and why is _NETWORK:
            why = _ONLY_SIMULATED
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
        return _is_under_test(self.own, str(module.get("__name__")), module.get("__file__"))

    def frames(self) -> Iterator[FrameType]:
        """Yield the stack frames of this run, the innermost first."""
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame is not self._entered:
            if frame.f_globals is not globals():
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
        known += [frame for frame in frames if _top(frame.f_globals) not in _BASE]
        frame = [*known, *frames][0]
        path = frame.f_code.co_filename
        relative = os.path.relpath(path) if os.path.isabs(path) else path
        shown = path if relative.startswith(os.pardir) else relative
        straight = "" if known else ", straight from a timer or a Deferred"
        return f"{shown}:{frame.f_lineno} in {frame.f_code.co_name}{straight}"


def _top(module: dict[str, Any]) -> str:
    return str(module.get("__name__")).partition(".")[0]


@cache
def _is_under_test(own: str, module: str, file: str | None) -> bool:
    """Return whether a module is under test: in the tested package, or not an installed library."""
    top = module.partition(".")[0]
    if top in _FIRSTK:
        return False
    if top == own:
        return True
    return top not in _BASE and not os.path.realpath(file or "").startswith(_LIBRARIES)


class _Here(threading.local):
    """The guard of the run that this thread simulates."""

    guard: _Guard | None = None


_here = _Here()


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
    guard = _Guard(own, draws, sys._getframe(2), process, clock)  # the frame with the `with`
    outer, loop = _here.guard, asyncio._get_running_loop()
    libraries = guard.read_clock is not None
    _watch.begin(own, libraries)
    try:
        _here.guard = guard
        # Hide the loop of a test suite: with it, a run would differ from one without.
        asyncio._set_running_loop(None)
        with kept_open(failures):
            yield
    finally:
        _here.guard = outer
        asyncio._set_running_loop(loop)
        _watch.end()
        guard.over()
        if guard.first is not None:
            failures.append(guard.first)


@contextmanager
def not_watched() -> Iterator[None]:
    """Suspend watching on this thread, in the middle of a run."""
    guard, _here.guard = _here.guard, None
    try:
        yield
    finally:
        _here.guard = guard


# The stand-ins for watched functions during a run. On other threads, and if they are called after
# the run, they behave like the originals.


def _way_out(real: Callable[..., Any], what: str, why: str) -> Callable[..., Any]:
    @wraps(real)
    def watched(*args: Any, **kwargs: Any) -> Any:
        guard = _here.guard
        if guard is not None:
            raise guard.escape(what, why)
        return real(*args, **kwargs)

    return watched


#: The method by which events, queues and futures wait for another thread.
_wait = threading.Condition.wait


@wraps(_wait)
def _watched_wait(self: threading.Condition, timeout: float | None = None) -> bool:
    guard = _here.guard
    if guard is not None and (timeout is None or timeout > 0):
        raise guard.escape("a wait for another thread", _WAITS)
    return _wait(self, timeout)


def _of_asyncio(owner: Any, name: str) -> tuple[Any, str, Any, Any]:
    """Return a method by which a part of asyncio obtains its loop, and its stand-in."""
    real = vars(owner)[name]

    @wraps(real)
    def watched(self: object) -> Any:
        guard = _here.guard
        if guard is not None:
            raise guard.escape(f"asyncio.{type(self).__name__}", _LOOP)
        return real(self)

    return owner, name, real, watched


#: The methods that are escapes: their classes, their names, and their stand-ins. An event, a lock
#: or a queue of asyncio obtains the loop when a task has to wait.
_METHODS = [
    (threading.Condition, "wait", _wait, _watched_wait),
    _of_asyncio(asyncio.mixins._LoopBoundMixin, "_get_loop"),
    _of_asyncio(asyncio.TaskGroup, "__aenter__"),
]


def _clock(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(real)
    def watched(*args: Any) -> Any:
        guard = _here.guard
        if guard is not None and guard.read_clock is not None:
            return guard.read_clock(name)
        if guard is not None and guard.tests(sys._getframe(1)):
            raise guard.escape(f"time.{name}", _CLOCK)
        return real(*args)

    return watched


_urandom = os.urandom


@wraps(_urandom)
def _own_urandom(size: int, /) -> bytes:
    guard = _here.guard
    if guard is not None and guard.process is not None:
        return guard.process.entropy(size)
    return _urandom(size)


def _host_name(real: Callable[..., str]) -> Callable[..., str]:
    @wraps(real)
    def watched(name: str = "") -> str:
        guard = _here.guard
        if guard is not None and guard.process is not None and not name:
            return guard.process.hostname
        return real(name) if name else real()

    return watched


def _draw(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(real)
    def seeded(*args: Any, **kwargs: Any) -> Any:
        guard = _here.guard
        if guard is None:
            return real(*args, **kwargs)
        process = guard.process
        source = guard.random if process is None else process.random
        if name == "seed" and (args[0] if args else kwargs.get("a")) is None:
            if process is None:
                raise guard.escape("random.seed", _SEED)
            return source.seed(process.entropy(32))
        return getattr(source, name)(*args, **kwargs)

    return seeded


def _modules() -> list[ModuleType]:
    """Return the modules that define the watched functions."""
    modules = dict.fromkeys([*(module for module, _, _ in _FUNCTIONS), time, random, os, socket])
    return [module for module in modules if module is not None]


def _stand_ins() -> Iterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """Yield each watched function with its stand-in."""
    for module, names, why in _FUNCTIONS:
        for name in names:
            if module and hasattr(module, name):  # some systems and Python versions lack some
                what = "a new thread" if why is _THREAD else f"{module.__name__}.{name}"
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


class _Names(Protocol):
    """Names that may be bound to watched functions: those of a module, a class or a function."""

    def items(self) -> ItemsView[Any, Any]: ...

    def get(self, name: Any, /) -> Any: ...

    def update(self, values: dict[Any, Any], /) -> None: ...


class _Attributes:
    """The attributes of a class, by name."""

    def __init__(self, owner: type) -> None:
        self._owner = owner

    def items(self) -> ItemsView[Any, Any]:
        return dict(vars(self._owner)).items()

    def get(self, name: Any) -> Any:
        return vars(self._owner).get(name)

    def update(self, values: dict[Any, Any]) -> None:
        for name, value in values.items():
            type.__setattr__(self._owner, name, value)


class _Defaults:
    """The defaults of a function's positional parameters, by position."""

    def __init__(self, function: FunctionType) -> None:
        self._function = function

    def _all(self) -> dict[int, Any]:
        return dict(enumerate(self._function.__defaults__ or ()))

    def items(self) -> ItemsView[Any, Any]:
        return self._all().items()

    def get(self, name: Any) -> Any:
        return self._all().get(name)

    def update(self, values: dict[Any, Any]) -> None:
        self._function.__defaults__ = tuple((self._all() | values).values())


def _classes(module: ModuleType) -> Iterator[_Names]:
    """Yield the classes of a module."""
    for thing in list(vars(module).values()):
        if isinstance(thing, type) and thing.__module__ == module.__name__:
            yield _Attributes(thing)


def _holders(module: ModuleType) -> Iterator[_Names]:
    """Yield everything in a module that holds names: itself, its classes and all functions."""
    yield vars(module)
    seen: set[int] = set()
    found = list(vars(module).values())
    for thing in found:  # the list grows meanwhile
        while isinstance(thing, staticmethod | classmethod | property):
            thing = thing.fget if isinstance(thing, property) else thing.__func__
        if not isinstance(thing, type | FunctionType) or id(thing) in seen:
            continue
        seen.add(id(thing))
        if thing.__module__ != module.__name__:
            continue
        if isinstance(thing, type):
            yield _Attributes(thing)
            found += vars(thing).values()
            continue
        if thing.__defaults__:
            yield _Defaults(thing)
        if thing.__kwdefaults__:
            yield thing.__kwdefaults__
        found += vars(thing).values()  # includes a wrapped function


#: Names, and the values of the watched ones among them: outside a run, and during one.
_Bound = tuple[_Names, dict[Any, Any], dict[Any, Any]]


def _change(names: _Names, before: dict[Any, Any], after: dict[Any, Any]) -> None:
    """Replace the values of names; a name that has been rebound meanwhile is left unchanged."""
    if not before.items() <= names.items():
        after = {name: after[name] for name in before if names.get(name) is before[name]}
    names.update(after)


class _Watch:
    """Installs the stand-ins while a run is watched in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._hooked = False
        pairs = list(_stand_ins())
        self._stand_ins = {id(one): pair for pair in pairs for one in pair}
        self._originals = [self._watched(vars(module)) for module in _modules()]
        self._bound: dict[tuple[str, bool], list[_Bound]] = {}  # by package and `libraries`
        self._known: object = None  # the state for which they were found
        self._changed: list[_Bound] = []
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
            for names, reals, stand_ins in self._changed:
                _change(names, stand_ins, reals)
            self._changed.clear()
            for owner, name, real, watched in _METHODS:
                if vars(owner)[name] is watched:
                    setattr(owner, name, real)
            if self._reactor is not None:
                self._reactor.__class__ = self._reactor_class
                self._reactor = None

    def reactor_installed(self) -> None:
        """Watch a real reactor that was installed in the middle of a run."""
        with self._lock:
            self._watch_reactor()

    def _take(self, found: list[_Bound]) -> None:
        for names, reals, stand_ins in found:
            _change(names, reals, stand_ins)
        self._changed += found

    def _bound_names(self, own: str, libraries: bool) -> list[_Bound]:
        """Return the names by which modules under test, and objects in them, refer to watched ones.

        The search is repeated if modules have been imported, if a session has bound names of its
        own, and while clocks are replaced, for example by freezegun, which changes all modules.
        """
        last = next(reversed(sys.modules))
        own_names = len(vars(sys.modules["__main__"]))
        known = len(sys.modules), last, id(sys.modules[last]), own_names
        as_ever = all(stand_ins.items() <= names.items() for names, _, stand_ins in self._originals)
        if self._known != known or not as_ever:
            self._bound.clear()
            self._known = known if as_ever else None
        key = own, libraries
        if key not in self._bound:
            found: list[_Bound] = []
            real_reactor = sys.modules.get(_REACTOR, self)
            for name, module in list(sys.modules.items()):
                if not isinstance(module, ModuleType):
                    continue
                if _is_under_test(own, name, vars(module).get("__file__")):
                    found += map(self._watched, _holders(module))
                elif libraries and name.partition(".")[0] not in _NOT_LIBRARIES:
                    found.append(self._watched(vars(module)))
                    if any(value is real_reactor for value in list(vars(module).values())):
                        # Its classes may have methods of the reactor as class attributes.
                        found += map(self._watched, _classes(module))
            self._bound[key] = [names for names in found if names[1]]
        return self._bound[key]

    def _watched(self, names: _Names) -> _Bound:
        """Return names, and the values of the watched ones among them."""
        reals, stand_ins = {}, {}
        for name, value in list(names.items()):
            inner = value.__func__ if isinstance(value, staticmethod) else value
            if isinstance(inner, MethodType) and inner.__self__ is sys.modules.get(_REACTOR):
                both = inner, _of_reactor(inner)
                self._stand_ins.setdefault(id(both[0]), both)
                self._stand_ins.setdefault(id(both[1]), both)
            if pair := self._stand_ins.get(id(inner)):
                real, stand_in = pair
                reals[name] = value if inner is real else real
                # A stand-in written in Python would become a method if a class holds it.
                own = isinstance(names, _Attributes)
                stand_ins[name] = staticmethod(stand_in) if own else stand_in
        return names, reals, stand_ins

    def _watch_methods(self) -> None:
        for owner, name, real, watched in _METHODS:
            if vars(owner)[name] is real:
                setattr(owner, name, watched)

    def _watch_reactor(self) -> None:
        reactor = sys.modules.get(_REACTOR)
        if isinstance(reactor, ReactorBase) and self._reactor is None:
            self._reactor, self._reactor_class = reactor, type(reactor)
            reactor.__class__ = _watched_class(self._reactor_class)


def _of_reactor(method: MethodType) -> Callable[..., Any]:
    """Return the stand-in for a method of the real reactor that code has bound to a name."""
    name, reactor = method.__name__, method.__self__

    def watched(*args: Any, **kwargs: Any) -> Any:
        return getattr(reactor, name)(*args, **kwargs)

    return watched


@cache
def _watched_class(real: type[ReactorBase]) -> type[ReactorBase]:
    """Return a subclass of a real reactor's class that code under test cannot use."""

    def watched(self: ReactorBase, name: str) -> Any:
        guard = _here.guard
        process = None if guard is None else guard.process
        if process is not None and process.reactor is not None and name == "__providedBy__":
            # Use the host's reactor, which has no real sockets, for example.
            return getattr(process.reactor, name)
        # Checking its type, as `isinstance` and `providedBy` do, is not an escape.
        if guard is not None and not name.startswith("__"):
            if process is None:
                raise guard.escape(f"{_REACTOR}.{name}", _REAL)
            if process.reactor is None:
                raise guard.escape(f"{_REACTOR}.{name}", _NO_HOST)
            return getattr(process.reactor, name)
        return real.__getattribute__(self, name)

    return type(real.__name__, (real,), {"__getattribute__": watched})


def _audit(event: str, args: tuple[Any, ...], here: _Here = _here, events: Any = _EVENTS) -> None:
    """Handle an audit event. Defaults hold what it needs, since modules are cleared at exit."""
    if event not in events:
        return
    guard = here.guard
    if guard is None:
        return
    if event == "import":
        if args[0] == _REACTOR:
            _import_reactor(guard)
        return
    if event in _PARSERS and guard.process is not None and guard.in_transport():
        return
    if event == "socket.__new__" and guard.makes_loop():
        event = "sys.set_asyncgen_hook_firstiter"
    raise guard.escape(*events[event])


def _import_reactor(guard: _Guard) -> None:
    """Let a library, but not code under test, import the real reactor.

    Some use it as a default, as a `LoopingCall` does until its clock is set. Importing it is not
    an escape; using it is.
    """
    importer = next(f for f in guard.frames() if _top(f.f_globals) != "importlib")
    if guard.process is None and guard.tests(importer):
        raise guard.escape(*_EVENTS["import"])
    _here.guard = None
    try:
        import_module(_REACTOR)
    finally:
        _here.guard = guard
    _watch.reactor_installed()


_watch = _Watch()
