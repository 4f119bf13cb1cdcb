"""The trace of one run: every event that the downloader could have seen, in order.

It is written where the simulation ends and the code under test begins, by the servers
and the consumer, so it is the same kind of thing whatever downloader runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from firstk.scenarios.faults import Operation

#: What happened. The first three happen to an exchange.
Kind = Literal["sent", "answered", "failed", "wrote", "paused", "resumed", "fired", "raised"]


@dataclass(eq=False, slots=True)
class Exchange:
    """One request to a server and its answer. Times are in virtual seconds.

    `received` counts the bytes of share data in the answer, and `spoiled` tells whether a
    fault changed them; `detail` says what was answered, or why it failed. `text` is the
    request as the trace has it.
    """

    number: int
    server: str
    operation: Operation
    share: int | None
    offset: int
    length: int
    sent: float
    ended: float | None = None
    ok: bool = False
    received: int = 0
    spoiled: bool = False
    detail: str = ""
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = f"{self.number} {self.server} {self.operation}"
        if self.operation == "read":
            self.text += f" {self.share} {self.offset} {self.length}"

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Trace:
    """The exchanges of a run, and the lines that say what happened when."""

    exchanges: list[Exchange] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def note(self, time: float, kind: Kind, what: str, detail: str = "") -> None:
        """Write down that something happens now."""
        # Nine digits: the mathematical functions of two machines may differ in the last.
        self.lines.append(f"{time:.9g} {kind} {what} {detail}")

    def sent(self, exchange: Exchange) -> None:
        """Write down that a request is sent."""
        self.exchanges.append(exchange)
        self.note(exchange.sent, "sent", exchange.text)

    def ended(self, exchange: Exchange, time: float, ok: bool, detail: str) -> None:
        """Write down that its answer, or its failure, reaches the downloader."""
        exchange.ended, exchange.ok, exchange.detail = time, ok, detail
        self.note(time, "answered" if ok else "failed", exchange.text, detail)

    @property
    def queries(self) -> int:
        """How many servers were asked for buckets."""
        return sum(e.operation == "get_buckets" for e in self.exchanges)

    @property
    def reads(self) -> int:
        """How many reads were sent."""
        return len(self.exchanges) - self.queries

    @property
    def bytes_received(self) -> int:
        """How many bytes of share data were received."""
        return sum(e.received for e in self.exchanges)

    def digest(self) -> str:
        """Return the SHA-256 of the whole trace, in hexadecimal."""
        return sha256("\n".join(self.lines).encode()).hexdigest()
