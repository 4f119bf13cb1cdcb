"""A consumer that writes a file: whole, or not at all."""

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
    """Open what becomes the file `path` if all ends well; `-` is standard output.

    Until then it is a file beside it, which goes again if anything is raised.
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
            os.chmod(part.name, 0o666 & ~mask)  # as any other file, and not for us alone
            os.replace(part.name, path)
        except BaseException:
            os.unlink(part.name)
            raise


@implementer(IConsumer)
class FileConsumer:
    """Writes a file as it comes; `wrote` is called with the number of bytes written so far."""

    def __init__(self, file: BinaryIO, wrote: Callable[[int], None]) -> None:
        self._file = file
        self._wrote = wrote
        self._size = 0

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Take all that comes; see `IConsumer`."""
        if not streaming:
            raise NotImplementedError("only push producers write files")

    def unregisterProducer(self) -> None:
        """Do nothing: the file is closed by whoever opened it."""

    def write(self, data: bytes) -> None:
        """Write the next bytes."""
        self._file.write(data)
        self._size += len(data)
        self._wrote(self._size)
