"""The wall clock of a simulated client, which may be set forth and back."""

from __future__ import annotations

from collections.abc import Iterable

from firstk.harness.kernel.environment import Environment

#: When virtual time begins on wall clocks, in seconds since 1970: the year 2026.
EPOCH = 1_767_225_600


class WallClock:
    """The clocks that the functions of the module `time` read in code under test.

    `jumps` are pairs: when the wall clock is set, in virtual seconds, and by how many seconds.
    The monotonic clocks are never set.
    """

    def __init__(self, env: Environment, jumps: Iterable[tuple[float, float]] = ()) -> None:
        self._env = env
        self._jumps = sorted(jumps)

    def time(self) -> float:
        """Return the wall-clock time, in seconds since 1970."""
        now = self._env.clock
        return EPOCH + now + sum(by for at, by in self._jumps if at <= now)

    def read(self, name: str) -> float:
        """Return what the function of the module `time` with this name returns."""
        now = self.time() if name.startswith("time") else self._env.clock
        return round(now * 1e9) if name.endswith("_ns") else now
