"""The trace of one run: every event that the downloader could have observed, in order.

It is recorded at the boundary between the simulation and the code under test, by the servers and
the consumer, so it has the same form for every downloader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate
from operator import attrgetter
from typing import Literal, NamedTuple

from firstk.harness.kernel.raised import Place
from firstk.scenarios.faults import Operation

#: The kind of an event. The first four concern an exchange.
Kind = Literal[
    "sent", "answered", "failed", "cancelled", "wrote", "paused", "resumed", "fired", "raised"
]


#: The first line of the hashed text. It changes when equal seeds begin to result in other runs.
DIGEST_VERSION = "firstk 2"


@dataclass(eq=False)
class _Sent:
    """The part of an exchange that is known when its request is sent."""

    number: int
    server: str
    operation: Operation
    share: int | None
    offset: int
    length: int
    sent: float


class Exchange(_Sent):
    """One request to a server and its answer, or a new connection. Times are in virtual seconds.

    `shares` are the numbers that a query was answered with. `received` counts the bytes of share
    data in the answer to a read, or those that came before it failed or was cancelled, and
    `corrupt` says whether a fault changed them. `error` says why the request failed. Of the answer
    to one that the client `cancelled`, `saved` bytes were never sent. `arrivals` are when the
    downloader heard that more bytes have come, before the end. `source` is the line of the code
    under test that sent it, where there is one. It is not part of the digest.
    """

    # Defaults of the class, so that a request costs no more than what happens to it.
    ended: float | None = None
    ok: bool = False
    shares: Sequence[int] = ()
    received: int = 0
    corrupt: bool = False
    error: str = ""
    cancelled: bool = False
    saved: int = 0
    arrivals: list[float] | None = None
    source: Place | None = None

    def __str__(self) -> str:
        request = f"{self.number} {self.server} {self.operation}"
        if self.operation != "read":
            return request
        return f"{request} {self.share} {self.offset} {self.length}"

    @property
    def detail(self) -> str:
        """The answer, or the reason for the failure, as text in the trace."""
        if not self.ok:
            return self.error
        if self.operation == "get_buckets":
            return ",".join(map(str, self.shares))
        if self.operation == "connect":
            return ""
        # The last word is part of all digests.
        return f"{self.received} bytes" + (", spoiled" if self.corrupt else "")


class TraceEvent(NamedTuple):
    """One event of a run, at a virtual time in seconds.

    An `exchange` is sent, answered or failed. Of the file `size` bytes at `offset` are written. A
    producer is paused or resumed with `size` bytes in the consumer's buffer.
    """

    time: float
    kind: Kind
    exchange: Exchange | None = None
    size: int = 0
    offset: int = 0

    @property
    def detail(self) -> str:
        """The details of the event as text."""
        if self.exchange is not None:
            return "" if self.kind == "sent" else self.exchange.detail
        match self.kind:
            case "wrote":
                return f"{self.size} bytes at {self.offset}"
            case "paused" | "resumed":
                return f"{self.size} bytes in the buffer"
            case _:
                return "the download"

    @property
    def text(self) -> str:
        """The line of the event in the trace. Digests are computed from these lines."""
        # Nine digits, since mathematical functions of two machines may differ in the last ones.
        time, kind, exchange, _, _ = self
        if exchange is None:
            return f"{time:.9g} {kind} {self.detail} "
        detail = "" if kind == "sent" else exchange.detail
        return f"{time:.9g} {kind} {exchange} {detail}"


class Totals(NamedTuple):
    """The numbers of requests and of bytes in a trace.

    `cancelled` counts the requests that the downloader cancelled, and `bytes_saved` the bytes that
    were never sent because of that.
    """

    queries: int
    reads: int
    bytes_received: int
    cancelled: int
    bytes_saved: int


_OPERATION, _RECEIVED, _CANCELLED, _SAVED = map(
    attrgetter, ("operation", "received", "cancelled", "saved")
)


@dataclass(slots=True)
class Trace:
    """The events of a run in order, and its exchanges in the order in which they were sent.

    Once it is `closed`, nothing is recorded: the run is over. When the garbage collector frees a
    coroutine that still waits, its `finally` may cancel requests.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    events: list[TraceEvent] = field(default_factory=list)
    closed: bool = False

    def sent(self, exchange: Exchange) -> None:
        """Record that the request of an exchange is sent."""
        if self.closed:
            return
        self.exchanges.append(exchange)
        self.events.append(TraceEvent(exchange.sent, "sent", exchange))

    def ended(self, exchange: Exchange, time: float, ok: bool) -> None:
        """Record that its answer, or its failure, reaches the downloader."""
        if self.closed:
            return
        exchange.ended, exchange.ok = time, ok
        self.events.append(TraceEvent(time, "answered" if ok else "failed", exchange))

    def cancelled(self, exchange: Exchange, time: float) -> None:
        """Record that the downloader cancels it."""
        if self.closed:
            return
        exchange.ended, exchange.cancelled, exchange.error = time, True, "cancelled"
        self.events.append(TraceEvent(time, "cancelled", exchange))

    def note(self, time: float, kind: Kind, size: int = 0, offset: int = 0) -> None:
        """Record an event that does not concern a request."""
        if self.closed:
            return
        self.events.append(TraceEvent(time, kind, None, size, offset))

    @property
    def lines(self) -> list[str]:
        """The events as text, one line each."""
        return [event.text for event in self.events]

    def totals(self) -> Totals:
        """Return the numbers of requests and of bytes."""
        asked = list(map(_OPERATION, self.exchanges))
        sums = (sum(map(of, self.exchanges)) for of in (_RECEIVED, _CANCELLED, _SAVED))
        return Totals(asked.count("get_buckets"), asked.count("read"), *sums)

    def most_outstanding(self) -> tuple[int, int]:
        """Return the maximum numbers of requests, and of bytes, outstanding at one time."""
        changes = [
            (1, exchange.length) if kind == "sent" else (-1, -exchange.length)
            for _, kind, exchange, _, _ in self.events
            if exchange is not None
        ]
        requests, sizes = zip(*changes, strict=True) if changes else ((), ())
        return max(accumulate(requests), default=0), max(accumulate(sizes), default=0)

    def digest(self) -> str:
        """Return the SHA-256 of the whole trace, in hexadecimal."""
        return sha256("\n".join([DIGEST_VERSION, *self.lines]).encode()).hexdigest()
