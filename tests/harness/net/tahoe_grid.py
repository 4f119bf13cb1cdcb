"""Tahoe-LAFS 1.20 on a simulated network: its storage servers, its client, its downloader."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IConsumer
from twisted.python.filepath import FilePath
from zope.interface import implementer

from firstk.downloader.encode import Encoded
from firstk.harness.net.host import Host
from firstk.harness.net.network import Network
from tests.harness.net.programs import PEM, Outcome, outcome

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # their imports are old
    from allmydata import uri
    from allmydata.immutable import filenode
    from allmydata.storage.common import storage_index_to_dir
    from allmydata.storage.http_client import StorageClientFactory
    from allmydata.storage.http_server import HTTPServer, listen_tls
    from allmydata.storage.server import StorageServer
    from allmydata.storage_client import _HTTPStorageServer

_SWISSNUM = b"swissnum"


def serve(host: Host, folder: Path, storage_index: bytes, shares: dict[int, bytes]) -> Any:
    """Serve shares from files as a storage server does; return a Deferred of its NURL."""

    def begin() -> Any:
        server = StorageServer(str(folder), host.name.encode().rjust(20), clock=host.reactor)
        shares_folder = Path(server.sharedir) / storage_index_to_dir(storage_index)
        shares_folder.mkdir(parents=True)
        for number, data in shares.items():
            # A version 1 container: its version, the length before 2004, and the number of leases.
            head = struct.pack(">LLL", 1, len(data), 0)
            (shares_folder / str(number)).write_bytes(head + data)
        http = HTTPServer(host.reactor, server, _SWISSNUM)
        endpoint = TCP4ServerEndpoint(host.reactor, 8080)
        pem = FilePath(str(PEM))
        return listen_tls(http, host.name, endpoint, pem, pem)

    return host.run(begin)


class _Server:
    """A server as the downloader sees it."""

    def __init__(self, host: Host, storage: Any) -> None:
        self._name = host.name.encode()
        self._storage = storage

    def get_name(self) -> bytes:
        """Return its name in logs."""
        return self._name

    def get_version(self) -> dict[bytes, Any]:
        """Return the features that all servers of the last fifteen years have."""
        protocol = b"http://allmydata.org/tahoe/protocols/storage/v1"
        return {protocol: {b"tolerates-immutable-read-overrun": True}}

    def get_storage_server(self) -> Any:
        """Return the object that speaks the storage protocol."""
        return self._storage


class _Broker:
    """Knows the servers, in the order in which to ask them."""

    def __init__(self, servers: Sequence[_Server]) -> None:
        self._servers = servers

    def get_servers_for_psi(self, storage_index: bytes) -> Sequence[_Server]:
        """Return the servers."""
        return self._servers


@implementer(IConsumer)
class Consumer:
    """Keeps the bytes, and the time of the first one."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.data = b""
        self.first: float | None = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Accept any producer."""
        if not streaming:
            raise NotImplementedError

    def unregisterProducer(self) -> None:
        """Do nothing."""

    def write(self, data: bytes) -> None:
        """Keep some bytes."""
        if self.first is None:
            self.first = self.host.reactor.seconds()
        self.data += data


class TahoeGrid:
    """Storage servers on hosts s0, s1, ..., and a client.

    Server i has share i, unless `holders` gives the servers that have shares 0, 1, ....
    """

    def __init__(
        self,
        folder: Path,
        file: Encoded,
        servers: int = 10,
        holders: Sequence[int] | None = None,
        **network: Any,
    ) -> None:
        self.net = Network(**network)
        self.file = file
        self.servers = [self.net.host(f"s{number}") for number in range(servers)]
        self.client = self.net.host("client")
        index = file.cap.storage_index
        held: dict[int, dict[int, bytes]] = {number: {} for number in range(servers)}
        for share, holder in enumerate(range(servers) if holders is None else holders):
            held[holder][share] = file.shares[share]
        listening = [
            serve(host, folder / host.name, index, held[number])
            for number, host in enumerate(self.servers)
        ]
        self.nurls = [nurl for nurl, _ in self.net.wait(gatherResults(listening))]

    def download(self) -> tuple[Consumer, Outcome]:
        """Start a download with Tahoe's own downloader; it has no connections yet."""

        def begin() -> tuple[Consumer, Outcome]:
            consumer = Consumer(self.client)
            factory = StorageClientFactory({"tcp": "tcp"}, None)
            clients = [
                factory.create_storage_client(nurl, self.client.reactor) for nurl in self.nurls
            ]
            made: Deferred[Any] = gatherResults([ensureDeferred(one) for one in clients])
            made.addCallback(self._read, consumer)
            return consumer, outcome(self.client, made)

        return self.client.run(begin)

    def _read(self, clients: Sequence[Any], consumer: Consumer) -> Any:
        broker = _Broker(
            [
                _Server(host, _HTTPStorageServer.from_http_client(client))
                for host, client in zip(self.servers, clients, strict=True)
            ]
        )
        cap = uri.from_string(str(self.file.cap).encode())
        node = filenode.ImmutableFileNode(cap, broker, None, None, None)
        node._cnode._maybe_create_download_node()
        # Its own set of shares depends on object addresses, which are the hashes of its elements.
        node._cnode._node._shares = _OrderedSet()
        return node.read(consumer)


class _OrderedSet(dict[Any, None]):
    def update(self, items: Any) -> None:  # type: ignore[override]
        super().update(dict.fromkeys(items))
