"""The requests of a run as they are drawn: each with what the downloader thought of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from firstk.harness.grid.trace import Exchange
from firstk.harness.run.simulate import Run


@dataclass(frozen=True, slots=True)
class Bar:
    """An exchange as it is drawn: when it was overdue, and of which overdue read it is a hedge."""

    exchange: Exchange
    overdue: float | None
    hedge_of: Exchange | None

    @property
    def hedge(self) -> bool:
        """Whether it is a hedge."""
        return self.hedge_of is not None

    @property
    def course(self) -> Hashable:
        """What makes two exchanges look alike, but for the numbers of shares."""
        e = self.exchange
        return e.operation, e.sent, e.ended, e.ok, e.error, bool(e.shares), e.corrupt, self.overdue


def bars_of(run: Run) -> list[Bar]:
    """Return a run's exchanges, with what the downloader thought of them.

    The n-th request of the downloader is the n-th exchange, new connections aside. Reads that are
    held, since the run is over once its shares are located, are none.
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
    """Return of which overdue read each hedge is one: `late` has those by when they became so.

    What is read of one share at one time belongs together. Where several shares were overdue at
    once, the first hedge is of the first of them, and so on.
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
