"""The status of a download: every request with its times, and totals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: The phase of a download. The last three are final.
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

    `answered`, `failed`, `cancelled` and `overdue` are None until the event happens; `error` says
    why the request failed. An overdue request may still be answered. `received` is the number of
    bytes of the answer that have arrived; before the end it is known only if the server's bucket
    reports progress. `again` is True if the server is queried again after its connection was lost.
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
        """Whether this request is a query for buckets; otherwise it reads a bucket."""
        return self.share is None


@dataclass(slots=True)
class DownloadStatus:
    """The state of a download, kept up to date while it runs.

    `phases` lists each phase with the time at which it began. `located` is the time at which K
    distinct share numbers were known and, if the strategy has a locating phase, locating ended;
    None before that. `shares_used` has the numbers of the shares whose blocks were used to decode
    the file. `decode_needed` is True if a secondary share was among them, so that zfec had to
    decode. `hedges` counts the shares that were read because a read was overdue, and
    `blocks_unused` the blocks that had arrived, or were still being read, when K others were valid.
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
        """The current phase, or the final one if the download is over."""
        return self.phases[-1][0]

    @property
    def queries_sent(self) -> int:
        """The number of queries sent."""
        return sum(r.is_query for r in self.requests)

    @property
    def queries_answered(self) -> int:
        """The number of queries answered."""
        return sum(r.is_query and r.answered is not None for r in self.requests)

    @property
    def queries_failed(self) -> int:
        """The number of queries that failed."""
        return sum(r.is_query and r.failed is not None for r in self.requests)

    @property
    def reads(self) -> int:
        """The number of bucket reads sent."""
        return len(self.requests) - self.queries_sent
