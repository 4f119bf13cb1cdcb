"""Twisted's own conformance tests, run with the reactor of a simulated host.

Two tests are left out: `test_closePeerOnEMFILE` of two classes, which open real files until the
process may open no more. There is no latency here: Twisted's tests presume that a connection is
accepted before its client has written anything.
"""

from __future__ import annotations

import socket
from functools import wraps
from typing import Any

import pytest

pytest.importorskip("hamcrest", reason="Twisted's tests need PyHamcrest")
pytest.importorskip("OpenSSL", reason="TLS needs pyOpenSSL")

from twisted.internet.test import test_core, test_newtls, test_tcp, test_time, test_tls, test_udp
from twisted.trial import unittest

from firstk.harness.net.host_reactor import HostReactor
from firstk.harness.net.network import Network
from firstk.harness.net.stream_socket import StreamSocket

_CLASSES = [
    test_core.SystemEventTestsBuilder,
    test_time.TimeTestsBuilder,
    test_tcp.TCP4ClientTestsBuilder,
    test_tcp.TCP6ClientTestsBuilder,
    test_tcp.TestBindAddressBuilder,
    test_tcp.TCP4ConnectorTestsBuilder,
    test_tcp.TCP6ConnectorTestsBuilder,
    test_tcp.TCPPortTestsBuilder,
    test_tcp.TCPConnectionTestsBuilder,
    test_tcp.TCPTransportTestsBuilder,
    test_tcp.AbortConnectionTests,
    test_tls.SSLClientTestsMixin,
    test_tls.StartTLSClientTestsMixin,
    test_tls.TLSPortTestsBuilder,
    test_tls.AbortSSLConnectionTests,
    test_newtls.ProducerTestsMixin,
    test_udp.UDPServerTestsBuilder,
]

_LEFT_OUT = {
    test_tcp.TCPPortTestsBuilder: "test_closePeerOnEMFILE",
    test_tls.TLSPortTestsBuilder: "test_closePeerOnEMFILE",
}

#: The test that sends 32 MB over TLS.
_SLOW = {test_tls.AbortSSLConnectionTests: "test_fullWriteBufferAfterByteExchange"}

_reactors: list[HostReactor] = []  # the last one that was made is the one under test


def _make_reactor() -> HostReactor:
    """Return the reactor of one host, without latency."""
    reactor = Network(rtt=0).host("localhost").reactor
    _reactors[:] = [reactor]
    return reactor


class _TestsOwnSocket:
    """A test's own socket: a simulated one, of the last reactor made."""

    def __init__(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> None:
        self._family = family
        self._made: StreamSocket | None = None

    def setblocking(self, flag: bool) -> None:
        """Do nothing: a simulated socket never blocks."""

    def connect(self, address: tuple[Any, ...]) -> None:
        self._made = _reactors[-1].stack.stream_socket(self._family)
        self._made.connect(address)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)


class _SocketModule:
    """Stands for the module `socket` in Twisted's tests."""

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)

    @staticmethod
    def socket(family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> Any:
        if kind == socket.SOCK_STREAM:
            return _TestsOwnSocket(family)
        return socket.socket(family, kind)


@pytest.fixture(autouse=True)
def _simulated_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_tcp, "socket", _SocketModule())


def _slow(test: Any) -> Any:
    """Return a test that is marked as slow, for one class that inherits it."""

    @pytest.mark.slow
    @wraps(test)
    def marked(self: Any) -> Any:
        return test(self)

    return marked


def _test_class(base: type) -> type:
    names: dict[str, Any] = {
        "__module__": __name__,
        "__doc__": f"{base.__name__}, as Twisted demands it of every reactor.",
        "reactorFactory": staticmethod(_make_reactor),
        # Twisted's own tests use what Twisted has deprecated.
        "pytestmark": [pytest.mark.filterwarnings("ignore")],
    }
    if base in _LEFT_OUT:
        names[_LEFT_OUT[base]] = None
    if base in _SLOW:
        names[_SLOW[base]] = _slow(getattr(base, _SLOW[base]))
    return type(f"Test{base.__name__}", (base, unittest.SynchronousTestCase), names)


for _base in _CLASSES:
    globals()[f"Test{_base.__name__}"] = _test_class(_base)

del _base  # not to be collected


def test_no_class_is_skipped() -> None:
    """The reactor provides every interface that the classes require, so none is skipped."""
    required = [i for base in _CLASSES for i in getattr(base, "requiredInterfaces", None) or ()]

    missing = [i for i in required if not i.providedBy(_make_reactor())]

    assert required
    assert missing == []
