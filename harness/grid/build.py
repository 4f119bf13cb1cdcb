"""Creation of the simulated servers of a run from a scenario and a seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha1
from typing import Literal, TypeVar

from firstk.harness.grid.files import GridFile
from firstk.harness.grid.link import Link, SharedChannel
from firstk.harness.grid.server import SimServer
from firstk.harness.grid.service import Service
from firstk.harness.grid.timing import FaultDraws
from firstk.harness.grid.wire import SetUp
from firstk.harness.kernel.environment import Environment
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.scenarios.faults import Fault
from firstk.scenarios.laws import Law
from firstk.scenarios.model import MadeUpFile, Scenario, groups_of
from firstk.scenarios.selection import MACHINE, Count, Probability, Select, ServerSet, selected

_T = TypeVar("_T")


@dataclass(slots=True)
class ServerSpec:
    """The settings of one server; see the keys of a scenario file."""

    name: str
    rtt: Law
    rtt_per: Literal["request", "server"]
    bandwidth: float | None
    service: Law | None
    concurrency: int | None
    connect: Law | None = None
    shares: list[int] = field(default_factory=list)
    shares_named: bool = False
    faults: Sequence[Fault] = ()
    entry: int | None = None  # the index of the entry in `[[servers]]` with its faults
    machine: str | None = None  # the machine that it shares with others


def make_servers(
    scenario: Scenario, seed: int, file: GridFile, reactor: SimReactor
) -> list[SimServer]:
    """Return the servers of a run, in the order in which the downloader receives them."""
    grid = scenario.grid
    env = reactor.env
    downlink = _line(env, grid.client_bandwidth)
    met: dict[int | None, set[int]] = defaultdict(set)
    machines: dict[str, tuple[SharedChannel | None, Service | None]] = {}

    def limits(plan: ServerSpec) -> tuple[SharedChannel | None, Service | None]:
        """Return a server's uplink and queue, which it shares with others on its machine."""
        if plan.machine is None:
            return _line(env, plan.bandwidth), service_of(env, plan, seed)
        uplink, beside = machines.get(plan.machine) or (_line(env, plan.bandwidth), None)
        service = service_of(env, plan, seed, beside)
        machines.setdefault(plan.machine, (uplink, service))
        return uplink, service

    servers = []
    for plan in server_specs(scenario, seed, file.shares):
        uplink, service = limits(plan)
        shares = {number: file.shares[number] for number in plan.shares}
        server = SimServer(
            reactor=reactor,
            name=plan.name,
            shares={file.cap.storage_index: shares},
            link=Link(plan.rtt, plan.rtt_per, seed, plan.name, uplink, downlink),
            service=service,
            faults=plan.faults,
            chances=FaultDraws(plan.faults, seed, plan.name),
            entry=plan.entry,
            met=met[plan.entry],
            set_up=set_up_of(plan, seed),
        )
        servers.append(server)
    return in_download_order(scenario, seed, file, servers)


def service_of(
    env: Environment, plan: ServerSpec, seed: int, beside: Service | None = None
) -> Service | None:
    """Return a server's request processing, sharing a queue with `beside` on the same machine.

    Return None if processing takes no time.
    """
    if plan.service is None:
        return None
    return Service(env, plan.service, plan.concurrency, seed, plan.name, beside)


def set_up_of(plan: ServerSpec, seed: int) -> SetUp | None:
    """Return the connection set-up of a server; None if it takes no time and never fails."""
    if plan.connect is None and not (
        plan.faults and any("connect" in (fault.on or ()) for fault in plan.faults)
    ):
        return None
    return SetUp(plan.connect, plan.faults, seed, plan.name)


def _line(env: Environment, bandwidth: float | None) -> SharedChannel | None:
    """Return a channel with this bandwidth; None if it is unlimited."""
    return None if bandwidth is None else SharedChannel(env, bandwidth)


def server_specs(scenario: Scenario, seed: int, shares: Mapping[int, bytes]) -> list[ServerSpec]:
    """Return the settings of each server: the grid's, changed by each entry in order."""
    grid = scenario.grid
    plans = [
        ServerSpec(
            f"s{i}",
            grid.rtt,
            grid.rtt_per,
            grid.bandwidth,
            grid.service,
            grid.concurrency,
            grid.connect,
        )
        for i in range(grid.servers)
    ]
    for number in shares:
        plans[number % grid.servers].shares.append(number)
    for number, name in _machines(scenario):
        plans[number].machine = name
    for i, entry in enumerate(scenario.servers):
        faults = entry.faults
        rolls = any(fault.rolling is not None for fault in faults or ())
        for place, chosen in _select(scenario, entry.select, f"select {i}", seed, plans):
            if faults is not None:
                chosen.entry = i
                chosen.faults = [f.rolled(place) for f in faults] if rolls else faults
            if entry.shares is not None:
                chosen.shares, chosen.shares_named = sorted(set(entry.shares)), True
            chosen.rtt = entry.rtt or chosen.rtt
            chosen.rtt_per = entry.rtt_per or chosen.rtt_per
            chosen.bandwidth = entry.bandwidth or chosen.bandwidth
            chosen.service = entry.service or chosen.service
            chosen.concurrency = entry.concurrency or chosen.concurrency
            chosen.connect = entry.connect or chosen.connect
    return plans


def _machines(scenario: Scenario) -> Iterator[tuple[int, str]]:
    """Yield each server that shares a machine with others, and the name of the machine."""
    grid = scenario.grid
    if MACHINE in (grid.groups or {}) or any(entry.machine for entry in scenario.servers):
        for machine in groups_of(MACHINE, grid, scenario.servers):
            if len(machine.servers) > 1:
                yield from ((number, machine.name) for number in machine.servers)


def _select(
    scenario: Scenario, select: Select, purpose: str, seed: int, plans: Sequence[ServerSpec]
) -> list[tuple[int, ServerSpec]]:
    """Return the servers that an entry selects, each with its place in the selection.

    Every server, or group, has its own random draw, so adding one does not change the others;
    except that, with a count, it may displace one of them.
    """
    if isinstance(select, str):
        return [(place, plans[i]) for place, i in enumerate(selected(select, len(plans)))]
    if select.group is None:
        drawn = [ServerSet(plan.name, (i,)) for i, plan in enumerate(plans)]
    else:
        drawn = groups_of(select.group, scenario.grid, scenario.servers)
    draws = [(_draw(seed, one.name, purpose), i) for i, one in enumerate(drawn)]
    if isinstance(select, Probability):
        chosen = [i for draw, i in draws if draw < select.probability]
    else:
        assert isinstance(select, Count)
        chosen = sorted(i for _, i in sorted(draws)[: select.count])
    return [(place, plans[n]) for place, i in enumerate(chosen) for n in drawn[i].servers]


def subset_of(scenario: Scenario, seed: int, number: int, servers: Sequence[_T]) -> Sequence[_T]:
    """Return the servers that download number `number` gets, of all in the grid.

    If the grid has a `subset`, they are drawn, in the order of the draws.
    """
    count = scenario.grid.subset
    if count is None:
        return servers
    random = stream(seed, "subset", str(number))
    left = list(servers)
    return [left.pop(int(random.random() * len(left))) for _ in range(count)]


@lru_cache(maxsize=10_000)  # other strategies and other points of a sweep draw the same
def _draw(seed: int, server: str, purpose: str) -> float:
    return stream(seed, server, purpose).random()


def tahoe_order(storage_index: bytes, servers: Sequence[SimServer]) -> list[SimServer]:
    """Return servers in Tahoe-LAFS's permuted order for a file; names are permutation seeds."""

    def key(server: SimServer) -> bytes:
        return sha1(storage_index + server.name.encode()).digest()  # noqa: S324

    return sorted(servers, key=key)


def in_download_order(
    scenario: Scenario, seed: int, file: GridFile, servers: list[SimServer]
) -> list[SimServer]:
    """Return servers in the order in which a downloader of this file receives them.

    A generated file is the same in all runs. For the permuted order, a random storage index is
    used, so that the order differs from run to run, as if each run had another file.
    """
    match scenario.grid.order:
        case "permuted":
            index = file.cap.storage_index
            if isinstance(scenario.file, MadeUpFile):
                index = stream(seed, "storage index").randbytes(16)
            return tahoe_order(index, servers)
        case "shuffled":

            def key(server: SimServer) -> bytes:
                return stream(seed, server.name, "order").randbytes(16)
        case "listed":
            return servers
    return sorted(servers, key=key)
