"""Reading scenario files: all that is wrong with one is told at once, line by line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from downloader.text import shown
from scenarios.model import OTHER, Expectation, Scenario, Servers

Location = tuple[int | str, ...]

T = TypeVar("T", bound=BaseModel)


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
    scenario = validated(Scenario, name, read(path), Path(path).parent)
    scenario._source = source or name
    return scenario


def read(path: str | Path, kind: type[Lines] | None = None) -> Lines:
    """Return what stands in a TOML file, and where, as `kind` finds it; raises `ScenarioError`."""
    name = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        return (kind or Lines)(text)
    except OSError as e:
        raise ScenarioError([Mistake(name, None, "", str(e.strerror or e))]) from e
    except UnicodeDecodeError as e:
        raise ScenarioError([Mistake(name, None, "", f"is no UTF-8 text: {e.reason}")]) from e
    except tomllib.TOMLDecodeError as e:
        raise ScenarioError([_not_toml(name, text, e)]) from e
    except (ValueError, RecursionError) as e:  # a number too long, brackets too deep
        raise ScenarioError([Mistake(name, None, "", f"cannot be read: {e}")]) from e


def from_tables(tables: Mapping[str, Any]) -> Scenario:
    """Return the scenario that tables make, as they would stand in a file.

    Paths in it are relative to the current folder. Raises `ScenarioError` as `load` does.
    """
    return validated(Scenario, "scenario", NoLines(tables), Path())


def expectation_from(table: Mapping[str, Any]) -> Expectation:
    """Return what a table like `[expect.downloader]` expects; raises `ScenarioError`."""
    return _table_from("expectation", Expectation, table, ("expect", OTHER), {})


def entry_from(table: Mapping[str, Any], scenario: Scenario) -> Servers:
    """Return what a table like `[[servers]]` says of this grid; raises `ScenarioError`."""
    facts = {"servers": scenario.grid.servers, "numbers": scenario.file.numbers}
    return _table_from("servers", Servers, table, ("servers", 0), facts)


def _table_from(
    name: str,
    model: type[T],
    table: Mapping[str, Any],
    location: Location,
    context: Mapping[str, Any],
) -> T:
    """Return the one table that would stand at `location` in a file."""
    try:
        return model.model_validate(dict(table), context=dict(context))
    except ValidationError as e:
        data: Any = table
        for part in reversed(location):
            data = [data] if isinstance(part, int) else {part: data}
        errors = [ErrorDetails(**{**one, "loc": (*location, *one["loc"])}) for one in e.errors()]
        found = [m for error in errors for m in _mistakes(Scenario, name, NoLines(data), error)]
        raise ScenarioError(found) from None


def validated(model: type[T], name: str, lines: Lines | NoLines, folder: Path) -> T:
    """Return what tables make that stand in the file `name`; paths are relative to `folder`.

    Raises `ScenarioError` with all that is wrong.
    """
    data = deepcopy(dict(lines.data))
    found: dict[Mistake, None] = {}
    while True:
        try:
            made = model.model_validate(data, context={"folder": folder})
        except ValidationError as e:
            errors = e.errors()
        else:
            break
        found.update({m: None for error in errors for m in _mistakes(model, name, lines, error)})
        # A table with an unknown key is not looked at as a whole: look again without it.
        if not _drop_unknown(data, errors):
            break
    if found:
        raise ScenarioError(sorted(found, key=lambda mistake: mistake.line or 0))
    return made


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
    line = int(words[1]) if words[:1] == ["line"] else text.rstrip("\n").count("\n") + 1
    return Mistake(name, line, "", f"is no TOML: {message}")


def _mistakes(
    model: type[BaseModel], name: str, lines: Lines | NoLines, error: ErrorDetails
) -> Iterator[Mistake]:
    """Yield what one of pydantic's errors says, in the words of a scenario file."""
    location = error["loc"]
    if error["type"] == "mistakes":
        told = error["ctx"]["found"]
    elif error["type"] == "missing":
        location, told = location[:-1], [(location[-1], "is missing")]
    else:
        told = [("", _message(model, error))]
    for key, message in told:
        path = _path(lines.data, location)
        if key.startswith("../"):
            path, key = path[:-1], key.removeprefix("../")
        path += (key,) if key else ()
        yield Mistake(name, lines.find(path), _spell(path), message)


def _message(model: type[BaseModel], error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            known = sorted(_known_keys(model, error["loc"][:-1]))
            close = get_close_matches(str(error["loc"][-1]), known, n=1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            return f"unknown key; {meant}there are {', '.join(known)}"
        case "union_tag_invalid":
            return f"{shown(context['tag'])} is unknown; there are {context['expected_tags']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"should be a table, not {shown(error['input'])}"
        case "list_type":
            return f"should be a list, not {shown(error['input'])}"
        case "union_tag_not_found":
            return f"needs the key {context['discriminator']}"
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = error["input"]
    return f"{said}, not {shown(given)}" if not isinstance(given, dict | list) else said


def _known_keys(model: type[BaseModel], location: Location) -> set[str]:
    """Return the keys that the table at `location` of a file may have."""
    tables: list[Any] = [model]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [m.model_fields[part].annotation for m in tables if part in m.model_fields]
        if fields:
            tables = [table for field in fields for table in _tables(field)]
        else:  # pydantic names the variant it took: by its tag
            tagged = [table for table in tables if _is_variant(table, part)]
            tables = tagged or tables
    return {of.alias or key for table in tables for key, of in table.model_fields.items()}


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _tables(argument)


def _is_variant(table: type[BaseModel], tag: str) -> bool:
    kinds = [
        get_args(table.model_fields[key].annotation)
        for key in ("kind", "law")
        if key in table.model_fields
    ]
    return (tag,) in kinds or table.__name__ == _VARIANTS.get(tag)


#: The tables that the tags of `scenarios.model` and `scenarios.experiment` stand for.
_VARIANTS = {
    "@inline": "Scenario",
    "@span": "Span",
    "@real": "RealFile",
    "@made-up": "MadeUpFile",
    "@count": "Count",
    "@probability": "Probability",
}


#: The keys whose tables are told apart by a key of theirs: pydantic names their variants.
_DISCRIMINATORS = {
    **dict.fromkeys(("rtt", "service", "laws", "think", "sizes"), "law"),
    **dict.fromkeys(("fault", "arrivals"), "kind"),
}


def _path(data: Any, location: Location) -> Location:
    """Return `location` without the parts that pydantic adds: names of union variants."""
    path: list[int | str] = []
    key, tag = "", None
    for part in location:
        if part == tag:
            tag = None
            continue
        added = part == "[key]" or str(part).startswith("@")
        if added and not (isinstance(data, dict) and part in data):
            continue
        path.append(part)
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
        key = part if isinstance(part, str) else key
        tag = data.get(_DISCRIMINATORS.get(key)) if isinstance(data, dict) else None
    return tuple(path)


def _spell(path: Location) -> str:
    """Return a path as one would write it: servers[2].fault.kind."""
    spelt = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return spelt.removeprefix(".")


#: How a line looks that a statement may begin with: a table's head, or a key.
_STATEMENT = re.compile(r"""\s*(\[|("[^"]*"|'[^']*'|[\w-]+)[^=#]*=)""")

_ENTRY = re.compile(r"\s*\[\[\s*servers\s*\]\]")


class Lines:
    """Where things stand in a TOML text, which its parser does not tell.

    The text's beginnings that are TOML themselves tell: the statement that brings
    something is the first that must be read for it to be there.
    """

    def __init__(self, text: str) -> None:
        self.data = tomllib.loads(text)
        self._lines = text.split("\n")
        self._entries = [i for i, line in enumerate(self._lines) if _ENTRY.match(line)]

    def find(self, path: Location) -> int:
        """Return the line, from 1, at which `path`, or the table that lacks it, begins."""
        while path and not _has(self.data, path):
            path = path[:-1]
        if not path:
            return 1
        begin, end = 0, len(self._lines)
        index = path[1] if path[0] == "servers" and len(path) > 1 else None
        if isinstance(index, int) and len(self.data["servers"]) == len(self._entries):
            # A program may have written thousands of entries: look at this one alone.
            ends = [*self._entries[1:], end]
            alone = "\n".join(self._lines[self._entries[index] : ends[index]])
            if _has(_parse(alone), ("servers", 0, *path[2:])):
                begin, end, path = self._entries[index], ends[index], ("servers", 0, *path[2:])
        return begin + _line(self._lines[begin:end], path)


@dataclass(frozen=True)
class NoLines:
    """Takes the place of `Lines` where tables stand in no text."""

    data: Mapping[str, Any]

    def find(self, path: Location) -> None:
        """Return no line."""


def _line(lines: list[str], path: Location) -> int:
    """Return the line, from 1, of the statement that brings `path`."""
    starts = [i for i, line in enumerate(lines) if _STATEMENT.match(line)]
    without, having = 0, len(starts)
    while True:
        # Near the middle: a beginning that ends inside a value is no TOML.
        between = sorted(range(without + 1, having), key=lambda i: abs(2 * i - without - having))
        for i in between:
            data = _parse("\n".join(lines[: starts[i]]))
            if data is not None:
                without, having = (without, i) if _has(data, path) else (i, having)
                break
        else:
            return starts[without] + 1


def _parse(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _has(data: Any, path: Location) -> bool:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True
