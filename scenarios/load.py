"""Loading of scenario files. All mistakes in a file are reported at once, each with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from firstk.downloader.names import did_you_mean
from firstk.downloader.text import shown
from firstk.scenarios.kinds import SCENARIO, Kind, kind_of_head, other_kind
from firstk.scenarios.lines import (
    MAX_INTEGER,
    MIN_INTEGER,
    Lines,
    Location,
    NoPositions,
    RefusedError,
    too_large,
)
from firstk.scenarios.model import OTHER, Expectation, Scenario, Servers
from firstk.scenarios.reading import TOML, read_text
from firstk.scenarios.text import cut, listed, printable

__all__ = ["Lines", "Location", "NoPositions", "Problem", "ScenarioError"]

T = TypeVar("T", bound=BaseModel)

#: The maximum number of mistakes listed per file; further ones are only counted.
MOST_LISTED = 20


@dataclass(frozen=True)
class Problem:
    """One mistake in a file: its place, and a message that says what would be correct.

    `line` counts from 1; it is None if the mistake concerns the whole file. As text, characters
    that cannot be printed are escaped.
    """

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        file, key, message = (printable(of) for of in (self.file, cut(self.key), self.message))
        place = file if self.line is None else f"{file}:{self.line}"
        return f"{place}: {key}: {message}" if key else f"{place}: {message}"


class ScenarioError(ValueError):
    """A file is not a valid scenario; `mistakes` lists all problems with it."""

    __module__ = "firstk"  # as users import it

    def __init__(self, mistakes: Sequence[Problem]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, mistakes)))


def load_scenario(path: str | Path, source: str | None = None) -> Scenario:
    """Load a scenario from a TOML file.

    Paths in the file are relative to its folder. `source` is the name of the file on a command
    line (default: `path`). Raises `ScenarioError` if the file cannot be read, is not TOML, or is
    not a valid scenario; the message lists the mistakes, each with its line.

    >>> from firstk.scenarios.library import sets
    >>> one_hung = next(path for path in sets()["ticket-928"] if "one-hung" in path.name)
    >>> scenario = load_scenario(one_hung)
    >>> scenario.name, scenario.grid.servers
    ('one-hung', 10)
    """
    name = str(path)
    lines = read(path, SCENARIO)
    scenario = validated(Scenario, name, lines, Path(path).parent)
    scenario._source = source or name
    return scenario


def read(path: str | Path, kind: Kind | None, lines: type[Lines] = Lines) -> Lines:
    """Return the contents of a TOML file, with their positions, as an object of type `lines`.

    Raises `ScenarioError` if the file cannot be read, or is clearly not of this kind.
    """
    name, text = str(path), ""
    try:
        text = read_text(path, TOML)
        found = lines(text)
    except (OSError, ValueError, RecursionError) as e:
        known = kind_of_head(path)
        mistake = (
            _unreadable(name, text, e) if known is None else Problem(name, None, "", str(known))
        )
        raise ScenarioError([mistake]) from e
    if kind is not None and (other := other_kind(kind, found.data)):
        raise ScenarioError([Problem(name, None, "", f"{other}; this command takes {kind.name}")])
    refused = [
        Flaw(where, f"should be {MIN_INTEGER} to {MAX_INTEGER}, not {shown(value)}")
        for where, value in too_large(found.data)
    ]
    if refused:
        raise ScenarioError(mistakes_of(name, found, refused))
    return found


def _unreadable(name: str, text: str, error: Exception) -> Problem:
    """Return why a file cannot be read."""
    match error:
        case OSError():
            return Problem(name, None, "", str(error.strerror or error))
        case UnicodeDecodeError():
            return Problem(name, None, "", f"is not UTF-8 text: {error.reason}")
        case RefusedError():
            return Problem(name, error.line, "", str(error))
        case tomllib.TOMLDecodeError():
            return _not_toml(name, text, error)
    return Problem(name, None, "", f"cannot be read: {error}")


def from_tables(tables: Mapping[str, Any]) -> Scenario:
    """Return the scenario defined by tables that have the structure of a scenario file.

    Paths in it are relative to the current folder. Raises `ScenarioError` as `load_scenario` does.
    """
    return validated(Scenario, "scenario", NoPositions(tables), Path())


def expectation_from(table: Mapping[str, Any]) -> Expectation:
    """Validate a table like `[expect.downloader]`. Raises `ScenarioError` if it is invalid."""
    return _table_from("expectation", Expectation, table, ("expect", OTHER), {})


def entry_from(table: Mapping[str, Any], scenario: Scenario) -> Servers:
    """Validate an entry of `[[servers]]` for this grid. Raises `ScenarioError` if it is invalid."""
    facts = {"servers": scenario.grid.servers, "numbers": scenario.file.numbers}
    return _table_from("servers", Servers, table, ("servers", 0), facts)


def _table_from(
    name: str,
    model: type[T],
    table: Mapping[str, Any],
    location: Location,
    context: Mapping[str, Any],
) -> T:
    """Validate one table as if it were at `location` in a file."""
    try:
        return model.model_validate(dict(table), context=dict(context))
    except ValidationError as e:
        data: Any = table
        for part in reversed(location):
            data = [data] if isinstance(part, int) else {part: data}
        errors = [ErrorDetails(**{**one, "loc": (*location, *one["loc"])}) for one in e.errors()]
        flaws = [flaw for error in errors for flaw in _flaws(Scenario, data, error)]
        raise ScenarioError(mistakes_of(name, NoPositions(data), flaws)) from None


class Flaw(NamedTuple):
    """One mistake in tables: its place and message.

    `message` may be a pydantic error about `model`; it is put into words only when it is listed,
    since most mistakes are only counted. `at` is put before the message.
    """

    path: Location
    message: str | ErrorDetails
    model: type[BaseModel] = Scenario
    at: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """A key that is equal for equal flaws."""
        if isinstance(self.message, str):
            return self.path, self.message
        return self.path, self.message["type"], self.message["msg"]


def validated(model: type[T], name: str, lines: Lines | NoPositions, folder: Path) -> T:
    """Validate the tables of the file `name` as a `model`; paths are relative to `folder`.

    Raises `ScenarioError` with all mistakes.
    """
    made, flaws = examined(model, lines.data, folder)
    if made is None:
        raise ScenarioError(mistakes_of(name, lines, flaws))
    return made


def examined(
    model: type[T], tables: Mapping[str, Any], folder: Path
) -> tuple[T | None, list[Flaw]]:
    """Return the object that tables define, or None, and all mistakes in them."""
    found: dict[object, Flaw] = {}
    data: Mapping[str, Any] | None = tables
    while data is not None:
        try:
            made = model.model_validate(data, context={"folder": folder})
        except ValidationError as e:
            errors = e.errors(include_url=False)
        else:
            return (None if found else made), list(found.values())
        for error in errors:
            found.update((flaw.key, flaw) for flaw in _flaws(model, tables, error))
        # Validators of a whole table do not run if it has an unknown key: validate without it.
        data = _without_unknown(data, errors)
    return None, list(found.values())


def mistakes_of(name: str, lines: Lines | NoPositions, flaws: Iterable[Flaw]) -> list[Problem]:
    """Return the first flaws as mistakes, in the order of their lines, and a count of the rest."""
    placed = sorted(((lines.find(flaw.path), flaw) for flaw in flaws), key=_line)
    found = [
        Problem(name, line, spell(flaw.path), flaw.at + _words(flaw.model, flaw.message))
        for line, flaw in placed[:MOST_LISTED]
    ]
    if more := len(placed) - len(found):
        found.append(Problem(name, None, "", f"and {more:,} more mistake{'s' if more > 1 else ''}"))
    return found


def _line(placed: tuple[int | None, Flaw]) -> int:
    return placed[0] or 0


def _without_unknown(data: Mapping[str, Any], errors: list[ErrorDetails]) -> dict[str, Any] | None:
    """Return tables without their unknown keys; None if they have no unknown keys."""
    unknown = [_path(data, e["loc"]) for e in errors if e["type"] == "extra_forbidden"]
    if not unknown:
        return None
    left = deepcopy(dict(data))
    dropped = False
    for *path, key in unknown:
        table: Any = left
        try:
            for part in path:
                table = table[part]
            del table[key]
        except (LookupError, TypeError):  # already removed: two variants reported it
            continue
        dropped = True
    return left if dropped else None


def _not_toml(name: str, text: str, error: tomllib.TOMLDecodeError) -> Problem:
    message, _, place = str(error).partition(" (at ")
    words = place.rstrip(")").replace(",", "").split()
    line = int(words[1]) if words[:1] == ["line"] else text.rstrip("\n").count("\n") + 1
    return Problem(name, line, "", f"is not valid TOML: {message}")


def _flaws(
    model: type[BaseModel], tables: Mapping[str, Any], error: ErrorDetails
) -> Iterator[Flaw]:
    """Yield the flaws that one pydantic error reports, each with its place in the tables."""
    location = error["loc"]
    if error["type"] == "mistakes":
        for key, message in error["ctx"]["found"]:
            path = _path(tables, location)
            if isinstance(key, tuple):
                path, key = path + key, ""
            elif key.startswith("../"):
                path, key = path[:-1], key.removeprefix("../")
            yield Flaw(path + ((key,) if key else ()), message)
    elif error["type"] == "missing":
        yield Flaw((*_path(tables, location[:-1]), location[-1]), "is missing")
    else:
        yield Flaw(_path(tables, location), error, model)


def _words(model: type[BaseModel], message: str | ErrorDetails) -> str:
    """Return a message; a pydantic error is put into the terms of scenario files."""
    if isinstance(message, str):
        return message
    error = message
    context = error.get("ctx", {})
    given = error["input"]
    match error["type"]:
        case "extra_forbidden":
            known = sorted(_known_keys(model, error["loc"][:-1]))
            meant = did_you_mean(str(error["loc"][-1]), known)
            return f"unknown key; {meant}there are {listed(known)}"
        case "union_tag_invalid":
            tags = str(context["expected_tags"])
            meant = did_you_mean(str(context["tag"]), _quoted(tags))
            return f"{shown(context['tag'])} is unknown; {meant}there are {tags}"
        case "literal_error":
            choices = str(context["expected"])
            meant = did_you_mean(str(given), _quoted(choices)).rstrip()
            return f"should be {choices}, not {shown(given)}" + (f"; {meant}" if meant else "")
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"should be a table, not {shown(given)}"
        case "list_type":
            return f"should be a list, not {shown(given)}"
        case "union_tag_not_found":
            return f"needs the key {context['discriminator']}"
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{said}, not {shown(given)}" if not isinstance(given, dict | list) else said


def _quoted(text: str) -> list[str]:
    """Return the quoted names in a pydantic message."""
    return re.findall(r"'([^']*)'", text)


def _known_keys(model: type[BaseModel], location: Location) -> set[str]:
    """Return the keys that the table at `location` of a file may have."""
    tables: list[Any] = [model]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [m.model_fields[part].annotation for m in tables if part in m.model_fields]
        if fields:
            tables = [table for field in fields for table in _tables(field)]
        else:  # pydantic inserts the tag of the variant that it chose
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


#: The tables that the tags in `firstk.scenarios.model` and `firstk.scenarios.experiment` denote.
_VARIANTS = {
    "@inline": "InlineScenario",
    "@span": "Span",
    "@real": "RealFile",
    "@made-up": "MadeUpFile",
    "@count": "Count",
    "@probability": "Probability",
}


#: The keys whose tables have variants. Pydantic adds the variant to the location of an error.
_DISCRIMINATORS = {
    **dict.fromkeys(("rtt", "service", "laws", "think", "sizes"), "law"),
    **dict.fromkeys(("fault", "arrivals"), "kind"),
}


def _path(data: Any, location: Location) -> Location:
    """Return `location` without the names of union variants that pydantic adds."""
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


def spell(path: Location) -> str:
    """Return a path as text: servers[2].fault.kind."""
    spelt = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return spelt.removeprefix(".")
