"""One of Tahoe-LAFS's storage servers on a simulated host, and its faults.

The server, its HTTP and its share files are the real ones. Faults of requests happen at a door
before them, those of shares where they are read, all others to the host and its link.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.python.filepath import FilePath
from twisted.web.resource import Resource

from firstk.harness.grid.build import ServerSpec
from firstk.harness.kernel.rng import stream
from firstk.harness.net.host import Host
from firstk.harness.net.packet import Packet
from firstk.harness.run.door import Door
from firstk.scenarios.faults import Disconnect, Fault, Hung, Operation, Slow

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the code that they import is old, and not ours to fix
    from allmydata.storage.common import storage_index_to_dir
    from allmydata.storage.http_server import HTTPServer, listen_tls
    from allmydata.storage.server import StorageServer

#: The key and the certificate of all servers: of RSA, so that handshakes are of equal size. Made
#: once, for this: whoever has firstk has the key.
_PEM = FilePath(str(Path(__file__).with_name("storage_server.pem")))

_SWISSNUM = b"firstk"


class HTTPSServer:
    """A storage server that a host runs, with the shares and the faults of a `ServerSpec`."""

    def __init__(self, host: Host, plan: ServerSpec, seed: int) -> None:
        self.host = host
        self.name = plan.name
        self.faults = plan.faults
        self.entry = plan.entry
        self._plan = plan
        self._chances = stream(seed, plan.name, "faults over HTTPS")
        self._work = stream(seed, plan.name, "service over HTTPS")
        self._met: set[int] = set()

    def listen(self, folder: Path, storage_index: bytes, shares: dict[int, bytes]) -> Deferred[Any]:
        """Serve shares from files in a folder; return a Deferred of the server's NURL."""

        def begin() -> Deferred[Any]:
            storage = _storage(self, folder)
            place = Path(storage.sharedir) / storage_index_to_dir(storage_index)
            place.mkdir(parents=True)
            for number, data in shares.items():
                (place / str(number)).write_bytes(_contained(data))
            server = _with_door(self.host.reactor, storage, self._door)
            endpoint = TCP4ServerEndpoint(self.host.reactor, 8080)
            listening: Deferred[Any] = listen_tls(server, self.name, endpoint, _PEM, _PEM)
            return listening.addCallback(lambda found: found[0])

        return self.host.run(begin)

    def begin_faults(self, at: Callable[..., None], until: float) -> None:
        """Let the faults of the host begin and end; `at(time, function)` calls one later."""
        for fault in self.faults:
            if isinstance(fault, Hung) and _stops(fault):
                begin, end = self.host.freeze, self.host.thaw
            elif isinstance(fault, Disconnect):
                begin, end = self.host.refuse, self.host.accept
            else:
                continue
            for start, over in _spells(fault, until):
                at(start, begin)
                if over < inf:
                    at(over, end)

    def round_trip(self, time: float, rtt: float) -> float:
        """Return the round-trip time at a time, as changed by the faults, in seconds."""
        for fault in self.faults:
            if isinstance(fault, Slow) and fault.active(time):
                rtt = fault.round_trip(rtt)
        return rtt

    def met_faults(self, packets: Sequence[Packet] = ()) -> set[int]:
        """Return the places of the faults that something met, packets included."""
        times = [p.sent for p in packets if p.source == self.name or p.arrives is None]
        times += [p.arrives for p in packets if p.target == self.name and p.arrives is not None]
        on_the_way = {
            place
            for place, fault in enumerate(self.faults)
            if _of_host(fault) and any(map(fault.active, times))
        }
        return self._met | on_the_way

    # What `door.RequestFaults` names

    def now(self) -> float:
        """Return the seconds since the run began."""
        return self.host.reactor.seconds()

    def active(self, operation: Operation, share: int | None) -> Iterator[tuple[int, Fault]]:
        """Yield the faults that concern such a request now, each with its place."""
        now = self.now()
        for place, fault in enumerate(self.faults):
            if not _of_host(fault) and fault.active(now) and fault.concerns(operation, share):
                yield place, fault

    def met(self, place: int) -> None:
        """Record that a fault has met a request."""
        self._met.add(place)

    def chance(self, place: int) -> float:
        """Return what is drawn for a fault of the latest request."""
        return self._chances.random() if self.faults[place].stochastic else 1.0

    def _door(self, inner: Resource) -> Resource:
        door = Door(self.host.reactor, inner)
        door.begin(self, self._work, self._plan.service, self._plan.concurrency)
        return door


def _stops(fault: Hung) -> bool:
    """Return whether it is SIGSTOP at its start, and SIGCONT at its end."""
    return fault.shares is None and fault.affects("get_buckets") and fault.affects("read")


def _of_host(fault: Fault) -> bool:
    """Return whether a fault happens to the host or its link, not to single requests."""
    return isinstance(fault, Disconnect | Slow) or (isinstance(fault, Hung) and _stops(fault))


def _spells(fault: Fault, until: float) -> Iterator[tuple[float, float]]:
    """Yield the start and end of each occurrence of a fault that begins before `until`."""
    begin, over = fault.spell(0.0)
    while begin < until:
        yield begin, over
        begin, over = fault.spell(over) if over < inf else (inf, inf)


def _contained(share: bytes) -> bytes:
    """Return the file of a share: its version, its length up to 2004, the number of leases."""
    return struct.pack(">LLL", 1, len(share) % 2**32, 0) + share


def _with_door(reactor: Any, storage: Any, door: Callable[[Resource], Resource]) -> Any:
    """Return Tahoe-LAFS's HTTP server, with a door before it."""

    class Server(HTTPServer):  # type: ignore[misc]  # it has no types
        def get_resource(self) -> Resource:
            return door(super().get_resource())

    return Server(reactor, storage, _SWISSNUM)


def _storage(server: HTTPSServer, folder: Path) -> Any:
    """Return Tahoe-LAFS's storage server, whose shares have the faults of a server."""

    class Storage(StorageServer):  # type: ignore[misc]  # it has no types
        def get_buckets(self, storage_index: bytes) -> dict[int, Any]:
            found: dict[int, Any] = super().get_buckets(storage_index)
            shown: Sequence[int] = list(found)
            for place, fault in server.active("get_buckets", None):
                left = fault.buckets(shown)
                if len(left) < len(shown):
                    server.met(place)
                shown = left
            return {number: _Share(server, number, found[number]) for number in shown}

    return Storage(str(folder), server.name.encode().rjust(20), clock=server.host.reactor)


class _Share:
    """A share that is read from a file, as its server's faults show it."""

    def __init__(self, server: HTTPSServer, number: int, bucket: Any) -> None:
        self._server = server
        self._number = number
        self._bucket = bucket
        self._data: bytes | None = None

    def _whole(self) -> bytes:
        if self._data is None:
            self._data = self._bucket.read(0, self._bucket.get_length())
        return self._data

    def get_length(self) -> int:
        """Return how many bytes it has."""
        faults = list(self._server.active("read", self._number))
        if not faults:
            return int(self._bucket.get_length())
        shown = self._whole()
        for place, fault in faults:
            before, shown = shown, fault.alter(self._whole(), 0, shown)
            if len(shown) < len(before):
                self._server.met(place)
        return len(shown)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of it."""
        data: bytes = self._bucket.read(offset, length)
        for place, fault in self._server.active("read", self._number):
            before, data = data, fault.alter(self._whole(), offset, data)
            if data != before:
                self._server.met(place)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)
