"""A scenario with round-trip times measured on a live grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from firstk.harness.grid.build import ServerSpec, server_specs
from firstk.harness.grid.files import file_of
from firstk.harness.grid.trace import Exchange
from firstk.harness.run.finish import Run
from firstk.scenarios.faults import Hung, Operation, Slow
from firstk.scenarios.model import Scenario, Servers

_OPERATIONS: tuple[Operation, ...] = ("get_buckets", "read")


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A request that was outstanding for some seconds, and was then given up."""

    seconds: float


@dataclass
class MeasuredTimes:
    """The measured times of one server in one run: the n-th request takes as long as it did then.

    A request that failed then, or was not sent, has one of the other times, drawn as by the law
    `empirical`; so has one without an answer, but it takes longer than it was outstanding. A real
    server takes longer for a query, which searches for files, than for a read. So the two have
    separate times: a downloader's first request to a server is a query.
    """

    queries: Sequence[float | Outstanding | None]
    reads: Sequence[float | Outstanding | None]
    law: str = "empirical"
    _asked: int = field(default=0, init=False)

    def sample(self, random: Random) -> float:
        """Return the time of the next request, in seconds."""
        times, place = (self.reads, self._asked - 1) if self._asked else (self.queries, 0)
        self._asked += 1
        time = times[place] if place < len(times) else None
        if isinstance(time, float):
            return time
        known = [time for time in times if isinstance(time, float)] or [
            2 * time.seconds for time in times if isinstance(time, Outstanding)
        ]
        drawn = known[int(random.random() * len(known))]
        return max(drawn, 2 * time.seconds) if isinstance(time, Outstanding) else drawn


#: Times in seconds, by the operation and by the server or the kind of its link; in the order of
#: the requests, with None for one that was not measured.
Times = Mapping[tuple[str, Operation], Sequence[float | Outstanding | None]]


def times_of(real: Run) -> Times:
    """Return how long the requests of a live run took.

    Each server has its own times, because the server that is asked first tends to answer first.
    Requests that a fault or a limit may have delayed are left out, because the simulation delays
    them too.
    """
    scenario, seed = real.scenario, real.result.seed
    plans = server_specs(scenario, seed, file_of(scenario).shares)
    by_name = {plan.name: plan for plan in plans}
    times: defaultdict[tuple[str, Operation], list[float | Outstanding | None]] = defaultdict(list)
    for exchange in real.trace.exchanges:
        plan = by_name[exchange.server]
        time = None if _delays(scenario, plan, exchange.operation) else _took(exchange, real)
        for whose in (plan.name, _kind(plan)):
            times[whose, exchange.operation].append(time)
    return times


def with_times(scenario: Scenario, number: int, times: Times) -> Scenario:
    """Return a scenario with measured times, for simulating the run with this number.

    A server without measured times uses those of other servers whose links have the same law.
    """
    seed = scenario.seed_of(number)
    entries = list(scenario.servers)
    for i, plan in enumerate(server_specs(scenario, seed, file_of(scenario).shares)):
        queries, reads = (
            _known(times, plan.name, operation) or _known(times, _kind(plan), operation)
            for operation in _OPERATIONS
        )
        if queries or reads:
            law: Any = MeasuredTimes(queries or reads, reads or queries)
            entry = Servers.model_validate({"select": str(i), "concurrency": plan.concurrency})
            entries.append(entry.model_copy(update={"rtt": law, "rtt_per": "request"}))
    return scenario.model_copy(update={"servers": entries})


def _took(exchange: Exchange, real: Run) -> float | Outstanding | None:
    """Return how long a request took, or was outstanding; None if it failed."""
    if exchange.ok and exchange.ended is not None:
        return exchange.ended - exchange.sent
    if exchange.ended is not None and not exchange.cancelled:
        return None
    ended = real.trace.events[-1].time if exchange.ended is None else exchange.ended
    return Outstanding(ended - exchange.sent)


def _known(times: Times, whose: str, operation: Operation) -> Sequence[float | Outstanding | None]:
    """Return the times of a server or a kind of links, if any was measured."""
    found = times.get((whose, operation), ())
    return () if all(time is None for time in found) else found


def _delays(scenario: Scenario, plan: ServerSpec, operation: Operation) -> bool:
    """Return whether anything besides its link may delay a server's answers to such requests."""
    faults = (fault for fault in plan.faults if isinstance(fault, Slow | Hung))
    return (
        any(fault.affects(operation) for fault in faults)
        or (plan.service, plan.bandwidth) != (None, None)
        or (operation == "read" and scenario.grid.client_bandwidth is not None)
    )


def _kind(plan: ServerSpec) -> str:
    """Return a key that is equal for servers whose links have the same law."""
    return f"{plan.rtt_per} {plan.rtt.model_dump_json()}"
