"""The machine that downloads run on: its processor, its thread pool, its wall clock."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.python.failure import Failure

from firstk.harness.kernel.environment import Environment
from firstk.harness.kernel.rng import stream
from firstk.harness.kernel.wall_clock import WallClock
from firstk.scenarios.client import Client


class Processor:
    """The client's processor, which does one piece of work after another, except during pauses.

    All downloads in a simulation share it. Work that arrives while it is busy waits for its turn.
    """

    def __init__(self, env: Environment, client: Client) -> None:
        self.client = client
        self._env = env
        self._free = 0.0  # when all work given so far is done

    def after(self, work: float = 0.0) -> float:
        """Add `work` seconds of work, and return when it is done."""
        self._free = self.client.running_at(max(self._free, self._env.clock), work)
        return self._free

    def after_answer(self, size: int) -> float:
        """Add the work for an answer of `size` bytes; return when the downloader receives it."""
        return self.after(size * self.client.cpu_per_byte)

    def after_segment(self) -> float:
        """Add the work for a segment, and return when it is written."""
        return self.after(self.client.cpu_per_segment)


class ComputePool:
    """A thread pool whose work takes virtual time, with unlimited concurrency.

    `run` calls a function in the download's context. `done` is called after each piece of work.
    """

    def __init__(
        self,
        env: Environment,
        client: Client,
        random: Random,
        run: Callable[..., None],
        done: Callable[[], None],
    ) -> None:
        self.working = 0
        self._env = env
        self._client = client
        self._random = random
        self._run = run
        self._done = done

    def callInThread(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run a function whose result is not needed."""
        self.callInThreadWithCallback(None, func, *args, **kwargs)

    def callInThreadWithCallback(
        self,
        onResult: Callable[[bool, Any], None] | None,
        func: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Run a function; see `twisted.python.threadpool.ThreadPool.callInThreadWithCallback`."""
        assert self._client.compute is not None
        time = self._client.running_at(self._env.clock, self._client.compute.sample(self._random))

        def work() -> None:
            try:
                success, result = True, func(*args, **kwargs)
            except KeyboardInterrupt:
                raise
            except BaseException as e:  # as Twisted's thread pools do
                if onResult is None:
                    raise
                success, result = False, Failure(e)  # type: ignore[no-untyped-call]
            if onResult is not None:
                onResult(success, result)

        def finish(_: object) -> None:
            self.working -= 1
            try:
                self._run(work)
            finally:
                self._done()

        self.working += 1
        self._env.at(time, finish)

    def adjustPoolsize(self, minthreads: int | None = None, maxthreads: int | None = None) -> None:
        """Do nothing: there are as many threads as there is work."""


class ClientMachine:
    """The client's machine according to the scenario; all downloads in a simulation run on it.

    `processor` is None if its work takes no time, and `clock` is None if it has no wall clock.
    """

    def __init__(self, env: Environment, client: Client | None) -> None:
        self._env = env
        self._client = client
        self.processor: Processor | None = None
        self.clock: WallClock | None = None
        if client is not None and client.takes_time:
            self.processor = Processor(env, client)
        if client is not None and client.clock is not None:
            self.clock = WallClock(env, [(jump.at, jump.by) for jump in client.clock])

    @property
    def read_clock(self) -> Callable[[str], float] | None:
        """The function by which code under test reads clocks; None if it must not read them."""
        return None if self.clock is None else self.clock.read

    def pool(
        self, seed: int, number: int, run: Callable[..., None], done: Callable[[], None]
    ) -> ComputePool | None:
        """Return the thread pool of the download with this number; None if it takes no time."""
        if self._client is None or self._client.compute is None:
            return None
        random = stream(seed, "client", "compute", *([str(number)] if number else []))
        return ComputePool(self._env, self._client, random, run, done)
