"""A scenario's grid as real processes: storage servers, and a proxy that acts as their links."""

from __future__ import annotations

import os
import shutil
import signal
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstk.downloader.cap import to_base32
from firstk.downloader.http import NURL, parse_nurl
from firstk.harness.grid.build import ServerSpec
from firstk.harness.grid.files import GridFile
from firstk.harness.live.faults import changes, in_files, in_server, kills, on_link, stops, windows
from firstk.harness.live.processes import Keeper, Process
from firstk.harness.live.proxy import LinkSettings
from firstk.scenarios.laws import Constant

_LOOPBACK = "127.0.0.1"

#: The law of a link without delay.
_AT_ONCE = Constant(law="constant", value=0.0)


@dataclass(slots=True)
class _Server:
    """One server: its process while it lives, and its address."""

    name: str
    folder: Path
    process: Process
    target: tuple[str, int] = ("", 0)
    pin: bytes = b""
    swissnum: str = ""
    alive: bool = True


class LiveGrid:
    """Real storage servers named s0, s1, ..., each behind a link of its own.

    All of them are good, and their links have no delay, before `begin` and after `calm`. `nurls`
    has the addresses of the servers for their clients. Close the `keeper` to end all processes.
    Raises `LiveError`.
    """

    def __init__(self, keeper: Keeper, servers: int) -> None:
        self._keeper = keeper
        self._servers: list[_Server] = []
        for number in range(servers):
            folder = keeper.folder / f"s{number}"
            folder.mkdir()
            self._servers.append(_Server(folder.name, folder, self._start(folder)))
        self._proxy = keeper.start("proxy", names=[one.name for one in self._servers])
        for one in self._servers:
            self._hear(one)
        ports: Sequence[int] = self._proxy.hear()
        self.nurls = {
            one.name: NURL(one.pin, _LOOPBACK, port, one.swissnum)
            for one, port in zip(self._servers, ports, strict=True)
        }
        self.calm()

    @property
    def processes(self) -> dict[str, int]:
        """The process IDs of the servers."""
        return {one.name: one.process.pid for one in self._servers}

    def _start(self, folder: Path) -> Process:
        return self._keeper.start("server", name=folder.name, folder=str(folder), host=_LOOPBACK)

    def _hear(self, one: _Server) -> None:
        """Wait until a server listens."""
        nurl = parse_nurl(one.process.hear())
        one.target, one.pin, one.swissnum = (nurl.host, nurl.port), nurl.pin, nurl.swissnum
        one.alive = True

    def calm(self) -> None:
        """Make all servers good, including stopped and dead ones, and remove link delays."""
        gone = [one for one in self._servers if not one.alive]
        for one in self._servers:
            if one.alive:
                one.process.send(signal.SIGCONT)
            else:
                one.process = self._start(one.folder)
        for one in gone:
            self._hear(one)
        for one in self._servers:
            one.process.tell()
        self._proxy.tell(
            seed=0, settings=[LinkSettings(one.target, _AT_ONCE) for one in self._servers]
        )

    def store(self, file: GridFile, plans: Sequence[ServerSpec]) -> None:
        """Store the unaltered shares of a file, and no others, as the plans place them."""
        for one, plan in zip(self._servers, plans, strict=True):
            shares = {number: file.shares[number] for number in plan.shares}
            self._write(one, file.cap.storage_index, shares)

    def begin(
        self,
        file: GridFile,
        plans: Sequence[ServerSpec],
        seed: int,
        later: Callable[[float, Callable[[], None]], Any],
        until: float,
        client_bandwidth: float | None = None,
    ) -> None:
        """Apply the plans' faults and delays to servers and links from now on, for `until` seconds.

        `later(delay, function)` must schedule a function, `delay` seconds from now.
        """
        links = []
        for one, plan in zip(self._servers, plans, strict=True):
            one.process.tell(
                faults=in_server(plan.faults),
                service=plan.service,
                concurrency=plan.concurrency,
                seed=seed,
            )
            link = plan.rtt, plan.rtt_per, plan.bandwidth, on_link(plan.faults)
            links.append(LinkSettings(one.target, *link))
        self._proxy.tell(seed=seed, settings=links, client_bandwidth=client_bandwidth)
        for one, plan in zip(self._servers, plans, strict=True):
            for time, act in self._acts(one, plan, file, until):
                if time <= 0:
                    act()
                else:
                    later(time, act)

    def _acts(
        self, one: _Server, plan: ServerSpec, file: GridFile, until: float
    ) -> Iterator[tuple[float, Callable[[], None]]]:
        """Yield the actions on a server, each with its time."""
        index, faults = file.cap.storage_index, plan.faults
        shares = {number: file.shares[number] for number in plan.shares}

        def write(time: float) -> Callable[[], None]:
            return lambda: self._write(one, index, in_files(faults, shares, time))

        if in_files(faults, shares, 0.0) != shares:
            yield 0.0, write(0.0)
        for time in changes(faults, until):
            yield time, write(time)
        for fault in faults:
            for begin, over in windows(fault, until):
                if stops(fault):
                    yield begin, lambda: self._signal(one, signal.SIGSTOP)
                    if over < until:
                        yield over, lambda: self._signal(one, signal.SIGCONT)
                elif kills(fault):
                    yield begin, lambda: self._signal(one, signal.SIGKILL)

    def _signal(self, one: _Server, number: signal.Signals) -> None:
        one.process.send(number)
        one.alive = one.alive and number != signal.SIGKILL

    def _write(self, one: _Server, storage_index: bytes, shares: Mapping[int, bytes]) -> None:
        """Give a server these shares of a file, in containers as Tahoe-LAFS writes them."""
        name = to_base32(storage_index)
        fresh = one.folder / "fresh"
        fresh.mkdir()
        for number, data in shares.items():
            # A version 1 container: its version, the length before 2004, and the number of leases.
            head = struct.pack(">LLL", 1, len(data), 0)
            (fresh / str(number)).write_bytes(head + data)
        place = one.folder / "shares" / name[:2] / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            os.rename(place, one.folder / "stale")
        os.rename(fresh, place)
        shutil.rmtree(one.folder / "stale", ignore_errors=True)
