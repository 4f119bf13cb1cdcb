"""A scenario whose round-trip times are those that were measured on a live grid."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path

from firstk.harness.grid.build import ServerSpec, server_specs
from firstk.harness.grid.files import file_of
from firstk.harness.run.simulate import Run
from firstk.scenarios.faults import Hung, Slow
from firstk.scenarios.model import Scenario, Servers

#: What servers with the same times have in common: their law, and how it is drawn.
_Kind = tuple[str, str]

#: Of how many runs the times are kept, the last ones: how busy the machine is changes.
_RUNS = 3


class Measured:
    """The round-trip times of requests to real servers, by the law of their links.

    They are kept in files in `folder`, as the law `empirical` reads them.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self._scenario = scenario
        self._folder = folder
        self._runs: deque[dict[_Kind, list[float]]] = deque(maxlen=_RUNS)

    def add(self, run: Run, number: int) -> None:
        """Add the times of a live run, of the servers that no fault delayed."""
        plans = {plan.name: plan for plan in self._plans(number)}
        times: defaultdict[_Kind, list[float]] = defaultdict(list)
        for exchange in run.trace.exchanges:
            plan = plans[exchange.server]
            if exchange.ok and exchange.ended is not None and not _delays(plan):
                times[_kind(plan)].append(exchange.ended - exchange.sent)
        self._runs.append(times)

    def scenario(self, number: int) -> Scenario:
        """Return the scenario with these times, for the run with this number."""
        files: dict[_Kind, str] = {}
        for i, kind in enumerate(sorted({kind for run in self._runs for kind in run})):
            times = [time for run in self._runs for time in run.get(kind, ())]
            path = self._folder / f"times-{i}.txt"
            path.write_text("".join(f"{time!r}\n" for time in times), encoding="utf-8")
            files[kind] = str(path)
        entries = [
            Servers.model_validate(
                {"select": str(i), "rtt": {"law": "empirical", "path": files[kind]}}
            )
            for i, plan in enumerate(self._plans(number))
            if (kind := _kind(plan)) in files
        ]
        return self._scenario.model_copy(update={"servers": [*self._scenario.servers, *entries]})

    def _plans(self, number: int) -> Sequence[ServerSpec]:
        seed = self._scenario.seed_of(number)
        return server_specs(self._scenario, seed, file_of(self._scenario, seed).shares)


def _delays(plan: ServerSpec) -> bool:
    """Return whether more than its link may delay a server's answers."""
    limits = plan.service, plan.bandwidth
    return any(isinstance(f, Slow | Hung) for f in plan.faults) or limits != (None, None)


def _kind(plan: ServerSpec) -> _Kind:
    return plan.rtt.model_dump_json(), plan.rtt_per
