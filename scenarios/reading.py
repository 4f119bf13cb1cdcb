"""The door at which every file is read: only regular files, and none that is too large.

A device would be read forever, and a FIFO without a writer would never open.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Limit:
    """How large a kind of file may be, in bytes."""

    kind: str
    most: int


#: Scenarios, experiments and plans: ten thousand entries of `[[servers]]` fit.
TOML = Limit("a TOML file", 2**19)

#: Measured times, and when downloads begin: a few million lines.
CSV = Limit("a file of times", 2**25)

#: One share; up to 256 of them are kept in memory.
SHARE = Limit("a share", 2**26)

#: Baselines and files of events.
RECORD = Limit("a record of runs", 2**26)

_NOT_FILES = (
    (stat.S_ISFIFO, "Is a FIFO, not a regular file"),
    (stat.S_ISSOCK, "Is a socket, not a regular file"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "Is a device, not a regular file"),
)


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file for reading; raises `OSError` for anything else, and never waits."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        # Before it is opened: to open a device may do something.
        _refuse_other(os.stat(path).st_mode, path)
        descriptor = os.open(path, flags)
    except ValueError as e:  # a path with a NUL in it
        raise OSError(errno.EINVAL, f"Is not a path: {e}", str(path)) from e
    try:
        # It may have become another file since; a FIFO without a writer opens at once here.
        _refuse_other(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _refuse_other(mode: int, path: str | Path) -> None:
    """Raise `OSError` if a file is not a regular one."""
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    what = next((words for test, words in _NOT_FILES if test(mode)), "Is not a regular file")
    raise OSError(errno.EINVAL, what, str(path))


def read_bytes(path: str | Path, limit: Limit) -> bytes:
    """Return what is in a regular file.

    Raises `OSError` if there is none, it cannot be read, or it is larger than the limit: then
    nothing of it is read.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        # Some files of the system have more in them than their size says.
        data = file.read(limit.most + 1) if size <= limit.most else b""
    if max(size, len(data)) > limit.most:
        least = "more than " if size <= limit.most else ""
        size = max(size, limit.most)
        said = f"Has {least}{size:,} bytes; {limit.kind} may have {limit.most:,}"
        raise OSError(errno.EFBIG, said, str(path))
    return data


def read_text(path: str | Path, limit: Limit) -> str:
    r"""Return the UTF-8 text in a regular file, its lines ended by `\n`.

    Raises `UnicodeDecodeError` if it is not UTF-8, and `OSError` as `read_bytes` does.
    """
    data = read_bytes(path, limit)
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def begins_with(path: str | Path, head: bytes) -> bool:
    """Return whether this is a regular file that begins with these bytes."""
    try:
        with open_file(path) as file:
            return file.read(len(head)) == head
    except OSError:
        return False
