"""A process with one of Tahoe-LAFS's storage servers, behind its HTTP server."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from math import inf
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from allmydata.storage.http_server import HTTPServer, listen_tls
from allmydata.storage.server import StorageServer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.python.filepath import FilePath
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from firstk.harness.kernel.rng import stream
from firstk.harness.live.mailbox import Mailbox
from firstk.scenarios.faults import Fault, Operation
from firstk.scenarios.laws import Law

_SWISSNUM = b"firstk"


def serve(channel: Connection, name: str, folder: str, host: str) -> None:
    """Serve the shares in a folder until the channel is closed; report the NURL when ready."""
    from twisted.internet import reactor as found

    reactor: Any = found
    doors: list[_Door] = []

    class Server(HTTPServer):  # type: ignore[misc]  # it has no types
        def get_resource(self) -> Resource:
            doors.append(_Door(reactor, name, super().get_resource()))
            return doors[0]

    def ready(listening: Any) -> None:
        nurl, _ = listening
        channel.send(str(nurl.to_text()))
        Mailbox(reactor, channel, doors[0].begin)

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


class _Door(Resource):
    """What a request passes before the server: queues, and faults that need no signal."""

    isLeaf = True

    def __init__(self, reactor: Any, name: str, inner: Resource) -> None:
        super().__init__()
        self._reactor = reactor
        self._name = name
        self._inner = inner
        self.begin()

    def begin(
        self,
        faults: Sequence[Fault] = (),
        service: Law | None = None,
        concurrency: int | None = None,
        seed: int = 0,
    ) -> None:
        """Begin a run: count the times of faults from now, and delay requests as configured."""
        self._start = self._reactor.seconds()
        self._faults = faults
        self._service = service
        self._queue = DeferredSemaphore(concurrency) if concurrency else None
        self._chances = stream(seed, self._name, "live")

    def render(self, request: Request) -> Any:
        """Pass a request on, after its time in the queue."""
        if self._service is None:
            return self._answer(request)
        seconds = self._service.sample(self._chances)

        def work() -> Any:
            return deferLater(self._reactor, seconds, lambda: None)

        worked = work() if self._queue is None else self._queue.run(work)
        worked.addCallback(lambda _: self._answer_later(request))
        return NOT_DONE_YET

    def _answer_later(self, request: Request) -> None:
        if not request._disconnected:
            answer = self._answer(request)
            if answer is not NOT_DONE_YET:
                request.write(answer)
                request.finish()

    def _answer(self, request: Request) -> Any:
        *_, last = request.path.split(b"/")
        operation: Operation = "get_buckets" if last == b"shares" else "read"
        share = int(last) if last.isdigit() else None
        now = self._reactor.seconds() - self._start
        for fault in self._faults:
            if not fault.active(now) or not fault.concerns(operation, share):
                continue
            if fault.holds(operation):
                over = fault.spell(now)[1]
                if over < inf:
                    self._reactor.callLater(over - now, self._answer_later, request)
                return NOT_DONE_YET
            chance = self._chances.random() if fault.stochastic else 1.0
            if (why := fault.failure(operation, chance)) is not None:
                request.setResponseCode(500, why.encode())
                return b""
        return self._inner.render(request)
