"""The transports between downloader and servers, and their limitations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

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
from firstk.scenarios.selection import MACHINE

if TYPE_CHECKING:
    from firstk.scenarios.model import Scenario

#: Either requests to objects, each with a round-trip time of its own; or Tahoe-LAFS's HTTP servers
#: and HTTP client over simulated TCP and TLS.
Transport = Literal["objects", "tahoe-https"]

OBJECTS: Transport = "objects"
TAHOE_HTTPS: Transport = "tahoe-https"

_KNOWN = Broken | Corrupt | Disconnect | Empty | Flaky | Hung | ReadError | Slow | Truncated


def transport_problems(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield the keys of a scenario that its transport does not support, each with the problem."""
    if scenario.grid.transport != TAHOE_HTTPS:
        return
    no = f'is impossible with transport = "{TAHOE_HTTPS}"'
    if scenario.workload is not None:
        yield "workload", f"{no}: it is for one download"
    if scenario.stop == "located":
        yield "stop", f"{no}: Tahoe-LAFS's client cannot be stopped between its phases"
    if scenario.client is not None:
        yield "client", f"{no}: only a network of objects has a client with troubles"
    if scenario.grid.connect is not None:
        yield "grid.connect", f"{no}: connections are set up by TCP and TLS"
    if scenario.grid.client_bandwidth is not None:
        yield "grid.client_bandwidth", f"{no}: each pair of hosts has a link of its own"
    if scenario.grid.subset is not None:
        yield "grid.subset", f"{no}: the client connects to all servers"
    if scenario.grid.tied:
        yield "grid.tied", f"{no}: Tahoe-LAFS's servers do not withdraw requests"
    if MACHINE in (scenario.grid.groups or {}):
        yield f"grid.groups.{MACHINE}", f"{no}: each server is a host of its own"
    for i, entry in enumerate(scenario.servers):
        if entry.machine is not None:
            yield f"servers.{i}.machine", f"{no}: each server is a host of its own"
        if entry.connect is not None:
            yield f"servers.{i}.connect", f"{no}: connections are set up by TCP and TLS"
        for fault in entry.faults or ():
            if problem := _fault_problem(fault):
                yield f"servers.{i}.fault", f"{fault.kind!r} {no}: {problem}"


def _fault_problem(fault: Fault) -> str | None:
    if not isinstance(fault, _KNOWN):
        return "no host, link or share has it"
    if fault.of_connection:
        return "what a connection has carried sets nothing off"
    if getattr(fault, "fails_after", None) is not None:
        return "a frozen host fails nothing"
    scoped = fault.shares is not None or "on" in fault.model_fields_set
    if isinstance(fault, Slow | Disconnect) and scoped:
        return "a link is slow, and a connection lost, whatever it is used for"
    return None
