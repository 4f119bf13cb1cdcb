"""Exact values of what the experiments with published numbers measure.

They are computed from the scenario's parameters alone, by closed forms and quadrature. A scenario
is matched by its contents, as in `firstk.harness.sweep.oracle`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from math import comb, factorial

from scipy import stats

from firstk.downloader.strategy import find_strategy
from firstk.harness.grid.build import ServerSpec
from firstk.harness.stats.race import Race, Runners
from firstk.harness.stats.theory import distribution, mean_of_kth
from firstk.harness.sweep.oracle import NoOracleError, hangs_apart, named_specs
from firstk.scenarios.faults import Empty
from firstk.scenarios.laws import Constant, Exponential, Law, ShiftedExponential
from firstk.scenarios.model import Scenario
from firstk.scenarios.selection import Count, Probability
from firstk.scenarios.workload import Poisson


def exact(scenario: Scenario, strategy: str, measure: str) -> float:
    """Return the exact value of a measure; times are in seconds.

    Raises `NoOracleError` if it is not known.
    """
    if scenario.workload is not None:
        if measure != "mean":
            raise NoOracleError("of a workload only the mean is known")
        return _mean_under_load(scenario)
    if scenario.grid.subset is not None:
        return _sees_a_version(scenario)
    race = _race(scenario, strategy)
    match measure:
        case "mean":
            return race.mean
        case "located":
            return race.cdf(scenario.deadline)
        case "late":
            return 1 - race.cdf(scenario.deadline)
        case "extra queries":
            return _extra_queries(race, find_strategy(strategy).delay)
    return race.quantile(quantile_of(measure))


def quantile_of(measure: str) -> float:
    """Return the quantile that a measure such as p99.9 means."""
    return float(measure.removeprefix("p")) / 100


def as_printed(kind: str, scenario: Scenario, strategy: str, measure: str) -> float:
    """Return what a misprinted number is instead; see `Misprint`."""
    if kind == "no-delay":
        return exact(scenario, strategy.partition(",")[0], measure)
    hangs, _ = hangs_apart(scenario)
    assert isinstance(hangs, Probability)
    lost = scenario.file.n - scenario.file.k
    return float(stats.poisson.cdf(lost, scenario.file.n * hangs.probability))


# One download


def _race(scenario: Scenario, strategy: str) -> Race:
    """Return the race of the queries of a download, each to a server with a share of its own."""
    hangs, named = hangs_apart(scenario)
    if isinstance(hangs, Count):
        raise NoOracleError("servers that hang should do so independently")
    silent = 0.0 if hangs is None else hangs.probability
    specs, delay = named_specs(scenario, named), find_strategy(strategy).delay
    if find_strategy(strategy).locating_ends == "all-answered":
        return Race(len(specs), _runners(specs, lambda place: 0.0, silent))
    k = scenario.file.k
    if any(spec.faults for spec in specs):
        raise NoOracleError("only servers that are drawn by the seed may hang")
    held = [number for spec in specs for number in spec.shares]
    if scenario.grid.servers > 1 and len(held) > len({s.name for s in specs if s.shares}):
        raise NoOracleError("each server should hold one share at most")
    if delay and any(not spec.shares for spec in specs[:k]):
        raise NoOracleError("each of the first servers should hold a share")
    holders = [spec for spec in specs if spec.shares]
    enough = k if scenario.grid.servers > 1 else 1
    return Race(enough, _runners(holders, lambda place: 0.0 if place < k else delay, silent))


def _runners(
    specs: Sequence[ServerSpec], start: Callable[[int], float], silent: float
) -> list[Runners]:
    """Return the queries to some servers, grouped by what they have in common."""
    each = [(spec.rtt, start(place)) for place, spec in enumerate(specs)]
    return [
        Runners(len(list(alike)), law, begins, silent) for (law, begins), alike in groupby(each)
    ]


def _extra_queries(race: Race, delay: float) -> float:
    """Return the mean number of queries that are sent after the delay."""
    first, later = race.runners
    return later.count * (1 - Race(race.k, [first]).cdf(delay))


def _sees_a_version(scenario: Scenario) -> float:
    """Return the probability that a read sees one of the last versions.

    Each version is on some servers that are drawn at random, and the read is from a subset of
    all. Bailis et al., Probabilistically Bounded Staleness, VLDB 2012, section 3.1.
    """
    read, servers = scenario.grid.subset or 0, scenario.grid.servers
    first, versions = scenario.servers[:1], scenario.servers[1:]
    counts = [entry.select.count for entry in versions if isinstance(entry.select, Count)]
    faults = [type(fault) for entry in first for fault in entry.faults or ()]
    empty = faults == [Empty] and first[0].select == "all"
    plain = all(entry.faults == [] for entry in versions) and len(counts) == len(versions)
    if not (empty and plain and scenario.file.k == 1):
        raise NoOracleError("with a subset, each entry should put one version on some servers")
    missed = 1.0
    for count in counts:
        missed *= comb(servers - count, read) / comb(servers, read)
    return 1 - missed


# A load


def _mean_under_load(scenario: Scenario) -> float:
    """Return the mean time of one answer, from servers that do one request at a time."""
    workload, grid = scenario.workload, scenario.grid
    assert workload is not None
    arrivals, service, n = workload.arrivals, grid.service, grid.servers
    if not isinstance(arrivals, Poisson) or service is None or grid.concurrency != 1:
        raise NoOracleError("requests should come at random, to servers that do one at a time")
    if scenario.file.k != 1 or scenario.servers or scenario.file.n != n:
        raise NoOracleError("one answer of servers that are alike should be enough")
    rate, copies = arrivals.rate, grid.subset or n
    if grid.tied and copies == n:
        return _one_queue(rate, n, service)
    if workload.cancel and not grid.tied:
        return _canceled(rate, n, copies, service)
    if not grid.tied and copies in (1, 2):
        return _kept(rate, n, copies, service)
    raise NoOracleError("the mean of these copies is not known")


def _one_queue(rate: float, n: int, service: Law) -> float:
    """Return the mean of M/M/n: its waiting time is Erlang's C formula."""
    mean = _exponential_mean(service)
    offered = rate * mean
    busy = offered / n
    all_busy = offered**n / factorial(n) / (1 - busy)
    waits = all_busy / (sum(offered**i / factorial(i) for i in range(n)) + all_busy)
    return mean + waits * mean / (n - offered)


def _canceled(rate: float, n: int, copies: int, service: Law) -> float:
    """Return the mean if the other copies are dropped when one is done.

    With copies on all servers this is M/G/1, with the least of n service times (Pollaczek and
    Khinchine; Joshi, Soljanin and Wornell, Efficient Redundancy Techniques for Latency Reduction
    in Cloud Systems, 2017, theorem 1). With exponential times on some servers: Gardner et al.,
    Redundancy-d, Operations Research 65, 2017, theorem 1.
    """
    if copies == n and isinstance(service, Exponential | ShiftedExponential):
        mean = mean_of_kth(service, 1, n)
        spread = service.mean / n
        return mean + rate * (mean**2 + spread**2) / (2 * (1 - rate * mean))
    speed = 1 / _exponential_mean(service)
    return sum(
        1 / (n * speed * comb(n - 1, copies - 1) / comb(i - 1, copies - 1) - rate)
        for i in range(copies, n + 1)
    )


def _kept(rate: float, n: int, copies: int, service: Law) -> float:
    """Return the mean if all copies are processed; for two copies, in the limit of many servers.

    One copy: M/G/1. Two copies: Vulimiri et al., Low Latency via Redundancy, CoNEXT 2013, theorem
    1; the response times of two servers are exponential, and independent in the limit.
    """
    if copies == 2:
        mean = _exponential_mean(service)
        return mean / (1 - 2 * rate / n * mean) / 2
    each = rate / n
    if isinstance(service, Constant):
        mean, variance = service.value, 0.0
    else:
        of = distribution(service)
        mean, variance = float(of.mean()), float(of.var())
    return mean + each * (mean**2 + variance) / (2 * (1 - each * mean))


def _exponential_mean(service: Law) -> float:
    if not isinstance(service, Exponential):
        raise NoOracleError("the service times should be exponential")
    return service.mean
