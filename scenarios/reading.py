"""Safe reading of all input files: only regular files, up to a maximum size.

Reading a device might never end, and opening a FIFO without a writer would block forever.
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
    """The maximum size of a kind of file, in bytes."""

    kind: str
    most: int


#: Scenarios, experiments and plans: enough for ten thousand entries of `[[servers]]`.
TOML = Limit("a TOML file", 2**19)

#: Measured times, and start times of downloads: a few million lines.
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
    """Open a regular file for reading, without blocking. Raises `OSError` for anything else."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        # Check before opening, since opening a device may have side effects.
        _refuse_other(os.stat(path).st_mode, path)
        descriptor = os.open(path, flags)
    except ValueError as e:
        problem = "it has a null character" if "\0" in str(path) else e
        raise OSError(errno.EINVAL, f"Is not a path: {problem}", str(path)) from e
    try:
        # Check again, since the file may have been replaced. A FIFO opens at once in this mode.
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
    """Return the contents of a regular file.

    Raises `OSError` if the file does not exist, cannot be read, or is larger than the limit; in
    this case nothing is read.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        # Some system files contain more than their reported size.
        data = file.read(limit.most + 1) if size <= limit.most else b""
    if max(size, len(data)) > limit.most:
        least = "more than " if size <= limit.most else ""
        size = max(size, limit.most)
        said = f"Has {least}{size:,} bytes; {limit.kind} may have {limit.most:,}"
        raise OSError(errno.EFBIG, said, str(path))
    return data


def read_text(path: str | Path, limit: Limit) -> str:
    r"""Return the UTF-8 text in a regular file, with lines ending in `\n`.

    Raises `UnicodeDecodeError` if it is not UTF-8, and `OSError` as `read_bytes` does.
    """
    data = read_bytes(path, limit)
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def begins_with(path: str | Path, head: bytes) -> bool:
    """Return whether `path` is a regular file that begins with the bytes `head`."""
    try:
        with open_file(path) as file:
            return file.read(len(head)) == head
    except OSError:
        return False
