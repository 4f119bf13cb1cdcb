"""RtoEstimator: how long a request may take before it is overdue, from the round trips seen.

A request is overdue once it has taken longer, by a quarter, than a high quantile of its kind
(J. Dean and L. A. Barroso, "The Tail at Scale", 2013, hedge after a quantile). A quarter,
since what is late by less is likely to come before anything that is asked for now; that
keeps narrow distributions from being hedged for nothing. The quantile is that of the
product-limit estimate of E. L. Kaplan and P. Meier (1958): what is still
outstanding, and older than all that was answered, counts as longer than these. Beyond the
last answer the tail is taken to be exponential, as B. W. Brown, M. Hollander and R. M. Korwar
(1974) complete it. Without that, the first answers of many, which are the fastest, would make
all others look late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import ceil, inf, log
from statistics import median

from twisted.internet.interfaces import IReactorTime

from firstk.downloader.memory import Memory, ReadSample
from firstk.downloader.status import Request
from firstk.downloader.strategy import Strategy

#: How long a query may take while none has been answered, in seconds: RFC 6298, 2.1.
FIRST_QUERY = 1.0

#: The quantiles of round trips for queries and for reads, and how many times as long a request
#: may take. Measured: see the documentation of strategies.
QUANTILE = 0.9
READ_QUANTILE = 0.8
LATE = 1.25

#: A read is not overdue before so many seconds: a disk may take as long.
LEAST = 0.01

#: How much lower each spare makes the quantile for reads: a spare says that time is worth
#: more than bytes.
PER_SPARE = 0.2
LEAST_QUANTILE = 0.5

#: How many of the latest round trips are kept of each kind.
_KEPT = 100

#: From how many arrivals of bytes the time between two of them is taken.
_ARRIVALS = 32


class RtoEstimator:
    """The requests of one download, and how long to wait for them.

    `outstanding` holds those that have neither been answered nor failed, in the order of
    their sending; `last_event` is when one was last sent, answered or failed. Where a server is
    asked again only the bytes of shares count: a download without any must end.
    """

    def __init__(
        self, reactor: IReactorTime, strategy: Strategy, memory: Memory | None = None
    ) -> None:
        self.outstanding: dict[Request, None] = {}
        self.last_event = reactor.seconds()
        self._reactor = reactor
        self._strategy = strategy
        self._memory = memory or Memory()
        self._queries = deque(self._memory.queries(self.last_event), maxlen=_KEPT)
        self._reads = deque(self._memory.reads(self.last_event), maxlen=_KEPT)
        self._arrivals: deque[float] = deque(maxlen=_ARRIVALS)  # of bytes, whichever read's
        self._pace = 0.0  # the time between two of them, before a pause
        self._read_quantile = max(LEAST_QUANTILE, READ_QUANTILE - PER_SPARE * strategy.spares)

    def sent(self, request: Request) -> None:
        """Note that a request is sent."""
        self.outstanding[request] = None
        if not request.again:
            self.last_event = request.sent

    def ended(self, request: Request, now: float) -> None:
        """Note that a request has been answered or has failed; learn from a query's answer."""
        del self.outstanding[request]
        if not request.again or (request.answered is not None and not request.is_query):
            self.last_event = now
        # A query that carries bytes of a share takes longer than others.
        plain = request.length is None or not self._queries
        if request.is_query and plain and request.answered is not None:
            self._queries.append(request.answered - request.sent)
            self._memory.add_query(now, request.answered - request.sent)

    def cancelled(self, request: Request) -> None:
        """Note that a request is withdrawn."""
        del self.outstanding[request]

    def heard(self, since: float, now: float) -> None:
        """Note that bytes have come of a read that was sent at `since`, and that more will."""
        self.last_event = now
        if not self._arrivals and not self._pace:
            self._arrivals.append(min(now, since + self.typical()))
        self._arrivals.append(now)

    def pause(self) -> None:
        """Note that for a time nothing may be asked for."""
        self._pace = self._between_arrivals()
        self._arrivals.clear()

    def _between_arrivals(self) -> float:
        """Return the mean time between two arrivals of bytes, in seconds; 0 if none is known."""
        if len(self._arrivals) < 2:
            return self._pace
        return (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)

    def typical(self) -> float:
        """Return how long a query takes, in seconds: the median."""
        return median(self._queries)

    def has_taken(self, sample: ReadSample) -> None:
        """Learn how long it took to read bytes of a good share.

        Others teach nothing: a server that sends nonsense sends it at once.
        """
        if sample.length:
            self._reads.append(sample)
            self._memory.add_read(self._reactor.seconds(), sample)

    @property
    def has_read(self) -> bool:
        """Whether any good share has been read: only then is it known how long that takes."""
        return bool(self._reads)

    def with_query(self) -> float:
        """Return how long a query may take, in seconds."""
        overdue = self._strategy.overdue
        if overdue == "never":
            return inf
        if overdue != "adaptive":
            return overdue
        if not self._queries:
            return FIRST_QUERY
        return LATE * self._quantile(QUANTILE, sorted(self._queries))

    def with_silence(self, gaps: Sequence[float]) -> list[float]:
        """Return for how long each of the reads that are under way may be silent, in seconds.

        `gaps` are the longest times for which they have been silent before. Links are shared
        evenly, as a rule, so that each read has its turn once bytes have come as often as there
        are reads.
        """
        if not gaps:
            return []
        typical, firsts = self.typical(), [read.first for read in self._reads]
        # What makes reads slower than queries delays the first of their bytes, at the least.
        least = max(0.0, min(firsts) - typical) if firsts else 0.0
        seen = sorted([*self._queries, *(time - least for time in firsts)])
        more = (lambda _: least) if firsts else None
        round_trip = least + self._quantile(self._read_quantile, seen, more)
        turn = len(gaps) * self._between_arrivals()
        return [max(LEAST, LATE * (round_trip + max(gap, turn))) for gap in gaps]

    def with_read(self, length: int) -> float:
        """Return how long it may take to read `length` bytes of a share, in seconds.

        That is not known, and the time is infinite, as long as no good share has been read.
        """
        if not self._reads:
            return inf
        # A read takes the round trip of a query, and the time in which its bytes pass: that
        # by which the fastest of the reads was slower than a query is, and more for more bytes.
        typical = self.typical()
        least, size = min((max(0.0, r.seconds - typical), r.length) for r in self._reads)

        def passing(length: int) -> float:
            return least * max(1.0, length / size)

        seen = sorted([*self._queries, *(r.seconds - passing(r.length) for r in self._reads)])
        return LATE * (self._quantile(self._read_quantile, seen, passing) + passing(length))

    def _quantile(
        self, p: float, seen: Sequence[float], passing: Callable[[int], float] | None = None
    ) -> float:
        """Return the `p`-quantile of the sorted round trips `seen`, and of those to come.

        With `passing`, the time that the bytes take, reads are among them; without it they are not.
        """
        now, longest = self._reactor.seconds(), seen[-1]
        waiting = 0
        for request in self.outstanding:
            if request.overdue is not None or request.received:
                continue
            age = now - request.sent
            if request.is_query and request.length is not None:
                continue
            if request.length is not None:
                if passing is None:
                    continue
                age -= passing(request.length)
            waiting += age >= longest
        everything = len(seen) + waiting
        place = ceil(p * everything)
        if place <= len(seen):
            return seen[place - 1]
        return longest * log(1 - p) / log(1 - len(seen) / everything)
