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

from firstk.downloader.status import Request
from firstk.downloader.strategy import Strategy

#: How long a query may take while none has been answered, in seconds: RFC 6298, 2.1.
FIRST_QUERY = 1.0

#: The quantile of round trips, and how many times as long a request may take. Measured: see
#: the documentation of strategies.
QUANTILE = 0.9
LATE = 1.25

#: How much lower each spare makes the quantile for reads: a spare says that time is worth
#: more than bytes.
PER_SPARE = 0.2
LEAST_QUANTILE = 0.5

#: While no good share has been read, a read may take as many round trips of a query, and what its
#: bytes take on a slow link of this many bytes per second: nothing is known of the links yet.
FIRST_READ = 3.0
SLOW_LINK = 125_000

#: How many of the latest round trips are kept of each kind.
_KEPT = 100


class RtoEstimator:
    """The requests of one download, and how long to wait for them.

    `outstanding` holds those that have neither been answered nor failed, in the order of
    their sending; `last_event` is when one was last sent, answered or failed.
    """

    def __init__(self, reactor: IReactorTime, strategy: Strategy) -> None:
        self.outstanding: dict[Request, None] = {}
        self.last_event = reactor.seconds()
        self._reactor = reactor
        self._strategy = strategy
        self._queries: deque[float] = deque(maxlen=_KEPT)
        self._reads: deque[tuple[float, int]] = deque(maxlen=_KEPT)  # with the bytes asked for
        self._read_quantile = max(LEAST_QUANTILE, QUANTILE - PER_SPARE * strategy.spares)

    def sent(self, request: Request) -> None:
        """Note that a request is sent."""
        self.outstanding[request] = None
        self.last_event = request.sent

    def ended(self, request: Request, now: float) -> None:
        """Note that a request has been answered or has failed; learn from a query's answer."""
        del self.outstanding[request]
        self.last_event = now
        if request.is_query and request.answered is not None:
            self._queries.append(request.answered - request.sent)

    def has_taken(self, seconds: float, length: int) -> None:
        """Learn how long it took to read a number of bytes of a good share.

        Others teach nothing: a server that sends nonsense sends it at once.
        """
        if length:
            self._reads.append((seconds, length))

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

    def with_read(self, length: int) -> float:
        """Return how long it may take to read `length` bytes of a share, in seconds."""
        if not self._strategy.hedge:
            return inf
        if not self._reads:
            typical = self._quantile(0.5, sorted(self._queries))
            return FIRST_READ * typical + length / SLOW_LINK
        # A read takes the round trip of a query, and the time in which its bytes pass: that
        # by which the fastest of the reads was slower than a query is, and more for more bytes.
        typical = median(self._queries)
        least, size = min((max(0.0, time - typical), size) for time, size in self._reads)

        def passing(length: int) -> float:
            return least * max(1.0, length / size)

        seen = sorted([*self._queries, *(time - passing(size) for time, size in self._reads)])
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
            if request.overdue is not None:
                continue
            age = now - request.sent
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
