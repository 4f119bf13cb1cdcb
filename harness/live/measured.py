"""A scenario with round-trip times measured on a live grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from firstk.harness.grid.build import ServerSpec, server_specs
from firstk.harness.grid.files import file_of
from firstk.harness.run.simulate import Run
from firstk.scenarios.faults import Hung, Operation, Slow
from firstk.scenarios.model import Scenario, Servers

_OPERATIONS: tuple[Operation, ...] = ("get_buckets", "read")


@dataclass
class MeasuredTimes:
    """The measured times of one server in one run, drawn as by the law `empirical`.

    A real server takes longer for a query, which searches for files, than for a read, and all
    servers are queried at once. So the two have separate times: a downloader's first request to
    a server is a query.
    """

    queries: Sequence[float]
    reads: Sequence[float]
    law: str = "empirical"
    _asked: bool = field(default=False, init=False)

    def sample(self, random: Random) -> float:
        """Return a time in seconds."""
        times = self.reads if self._asked else self.queries
        self._asked = True
        return times[int(random.random() * len(times))]


#: Times in seconds, by the operation and by the server or the kind of its link.
Times = Mapping[tuple[str, Operation], Sequence[float]]


def times_of(real: Run) -> Times:
    """Return how long the requests of a live run took.

    Each server has its own times, because the server that is asked first tends to answer first.
    Servers delayed by a fault or a limit are left out, because the simulation delays them too.
    """
    scenario, seed = real.scenario, real.result.seed
    plans = server_specs(scenario, seed, file_of(scenario).shares)
    by_name = {plan.name: plan for plan in plans}
    times: defaultdict[tuple[str, Operation], list[float]] = defaultdict(list)
    for exchange in real.trace.exchanges:
        plan = by_name[exchange.server]
        if exchange.ok and exchange.ended is not None and not _delays(plan):
            for whose in (plan.name, _kind(plan)):
                times[whose, exchange.operation].append(exchange.ended - exchange.sent)
    return times


def with_times(scenario: Scenario, number: int, times: Times) -> Scenario:
    """Return a scenario with measured times, for simulating the run with this number.

    A server without measured times uses those of other servers whose links have the same law.
    """
    seed = scenario.seed_of(number)
    entries = list(scenario.servers)
    for i, plan in enumerate(server_specs(scenario, seed, file_of(scenario).shares)):
        queries, reads = (
            times.get((plan.name, operation)) or times.get((_kind(plan), operation), ())
            for operation in _OPERATIONS
        )
        if queries or reads:
            law: Any = MeasuredTimes(queries or reads, reads or queries)
            entry = Servers.model_validate({"select": str(i), "concurrency": plan.concurrency})
            entries.append(entry.model_copy(update={"rtt": law}))
    return scenario.model_copy(update={"servers": entries})


def _delays(plan: ServerSpec) -> bool:
    """Return whether anything besides its link may delay a server's answers."""
    limits = plan.service, plan.bandwidth
    return any(isinstance(f, Slow | Hung) for f in plan.faults) or limits != (None, None)


def _kind(plan: ServerSpec) -> str:
    """Return a key that is equal for servers whose links have the same law."""
    return f"{plan.rtt_per} {plan.rtt.model_dump_json()}"
