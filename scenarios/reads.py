"""The tables `[[reads]]`: several reads of one file instead of one download."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from firstk.scenarios.base import Seconds, Table


class Read(Table):
    """A read of some bytes of the file by a downloader that serves several reads."""

    offset: int = Field(default=0, ge=0)
    """The offset of the first byte to read."""
    length: int | None = Field(default=None, ge=0)
    """The number of bytes to read; default up to the end of the file."""
    start: Seconds | None = None
    """When it begins, in virtual seconds; default when the previous read ends, or at once for the
    first read."""
    cancel: Seconds | None = None
    """How many seconds after its start the read is cancelled, as by a player that seeks: its
    consumer stops the producer. Default never."""


def read_problems(
    reads: Sequence[Read], size: float
) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield the problems of reads of a file with `size` bytes, each with its location."""
    for place, read in enumerate(reads):
        rest = size - read.offset
        if rest < 0:
            yield (place, "offset"), f"should be {size} (the file's size) or less"
        elif read.length is not None and read.length > rest:
            yield (place, "length"), f"should be {rest} (what the file has left) or less"
