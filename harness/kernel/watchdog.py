"""A limit in real time, which ends a run whose code never returns, and reports where it was.

Virtual time cannot see a busy loop: nothing else happens until the loop returns. A timer of the
system (`signal.setitimer`) interrupts it. The signal reaches Python code on the main thread only: a
call into C that never returns is not interrupted.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, TracebackType

from firstk.harness.kernel.client_reactor import Context
from firstk.harness.kernel.raised import AbortedError, is_under_test, place
from firstk.harness.kernel.reactor import SimReactor

#: How long code that catches the interruption may go on before the next one, in seconds.
_AGAIN = 0.3

#: The maximum number of stack frames in the message; the traceback has all of them.
_MOST_PLACES = 8


class StuckError(AbortedError):
    """A run took longer than its limit in real time. The message and traceback say where it was."""


@contextmanager
def watchdog(
    reactor: SimReactor,
    seconds: float | None,
    failures: list[BaseException],
    entered: CodeType = Context.run.__code__,
) -> Iterator[None]:
    """End the reactor's run after `seconds` of real time; None means never.

    `entered` is the code of ours that calls code under test.

    A `StuckError` is put among `failures` then, and this context left. Raises `RuntimeError` where
    there is no such timer: off the main thread, and on systems without `signal.setitimer`.
    """
    if seconds is None:
        yield
        return
    check_timeout(seconds)
    stuck: StuckError | None = None
    over = False

    def alarm(number: int, frame: FrameType | None) -> None:
        nonlocal stuck
        if over or (reactor.interrupted and stuck is None):
            return  # Control-C ends it
        frames = _frames_under_test(frame, entered)
        if stuck is None:
            stuck = _error(seconds, reactor.seconds(), frames)
            reactor.interrupted = True
        if frames:  # else the reactor ends it before the next event
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    except KeyboardInterrupt:
        if stuck is None:
            raise
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if stuck is not None:
            reactor.interrupted = False
            failures.append(stuck)


def check_timeout(seconds: float | None) -> None:
    """Raise `RuntimeError` if there is a limit, and no timer to keep it."""
    if seconds is not None and not can_limit_time():
        raise RuntimeError("a timeout needs the main thread, and a system with signal.setitimer")


def can_limit_time() -> bool:
    """Return whether there is a timer to keep a limit here and now."""
    main = threading.current_thread() is threading.main_thread()
    return main and hasattr(signal, "setitimer")


def _frames_under_test(frame: FrameType | None, entered: CodeType) -> list[FrameType]:
    """Return the frames of code that the reactor has called, the outermost first; or none."""
    frames: list[FrameType] = []
    while frame is not None:
        if frame.f_code is entered:
            return frames[::-1]
        frames.append(frame)
        frame = frame.f_back
    return []


def _error(seconds: float, now: float, frames: list[FrameType]) -> StuckError:
    places = [str(place(frame)) for frame in reversed(frames) if is_under_test(frame)]
    stack = ", called from ".join(places[:_MOST_PLACES])
    at = f": it was at {stack}" if stack else ""
    error = StuckError(
        f"no end after {seconds:g} s of real time, at {now:.6g} s of virtual time{at}"
    )
    traceback: TracebackType | None = None
    for frame in reversed(frames):
        traceback = TracebackType(traceback, frame, frame.f_lasti, frame.f_lineno)
    return error.with_traceback(traceback)
