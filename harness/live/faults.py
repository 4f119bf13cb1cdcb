"""How a scenario's faults become real: by signals, in share files, on links, in servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf

from firstk.harness.grid.build import ServerSpec, server_specs
from firstk.harness.grid.files import GridFile
from firstk.scenarios.faults import (
    Broken,
    Corrupt,
    Disconnect,
    Empty,
    Fault,
    Flaky,
    Hung,
    ReadError,
    Slow,
    Truncated,
)
from firstk.scenarios.model import Scenario


def windows(fault: Fault, until: float) -> Iterator[tuple[float, float]]:
    """Yield the start and the end of a fault, for each time that it starts before `until`."""
    begin, over = fault.spell(0.0)
    while begin < until:
        yield begin, over
        begin, over = fault.spell(over)


def _is_whole(fault: Fault) -> bool:
    """Return whether the fault affects all requests."""
    return fault.shares is None and fault.affects("get_buckets") and fault.affects("read")


def stops(fault: Fault) -> bool:
    """Return whether the fault is made by SIGSTOP at its start and SIGCONT at its end."""
    return isinstance(fault, Hung) and _is_whole(fault)


def kills(fault: Fault) -> bool:
    """Return whether the fault is made by SIGKILL at its start."""
    forever = isinstance(fault, Broken | Disconnect) and fault.spell(0.0)[1] == inf
    return forever and _is_whole(fault)


def on_link(faults: Sequence[Fault]) -> list[Fault]:
    """Return the faults that the link implements."""
    return [fault for fault in faults if isinstance(fault, Slow)]


def in_server(faults: Sequence[Fault]) -> list[Fault]:
    """Return the faults that the server implements."""
    kinds = Hung | Broken | ReadError | Flaky
    return [
        fault
        for fault in faults
        if isinstance(fault, kinds) and not stops(fault) and not kills(fault)
    ]


def in_files(faults: Sequence[Fault], shares: Mapping[int, bytes], now: float) -> dict[int, bytes]:
    """Return the shares that a server's files contain at a time."""
    found = dict(shares)
    for fault in faults:
        if not fault.active(now):
            continue
        if isinstance(fault, Empty):
            found = {n: data for n, data in found.items() if n not in (fault.shares or found)}
        elif isinstance(fault, Corrupt | Truncated):
            found = {
                n: fault.alter(shares[n], 0, data) if fault.concerns("read", n) else data
                for n, data in found.items()
            }
    return found


def changes(faults: Sequence[Fault], until: float) -> list[float]:
    """Return the times at which a server's files change, up to `until`."""
    of_files = (fault for fault in faults if isinstance(fault, Empty | Corrupt | Truncated))
    times = {time for fault in of_files for window in windows(fault, until) for time in window}
    return sorted(time for time in times if 0 < time < until)


def not_live(scenario: Scenario, file: GridFile) -> Iterator[str]:
    """Yield a sentence for each feature of a scenario that a live grid does not support."""
    if scenario.workload is not None:
        yield "it has a [workload]: a live run is one download"
    if scenario.stop == "located":
        yield 'it has stop = "located": a live download is not stopped between its phases'
    if scenario.reads is not None:
        yield "it has [[reads]]: a live run is one download"
    if scenario.client is not None:
        yield "it has a [client]: a live client is this machine"
    if scenario.grid.subset is not None:
        yield "it has a `subset`: a live download connects to all servers"
    if scenario.grid.tied:
        yield "its queries are `tied`: live servers do not withdraw requests"
    for plan in server_specs(scenario, scenario.seed, file.shares):
        yield from _not_live(plan)


def _not_live(plan: ServerSpec) -> Iterator[str]:
    if plan.connect is not None:
        yield f"{plan.name}: real connections are set up by TCP, in its own time: no `connect`"
    if plan.machine is not None and (plan.service, plan.bandwidth) != (None, None):
        yield f"{plan.name}: processes of one machine {plan.machine!r} share no queue and no uplink"
    known = Broken | Corrupt | Disconnect | Empty | Flaky | Hung | ReadError | Slow | Truncated
    for fault in plan.faults:
        if not isinstance(fault, known):
            yield f"{plan.name}: no process, file or link has the fault {fault.kind!r}"
        elif fault.of_connection:
            yield f"{plan.name}: what a connection has carried sets nothing off, nor a reconnect"
        elif fault.fails(0.0) < inf:
            yield f"{plan.name}: a process that is stopped fails nothing: fails_after is impossible"
        elif isinstance(fault, Slow) and not _is_whole(fault):
            yield f"{plan.name}: a link is slow whatever it carries: slow has `on` or `shares`"
        elif isinstance(fault, Disconnect) and not kills(fault):
            yield f"{plan.name}: disconnect is SIGKILL, of a whole process and for good"
