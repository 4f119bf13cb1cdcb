"""What code under test raised: as an error of the run, with the place in its own code.

What `sys.exit` raises, `asyncio.CancelledError` and `GeneratorExit` are not an `Exception`. Raised
by code under test they would end firstk, or a test session, so each becomes an `ExitError` where
firstk has called that code.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import NamedTuple

from firstk.downloader import DownloadError
from firstk.downloader.text import message_of

#: What calls code under test, and is not that code.
_OURS = {"firstk", "simpy", "twisted", "zope"}
_CALLERS = _OURS | sys.stdlib_module_names


class AbortedError(Exception):
    """A run was aborted because of what code under test did.

    Such a run never counts as a success, even if the scenario has no expectations.
    """


class ExitError(AbortedError):
    """Code under test raised an exception that is not an `Exception`: the `__cause__`.

    The message says what was raised, and where.
    """


def as_error(raised: BaseException) -> Exception:
    """Return what code under test raised, as an `ExitError` if it is not an `Exception`."""
    if isinstance(raised, Exception):
        return raised
    place = where(raised)
    what = message_of(raised)
    name = type(raised).__name__
    error = ExitError(
        f"raised {name}{f'({what})' if what else ''}{f' at {place}' if place else ''}:"
        " it would end the process, or cancel what calls the downloader"
    )
    error.__cause__ = raised
    return error.with_traceback(raised.__traceback__)


def error_name(error: BaseException) -> str:
    """Return the name of the class of an error; of an `ExitError`, that of its cause."""
    cause = error.__cause__ if isinstance(error, ExitError) else None
    return type(cause or error).__name__


def own_traceback(error: BaseException) -> TracebackType | None:
    """Return the traceback of an error from the first frame of code under test on, without ours.

    None if there is no such frame, and for an error that a downloader reports on purpose: its
    message says all.
    """
    if isinstance(error, DownloadError):
        return None
    tracebacks = [tb for tb in _walk(error.__traceback__) if not _is_ours(tb.tb_frame)]
    first = next((i for i, tb in enumerate(tracebacks) if is_under_test(tb.tb_frame)), 0)
    found: TracebackType | None = None
    for tb in reversed(tracebacks[first:]):
        found = TracebackType(found, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    return found


def where(error: BaseException) -> str | None:
    """Return the innermost place in code under test that an error came through."""
    tracebacks = list(_walk(own_traceback(error)))
    under_test = [tb for tb in tracebacks if is_under_test(tb.tb_frame)]
    for tb in (under_test or tracebacks)[-1:]:
        return str(place(tb.tb_frame, tb.tb_lineno))
    return None


def raised_at(error: BaseException) -> Place | None:
    """Return the innermost line of code under test that an error came through, whatever it is."""
    raised: BaseException | None = error
    while raised is not None:  # the cause of a RuntimeError is the StopIteration that it replaces
        frames = [tb for tb in _walk(raised.__traceback__) if is_under_test(tb.tb_frame)]
        if frames:
            return place(frames[-1].tb_frame, frames[-1].tb_lineno)
        raised = raised.__cause__
    return None


class Place(NamedTuple):
    """A line of code.

    As text it is `FILE:LINE in FUNCTION`; the path is relative to the working folder if it is
    in there.
    """

    path: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file_and_line} in {self.function}"

    @property
    def file_and_line(self) -> str:
        """`FILE:LINE` alone."""
        relative = os.path.relpath(self.path) if os.path.isabs(self.path) else self.path
        path = self.path if relative.startswith(os.pardir) else relative
        return f"{path}:{self.line}"


def place(frame: FrameType, line: int | None = None) -> Place:
    """Return where a frame is, or was when it was in a line."""
    code = frame.f_code
    return Place(code.co_filename, line or frame.f_lineno, code.co_name)


def called_from(
    entered: CodeType, belongs: Callable[[FrameType], bool] | None = None
) -> Place | None:
    """Return the innermost line of code under test that has called firstk; None without any.

    `entered` is the code of ours that has called that code: frames outside of it do not count.
    `belongs` says whether a frame is one of code under test, by default `is_under_test`.
    """
    belongs = belongs or is_under_test
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not entered:
        if belongs(frame):
            return place(frame)
        frame = frame.f_back
    return None


def is_under_test(frame: FrameType) -> bool:
    """Return whether a frame is one of code under test, or of a library that it uses."""
    return _top(frame) not in _CALLERS


def _is_ours(frame: FrameType) -> bool:
    return _top(frame) in _OURS or frame.f_code.co_filename.startswith("<frozen importlib")


def _top(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error as Python prints it, from code under test on.

    Without a frame of code under test it is the error alone.
    """
    cause = error.__cause__ if isinstance(error, ExitError) else None
    raised = cause or error
    frames = own_traceback(error)
    head = ""
    if frames is not None:
        head = "Traceback (most recent call last):\n" + "".join(traceback.format_tb(frames))
    return f"{head}{type(raised).__name__}: {message_of(raised)}"


def _walk(found: TracebackType | None) -> Iterator[TracebackType]:
    while found is not None:
        yield found
        found = found.tb_next
