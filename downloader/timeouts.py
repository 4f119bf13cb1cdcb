"""RtoEstimator: how long a request may take before it is overdue, from the round trips seen.

A request is overdue once it has taken longer than a high quantile of the times of its kind, by
default by 25 % (hedging after a quantile: J. Dean and L. A. Barroso, "The Tail at Scale", 2013).
The margin avoids useless hedges if the distribution is narrow: an answer that is late by less is
likely to arrive before that to a new request. The quantile is taken from the product-limit estimate
of E. L. Kaplan and P. Meier (1958): requests that are outstanding for longer than all answered ones
count as censored. Beyond the last answer the tail is assumed to be exponential (B. W. Brown, M.
Hollander and R. M. Korwar, 1974). Without this, the first answers of many, which are the fastest,
would make all others look late.
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

#: The quantile of the round-trip times of queries, and the factor by which a query may exceed it.
#: Those of reads are fields of the strategy.
QUANTILE = 0.9
LATE = 1.25

#: How many medians the quantile for reads is at most. If round trips are so widely spread, another
#: read is likely to come long before one that is late.
MOST_MEDIANS = 3

#: The minimum time in seconds before a read is overdue: a disk may take as long.
LEAST = 0.01

#: By how much each spare lowers the quantile for reads: a spare means that time matters more than
#: bytes.
PER_SPARE = 0.2
LEAST_QUANTILE = 0.5

#: How many of the latest round-trip times of each kind are kept.
_KEPT = 100

#: The number of arrivals of bytes over which the time between two of them is averaged.
_ARRIVALS = 32


class RtoEstimator:
    """Tracks the requests of one download, and estimates how long to wait for them.

    `outstanding` has the requests that have neither been answered nor failed, in the order in which
    they were sent. `last_event` is when a request was last sent, answered or failed. For servers
    that are queried again only bytes of shares count, so that a download without any ends.
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
        self._median: float | None = None  # of these, if it is known
        self._reads = deque(self._memory.reads(self.last_event), maxlen=_KEPT)
        self._arrivals: deque[float] = deque(maxlen=_ARRIVALS)  # of bytes, from any read
        self._pace = 0.0  # the time between two of them, before a pause
        lowered = max(LEAST_QUANTILE, strategy.quantile - PER_SPARE * strategy.spares)
        self._read_quantile = min(strategy.quantile, lowered)

    def sent(self, request: Request) -> None:
        """Record that a request is sent."""
        self.outstanding[request] = None
        if not request.again:
            self.last_event = request.sent

    def ended(self, request: Request, now: float) -> None:
        """Record that a request was answered or has failed; learn from answers to queries."""
        del self.outstanding[request]
        if not request.again or (request.answered is not None and not request.is_query):
            self.last_event = now
        # A query that carries bytes of a share takes longer than others.
        if (
            request.is_query
            and request.answered is not None
            and (request.length is None or not self._queries)
        ):
            self._queries.append(request.answered - request.sent)
            self._median = None
            self._memory.add_query(now, request.answered - request.sent)

    def cancelled(self, request: Request) -> None:
        """Record that a request is cancelled."""
        del self.outstanding[request]

    def heard(self, since: float, now: float, *, new: bool = True) -> None:
        """Record that some, but not all, bytes of a read sent at `since` have arrived.

        Bytes that are not `new`, since they arrived before, are not an event.
        """
        if new:
            self.last_event = now
        if not self._arrivals and not self._pace:
            self._arrivals.append(min(now, since + self.typical()))
        self._arrivals.append(now)

    def pause(self) -> None:
        """Record that no requests may be sent for a time."""
        self._pace = self._between_arrivals()
        self._arrivals.clear()

    def _between_arrivals(self) -> float:
        """Return the mean time between two arrivals of bytes, in seconds; 0 if unknown."""
        if len(self._arrivals) < 2:
            return self._pace
        return (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)

    def typical(self) -> float:
        """Return the median time of a query, in seconds."""
        if self._median is None:
            self._median = median(self._queries)
        return self._median

    def has_taken(self, sample: ReadSample) -> None:
        """Learn how long it took to read bytes of a good share.

        Bad shares are ignored: a server may send nonsense at once.
        """
        if sample.length:
            self._reads.append(sample)
            self._memory.add_read(self._reactor.seconds(), sample)

    @property
    def has_read(self) -> bool:
        """Whether any good share has been read, so that the time of a read is known."""
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
        seen = sorted(self._queries)
        return LATE * _quantile(QUANTILE, seen, self._censored(seen[-1]))

    def with_silence(self, gaps: Sequence[float]) -> list[float]:
        """Return for how long each of the reads that are under way may be silent, in seconds.

        `gaps` are the longest times for which they have been silent before. Links are shared
        evenly, as a rule, so that each read has its turn once bytes have come as often as there
        are reads.
        """
        if not gaps:
            return []
        typical, firsts = self.typical(), [read.first for read in self._reads]
        # Whatever makes reads slower than queries delays at least their first bytes.
        least = max(0.0, min(firsts) - typical) if firsts else 0.0
        seen = sorted([*self._queries, *(time - least for time in firsts)])
        more = (lambda _: least) if firsts else None
        round_trip = least + self._late(seen, more)
        turn = len(gaps) * self._between_arrivals()
        return [max(LEAST, self._strategy.lateness * (round_trip + max(gap, turn))) for gap in gaps]

    def with_read(self, length: int) -> float:
        """Return how long it may take to read `length` bytes of a share, in seconds.

        The time is infinite until a good share has been read.
        """
        if not self._reads:
            return inf
        # A read takes the round trip of a query plus the transfer time of its bytes. The latter is
        # the time by which the fastest read was slower than a query, scaled to the length.
        typical = self.typical()
        least, size = min((max(0.0, r.seconds - typical), r.length) for r in self._reads)

        def passing(length: int) -> float:
            return least * max(1.0, length / size)

        seen = sorted([*self._queries, *(r.seconds - passing(r.length) for r in self._reads)])
        return self._strategy.lateness * (self._late(seen, passing) + passing(length))

    def _late(self, seen: Sequence[float], passing: Callable[[int], float] | None = None) -> float:
        """Return the quantile of round trips for reads, but at most a multiple of the median."""
        censored = self._censored(seen[-1], passing)
        high = _quantile(self._read_quantile, seen, censored)
        return min(high, MOST_MEDIANS * _quantile(0.5, seen, censored))

    def _censored(self, longest: float, passing: Callable[[int], float] | None = None) -> int:
        """Return how many outstanding round trips take longer than the `longest` that ended.

        With `passing`, which returns the transfer time of bytes, reads are included.
        """
        now, censored = self._reactor.seconds(), 0
        for request in self.outstanding:  # the oldest first
            age = now - request.sent
            if age < longest:
                break
            if request.overdue is not None or request.received:
                continue
            if request.length is None:  # a query
                censored += 1
            elif passing is not None and not request.is_query:
                censored += age - passing(request.length) >= longest
        return censored


def _quantile(p: float, seen: Sequence[float], censored: int) -> float:
    """Return the `p`-quantile of the sorted times `seen` and of `censored` ones that are longer."""
    everything = len(seen) + censored
    place = ceil(p * everything)
    if place <= len(seen):
        return seen[place - 1]
    return seen[-1] * log(1 - p) / log(1 - len(seen) / everything)
