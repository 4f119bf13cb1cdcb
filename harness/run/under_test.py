"""The downloader under test: firstk's own with one of its strategies, or an external one.

An external downloader is a callable `(reactor, servers, cap, consumer)` that returns a Deferred or
is a coroutine function. It is named as `package.module:callable`. It receives the reactor of the
simulation, a list of `IStorageServer`, the read-cap as text, and an `IConsumer`. If it accepts
the keyword arguments `offset` and `size`, it can be asked for a part of a file. A downloader that
serves several reads is a class; see `Reader`.

`tahoe` is short for `firstk.harness.run.tahoe:download`, the downloader of Tahoe-LAFS.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IConsumer, IReactorTime

from firstk.downloader import download
from firstk.downloader.cap import CHKCap
from firstk.downloader.interfaces import IStorageServer
from firstk.downloader.strategy import Strategy, find_strategy
from firstk.downloader.text import message_of, shown
from firstk.harness.kernel.raised import where
from firstk.scenarios.model import TAHOE

_TAHOE_MODULE = "firstk.harness.run.tahoe"

_REAL_REACTOR = "twisted.internet.reactor"


#: The downloader under test: a strategy, a callable, or the name of either.
DownloaderSpec = str | Strategy | Callable[..., Any]


class DownloaderError(ValueError):
    """The downloader under test was not found, or cannot be tested."""

    __module__ = "firstk"  # as users import it


class MisconductError(Exception):
    """A download reported success, but misbehaved.

    For example, it wrote too few or too many bytes, or left timers running.
    """

    __module__ = "firstk"  # as users import it


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """A request to download `length` bytes of a file, starting at `offset`, to a consumer.

    A `length` of None means up to the end of the file. `random` is used for the random choices of
    firstk's own strategies.
    """

    reactor: IReactorTime
    servers: Sequence[IStorageServer]
    cap: CHKCap
    consumer: IConsumer
    offset: int
    length: int | None
    random: Random


#: A function that starts a download. Its Deferred fires when the download ends.
Subject = Callable[[DownloadRequest], Deferred[Any]]


def is_external(name: str) -> bool:
    """Return whether a name is that of an external downloader, not of a strategy of firstk."""
    return ":" in name or name == TAHOE


def is_strategy(name: str) -> bool:
    """Return whether a name is that of a strategy of firstk."""
    try:
        find_strategy(name)
    except ValueError:
        return False
    return True


def runs_strategy(given: DownloaderSpec) -> bool:
    """Return whether a downloader under test is one of firstk's strategies, or the name of one."""
    return isinstance(given, Strategy) or (isinstance(given, str) and not is_external(given))


def is_strategy_code(module: str) -> bool:
    """Return whether a module has code of firstk's strategies.

    The module in which all of their requests and waits end is not one.
    """
    return module.startswith("firstk.downloader") and module != "firstk.downloader.session"


def name_of(given: DownloaderSpec) -> str:
    """Return the name of a downloader under test; for a callable, MODULE:CALLABLE."""
    if isinstance(given, str):
        return given
    if isinstance(given, Strategy):
        return given.name
    named = given if hasattr(given, "__qualname__") else type(given)
    return f"{named.__module__}:{named.__qualname__}"


def called(given: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return the callable of an external downloader, given itself or by name.

    Raises `DownloaderError` if it is not found.
    """
    return _load(given) if isinstance(given, str) else given


def takes_ranges(given: DownloaderSpec) -> bool:
    """Return whether a downloader under test can be asked for a part of a file.

    Raises `DownloaderError` if it is not found.
    """
    if isinstance(given, Strategy) or runs_strategy(given):
        return True
    function = called(given)
    if _has_nodes(function):
        return True
    try:
        inspect.signature(function).bind(None, None, None, None, offset=0, size=0)
    except (TypeError, ValueError):
        return False
    return True


def find_downloader(given: DownloaderSpec) -> Subject:
    """Return a function that starts the downloader under test.

    `given` is a strategy, the name of one, a callable, `package.module:callable`, or `tahoe`.
    Raises `DownloaderError` if it is not found or cannot be tested.
    """
    name = name_of(given)
    called = None
    if not isinstance(given, str | Strategy):
        called = _checked(name, given)
    elif isinstance(given, str) and is_external(given):
        called = _load(name)
    if called is not None:
        if _has_nodes(called):
            return Reader(name, None, called).download
        return partial(_external, name, called)
    assert isinstance(given, str | Strategy)
    try:
        strategy = find_strategy(given)
    except ValueError as e:
        raise DownloaderError(str(e)) from None

    return partial(_builtin, strategy)


class Reader:
    """Reads one file repeatedly with a downloader under test.

    A downloader with nodes is a class `(reactor, servers, cap)` whose instances have a method
    `read(consumer, offset, size)`, and optionally `close()`. One node is created for the first
    read, and serves all of them. Any other downloader starts afresh for each read.
    """

    def __init__(self, name: str, start: Subject | None, make: Callable[..., Any] | None) -> None:
        self._name = name
        self._start = start
        self._make = make
        self._node: Any = None

    def read(self, order: DownloadRequest) -> Deferred[Any]:
        """Perform the read that `order` describes."""
        if self._make is None:
            assert self._start is not None
            return self._start(order)
        if self._node is None:
            self._node = self._make(order.reactor, list(order.servers), str(order.cap))
        begun = self._node.read(order.consumer, order.offset, order.length)
        return _as_deferred(f"the method `read` of {self._name}", begun)

    def close(self) -> object:
        """Close the node, if it has a `close` method; return the result of that method."""
        close = getattr(self._node, "close", None)
        return None if close is None else close()

    def download(self, order: DownloadRequest) -> Deferred[Any]:
        """Perform one read, and close the node."""
        return self.read(order).addBoth(self._close)

    def _close(self, result: Any) -> Deferred[Any]:
        return maybeDeferred(self.close).addCallback(lambda _: result)


def find_reader(given: DownloaderSpec) -> Reader:
    """Return a `Reader` that reads a file several times with the downloader under test.

    Raises `DownloaderError` as `find_downloader` does.
    """
    name = name_of(given)
    if given == TAHOE:
        return Reader(name, None, _load(name, "Node"))
    called = None
    if not isinstance(given, str | Strategy):
        called = _checked(name, given)
    elif isinstance(given, str) and is_external(given):
        called = _load(name)
    if called is not None and _has_nodes(called):
        return Reader(name, None, called)
    return Reader(name, find_downloader(given), None)


def _has_nodes(called: Any) -> bool:
    """Return whether a downloader is a class of nodes with a `read` method."""
    return isinstance(called, type) and callable(getattr(called, "read", None))


def _builtin(strategy: Strategy, order: DownloadRequest) -> Deferred[Any]:
    return download(
        order.reactor,
        order.servers,
        order.cap,
        order.consumer,
        strategy=strategy,
        offset=order.offset,
        size=order.length,
        random=order.random,
    )


def _load(name: str, of_tahoe: str = "download") -> Callable[..., Any]:
    module_name, _, path = name.partition(":") if ":" in name else (_TAHOE_MODULE, ":", of_tahoe)
    real_before = _REAL_REACTOR in sys.modules
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as e:  # includes the SystemExit of a script
        if module_name == _TAHOE_MODULE and isinstance(e, ModuleNotFoundError):
            raise DownloaderError(
                f"{name}: Tahoe-LAFS is not there ({e}); to install it: pip install 'firstk[tahoe]'"
            ) from e
        raise DownloaderError(f"{name}: cannot import {module_name}: {_why_not(e)}") from e
    # Tahoe-LAFS imports the real reactor, but `firstk.harness.run.tahoe` passes it another one.
    real_since = not real_before and _REAL_REACTOR in sys.modules
    if real_since and module_name != _TAHOE_MODULE:
        raise DownloaderError(
            f"{name}: to import {module_name} installs Twisted's real reactor, in which nothing"
            " is simulated; a downloader takes the reactor that it is passed"
        )
    try:
        found = attrgetter(path)(module)
    except AttributeError:
        raise DownloaderError(f"{name}: {module_name} has no {path!r}") from None
    return _checked(name, found)


def _why_not(error: BaseException) -> str:
    """Return the class, the message and the place of an exception that an import raised."""
    message = message_of(error)
    text = f"{type(error).__name__}{f': {message}' if message else ''}"
    if isinstance(error, SyntaxError):  # its message names file and line
        return text
    place = where(error)
    return f"{text}{f' (at {place})' if place else ''}"


def _checked(name: str, found: Any) -> Callable[..., Any]:
    """Return the object found under a name, if it can be called as a downloader."""
    if not callable(found):
        path = name.partition(":")[2]
        raise DownloaderError(f"{name}: {path} is not callable: its type is {type(found).__name__}")
    keys = "(reactor, servers, cap)" if _has_nodes(found) else "(reactor, servers, cap, consumer)"
    try:
        inspect.signature(found).bind(*[None] * (keys.count(",") + 1))
    except TypeError as e:
        raise DownloaderError(f"{name}: cannot be called with {keys}: {e}") from None
    except ValueError:  # its signature cannot be inspected
        pass
    loaded: Callable[..., Any] = found
    return loaded


def _external(name: str, start: Callable[..., Any], order: DownloadRequest) -> Deferred[Any]:
    wanted: dict[str, Any] = {}
    if order.offset or order.length is not None:
        wanted = {"offset": order.offset, "size": order.length}
    servers = list(order.servers)
    started = start(order.reactor, servers, str(order.cap), order.consumer, **wanted)
    return _as_deferred(name, started)


def _as_deferred(name: str, started: Any) -> Deferred[Any]:
    if inspect.iscoroutine(started):
        return Deferred.fromCoroutine(started)
    if not isinstance(started, Deferred):
        raise TypeError(f"{name} returned {shown(started)} instead of a Deferred")
    return started
