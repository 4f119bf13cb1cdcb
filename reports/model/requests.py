"""The requests of a run as drawn, each with the downloader's own view of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from firstk.harness.grid.trace import Exchange
from firstk.harness.run.finish import Run


@dataclass(frozen=True, slots=True)
class Bar:
    """An exchange to draw: when it was overdue, and the overdue read that it hedges, if any."""

    exchange: Exchange
    overdue: float | None
    hedge_of: Exchange | None

    @property
    def hedge(self) -> bool:
        """Whether it is a hedged request."""
        return self.hedge_of is not None

    @property
    def course(self) -> Hashable:
        """A key that is equal for exchanges that look alike, apart from share numbers."""
        e = self.exchange
        return e.operation, e.sent, e.ended, e.ok, e.error, bool(e.shares), e.corrupt, self.overdue


def bars_of(run: Run) -> list[Bar]:
    """Return a run's exchanges, with the downloader's own view of them.

    The n-th request of the downloader is the n-th exchange, not counting connections. If the run
    stops once its shares are located, reads are left out.
    """
    requests = run.status.requests if run.status else []
    if run.scenario.stop == "located":
        requests = [request for request in requests if request.is_query]
    exchanges = run.trace.exchanges
    overdue = iter([request.overdue for request in requests])
    both = [(e, None if e.operation == "connect" else next(overdue, None)) for e in exchanges]
    late: dict[float, list[Exchange]] = {}
    for exchange, time in both:
        if exchange.operation == "read" and time is not None:
            late.setdefault(time, []).append(exchange)
    hedged = _hedged(exchanges, late)
    return [Bar(exchange, time, hedged.get(exchange.number)) for exchange, time in both]


def _hedged(
    exchanges: Sequence[Exchange], late: Mapping[float, Sequence[Exchange]]
) -> dict[int, Exchange]:
    """Map hedged requests to the overdue reads that they hedge.

    `late` has the reads by the time when they became overdue. Reads of one share at one time belong
    together. If several shares became overdue at once, the first hedge belongs to the first of
    them, and so on.
    """
    found = {}
    for time, reads in late.items():
        causes = list({(read.server, read.share): read for read in reversed(reads)}.values())[::-1]
        hedges = [e for e in exchanges if e.operation == "read" and e.sent == time]
        shares = list(dict.fromkeys((hedge.server, hedge.share) for hedge in hedges))
        for hedge in hedges:
            which = shares.index((hedge.server, hedge.share))
            found[hedge.number] = causes[min(which, len(causes) - 1)]
    return found
