"""Which scenarios have a theoretical prediction, and what it is.

It predicts `located`: when K distinct shares are known, for a strategy that asks all servers at
once and has a separate locating phase. Two models are known: one download (`Stage`), and a load on
servers that process one request at a time (`ForkJoin`). A scenario is matched to a model by its
contents alone, and is refused if it has anything else that would change the times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf

from firstk.downloader.strategy import find_strategy
from firstk.harness.grid.build import ServerSpec, server_specs
from firstk.harness.run.under_test import is_external
from firstk.harness.stats.theory import ForkJoin, Stage, covering
from firstk.scenarios.experiment import Experiment
from firstk.scenarios.faults import Fault, Hung
from firstk.scenarios.laws import Constant, Exponential, Law
from firstk.scenarios.load import Problem, ScenarioError
from firstk.scenarios.model import Scenario, Servers
from firstk.scenarios.selection import Count, Probability
from firstk.scenarios.workload import Poisson


class NoOracleError(ValueError):
    """Theory has no exact value for a scenario; the message says why."""


def theory_of(scenario: Scenario, strategy: str) -> Stage | ForkJoin:
    """Return the model of the time to K distinct shares.

    Raises `NoOracleError` if no model in `theory` fits the scenario.
    """
    if is_external(strategy) or find_strategy(strategy).locating_ends == "never":
        raise NoOracleError(
            f"of {strategy} it is not known which answers it needs; take first-k or wait-for-all"
        )
    if find_strategy(strategy).delay:
        raise NoOracleError("all servers should be asked at once: no delay")
    if scenario.grid.subset is not None or scenario.grid.tied:
        raise NoOracleError("all servers should be asked: no `subset`, and no `tied`")
    if scenario.client is not None:
        raise NoOracleError("the client takes time of its own, or pauses")
    waits = find_strategy(strategy).locating_ends == "all-answered"
    return (_fork_join if scenario.workload else _stage)(scenario, waits)


def refuse(experiment: Experiment, file: str) -> None:
    """Raise `ScenarioError` if an experiment cannot be compared with theory.

    The message names the experiment's `file`, and the first point and strategy that do not fit.
    """
    for point in experiment.points:
        for strategy in experiment.strategies:
            try:
                theory_of(point.scenario, strategy)
            except NoOracleError as e:
                at = f"{point}: " if point.values else ""
                problem = f"theory has no exact value for {at}{strategy}: {e}"
                raise ScenarioError([Problem(file, None, "oracle", problem)]) from e


def _stage(scenario: Scenario, waits: bool) -> Stage:
    _need_no_limits(scenario)
    hangs, named = hangs_apart(scenario)
    plans = named_specs(scenario, named)
    answering = [plan for plan in plans if not _is_hung(plan.name, plan.faults)]
    silent = len(plans) - len(answering)
    chosen = 0
    probability = 0.0
    match hangs:
        case Count():
            chosen = hangs.count
            if silent and chosen:
                raise NoOracleError("`count` may select servers that are hung already")
        case Probability():
            probability = hangs.probability
    law = _one([plan.rtt for plan in answering or plans], "rtt")
    enough = _enough(scenario, answering, waits=waits, never=waits and silent > 0)
    stage = Stage(law, enough, chosen, probability)
    try:
        stage.cdf(0.0)
    except ValueError as e:
        raise NoOracleError(str(e)) from e
    return stage


def _fork_join(scenario: Scenario, waits: bool) -> ForkJoin:
    workload = scenario.workload
    assert workload is not None
    arrivals = workload.arrivals
    if not isinstance(arrivals, Poisson):
        raise NoOracleError('downloads should begin as { kind = "poisson", rate = ... } says')
    if scenario.stop != "located":
        raise NoOracleError('a workload needs `stop = "located"`: reads keep servers busy')
    if workload.files is not None:
        raise NoOracleError("a workload should have one file, without [workload.files]")
    hangs, named = hangs_apart(scenario)
    plans = named_specs(scenario, named)
    if hangs is not None or any(_is_hung(plan.name, plan.faults) for plan in plans):
        raise NoOracleError("with a workload no server should be hung")
    if any(plan.connect for plan in plans):
        raise NoOracleError("a connection should take no time to set up: no `connect`")
    if any(plan.rtt != Constant(law="constant", value=0.0) for plan in plans):
        raise NoOracleError("with a workload round trips should take no time, only `service`")
    if scenario.grid.client_bandwidth or any(plan.bandwidth for plan in plans):
        raise NoOracleError("a bandwidth takes time of its own")
    services = [plan.service for plan in plans if plan.service is not None]
    if len(services) < len(plans) or any(plan.concurrency != 1 for plan in plans):
        raise NoOracleError("with a workload servers need a `service` and `concurrency = 1`")
    law = _one(services, "service")
    if not isinstance(law, Exponential):
        raise NoOracleError(f"`service` should be exponential, not {law.law}")
    if {(1, 1)} != set(_groups(plans)):
        raise NoOracleError("with a workload each server should hold one share of its own")
    enough = _enough(scenario, plans, waits=waits, never=False)
    k = enough.index(1.0)
    model = ForkJoin(len(plans), k, arrivals.rate, 1 / law.mean, purging=workload.cancel)
    if model.load >= 1:
        raise NoOracleError(f"the servers are given {model.load:.3g} times what they can do")
    return model


def _need_no_limits(scenario: Scenario) -> None:
    tables = scenario.grid, *scenario.servers
    if any(table.connect for table in tables):
        raise NoOracleError("a connection should take no time to set up: no `connect`")
    if any(table.service or table.bandwidth for table in tables) or scenario.grid.client_bandwidth:
        raise NoOracleError("of one download only `rtt` should take time: no service, no bandwidth")


def hangs_apart(scenario: Scenario) -> tuple[Count | Probability | None, list[Servers]]:
    """Return which servers hang at random, and the entries that select servers by name."""
    named: list[Servers] = []
    hangs: Count | Probability | None = None
    for entry in scenario.servers:
        if isinstance(entry.select, str):
            if hangs is not None and entry.faults is not None:
                raise NoOracleError("faults follow on those of servers that are drawn by the seed")
            named.append(entry)
        elif entry.select.group is not None:
            raise NoOracleError("servers that are drawn together do not hang independently")
        elif entry.select not in (Count(count=0), Probability(probability=0.0)):
            if hangs is not None:
                raise NoOracleError("servers are drawn by the seed twice")
            if entry.model_fields_set != {"select", "fault"} or not entry.faults:
                raise NoOracleError("servers that are drawn by the seed can only be hung")
            if _is_hung("a server that is drawn by the seed", entry.faults):
                hangs = entry.select
    return hangs, named


def named_specs(scenario: Scenario, entries: Sequence[Servers]) -> list[ServerSpec]:
    """Return the servers as given by entries that do not depend on the seed."""
    shares = dict.fromkeys(scenario.file.numbers, b"")
    return server_specs(scenario.model_copy(update={"servers": list(entries)}), 0, shares)


def _is_hung(name: str, faults: Sequence[Fault]) -> bool:
    """Return whether a server never answers a query; False if it behaves like a good one."""
    for fault in faults:
        if not isinstance(fault, Hung):
            raise NoOracleError(f"{name} has the fault {fault.kind!r}; it can only be hung")
        if fault.start or fault.end is not None or fault.rolling is not None:
            raise NoOracleError(f"{name} is hung for a time; it can only be so from 0 forever")
        if fault.of_connection or fault.shares is not None or fault.fails(0.0) < inf:
            raise NoOracleError(f"{name} is hung for some requests; it can only be so for all")
    return any(fault.holds("get_buckets") for fault in faults)


def _one(laws: Sequence[Law], key: str) -> Law:
    """Return the law that all servers share; raise `NoOracleError` if they differ."""
    others = [law for law in laws if law != laws[0]]
    if others:
        raise NoOracleError(f"all servers need the same `{key}`")
    return laws[0]


def _enough(
    scenario: Scenario, plans: Sequence[ServerSpec], *, waits: bool, never: bool
) -> Sequence[float]:
    """Return, for each m, the probability that the first m answers are enough; see `Stage`."""
    k, distinct = scenario.file.k, len({number for plan in plans for number in plan.shares})
    if never or distinct < k:
        return [0.0] * (len(plans) + 1)
    if waits:
        return [*[0.0] * len(plans), 1.0]
    if shared := _common(plans):
        raise NoOracleError(f"{shared} hold some shares in common, and others not")
    return covering(_groups(plans), k)


def _groups(plans: Sequence[ServerSpec]) -> Iterator[tuple[int, int]]:
    """Yield each group of servers with equal shares: the numbers of servers and of shares."""
    for shares, servers in Counter(tuple(plan.shares) for plan in plans).items():
        yield servers, len(shares)


def _common(plans: Sequence[ServerSpec]) -> str | None:
    """Name two servers that have some shares in common, but not all; None without any."""
    holders: dict[int, ServerSpec] = {}
    for plan in plans:
        for number in plan.shares:
            other = holders.setdefault(number, plan)
            if other.shares != plan.shares:
                return f"{other.name} and {plan.name}"
    return None
