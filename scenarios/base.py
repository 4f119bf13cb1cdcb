"""The base of all tables of scenario files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

#: The maximum size of a generated file, in bytes: its shares are kept in memory.
MAX_MADE_UP_SIZE = 2**30

#: A time or a duration in seconds.
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Table(BaseModel):
    """A table of a scenario file, which allows no unknown keys."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def mistakes(found: Sequence[tuple[str | tuple[int | str, ...], str]]) -> PydanticCustomError:
    """Return the error for mistakes, each a key and a description of the problem.

    The key is one of the validated table. "" is the validated value itself, and "../" before a key
    means that it is in the parent table. A tuple is a path from the validated value.
    """
    return PydanticCustomError("mistakes", "{found}", {"found": list(found)})


def relative_path(path: str, info: ValidationInfo) -> Path:
    """Resolve a path in a scenario file relative to that file."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path
