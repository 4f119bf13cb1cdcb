"""The keeper: a program that forks the processes of a live grid, and ends them whatever happens.

It imports Tahoe-LAFS once, so each server is ready within milliseconds of its fork. The process
that starts the keeper holds the other end of its socket. When that closes, because the grid is
closed or its process was interrupted or killed, the keeper kills all processes that it has forked,
stopped ones too, and removes the grid's folder. If the keeper itself is killed, so are its children
(on Linux).

Run as `python -m firstk.harness.live.keeper SOCKET FOLDER`, by `firstk.harness.live.processes`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import Any, NoReturn

#: From Linux's <sys/prctl.h>: sets the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1


def main(descriptor: int, folder: str) -> None:
    """Fork what the socket requests until it is closed, then kill all children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process decides when to end
    control = Connection(descriptor)
    children: list[int] = []
    try:
        kinds = _load()
        control.send("ready")
        while True:
            kind, wanted = control.recv()
            ours, theirs = Pipe()
            child = os.fork()
            if child == 0:
                control.close()
                ours.close()
                _be(kinds[kind], theirs, wanted)
            children.append(child)
            theirs.close()
            control.send(child)
            send_handle(control, ours.fileno(), os.getppid())
            ours.close()
    except (EOFError, OSError):
        pass  # the parent has closed the socket, or is gone
    finally:
        for child in children:  # none was waited for, so each PID is still valid
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
        shutil.rmtree(folder, ignore_errors=True)


def _load() -> dict[str, Callable[..., None]]:
    """Import what the children need, and install a reactor that can be forked."""
    from twisted.internet import pollreactor

    pollreactor.install()  # unlike epoll, it shares no kernel state with children
    warnings.simplefilter("ignore")  # Tahoe-LAFS imports old libraries
    from firstk.harness.live import proxy, storage_server

    return {"server": storage_server.serve, "proxy": proxy.serve}


def _be(serve: Callable[..., None], channel: Connection, wanted: dict[str, Any]) -> NoReturn:
    """Run as a child process."""
    status = 1
    try:
        _die_with_parent()
        _renew_waker()
        serve(channel, **wanted)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent or parent == 1:  # the parent died before prctl was called
            os._exit(1)


def _renew_waker() -> None:
    """Give the reactor a new pipe, through which threads and signals wake it."""
    from twisted.internet import reactor as found

    reactor: Any = found
    reactor.removeReader(reactor.waker)
    reactor._internalReaders.discard(reactor.waker)
    reactor.waker = None
    reactor.installWaker()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
