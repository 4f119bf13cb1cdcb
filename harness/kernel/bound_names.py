"""Names that may be bound to watched functions, in modules, classes and defaults."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator
from types import FunctionType, ModuleType
from typing import Any, Protocol


class Names(Protocol):
    """Names that may be bound to watched functions: those of a module, a class or a function."""

    def items(self) -> ItemsView[Any, Any]:
        """Return the names with their values."""

    def get(self, name: Any, /) -> Any:
        """Return the value of a name; None if there is no such name."""

    def update(self, values: dict[Any, Any], /) -> None:
        """Set the values of names."""


class Attributes:
    """The attributes of a class, by name."""

    def __init__(self, owner: type) -> None:
        self._owner = owner

    def items(self) -> ItemsView[Any, Any]:
        """Return the attributes with their values, as they are now."""
        return dict(vars(self._owner)).items()

    def get(self, name: Any) -> Any:
        """Return the value of an attribute; None if there is no such attribute."""
        return vars(self._owner).get(name)

    def update(self, values: dict[Any, Any]) -> None:
        """Set attributes."""
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


def classes(module: ModuleType) -> Iterator[Names]:
    """Yield the classes of a module."""
    for thing in list(vars(module).values()):
        if isinstance(thing, type) and thing.__module__ == module.__name__:
            yield Attributes(thing)


def holders(module: ModuleType) -> Iterator[Names]:
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
            yield Attributes(thing)
            found += vars(thing).values()
            continue
        if thing.__defaults__:
            yield _Defaults(thing)
        if thing.__kwdefaults__:
            yield thing.__kwdefaults__
        found += vars(thing).values()  # includes a wrapped function


#: Names, and the values of the watched ones among them: outside a run, and during one.
Bound = tuple[Names, dict[Any, Any], dict[Any, Any]]


def change(names: Names, before: dict[Any, Any], after: dict[Any, Any]) -> None:
    """Replace the values of names; a name that has been rebound meanwhile is left unchanged."""
    if not before.items() <= names.items():
        after = {name: after[name] for name in before if names.get(name) is before[name]}
    names.update(after)
