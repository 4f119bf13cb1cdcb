"""Validation of the columns of a store, as strict as that of scenario files.

SQLite stores any value in any column, and another program or a bad disk may have changed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    TypeAdapter,
    ValidationError,
)

from firstk.downloader.text import shown
from firstk.harness.run.result import Outcome
from firstk.harness.run.sample import Count as Count
from firstk.harness.run.sample import Run, Time
from firstk.harness.run.workload_result import WorkloadResult
from firstk.scenarios.seeds import MAX_SEED


def _without_null(value: Any) -> Any:
    """Reject values that cannot come from a TOML file: null, and integers that are too large."""
    if value is None or (isinstance(value, int) and abs(value) > MAX_SEED):
        raise ValueError(f"should not have {'null' if value is None else 'such a large number'}")
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _without_null(one)
    return value


def _object(text: str) -> str:
    _OBJECT.validate_json(text)
    return text


def _load(text: str) -> str:
    load_of(text)
    return text


def _unique(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("should not name one thing twice")
    return names


Number = Annotated[int, Field(ge=1, le=MAX_SEED)]
Word = Annotated[str, Field(min_length=1)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
JsonObject = Annotated[str, AfterValidator(_object)]
JsonLoad = Annotated[str, AfterValidator(_load)]
Names = Annotated[Json[list[Word]], AfterValidator(_unique)]
Values = Annotated[Json[list[Any]], AfterValidator(_without_null)]
Tables = Annotated[Json[dict[str, Any]], AfterValidator(_without_null)]

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)

_OBJECT = TypeAdapter(dict[str, Any], config=_STRICT)

#: The number of a bin, its count and its greatest time; see `firstk.harness.stats.histogram`.
_Bin = tuple[Annotated[int, Field(ge=-(2**30), lt=1025 * 512)], Number, Time]


class _Times(BaseModel, strict=True, allow_inf_nan=False):
    never: Count
    sum: Time
    bins: list[_Bin]


class _Load(BaseModel, strict=True, allow_inf_nan=False):
    scenario: str
    strategy: str
    run: Run
    seed: Count
    downloads: Number
    outcomes: dict[Outcome, Count]
    errors: dict[str, Count]
    message: str | None
    strays: Count
    located: _Times
    ttfb: _Times
    finished: _Times
    requests: Time
    bytes_received: Time
    content_ok: bool | None
    span: Time
    in_system: Time | None
    piled_up: int
    utilisation: Time | None
    digest: Digest


def load_of(text: str) -> WorkloadResult:
    """Return a workload's result from its JSON; raise `ValueError` if it is not valid."""
    load = WorkloadResult.from_json(_checked(_Load.model_validate_json, text).model_dump())
    counts = {sum(load.outcomes.values()), *(h.count for h in _histograms(load))}
    if counts != {load.downloads}:
        raise ValueError(f"has {load.downloads} downloads, but counts {sorted(counts)} of them")
    return load


def _histograms(load: WorkloadResult) -> Sequence[Any]:
    return load.located, load.ttfb, load.finished


class Columns:
    """The columns of a row, which is converted to a named tuple with annotated fields.

    The fields in `without` are not columns: they come last and are computed separately.
    """

    def __init__(self, kind: type[NamedTuple], without: Sequence[str] = ()) -> None:
        hints = get_type_hints(kind, include_extras=True)
        self.names = [name for name in kind._fields if name not in without]
        columns: Any = tuple[tuple(hints[name] for name in self.names)]  # type: ignore[misc]
        self._adapter: TypeAdapter[tuple[Any, ...]] = TypeAdapter(columns, config=_STRICT)

    def checked(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the values, decoded; raise `ValueError` that names the first invalid column."""
        found: tuple[Any, ...] = _checked(self._adapter.validate_python, tuple(values), self.names)
        return found


def _checked(validate: Any, value: Any, names: Sequence[str] = ()) -> Any:
    try:
        return validate(value)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = [str(part) for part in first["loc"]]
        if names and first["loc"]:
            where[0] = names[int(first["loc"][0])]
        problem = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        got = f", not {shown(first['input'])}" if problem.startswith("should ") else ""
        raise ValueError(f"{'.'.join(where[:4])}: {problem}{got}".removeprefix(": ")) from e
