"""Memory across downloads: the latest round-trip times, and the performance of each server.

RFC 9040 shares round-trip times between TCP connections in the same way. The memory is bounded, and
entries are forgotten after a while, since networks change and servers recover.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import NamedTuple

#: The maximum numbers of queries, reads and servers that are remembered.
_MOST_SAMPLES = 30
_MOST_SERVERS = 1000


class ReadSample(NamedTuple):
    """One read: its duration, its number of bytes, and the time until the first of them."""

    seconds: float
    length: int
    first: float


@dataclass(slots=True)
class Memory:
    """The round trips of past downloads, in seconds, up to `forget_after` seconds old.

    >>> memory = Memory(forget_after=10.0)
    >>> memory.add_query(0.0, 0.05)
    >>> memory.queries(9.0), memory.queries(11.0)
    ([0.05], [])
    """

    forget_after: float = 600.0
    _queries: deque[tuple[float, float]] = field(
        default_factory=lambda: deque(maxlen=_MOST_SAMPLES)
    )
    _reads: deque[tuple[float, ReadSample]] = field(
        default_factory=lambda: deque(maxlen=_MOST_SAMPLES)
    )
    _servers: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def add_query(self, now: float, seconds: float) -> None:
        """Remember how long a query took."""
        self._queries.append((now, seconds))

    def add_read(self, now: float, sample: ReadSample) -> None:
        """Remember how long a read of a good share took."""
        self._reads.append((now, sample))

    def add_server(self, now: float, server: str, seconds: float) -> None:
        """Remember how long a server's latest read took, or how long it was waited for."""
        self._servers[server] = now, seconds
        self._servers.move_to_end(server)
        if len(self._servers) > _MOST_SERVERS:
            self._servers.popitem(last=False)

    def queries(self, now: float) -> list[float]:
        """Return the round-trip times of the remembered queries."""
        return [seconds for time, seconds in self._queries if now - time <= self.forget_after]

    def reads(self, now: float) -> list[ReadSample]:
        """Return the remembered reads."""
        return [sample for time, sample in self._reads if now - time <= self.forget_after]

    def server(self, now: float, server: str) -> float:
        """Return how long a server's latest read took; 0 if unknown or forgotten."""
        time, seconds = self._servers.get(server, (now, 0.0))
        return seconds if now - time <= self.forget_after else 0.0
