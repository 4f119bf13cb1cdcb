"""Handling of Control-C: it ends a simulation, whatever the code under test does.

Where `KeyboardInterrupt` is raised in the middle of an event, a Deferred catches it and hands it
to the downloader, which takes it for a failure of a server and goes on. So it is raised between
two events. Only if an event takes long, as that of a downloader that never returns, it is
raised during it.
"""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from firstk.harness.kernel.isolation import not_watched
from firstk.harness.kernel.raised import as_error
from firstk.harness.kernel.reactor import SimReactor

#: For how long the event that Control-C falls into may go on, in seconds of real time.
_PATIENCE = 0.3

_sleep = time.sleep  # before a run is watched for it


@contextmanager
def interruptible(reactor: SimReactor) -> Iterator[None]:
    """Let Control-C end what the reactor does meanwhile: `KeyboardInterrupt` leaves this context.

    A `KeyboardInterrupt` that code under test raises leaves it as an `ExitError`.

    A handler for it that is not Python's own stays in charge, as it does where signals are
    ignored, and on any thread but the main one.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    over = False

    def again() -> None:
        _sleep(_PATIENCE)
        if not over:
            _thread.interrupt_main()

    def interrupt(number: int, frame: object) -> None:
        if reactor.interrupted:
            raise KeyboardInterrupt
        reactor.interrupted = True
        with not_watched():
            _thread.start_new_thread(again, ())

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except KeyboardInterrupt as e:
        if not reactor.interrupted:  # nobody has pressed Control-C
            raise as_error(e) from e
    finally:
        over = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interrupted, reactor.interrupted = reactor.interrupted, False
        if interrupted:  # whatever else happened
            raise KeyboardInterrupt
