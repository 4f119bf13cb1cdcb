"""Waiting of a SimPy process until a time, which can be ended early."""

from __future__ import annotations

from collections.abc import Generator
from math import inf
from typing import Any

import simpy

from firstk.harness.kernel.environment import Entry, Environment


class Pause:
    """The waiting of one SimPy process."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._event: simpy.Event | None = None

    def until(self, time: float) -> Generator[simpy.Event, Any, None]:
        """Wait until exactly this time, in seconds, or until `end` is called."""
        self._event = self._env.event()
        entry = None if time == inf else self._env.at(time, self._due)
        try:
            yield self._event
        finally:
            self._event = None
            if entry is not None and entry.callbacks:  # it is still to come
                self._env.give_up(entry)

    def end(self) -> None:
        """Resume the process now, if it is waiting."""
        if self._event is not None and not self._event.triggered:
            self._event.succeed()

    def _due(self, _: Entry) -> None:
        self.end()
