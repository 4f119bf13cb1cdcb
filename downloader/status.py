"""What a download has done so far: every request with its times, and the sums."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: What a download is doing. The last three are ends.
Phase = Literal[
    "starting",
    "locating",
    "uri-extension",
    "crypttext-hashes",
    "blocks",
    "done",
    "failed",
    "stopped",
]


@dataclass(eq=False, slots=True)
class Request:
    """One request to one server. Times are in seconds of the reactor's clock.

    `answered`, `failed`, `cancelled` and `overdue` stay None until they happen; `error` says
    how it failed. What is overdue may still be answered. `received` is how many bytes of the
    answer have arrived, as far as the server's bucket reports it before the end. `again` is True
    if it is sent to a server that is asked again, since its connection was lost.
    """

    server: str
    what: str
    share: int | None = None
    offset: int | None = None
    length: int | None = None
    sent: float = 0.0
    answered: float | None = None
    failed: float | None = None
    cancelled: float | None = None
    overdue: float | None = None
    error: str | None = None
    received: int = 0
    again: bool = False

    @property
    def is_query(self) -> bool:
        """Whether it asks for buckets; otherwise it reads one."""
        return self.share is None


@dataclass(slots=True)
class DownloadStatus:
    """The state of a download, true at every moment while it runs and after.

    `phases` lists each phase with the time at which it began; `located` is the time at
    which K distinct share numbers were known and locating ended, if it ever does, or None.
    `shares_used` are the numbers of the shares whose blocks went into the file.
    `decode_needed` is True if a secondary share was among them, so that decoding took
    arithmetic. `hedges` counts the shares that were read because a read was overdue, and
    `blocks_unused` the blocks that were there, or still being read, when K others were.
    """

    phases: list[tuple[Phase, float]] = field(default_factory=list)
    located: float | None = None
    requests: list[Request] = field(default_factory=list)
    bytes_received: int = 0
    bytes_written: int = 0
    shares_used: set[int] = field(default_factory=set)
    decode_needed: bool = False
    hedges: int = 0
    blocks_unused: int = 0

    @property
    def phase(self) -> Phase:
        """What the download is doing, or how it ended."""
        return self.phases[-1][0]

    @property
    def queries_sent(self) -> int:
        """How many servers were asked for buckets."""
        return sum(r.is_query for r in self.requests)

    @property
    def queries_answered(self) -> int:
        """How many of them answered."""
        return sum(r.is_query and r.answered is not None for r in self.requests)

    @property
    def queries_failed(self) -> int:
        """How many of them failed."""
        return sum(r.is_query and r.failed is not None for r in self.requests)

    @property
    def reads(self) -> int:
        """How many reads of buckets were sent."""
        return len(self.requests) - self.queries_sent
