"""Untrusted text made safe to display: of limited length, without errors, equal in every run.

The message of an exception and the repr of an object may have any length, may raise errors, and may
contain a memory address. They are truncated before anything else is done with them.
"""

from __future__ import annotations

import re
from reprlib import Repr

#: The maximum length of a text on one line, such as an error from a server.
_LINE = 200

#: The maximum length of an exception's message.
_MESSAGE = 10_000

#: The maximum length of an object's repr.
_SHOWN = 80

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

#: Types whose reprs in messages are limited: the repr of a large container takes much memory.
_CONTAINERS = (bytes, bytearray, dict, frozenset, list, set, tuple)


def cut(text: str, most: int) -> str:
    """Return a text, truncated with "..." if it has more than `most` characters."""
    if type(text) is not str:
        text = "".join([text])  # a subclass might lie about its length
    return text if len(text) <= most else text[: most - 3] + "..."


def one_line(text: str, most: int = _LINE) -> str:
    """Return a text on one line, truncated if it is too long."""
    if type(text) is str and len(text) <= most and text.isalnum():
        return text  # such as the name of a server
    head = cut(text, 5 * most)
    return cut(" ".join(head.split()), most)


def message_of(error: BaseException, most: int = _MESSAGE) -> str:
    """Return the message of an exception, truncated if it is too long.

    It is `str(error)`, except that large containers are shortened; if `str` fails, it says why.
    """
    try:
        return cut(_message(error), most)
    except BaseException as e:  # code of strangers: it may raise SystemExit too
        return f"its message cannot be shown: str() raised {type(e).__name__}"


def _message(error: BaseException) -> str:
    arguments = error.args
    if type(error).__str__ is BaseException.__str__:
        if len(arguments) > 1:
            return shown(arguments, _MESSAGE)
        if arguments and isinstance(arguments[0], _CONTAINERS):
            return shown(arguments[0], _MESSAGE)
    elif type(error).__str__ is KeyError.__str__ and len(arguments) == 1:
        return shown(arguments[0], _MESSAGE)
    return str(error)


def shown(value: object, most: int = _SHOWN) -> str:
    """Return the repr of an object, truncated if it is too long, and without addresses.

    For containers, only as many items as fit are formatted.
    """
    try:
        return cut(_ADDRESS.sub("", _repr.repr(value)), most)
    except BaseException as e:  # code of strangers: it may raise SystemExit too
        return f"<{type(value).__name__}, whose repr() raised {type(e).__name__}>"


class _Repr(Repr):
    """A `reprlib.Repr` that truncates strings and bytes at their ends, and propagates errors."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = self.maxfrozenset = 50
        self.maxother = self.maxlong = 1000

    def repr_str(self, x: str, level: int) -> str:
        return cut(repr(x[:1000]), 1000)

    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:  # Python does not format integers of more than 4300 digits
            return "a number of thousands of digits"

    def repr_instance(self, x: object, level: int) -> str:
        if isinstance(x, str | bytes | bytearray):
            x = x[:1000]
        return cut(repr(x), 1000)


_repr = _Repr()
