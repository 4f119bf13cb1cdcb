"""Explains the errors of a store: damage, a full disk, a file that cannot be written."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from firstk.downloader.text import one_line
from firstk.scenarios.text import shell_word

#: With less free space than this, in bytes, an I/O error while writing means a full disk.
_FULL = 2**17

#: The prefixes of SQLite's error names that do not indicate damage.
_NOT_DAMAGE = (
    "SQLITE_NOTADB",
    "SQLITE_READONLY",
    "SQLITE_CANTOPEN",
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_PERM",
)


class StoreError(ValueError):
    """A file is not a store, belongs to another experiment, or is damaged."""


class DamageError(StoreError):
    """Something in a store cannot be read, or firstk cannot have written it.

    `problem` says where and what, without the advice on what to do.
    """

    def __init__(self, path: Path, where: str, reason: str, advice: str) -> None:
        self.problem = f"{where}: {one_line(reason)}"
        super().__init__(f"{path}: damaged: {self.problem}. {advice}")


class FullError(StoreError):
    """The disk is full; the committed rows of the store are kept."""


@contextmanager
def explaining(
    path: Path, where: str, kept: Callable[[], int] | None = None, hopeless: bool = False
) -> Iterator[None]:
    """Convert the errors that a damaged store can raise into `StoreError`.

    `where` describes what is being read. `kept` counts the rows of a store that is being
    written; a message about a full disk contains it. With `hopeless`, the message says that
    nothing else in the store can be read either.
    """
    try:
        yield
    except StoreError:
        raise
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise  # a bug in firstk
    except sqlite3.Error as e:
        name = getattr(e, "sqlite_errorname", None) or ""
        if kept is not None and _is_full(path, name):
            raise FullError(
                f"{path}: the disk is full: {e}. {_kept(kept)}; free some space and run"
                " the same command again to resume"
            ) from e
        if name.startswith(_NOT_DAMAGE):
            raise StoreError(f"{path}: cannot be used as a store: {e}") from e
        raise damaged(path, where, str(e), hopeless) from e
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as e:
        raise damaged(path, where, _reason(e), hopeless) from e


def damaged(path: Path, where: str, reason: str, hopeless: bool = False) -> DamageError:
    """Return the error for a damaged store, with advice on what to do."""
    advice = (
        f"To save the rows that can still be read: firstk export {shell_word(str(path))}"
        " --salvage FILE"
    )
    if hopeless:
        advice = "firstk cannot read any row of it; .recover of the program sqlite3 may"
    return DamageError(path, where, reason, advice)


def _is_full(path: Path, name: str) -> bool:
    if name == "SQLITE_FULL":
        return True
    # SQLite reports no reason if one of its auxiliary files cannot grow: just an I/O error.
    return name.startswith("SQLITE_IOERR") and shutil.disk_usage(path.parent).free < _FULL


def _kept(kept: Callable[[], int]) -> str:
    try:
        return f"{kept()} runs are kept"
    except sqlite3.Error:  # there is no room even for a reader's auxiliary files
        return "What was committed is kept"


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error}"
    return f"{type(error).__name__}: {error}" if isinstance(error, LookupError) else str(error)
