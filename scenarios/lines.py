"""Positions of keys and tables in a TOML text, which Python's parser does not report.

The text is split into statements in one pass; after that, any number of mistakes can be located.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

Location = tuple[int | str, ...]

#: The maximum number of parts of a dotted key, and the maximum depth of nested brackets. The
#: parser's time and memory are quadratic in the first, and it fails at a depth of a few hundred.
MAX_DEPTH = 32

#: The maximum number of characters of a number or of an unquoted key.
MAX_WORD = 1000

#: The range of integers that TOML guarantees. SQLite and traces cannot store larger ones.
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1

_WORD = "[A-Za-z0-9_-]++"
_PART = rf"""(?:{_WORD}|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_DOT = r"[ \t]*+\.[ \t]*+"

#: The tokens of a TOML text, as far as needed to find where its statements begin.
_TOKEN = re.compile(
    rf"""
      (?P<deep> {_PART} (?: {_DOT.replace(" ", chr(92) + " ")} {_PART} ){{{MAX_DEPTH}}} )
    | (?P<numbers> (?: [0-9+-] [0-9_.eE+-]{{0,40}} [\ \t]*+ , [\ \t]*+ )++ )
    | (?P<word> {_WORD} )
    | (?P<long> \"\"\" (?: [^\\"] | \\. | "{{1,2}}(?!") )*+ "{{3,5}}
              | ''' (?: [^'] | '{{1,2}}(?!') )*+ '{{3,5}} )
    | (?P<text> "(?!"") (?: [^"\\\n] | \\. )*+ " | '(?!'') [^'\n]*+ ' )
    | (?P<comment> [\#] [^\n]*+ )
    | (?P<space> [\ \t\r]++ )
    | (?P<newline> \n )
    | (?P<opens> [\[{{] )
    | (?P<closes> [\]}}] )
    | (?P<unended> ["'] )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)

#: The start of a statement: optional brackets of a table header, and a key.
_HEAD = re.compile(rf"(\[\[?)?[ \t]*+({_PART}(?:{_DOT}{_PART})*+)")

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.\- \t]++")


class RefusedError(ValueError):
    """A text is not parsed, because that would take too long; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


class _Statement(NamedTuple):
    """A statement: its line, its opening brackets, and its key as written."""

    line: int
    brackets: str
    key: str

    @property
    def parts(self) -> list[str]:
        """The parts of the key."""
        if _PLAIN_KEY.fullmatch(self.key):
            return [part.strip() for part in self.key.split(".")]
        parts: list[str] = []
        table: Any = tomllib.loads(f"{self.key} = 0")
        while table:
            ((part, table),) = table.items()
            parts.append(part)
        return parts


def _statements(text: str) -> Iterator[_Statement]:
    """Yield the statements of a text. Raises `RefusedError` if it should not be parsed.

    If the text is not valid TOML, only some statements may be yielded.
    """
    line, depth, fresh = 1, 0, True
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "deep":
            raise RefusedError(line, f"a key has more than {MAX_DEPTH} parts")
        if kind == "word" and token.end() - token.start() > MAX_WORD:
            raise RefusedError(line, f"a number or a key has more than {MAX_WORD} characters")
        if kind == "unended":
            return
        if kind == "newline":
            line += 1
            fresh = depth == 0
            continue
        if kind in ("space", "comment"):
            continue
        if fresh:
            fresh = False
            if head := _HEAD.match(text, token.start()):
                yield _Statement(line, head[1] or "", head[2])
        if kind == "opens":
            depth += 1
            if depth > MAX_DEPTH:
                raise RefusedError(line, f"there are more than {MAX_DEPTH} brackets in brackets")
        elif kind == "closes":
            depth -= 1
        elif kind == "long":
            line += text.count("\n", token.start(), token.end())


@dataclass(slots=True)
class _Place:
    """The line at which a key, a table or a list begins, and the places within it."""

    line: int
    within: dict[str | int, _Place] = field(default_factory=dict)
    entries: int = 0

    def key(self, part: str, line: int) -> _Place:
        """Return the place of a key, created at `line` if new; for a list, its last entry."""
        place = self.within.setdefault(part, _Place(line))
        return place.within[place.entries - 1] if place.entries else place

    def entry(self, part: str, line: int) -> _Place:
        """Return the place of a new entry of a list of tables."""
        place = self.within.setdefault(part, _Place(line))
        place.entries += 1
        return place.within.setdefault(place.entries - 1, _Place(line))


def _places(statements: Iterator[_Statement]) -> _Place:
    """Return the place of the whole text, which contains the places of all keys."""
    table = root = _Place(1)
    for statement in statements:
        line, (*parents, last) = statement.line, statement.parts
        at = root if statement.brackets else table
        for part in parents:
            at = at.key(part, line)
        if statement.brackets == "[[":
            table = at.entry(last, line)
        elif statement.brackets:
            table = at.key(last, line)
        else:
            at.key(last, line)
    return root


class Lines:
    """The contents of a TOML text, with their positions.

    Raises `tomllib.TOMLDecodeError`, and `RefusedError` for a text that should not be parsed.
    """

    def __init__(self, text: str) -> None:
        self._statements = list(_statements(text))
        self.data: dict[str, Any] = tomllib.loads(text)

    @cached_property
    def _places(self) -> _Place:
        return _places(iter(self._statements))

    def find(self, path: Location) -> int | None:
        """Return the line, from 1, at which `path` begins, or else the table that lacks it."""
        place: _Place = self._places
        for part in path:
            if part not in place.within:
                break
            place = place.within[part]
        return place.line


@dataclass(frozen=True)
class NoPositions:
    """A replacement for `Lines` if the tables do not come from a text."""

    data: Mapping[str, Any]

    def find(self, path: Location) -> int | None:
        """Return None: there are no lines."""
        return None


def too_large(data: Any) -> Iterator[tuple[Location, int]]:
    """Yield the locations and values of integers outside the range that TOML guarantees."""
    waiting: list[tuple[Location, Any]] = [((), data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, key), of) for key, of in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, i), of) for i, of in enumerate(value)]
        elif isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
            yield path, value
