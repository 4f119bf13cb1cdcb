"""How long a server may take."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long a server may take; whoever takes longer has failed the request.

    `connect` limits the time to connect, the TLS handshake included (default 10 s). `silence`
    limits the time to the head of an answer, and between any two pieces of it (default 60 s, as in
    Tahoe-LAFS). `slowest` is the least speed of a whole answer, in bytes per second (default 1000):
    without it a byte a minute would keep a request alive forever. `math.inf` and, for `slowest`, 0
    set no limit.
    """

    connect: float = 10.0
    silence: float = 60.0
    slowest: float = 1000.0

    def __post_init__(self) -> None:
        for name in ("connect", "silence"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} should be more than 0 s, not {getattr(self, name)!r}")
        if not self.slowest >= 0:
            raise ValueError(f"slowest should be 0 bytes/s or more, not {self.slowest!r}")

    def whole(self, size: int) -> float:
        """Return how many seconds the body of an answer may take that has at most `size` bytes."""
        return self.silence + size / self.slowest if self.slowest else inf


#: No limits: for measurements of what a downloader makes of a server that never answers.
UNLIMITED = TimeLimits(inf, inf, 0)
