"""Reading scenario files: all that is wrong with one is told at once, line by line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from scenarios.model import MAX_SERVERS, Scenario

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong with a file: where, and what would be right.

    `line` counts from 1; it is None where the whole file is wrong.
    """

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ScenarioError(ValueError):
    """A file is not a scenario; `mistakes` says all that is wrong with it."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, mistakes)))


def load(path: str | Path, source: str | None = None) -> Scenario:
    """Return the scenario in a TOML file.

    Paths in it are relative to it. `source` is what a command line calls it; default the
    path. Raises `ScenarioError` if it cannot be read, is no
    TOML, or is not a scenario.
    """
    name = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as e:
        raise ScenarioError([Mistake(name, None, "", str(e.strerror or e))]) from e
    except UnicodeDecodeError as e:
        raise ScenarioError([Mistake(name, None, "", f"is no UTF-8 text: {e.reason}")]) from e
    except tomllib.TOMLDecodeError as e:
        raise ScenarioError([_not_toml(name, text, e)]) from e
    found: dict[Mistake, None] = {}
    while True:
        try:
            scenario = Scenario.model_validate(data, context=_context(path, data))
        except ValidationError as e:
            errors = e.errors()
        else:
            break
        found.update({m: None for error in errors for m in _mistakes(name, text, error)})
        # A table with an unknown key is not looked at as a whole: look again without it.
        if not _drop_unknown(data, errors):
            break
    if found:
        raise ScenarioError(sorted(found, key=lambda mistake: mistake.line or 0))
    scenario._source = source or name
    return scenario


def _context(path: str | Path, data: dict[str, Any]) -> dict[str, Any]:
    """Return what the checks need to know from outside the table that they look at."""
    grid = data.get("grid")
    servers = grid.get("servers") if isinstance(grid, dict) else None
    known = type(servers) is int and 1 <= servers <= MAX_SERVERS
    return {"folder": Path(path).parent, "servers": servers if known else None}


def _drop_unknown(data: dict[str, Any], errors: list[ErrorDetails]) -> bool:
    """Take the unknown keys out of `data`; tell whether there were any."""
    unknown = [_path(data, e["loc"]) for e in errors if e["type"] == "extra_forbidden"]
    for *path, key in unknown:
        table: Any = data
        for part in path:
            table = table[part]
        del table[key]
    return bool(unknown)


def _not_toml(name: str, text: str, error: tomllib.TOMLDecodeError) -> Mistake:
    message, _, place = str(error).partition(" (at ")
    words = place.rstrip(")").replace(",", "").split()
    line = int(words[1]) if words[:1] == ["line"] else max(1, len(text.splitlines()))
    return Mistake(name, line, "", f"is no TOML: {message}")


def _mistakes(name: str, text: str, error: ErrorDetails) -> Iterator[Mistake]:
    """Yield what one of pydantic's errors says, in the words of a scenario file."""
    data, location = tomllib.loads(text), error["loc"]
    if error["type"] == "mistakes":
        told = error["ctx"]["found"]
    elif error["type"] == "missing":
        location, told = location[:-1], [(location[-1], "is missing")]
    else:
        told = [("", _message(error))]
    for key, message in told:
        path = _path(data, location) + ((key,) if key else ())
        yield Mistake(name, line_of(text, path), _spell(path), message)


def _message(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            known = sorted(_known_keys(error["loc"][:-1]))
            close = get_close_matches(str(error["loc"][-1]), known, n=1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            return f"unknown key; {meant}there are {', '.join(known)}"
        case "union_tag_invalid":
            return f"{context['tag']!r} is unknown; there are {context['expected_tags']}"
        case "union_tag_not_found":
            return f"needs the key {context['discriminator']}"
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = error["input"]
    return f"{said}, not {given!r:.80}" if not isinstance(given, dict | list) else said


def _known_keys(location: Location) -> set[str]:
    """Return the keys that the table at `location` may have."""
    tables: list[Any] = [Scenario]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [m.model_fields[part].annotation for m in tables if part in m.model_fields]
        if fields:
            tables = [table for field in fields for table in _tables(field)]
        else:  # pydantic names the variant it took: by its tag
            tagged = [table for table in tables if _is_variant(table, part)]
            tables = tagged or tables
    return {key for table in tables for key in table.model_fields}


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _tables(argument)


def _is_variant(table: type[BaseModel], tag: str) -> bool:
    kinds = [
        get_args(table.model_fields[k].annotation)
        for k in ("kind", "law")
        if k in table.model_fields
    ]
    return (tag,) in kinds or table.__name__ == {"real": "RealFile", "made-up": "MadeUpFile"}.get(
        tag
    )


def _path(data: Any, location: Location) -> Location:
    """Return `location` without the parts that pydantic adds: names of union variants."""
    path: list[int | str] = []
    for part in location:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    return tuple(path)


def _spell(path: Location) -> str:
    """Return a path as one would write it: servers[2].fault.kind."""
    spelt = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return spelt.removeprefix(".")


def line_of(text: str, path: Location) -> int:
    """Return the line of a TOML text at which `path`, or the table it lacks in, begins.

    The text's beginnings that are TOML themselves tell: the line is the first that must
    be read for the path to be there.
    """
    data = tomllib.loads(text)
    while path and not _has(data, path):
        path = path[:-1]
    if not path:
        return 1
    lines = text.splitlines(keepends=True)
    without, having = 0, len(lines)
    while True:
        middle = _parsable(lines, without, having)
        if middle is None:
            return without + 1
        if _has(tomllib.loads("".join(lines[:middle])), path):
            having = middle
        else:
            without = middle


def _parsable(lines: list[str], low: int, high: int) -> int | None:
    """Return a count between the two, near their middle, of lines that are TOML."""
    for count in sorted(range(low + 1, high), key=lambda n: abs(2 * n - low - high)):
        try:
            tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        return count
    return None


def _has(data: Any, path: Location) -> bool:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True
