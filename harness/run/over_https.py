"""A download over Tahoe-LAFS's own HTTP servers and client, on a simulated network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.defer import Deferred, gatherResults

from firstk.harness.grid.build import ServerSpec, in_download_order, server_specs
from firstk.harness.grid.files import GridFile
from firstk.harness.grid.server import SimServer
from firstk.harness.grid.trace import Trace
from firstk.harness.grid.untriggered import Unmet, untriggered_faults
from firstk.harness.kernel.rng import stream
from firstk.harness.net.network import Network
from firstk.harness.net.packet import Packet
from firstk.harness.run.download import DownloadOutcome, SimulatedDownload
from firstk.harness.run.https_client import HTTPSClient
from firstk.harness.run.https_server import HTTPSServer
from firstk.harness.run.reads import SimulatedReads
from firstk.harness.run.round_trips import CLIENT
from firstk.harness.run.session import Session
from firstk.harness.run.under_test import DownloaderSpec
from firstk.scenarios.laws import Law
from firstk.scenarios.model import Scenario


@dataclass(frozen=True, slots=True)
class OverNetwork:
    """The record of the network: all packets, and the connections that were not answered.

    `stall` says why nothing was left to happen, if so: that is proven, or all that was left is
    housekeeping, which is named.
    """

    packets: Sequence[Packet]
    report: str
    stall: str = ""
    diagram: str = ""


@dataclass(slots=True)
class Played:
    """The data that is kept of a run."""

    trace: Trace
    outcomes: Sequence[DownloadOutcome]
    untriggered_faults: Unmet
    network: OverNetwork
    failures: list[BaseException] = field(default_factory=list)


def play(
    scenario: Scenario,
    strategy: DownloaderSpec,
    seed: int,
    file: GridFile,
    timeout: float | None,
) -> Played:
    """Run one download in virtual time, from Tahoe-LAFS's servers on hosts of their own."""
    net = Network(seed)
    net.timeout = timeout
    client = net.host(CLIENT)
    plans = server_specs(scenario, seed, file.shares)
    servers = [HTTPSServer(net.host(plan.name), plan, seed) for plan in plans]
    for server, plan in zip(servers, plans, strict=True):
        _link(net, server, plan, seed)
    with TemporaryDirectory(prefix="firstk-") as folder:
        index = file.cap.storage_index
        listening = [
            server.listen(Path(folder) / plan.name, index, {n: file.shares[n] for n in plan.shares})
            for server, plan in zip(servers, plans, strict=True)
        ]
        all_listening: Deferred[Any] = gatherResults(listening)
        nurls = dict(zip([p.name for p in plans], net.wait(all_listening), strict=True))
        https = HTTPSClient(client, nurls)
        # What they have in common with simulated servers, their names, is what an order takes.
        ordered = in_download_order(scenario, seed, file, cast(Any, servers))
        session = Session(
            *(scenario, seed, strategy, client.reactor, file, ordered),
            connect=lambda made: https.connect(made, [server.name for server in ordered]),
            enter=client.reactor.enter,
            sources=True,  # they take no time beside that of the protocol
        )
        for server in servers:
            server.begin_faults(net.at, scenario.deadline)
        played = _played(net, session, servers)
        client.run(https.end)
        return played


def _played(net: Network, session: Session, servers: Sequence[HTTPSServer]) -> Played:
    scenario, failures, why = session.scenario, list[BaseException](), ""
    reads = None if scenario.reads is None else SimulatedReads(session)
    net.at(net.now, SimulatedDownload(session).start if reads is None else reads.start)
    try:
        why = net.stalls(
            lambda: all(one.finished is not None for one in session.downloads), scenario.deadline
        )
    except BaseExceptionGroup as e:
        failures += e.exceptions
    except Exception as e:
        failures.append(e)
    session.drop_frames()
    failures += [error for _, host, error in net.logged if host == CLIENT]
    stall = why if why.startswith("nothing left") else ""
    if reads is not None:
        failures += reads.errors
        outcomes = reads.endings(bool(stall))
    else:
        outcomes = [one.ending(bool(stall)) for one in session.downloads]
    session.trace.closed = True
    packets = net.packets
    met = cast(Sequence[SimServer], [_Met(server, packets) for server in servers])
    return Played(
        session.trace,
        outcomes,
        untriggered_faults(scenario, met),
        OverNetwork(packets, net.report(), stall, net.diagram()),
        failures,
    )


class _Met:
    """A server as `untriggered_faults` looks at it."""

    def __init__(self, server: HTTPSServer, packets: Sequence[Packet]) -> None:
        self.name, self.faults, self.entry = server.name, server.faults, server.entry
        self.met_faults = partial(server.met_faults, packets)


@dataclass(frozen=True)
class _SlowedLaw:
    """The round-trip times of a server, with what its faults make of them."""

    law: Law
    server: HTTPSServer

    def sample(self, random: Random) -> float:
        """Draw one, in seconds."""
        return self.server.round_trip(self.server.host.reactor.seconds(), self.law.sample(random))


def _link(net: Network, server: HTTPSServer, plan: ServerSpec, seed: int) -> None:
    """Give a server its link to the client."""
    law: Any = plan.rtt
    if plan.rtt_per == "server":
        law = {"law": "constant", "value": plan.rtt.sample(stream(seed, plan.name, "rtt"))}
    net.link(CLIENT, server.name, rtt=law)
    for way in net.between(CLIENT, server.name):
        way.law = cast(Law, _SlowedLaw(way.law, server))
    if plan.bandwidth is not None:
        net.between(server.name, CLIENT)[0].bandwidth = plan.bandwidth
