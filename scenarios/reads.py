"""Several reads of one file, in place of one download."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from firstk.scenarios.base import Seconds, Table


class Read(Table):
    """A read of some bytes of the file, by a downloader that lives on for others."""

    offset: int = Field(default=0, ge=0)
    """The first byte asked for."""
    length: int | None = Field(default=None, ge=0)
    """How many bytes are asked for; default all the rest."""
    start: Seconds | None = None
    """When it begins, in virtual seconds; default when the read before it is over, and the first
    one at once."""
    cancel: Seconds | None = None
    """So many seconds after it has begun it is cancelled, as by a player that seeks: its consumer
    stops the producer. Default never."""


def read_problems(
    reads: Sequence[Read], size: float
) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield what is wrong with reads of a file with so many bytes, each by its place."""
    for place, read in enumerate(reads):
        rest = size - read.offset
        if rest < 0:
            yield (place, "offset"), f"should be {size} (the file's size) or less"
        elif read.length is not None and read.length > rest:
            yield (place, "length"), f"should be {rest} (what the file has left) or less"
