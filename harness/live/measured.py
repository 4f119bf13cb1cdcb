"""A scenario whose round-trip times are those that were measured on a live grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from firstk.harness.grid.build import ServerSpec, server_specs
from firstk.harness.grid.files import file_of
from firstk.harness.run.simulate import Run
from firstk.scenarios.faults import Hung, Operation, Slow
from firstk.scenarios.model import Scenario, Servers

#: What the times have in common that are drawn alike: the law of a link and how it is drawn.
_Kind = tuple[str, str]


@dataclass
class MeasuredTimes:
    """Measured times of one server in one run, drawn as the law `empirical` draws them.

    A real server takes longer for a query, which looks for files, than for a read, and all are
    asked at once. So each has its own times: a downloader's first request to a server is a query.
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


def with_measured_times(real: Run) -> Scenario:
    """Return the scenario of a live run with the round-trip times that its requests took.

    It is for one simulation of the same run. Servers whose links have the same law have their
    times together. Those of servers that a fault or a limit delays are left out, since the
    simulation delays them as well.
    """
    scenario, seed = real.scenario, real.result.seed
    plans = server_specs(scenario, seed, file_of(scenario).shares)
    by_name = {plan.name: plan for plan in plans}
    times: defaultdict[tuple[_Kind, Operation], list[float]] = defaultdict(list)
    for exchange in real.trace.exchanges:
        plan = by_name[exchange.server]
        if exchange.ok and exchange.ended is not None and not _delays(plan):
            times[_kind(plan), exchange.operation].append(exchange.ended - exchange.sent)
    entries = list(scenario.servers)
    for i, plan in enumerate(plans):
        queries, reads = times[_kind(plan), "get_buckets"], times[_kind(plan), "read"]
        if queries or reads:
            law: Any = MeasuredTimes(queries or reads, reads or queries)
            entry = Servers.model_validate({"select": str(i), "concurrency": plan.concurrency})
            entries.append(entry.model_copy(update={"rtt": law}))
    return scenario.model_copy(update={"servers": entries})


def _delays(plan: ServerSpec) -> bool:
    """Return whether more than its link may delay a server's answers."""
    limits = plan.service, plan.bandwidth
    return any(isinstance(f, Slow | Hung) for f in plan.faults) or limits != (None, None)


def _kind(plan: ServerSpec) -> _Kind:
    return plan.rtt.model_dump_json(), plan.rtt_per
