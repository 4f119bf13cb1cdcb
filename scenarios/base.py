"""What every part of a scenario file has in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

#: The largest file that is made up, in bytes: its shares are kept in memory.
MAX_MADE_UP_SIZE = 2**30

#: A time or a duration in seconds.
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Table(BaseModel):
    """A table of a scenario file: its keys and what they may hold, and no others."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def mistakes(found: Sequence[tuple[str | tuple[int | str, ...], str]]) -> PydanticCustomError:
    """Return the error for mistakes, each a key and what is wrong with it.

    A key is one of the table that is looked at, "" is what is looked at itself, and a key
    after "../" stands beside that. A tuple is a path from there.
    """
    return PydanticCustomError("mistakes", "{found}", {"found": list(found)})


def relative_path(path: str, info: ValidationInfo) -> Path:
    """Return the file that a path in a scenario file means: relative to that file."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path
