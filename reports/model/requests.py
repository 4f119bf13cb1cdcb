"""The requests of a run as they are drawn: each with what the downloader thought of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from firstk.harness.grid.trace import Exchange
from firstk.harness.run.simulate import Run


@dataclass(frozen=True, slots=True)
class Bar:
    """An exchange as it is drawn: when it was overdue, and whether it is a hedge."""

    exchange: Exchange
    overdue: float | None
    hedge: bool

    @property
    def course(self) -> Hashable:
        """What makes two exchanges look alike, but for the numbers of shares."""
        e = self.exchange
        return e.operation, e.sent, e.ended, e.ok, e.error, bool(e.shares), e.corrupt, self.overdue


def bars_of(run: Run) -> list[Bar]:
    """Return a run's exchanges, with what the downloader thought of them.

    The n-th request of the downloader is the n-th exchange. Reads that are held, since the run
    is over once its shares are located, are none.
    """
    requests = run.status.requests if run.status else []
    if run.scenario.stop == "located":
        requests = [request for request in requests if request.is_query]
    exchanges = run.trace.exchanges
    overdue: list[float | None] = [request.overdue for request in requests]
    overdue += [None] * (len(exchanges) - len(overdue))
    reads = {
        time
        for exchange, time in zip(exchanges, overdue, strict=True)
        if exchange.operation == "read" and time is not None
    }
    return [
        Bar(exchange, time, exchange.operation == "read" and exchange.sent in reads)
        for exchange, time in zip(exchanges, overdue, strict=True)
    ]
