"""Standard output and error stay open in a run, whatever code under test does to them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from firstk.harness.kernel.raised import AbortedError, is_under_test, place


class ClosedStreamError(AbortedError):
    """Code under test closed standard output or error; the message says where."""


class _Open:
    """Stands for a stream: all goes to the stream, but closing it is a failure of the run."""

    def __init__(self, stream: Any, name: str, failures: list[BaseException]) -> None:
        self._stream = stream
        self._name = name
        self._failures = failures

    def close(self) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and not is_under_test(frame):
            frame = frame.f_back
        where = f" at {place(frame)}" if frame else ""
        self._failures.append(ClosedStreamError(f"closed sys.{self._name}{where}"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)


@contextmanager
def kept_open(failures: list[BaseException]) -> Iterator[None]:
    """Keep `sys.stdout` and `sys.stderr` open; record attempts to close one in `failures`."""
    stands = {name: _Open(getattr(sys, name), name, failures) for name in ("stdout", "stderr")}
    for name, stand in stands.items():
        setattr(sys, name, stand)
    try:
        yield
    finally:
        for name, stand in stands.items():
            if getattr(sys, name) is stand:
                setattr(sys, name, stand._stream)
