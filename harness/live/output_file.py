"""A consumer that writes a file completely or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from twisted.internet.interfaces import IConsumer, IProducer
from zope.interface import implementer


@contextmanager
def output(path: Path) -> Iterator[BinaryIO]:
    """Open a file that is renamed to `path` on success; `-` is standard output.

    Until then it is a temporary file next to it, which is removed if anything is raised.
    """
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    mask = os.umask(0)
    os.umask(mask)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
    ) as part:
        try:
            yield part.file  # type: ignore[misc]  # it is a binary one
            part.flush()
            os.chmod(part.name, 0o666 & ~mask)  # the usual permissions, instead of private ones
            os.replace(part.name, path)
        except BaseException:
            os.unlink(part.name)
            raise


@implementer(IConsumer)
class FileConsumer:
    """Writes data to a file; `wrote` is called with the number of bytes written so far."""

    def __init__(self, file: BinaryIO, wrote: Callable[[int], None]) -> None:
        self._file = file
        self._wrote = wrote
        self._size = 0

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Accept a push producer; raise `NotImplementedError` for a pull producer."""
        if not streaming:
            raise NotImplementedError("only push producers write files")

    def unregisterProducer(self) -> None:
        """Do nothing: whoever opened the file closes it."""

    def write(self, data: bytes) -> None:
        """Write the next bytes."""
        self._file.write(data)
        self._size += len(data)
        self._wrote(self._size)
