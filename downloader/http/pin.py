"""TLS with a server that is identified by its key."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

from firstk.downloader.http.errors import WrongPinError


@implementer(IOpenSSLClientConnectionCreator)
class PinnedTLS:
    """Creates TLS 1.3 connections that fail unless the server proves that it has the pinned key.

    The issuer, the names and the expiry of the certificate are ignored: the pin is sufficient, and
    servers sign their certificates themselves.
    """

    def __init__(self, pin: bytes) -> None:
        self._pin = pin
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_3_VERSION)
        # Do not let OpenSSL check the chain. A server may send any additional certificates, even
        # one with the pinned key, but the handshake proves that it has the key of the first.
        self._context.set_verify(SSL.VERIFY_NONE)
        self._context.set_info_callback(self._on_event)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Return a connection for a TLS protocol; see `IOpenSSLClientConnectionCreator`."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        return connection

    def _on_event(self, connection: SSL.Connection, where: int, _: int) -> None:
        if where & SSL.SSL_CB_HANDSHAKE_DONE:
            try:
                self._check(connection)
            except Exception:  # exceptions in OpenSSL callbacks get lost
                connection.get_app_data().failVerification(Failure())

    def _check(self, connection: SSL.Connection) -> None:
        certificate = connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise WrongPinError("the server showed no certificate")
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if (found := sha256(key).digest()) != self._pin:
            raise WrongPinError(
                f"the server's key is {_text(found)}, and its NURL names {_text(self._pin)}"
            )


def _text(pin: bytes) -> str:
    return urlsafe_b64encode(pin).decode("ascii").rstrip("=")
