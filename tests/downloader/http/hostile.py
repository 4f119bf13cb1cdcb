"""Storage servers that follow a script, over TLS on hosts of a simulated network."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from firstk import Host, Network
from firstk.downloader.http import NURL, HTTPStorageServer, TimeLimits

#: The keys and certificates of two servers, made once, since new keys would differ.
ONE = Path(__file__).parents[2] / "harness" / "net" / "server.pem"
OTHER = Path(__file__).parent / "other.pem"

SWISSNUM = "swissnum"
INDEX = bytes(range(16))


@cache
def pin_of(pem: Path) -> bytes:
    """Return the SHA-256 of the public key of a certificate."""
    key = load_pem_x509_certificate(pem.read_bytes()).public_key()
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


@implementer(IOpenSSLServerConnectionCreator)
class Context:
    """The TLS context of a server with one key; it may also send another server's certificate."""

    def __init__(self, pem: Path = ONE, also: Path | None = None, most: int | None = None) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        key: Any = load_pem_private_key(pem.read_bytes(), None)
        self._context.use_privatekey(key)
        self._context.use_certificate(load_pem_x509_certificate(pem.read_bytes()))
        if also is not None:
            self._context.add_extra_chain_cert(load_pem_x509_certificate(also.read_bytes()))
        if most is not None:
            self._context.set_max_proto_version(most)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Return a connection; see `IOpenSSLServerConnectionCreator`."""
        return SSL.Connection(self._context, None)


class Scripted(Protocol):
    """Calls a script with itself for each request whose headers have arrived."""

    def __init__(self, script: Callable[[Scripted, bytes], None], heard: list[bytes]) -> None:
        self.script = script
        self.heard = heard
        self.lost = False
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        """Look for the end of a request."""
        self._data += data
        while b"\r\n\r\n" in self._data:
            request, _, self._data = self._data.partition(b"\r\n\r\n")
            self.heard.append(request)
            self.script(self, request)

    def connectionLost(self, reason: Any = None) -> None:
        """Record the loss."""
        self.lost = True

    def send(self, data: bytes) -> None:
        """Send bytes, unless the connection is lost."""
        if not self.lost:
            assert self.transport is not None
            self.transport.write(data)


class HostileServer:
    """A server that answers by a script, and its client.

    `heard` has the headers of all requests that the server could read.
    """

    def __init__(
        self,
        script: Callable[[Scripted, bytes], None],
        *,
        context: Context | None = None,
        pin: bytes | None = None,
        limits: TimeLimits = TimeLimits(10, 60, 1000),  # noqa: B008 - it is frozen
        bandwidth: float | None = None,
    ) -> None:
        self.net = Network(rtt=0.05, bandwidth=bandwidth)
        self.net.timeout = 20
        self.host: Host = self.net.host("server")
        self.client: Host = self.net.host("client")
        self.heard: list[bytes] = []
        self.connections: list[Scripted] = []
        used = context or Context()
        self.host.run(self._listen, script, used)
        nurl = NURL(pin or pin_of(ONE), "server", 443, SWISSNUM)
        self.server = self.client.run(
            HTTPStorageServer, self.client.reactor, nurl, name="s", limits=limits
        )

    def _listen(self, script: Callable[[Scripted, bytes], None], context: Context) -> None:
        def build() -> Scripted:
            self.connections.append(Scripted(script, self.heard))
            return self.connections[-1]

        factory = Factory.forProtocol(build)
        factory.noisy = False
        self.host.reactor.listenSSL(443, factory, context)

    def shares(self) -> Any:
        """Ask for the shares, and wait for the answer."""
        return self.net.wait(self.client.run(self.server.get_buckets, INDEX))

    def read(self, offset: int = 0, length: int = 10) -> bytes:
        """Read from share 7, and wait for the answer."""
        data: bytes = self.net.wait(self.reading(offset, length))
        return data

    def reading(self, offset: int = 0, length: int = 10, progress: Any = None) -> Any:
        """Start to read from share 7."""
        from firstk.downloader.http import HTTPBucket

        bucket = HTTPBucket(self.server, INDEX, 7)
        return self.client.run(bucket.read, offset, length, progress)

    def close(self) -> None:
        """Close the client's connections, and check that none is left on either side."""
        self.net.wait(self.client.run(self.server.close))
        self.net.advance(1)


def head(status: bytes, *headers: bytes) -> bytes:
    """Return the head of an answer."""
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"", b""])


def answer(data: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    """Return a complete answer."""
    return head(status, b"Content-Length: %d" % len(data), *headers) + data


def listing(data: bytes, *headers: bytes) -> bytes:
    """Return an answer that lists shares."""
    return answer(data, b"200 OK", b"Content-Type: application/cbor", *headers)


def part(data: bytes, content_range: bytes, status: bytes = b"206 Partial Content") -> bytes:
    """Return an answer with a part of a share."""
    return answer(data, status, b"Content-Range: " + content_range)
