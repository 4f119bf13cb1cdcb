"""Time limits for storage servers."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long a server may take; a request that takes longer fails.

    `connect` limits the time to connect, including the TLS handshake (default 10 s). `silence`
    limits the time to the headers of an answer, and between any two parts of its body (default
    60 s, as in Tahoe-LAFS). `slowest` is the minimum average speed of an answer, in bytes per
    second (default 1000): without it, one byte per minute would keep a request alive forever. Use
    `math.inf`, or 0 for `slowest`, to set no limit.

    Raises `ValueError` for values that are out of range.
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
        """Return how many seconds an answer with a body of at most `size` bytes may take."""
        return self.silence + size / self.slowest if self.slowest else inf


#: No limits: for measuring what a downloader does when a server never answers.
UNLIMITED = TimeLimits(inf, inf, 0)
