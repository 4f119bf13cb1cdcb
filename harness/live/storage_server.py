"""A process with one of Tahoe-LAFS's storage servers, behind its HTTP server."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from allmydata.storage.http_server import HTTPServer, listen_tls
from allmydata.storage.server import StorageServer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.python.filepath import FilePath
from twisted.web.resource import Resource

from firstk.harness.grid.timing import FaultDraws
from firstk.harness.kernel.rng import stream
from firstk.harness.live.mailbox import Mailbox
from firstk.harness.run.door import Door
from firstk.scenarios.faults import Fault, Operation
from firstk.scenarios.laws import Law

_SWISSNUM = b"firstk"


def serve(channel: Connection, name: str, folder: str, host: str) -> None:
    """Serve the shares in a folder until the channel is closed; report the NURL when ready."""
    from twisted.internet import reactor as found

    reactor: Any = found
    doors: list[Door] = []

    def begin(
        faults: Sequence[Fault] = (),
        service: Law | None = None,
        concurrency: int | None = None,
        seed: int = 0,
    ) -> None:
        run = _Run(reactor, faults, FaultDraws(faults, seed, name))
        doors[0].begin(run, stream(seed, name, "service"), service, concurrency)

    class Server(HTTPServer):  # type: ignore[misc]  # it has no types
        def get_resource(self) -> Resource:
            doors.append(Door(reactor, super().get_resource()))
            begin()
            return doors[0]

    def ready(listening: Any) -> None:
        nurl, _ = listening
        channel.send(str(nurl.to_text()))
        Mailbox(reactor, channel, begin)

    storage = StorageServer(folder, name.encode().rjust(20))
    pem = FilePath(str(_certificate(Path(folder) / "server.pem")))
    endpoint = TCP4ServerEndpoint(reactor, 0, interface=host)
    server = Server(reactor, storage, _SWISSNUM)
    listen_tls(server, host, endpoint, pem, pem).addCallback(ready)
    reactor.run(installSignalHandlers=False)


def _certificate(path: Path) -> Path:
    """Create a key and a self-signed certificate, unless they exist already."""
    if path.exists():
        return path
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "firstk")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    day = datetime.timedelta(days=1)
    made = builder.not_valid_before(now - day).not_valid_after(now + 365 * day).sign(key, SHA256())
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.public_bytes(Encoding.PEM)
    )
    return path


class _Run:
    """The faults of one run, which need no signal to the process; see `RequestFaults`.

    As many random numbers are drawn for a request as in a simulation, and the same ones.
    """

    def __init__(self, reactor: Any, faults: Sequence[Fault], draws: FaultDraws) -> None:
        self._reactor = reactor
        self._start = reactor.seconds()
        self._faults = faults
        self._draws = draws
        self._chances: Sequence[float] = ()

    def now(self) -> float:
        """Return the seconds since the run began."""
        return float(self._reactor.seconds() - self._start)

    def active(self, operation: Operation, share: int | None) -> Iterator[tuple[int, Fault]]:
        """Yield the faults that concern such a request now, each with its place."""
        now = self.now()
        self._chances = self._draws.draw()
        for place, fault in enumerate(self._faults):
            if fault.active(now) and fault.concerns(operation, share):
                yield place, fault

    def met(self, place: int) -> None:
        """Record nothing: the simulated run shows what faults meet."""

    def chance(self, place: int) -> float:
        """Return what is drawn for a fault of the latest request."""
        return self._chances[place]
