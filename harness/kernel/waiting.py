"""The chain of awaits, yields and callbacks that a Deferred waits for.

Twisted keeps no record of what waits for what, but the objects that wait are all in memory. A
coroutine has its frame (`cr_frame`) and what it awaits (`cr_await`), a generator its frame and
`gi_yieldfrom`, and a Deferred has its callbacks. That of `inlineCallbacks` holds the generator,
that of a `DeferredList` is its method, that of a chained Deferred names the other. What a plain
callback will fire is not recorded. It is taken to be the nearest unfired Deferred that its closure,
or the object whose method it is, refers to.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CellType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
)
from typing import Any, Literal

from twisted.internet import defer
from twisted.internet.defer import Deferred

from firstk.harness.kernel.raised import Place, place

#: The maximum number of objects examined to find the Deferred that a callback fires.
_MOST_OBJECTS = 2000

#: The maximum length of a chain.
_MOST_LINKS = 200

_SUSPENDED = (CoroutineType, GeneratorType, AsyncGeneratorType)

#: The code in which a coroutine is that awaits a Deferred.
_AWAITING = Deferred.__iter__.__code__


@dataclass(frozen=True)
class Link:
    """One that waits, in a chain: a function, at a line, or a Deferred of some class.

    `how` it waits is `await`, `yield` or `callback`; it is None for a Deferred, and what ends the
    chain. `module` is the function's.
    """

    name: str
    how: Literal["await", "yield", "callback"] | None = None
    place: Place | None = None
    module: str = ""


@dataclass(eq=False)
class _Node:
    """A Deferred that has not fired, a suspended coroutine or generator, or a callback."""

    what: Any
    waits_for: list[_Node] = field(default_factory=list)
    guessed: bool = False


@dataclass(frozen=True)
class Chain:
    """What a Deferred waits for: the links, and which of the named ends, by their `id`."""

    links: list[Link] = field(default_factory=list)
    ends: set[int] = field(default_factory=set)


def chain_of(root: Deferred[Any], ends: Mapping[int, str]) -> Chain:
    """Return the chain from a Deferred down to what is waited for: empty if it waits for nothing.

    `ends` are names of Deferreds that others will fire, by their `id`. Of several chains it is the
    shortest that leads to one of them. Only objects that `gc.freeze` has not set aside are found.
    """
    start = _graph().get(id(root))
    if start is None:
        return Chain()
    path = _path(start, ends)
    links = [link for node in path for link in _links(node, ends)]
    links[-1:-1] = _first_callback(path)
    return Chain(links[:_MOST_LINKS], {id(n.what) for n in _below(start)} & ends.keys())


def _graph() -> dict[int, _Node]:
    """Return all that waits, by the `id` of what it is, each with what it waits for."""
    unfired = [one for one in gc.get_objects() if isinstance(one, Deferred) and _waited_for(one)]
    nodes = {id(one): _Node(one) for one in unfired}
    for one in unfired:
        for function, args in _callbacks(one):
            _connect(nodes, nodes[id(one)], function, args)
    return nodes


def _waited_for(deferred: Deferred[Any]) -> bool:
    return not deferred.called or bool(deferred.paused)


def _callbacks(deferred: Deferred[Any]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield the callbacks and errbacks of a Deferred with their arguments, each once."""
    own = vars(deferred)  # Twisted 25.5 deprecated `callbacks`, and has no other name for it
    for pair in own.get("_callbacks", own.get("callbacks", ())):
        seen: list[Any] = []
        for function, args, _ in pair:
            if function not in seen:
                seen.append(function)
                yield function, args or ()


def _connect(nodes: dict[int, _Node], below: _Node, function: Any, args: tuple[Any, ...]) -> None:
    """Let what a callback is for wait for a node."""
    while isinstance(function, partial):
        function, args = function.func, (*function.args, *args)
    if function is defer._CONTINUE:
        _wait(nodes, args[0], below)
        return
    suspended = next((one for one in args if isinstance(one, _SUSPENDED)), None)
    if suspended is not None:  # of inlineCallbacks, or of a coroutine
        node = nodes.setdefault(id(suspended), _Node(suspended))
        node.waits_for.append(below)
        result = next((r for a in args if (r := getattr(a, "deferred", None)) is not None), None)
        _wait(nodes, result, node)
        return
    owner = getattr(function, "__self__", None)
    if isinstance(owner, Deferred):  # a DeferredList, or what another Deferred was chained to
        _wait(nodes, owner, below)
        return
    if not isinstance(function, FunctionType | MethodType):
        return
    fires = _nearest(function, args, below.what)
    if _is_library(function):
        callback = below
    else:
        callback = nodes.setdefault(id(function), _Node(function))
        callback.waits_for.append(below)
    for other in fires:
        _wait(nodes, other, callback, guessed=True)


def _wait(nodes: dict[int, _Node], above: Any, below: _Node, guessed: bool = False) -> None:
    node = nodes.get(id(above))
    if node is not None and node is not below and below not in node.waits_for:
        node.waits_for.append(below)
        below.guessed = below.guessed or guessed


def _is_library(function: Callable[..., Any]) -> bool:
    return _module(function).partition(".")[0] == "twisted"


def _module(function: Any) -> str:
    return str(getattr(function, "__module__", ""))


def _nearest(function: Any, args: tuple[Any, ...], but: Deferred[Any]) -> list[Deferred[Any]]:
    """Return the unfired Deferreds that a callback refers to by the fewest steps."""
    seen, layer = {id(but)}, deque([function, *args])
    while layer and len(seen) < _MOST_OBJECTS:
        found: list[Deferred[Any]] = []
        below: deque[Any] = deque()
        for one in layer:
            if id(one) in seen:
                continue
            seen.add(id(one))
            if isinstance(one, Deferred):
                if _waited_for(one):
                    found.append(one)
                continue
            below.extend(_referents(one))
        if found:
            return found
        layer = below
    return []


def _referents(one: Any) -> list[Any]:
    """Return what an object refers to that may lead to a Deferred; nothing of the simulation."""
    if isinstance(one, FunctionType):  # not its globals
        return [*(one.__closure__ or ()), *(one.__defaults__ or ())]
    if isinstance(one, MethodType):
        return [one.__func__, one.__self__]
    if isinstance(one, CellType | list | tuple | set | frozenset | dict | partial | deque):
        return gc.get_referents(one)
    kind = type(one).__module__
    if not isinstance(kind, str):  # a class of classes may have made something else of it
        return []
    if kind == "builtins" or kind.startswith(("firstk.harness", "simpy", "twisted", "zope")):
        return []
    return [] if isinstance(one, type | BuiltinFunctionType) else gc.get_referents(one)


def _path(start: _Node, ends: Mapping[int, str]) -> list[_Node]:
    """Return the shortest way down to one of the ends; without any, the way to the last there is.

    Ways that are recorded go before those that are guessed.
    """
    before: dict[_Node, _Node | None] = {start: None}
    queue = deque([start])
    last = start
    while queue:
        node = last = queue.popleft()
        if id(node.what) in ends:
            break
        for below in sorted(node.waits_for, key=lambda one: one.guessed):
            if below not in before:
                before[below] = node
                queue.append(below)
    way: list[_Node] = []
    step: _Node | None = last
    while step is not None:
        way.append(step)
        step = before[step]
    return way[::-1]


def _first_callback(path: Sequence[_Node]) -> list[Link]:
    """Return the callback that waits for the last of a path, if no link before it says who does."""
    last = path[-1].what
    if len(path) > 1 and not isinstance(path[-2].what, Deferred):
        return []
    if not isinstance(last, Deferred):
        return []
    own = (f for f, _ in _callbacks(last) if isinstance(f, FunctionType | MethodType))
    return [_callback(function) for function in own if not _is_library(function)][:1]


def _below(start: _Node) -> set[_Node]:
    """Return all that a node waits for, and what that waits for."""
    found, todo = {start}, [start]
    while todo:
        new = [one for one in todo.pop().waits_for if one not in found]
        found.update(new)
        todo += new
    return found


def _links(node: _Node, ends: Mapping[int, str]) -> Iterator[Link]:
    """Yield the links that a node is: a coroutine has one for each function that it is in."""
    what = node.what
    if isinstance(what, Deferred):
        yield Link(ends.get(id(what), type(what).__name__))
    elif isinstance(what, _SUSPENDED):
        yield from suspended(what)
    else:
        yield _callback(what)


def _callback(function: Any) -> Link:
    code = getattr(function, "__func__", function).__code__
    where = Place(code.co_filename, code.co_firstlineno, code.co_name)
    return Link(code.co_name, "callback", where, _module(function))


def suspended(what: Any) -> Iterator[Link]:
    """Yield a link for each function that a suspended coroutine or generator is in.

    >>> from twisted.internet.defer import Deferred
    >>> async def wait():
    ...     await Deferred()
    >>> async def download():
    ...     await wait()
    >>> coroutine = download()
    >>> _ = coroutine.send(None)
    >>> [link.name for link in suspended(coroutine)]
    ['download', 'wait']
    >>> coroutine.close()
    """
    for _ in range(_MOST_LINKS):
        frame, below, how = _step(what)
        if frame is None or frame.f_code is _AWAITING:
            return
        yield Link(frame.f_code.co_name, how, place(frame), str(frame.f_globals.get("__name__")))
        if not isinstance(below, _SUSPENDED) and below is not None:
            # The awaitable of an asynchronous generator's step refers to the generator alone.
            referents = [one for one in gc.get_referents(below) if isinstance(one, _SUSPENDED)]
            below = referents[0] if len(referents) == 1 else None
        if below is None:
            return
        what = below


def _step(what: Any) -> tuple[FrameType | None, Any, Literal["await", "yield"]]:
    """Return the frame of what is suspended, what it is suspended in, and how it waits."""
    if isinstance(what, CoroutineType):
        return what.cr_frame, what.cr_await, "await"
    if isinstance(what, AsyncGeneratorType):
        return what.ag_frame, what.ag_await, "await"
    return what.gi_frame, what.gi_yieldfrom, "yield"
