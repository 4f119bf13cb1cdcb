"""The workers that run the batches of a sweep: local processes, or a Dask cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Protocol, TypeVar

from firstk.harness.kernel.lost_errors import keep_log_off_stderr
from firstk.harness.sweep.batch import Batch, BatchResult, run_batch

_Of = TypeVar("_Of")
_T = TypeVar("_T")


class WorkersError(RuntimeError):
    """There are no workers; the message says why."""


class Workers(Protocol):
    """Runs batches. `lost` is the exception that a future raises if its worker died."""

    @property
    def lost(self) -> type[Exception]:
        """The exception that a future raises if its worker died."""

    @property
    def unfit(self) -> tuple[type[Exception], ...]:
        """The exceptions that a future raises if its worker lacks what it needs to run a batch."""

    @property
    def count(self) -> int:
        """The number of batches that run at the same time."""

    def submit(self, batch: Batch) -> Future[list[BatchResult]]:
        """Submit a batch; may also raise `lost`."""

    def renew(self) -> None:
        """Replace workers that have died; called when no batch is outstanding."""

    def close(self) -> None:
        """Stop the workers, even while they are busy."""


class Pool:
    """A number of local processes. They end when this process does, however it ends."""

    lost: type[Exception] = BrokenProcessPool
    unfit: tuple[type[Exception], ...] = ()

    def __init__(self, count: int) -> None:
        self.count = count
        # Twisted and the pool's threads must not be forked.
        forks = "forkserver" in multiprocessing.get_all_start_methods()
        self._context = multiprocessing.get_context("forkserver" if forks else "spawn")
        if forks:
            self._context.set_forkserver_preload([__name__])
        self._forks = forks
        self._start()

    def _start(self) -> None:
        if self._forks:
            from multiprocessing import forkserver

            with _no_interrupts():  # the server inherits this, and so do its workers
                forkserver.ensure_running()  # it may have been killed
        # Nothing is ever written to this pipe: it closes when this process ends or closes it.
        alive, self._alive = self._context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            self.count, self._context, initializer=_begin, initargs=(alive,)
        )
        self._theirs = alive

    def submit(self, batch: Batch) -> Future[list[BatchResult]]:
        """Submit a batch; raise `BrokenProcessPool` if a worker has died."""
        return self.call(run_batch, batch)

    def call(self, function: Callable[[_Of], _T], argument: _Of) -> Future[_T]:
        """Call a function in a worker; raise `BrokenProcessPool` if a worker has died."""
        try:
            return self._executor.submit(function, argument)
        except (EOFError, ConnectionError) as e:  # the process that starts workers has died
            raise BrokenProcessPool("the process that starts workers has died") from e
        except KeyboardInterrupt:
            _kill_forkserver()
            raise

    def renew(self) -> None:
        """Replace all processes."""
        self.close()
        self._start()

    def close(self) -> None:
        """End the processes at once."""
        self._alive.close()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._theirs.close()


def _kill_forkserver() -> None:
    """Kill the process that starts workers, if there is one; the next pool starts another.

    Otherwise, a half-started worker would fail for lack of a resource that is gone, and print a
    traceback.
    """
    from multiprocessing import forkserver

    pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def _begin(alive: Connection) -> None:
    """Start a worker's life, which ends when the process that reads its results ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent reacts to Ctrl-C
    keep_log_off_stderr()
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive: Connection) -> None:
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C for a moment, if this thread can do that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


#: How long to try to reach a scheduler, and to wait for its first worker, in seconds.
_PATIENCE = 30


class Cluster:
    """The workers of a Dask scheduler; all of them need firstk and the downloaders installed."""

    unfit: tuple[type[Exception], ...] = (ImportError, RuntimeError)

    def __init__(self, address: str) -> None:
        import distributed

        # Errors are raised here, and reported once.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self.lost: type[Exception] = distributed.KilledWorker
        try:
            self._client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError) as e:
            raise WorkersError(f"there is no Dask scheduler at {address}: {e}") from e
        try:
            self._client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as e:
            self._client.close()
            raise WorkersError(
                f"the scheduler at {address} has no workers: dask worker {address}"
            ) from e
        self._executor = self._client.get_executor(pure=False)

    @property
    def count(self) -> int:
        """The number of batches that run at the same time; workers may come and go."""
        try:
            threads: dict[str, int] = self._client.nthreads()
        except OSError as e:
            raise WorkersError(f"the scheduler is gone: {e}; completed runs are saved") from e
        return max(1, sum(threads.values()))

    def submit(self, batch: Batch) -> Future[list[BatchResult]]:
        """Submit a batch."""
        future: Future[list[BatchResult]] = self._executor.submit(run_batch, batch)
        return future

    def renew(self) -> None:
        """Do nothing: Dask replaces its workers itself."""

    def close(self) -> None:
        """Cancel what has not run yet, and leave the cluster running."""
        self._executor.shutdown(wait=False)
        self._client.close()
