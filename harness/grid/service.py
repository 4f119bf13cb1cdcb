"""The processing of requests by a server: its duration and concurrency."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from random import Random

import simpy

from firstk.harness.grid.link import Process
from firstk.harness.kernel.environment import Environment
from firstk.harness.kernel.rng import stream
from firstk.harness.kernel.time_average import TimeAverage
from firstk.scenarios.laws import Law


class Service:
    """The processing of requests that a server has taken up, each of which takes some time.

    The server works on `concurrency` requests at once (None: on all), and the others wait for their
    turn, in the order in which they were taken up. It shares this queue with the service `beside`
    it, if that is on the same machine.
    """

    def __init__(
        self,
        env: Environment,
        law: Law,
        concurrency: int | None,
        seed: int,
        server: str,
        beside: Service | None = None,
    ) -> None:
        self.law = law
        self.concurrency = concurrency
        self.busy: TimeAverage = TimeAverage(env) if beside is None else beside.busy
        self._beside = beside
        self._env = env
        self._seed = seed
        self._server = server

    @cached_property
    def _random(self) -> Random:
        return stream(self._seed, self._server, "service")

    @cached_property
    def _places(self) -> simpy.Resource:
        if self._beside is not None:
            return self._beside._places
        return simpy.Resource(self._env, self.concurrency or sys.maxsize)

    def time(self) -> float:
        """Return how long the work on the next request takes, in seconds."""
        return self.law.sample(self._random)

    def work(self, time: float, begin: Callable[[], bool]) -> Process:
        """Work on a request for `time` seconds when its turn comes, unless `begin` says False."""
        with self._places.request() as place:
            yield place
            if begin():
                self.busy.change(+1)
                try:
                    yield self._env.timeout(time)
                finally:
                    self.busy.change(-1)
