"""The average of a number over virtual time."""

from __future__ import annotations

from firstk.harness.kernel.environment import Environment


class TimeAverage:
    """A number that changes over time, such as transfers on a line or downloads in progress."""

    def __init__(self, env: Environment) -> None:
        self.now = 0
        self._env = env
        self._changed: float = env.now
        self._area = 0.0

    def change(self, by: int) -> None:
        """Let the number be more, or less, from now on."""
        self._area, self._changed = self.area, self._env.now
        self.now += by

    @property
    def area(self) -> float:
        """The integral of the number over time, so far: a difference by a time is a mean."""
        return self._area + self.now * (self._env.now - self._changed)
