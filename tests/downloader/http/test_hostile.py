"""Hostile servers are refused with a short message, in bounded memory and time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import pytest
from OpenSSL import SSL

from firstk.downloader.http import (
    BadAnswerError,
    SilentServerError,
    StorageServerError,
    TimeLimits,
    UnreachableServerError,
    WrongPinError,
)
from tests.downloader.http.hostile import (
    ONE,
    OTHER,
    Context,
    HostileServer,
    Scripted,
    head,
    listing,
    part,
    pin_of,
)


@pytest.fixture(autouse=True)
def _bounded_memory() -> Iterator[None]:
    """No test of this file uses more than 8 MB, whatever a server sends."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 8e6


def _send(data: bytes) -> Callable[[Scripted, bytes], None]:
    return lambda connection, request: connection.send(data)


class _Flood:
    """Sends one piece after another forever, as fast as the client takes them."""

    def __init__(self, begin: bytes, piece: bytes) -> None:
        self.begin = begin
        self.piece = piece * (2**14 // len(piece))
        self.sent = 0

    def __call__(self, connection: Scripted, request: bytes) -> None:
        transport: Any = connection.transport
        transport.write(self.begin)
        flood = self

        class Producer:
            def resumeProducing(self) -> None:
                if flood.sent > 1e9:
                    raise AssertionError("the client takes it all")
                flood.sent += len(flood.piece)
                transport.write(flood.piece)

            def pauseProducing(self) -> None: ...

            def stopProducing(self) -> None: ...

        transport.registerProducer(Producer(), False)


class _Drip:
    """Sends a byte at a time."""

    def __init__(self, begin: bytes, byte: bytes = b"x", every: float = 50.0) -> None:
        self.begin = begin
        self.byte = byte
        self.every = every
        self.reactor: Any = None

    def __call__(self, connection: Scripted, request: bytes) -> None:
        connection.send(self.begin)

        def drip() -> None:
            connection.send(self.byte)
            if not connection.lost:
                self.reactor.callLater(self.every, drip)

        drip()


_CBOR = b"Content-Type: application/cbor"
_PARTIAL = b"206 Partial Content"


def test_wrong_pin() -> None:
    """A server with the wrong key is refused, and never receives the secret."""
    grid = HostileServer(_send(b""), pin=pin_of(OTHER))

    with pytest.raises(WrongPinError, match=r"^the server's key is .{43}, and its NURL names"):
        grid.shares()
    grid.net.advance(100)
    assert grid.heard == []
    assert grid.client.stack.connections == {}
    assert grid.net.logged == []


@pytest.mark.parametrize("also", [ONE, OTHER])
def test_lying_certificate(also: Any) -> None:
    """Sending the right certificate does not help a server that does not hold its key."""
    grid = HostileServer(_send(b""), context=Context(OTHER, also=also))

    with pytest.raises(WrongPinError):
        grid.shares()
    grid.net.advance(100)
    assert grid.heard == []


def test_right_key_with_others() -> None:
    """A server that holds the right key may send other certificates too."""
    context = Context(ONE, also=OTHER)
    grid = HostileServer(_send(listing(cbor2.dumps({1}))), context=context)

    assert list(grid.shares()) == [1]


def test_old_tls() -> None:
    """TLS below 1.3 is refused."""
    grid = HostileServer(_send(b""), context=Context(most=SSL.TLS1_2_VERSION))

    with pytest.raises(UnreachableServerError, match=r"^TLS failed: "):
        grid.shares()


@pytest.mark.parametrize(
    ("begin", "piece", "problem"),
    [
        pytest.param(
            head(b"200 OK", _CBOR), b"x", "the answer has more than 1024 bytes", id="body"
        ),
        pytest.param(
            head(b"200 OK", _CBOR, b"Content-Length: 1000000000000"),
            b"x",
            "the answer has more than 1024 bytes",
            id="long",
        ),
        pytest.param(
            head(b"200 OK", _CBOR, b"Transfer-Encoding: chunked"),
            b"1\r\nx\r\n",
            "the answer has more than 1024 bytes",
            id="chunks",
        ),
        pytest.param(
            head(b"200 OK", _CBOR, b"Transfer-Encoding: chunked"),
            b"1" * 100,
            "not HTTP",
            id="chunk-size",
        ),
        pytest.param(
            head(b"200 OK", _CBOR, b"Transfer-Encoding: chunked") + b"0\r\n",
            b"a: b\r\n",
            "not HTTP",
            id="trailers",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", "the head of the answer", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"x", "the head of the answer", id="header"),
        pytest.param(b"", b"x", "the head of the answer", id="status"),
        pytest.param(
            head(b"500 Internal Server Error"), b"x", "the server answers 500", id="error"
        ),
        pytest.param(head(b"200 OK"), b"x", "is b'', and not CBOR", id="no-type"),
    ],
)
def test_endless_answer(begin: bytes, piece: bytes, problem: str) -> None:
    """An endless answer is cut off, whichever part is endless, and its connection is closed."""
    flood = _Flood(begin, piece)
    grid = HostileServer(flood, bandwidth=1e7)

    with pytest.raises(BadAnswerError, match=problem):
        grid.shares()
    grid.net.advance(10)
    assert flood.sent < 3e6  # what was under way; twice, if the request was sent again
    assert grid.client.stack.connections == {}


def test_endless_continues() -> None:
    """The limit for silence ends an endless series of `100 Continue` answers."""
    piece = head(b"100 Continue")
    grid = HostileServer(_Flood(b"", piece), bandwidth=1e4, limits=TimeLimits(1, 4))

    with pytest.raises(SilentServerError, match=r"^no answer within 5 s$"):
        grid.shares()


def test_endless_read() -> None:
    """A read accepts no more bytes than its range has."""
    begin = head(_PARTIAL, b"Content-Range: bytes 0-9/*")
    grid = HostileServer(_Flood(begin, b"x"), bandwidth=1e7)

    with pytest.raises(BadAnswerError, match=r"the answer has more than 10 bytes"):
        grid.read(0, 10)
    grid.net.advance(1)
    assert grid.client.stack.connections == {}


@pytest.mark.parametrize(
    ("content_range", "problem"),
    [
        (b"bytes 0-9/*", None),
        (b"bytes 0-10/*", "10 bytes at 0 were asked for, and the answer is b'bytes 0-10/"),
        (b"bytes 1-10/*", "10 bytes at 0 were asked for"),
        (b"bytes 9-0/*", "10 bytes at 0 were asked for"),
        (b"bytes 0-999999999999999999/*", "10 bytes at 0 were asked for"),
        (b"bytes 0-" + b"9" * 9999 + b"/*", "10 bytes at 0 were asked for"),
        (b"", "10 bytes at 0 were asked for, and the answer is b''"),
        (b"bytes 0-7/*", "the answer has more than 8 bytes"),
        (b"bytes 0-8/*, bytes 0-9/*", "10 bytes at 0 were asked for"),
    ],
)
def test_wrong_range(content_range: bytes, problem: str | None) -> None:
    """An answer is refused if its range is not the one that was requested."""
    grid = HostileServer(_send(part(b"0123456789", content_range)))

    if problem is None:
        assert grid.read(0, 10) == b"0123456789"
    else:
        with pytest.raises(BadAnswerError, match=problem):
            grid.read(0, 10)


def test_too_few_bytes() -> None:
    """A server must send the whole range that it announces."""
    grid = HostileServer(_send(part(b"01234", b"bytes 0-9/*")))

    with pytest.raises(BadAnswerError, match=r"^the answer has 5 bytes instead of 10$"):
        grid.read(0, 10)


def test_billion_shares() -> None:
    """A server that lists 10**9 shares is refused, whether it sends them or only their count."""
    grid = HostileServer(_send(listing(bytes.fromhex("d901029a3b9aca0001"))))
    with pytest.raises(BadAnswerError, match=r"the list of shares is not CBOR"):
        grid.shares()

    start = head(b"200 OK", _CBOR) + bytes.fromhex("d901029a3b9aca00")
    flood = _Flood(start, b"\x1a\x00\x01\x02\x03")
    grid = HostileServer(flood, bandwidth=1e7)
    with pytest.raises(BadAnswerError, match=r"more than 1024 bytes"):
        grid.shares()


@pytest.mark.parametrize(
    ("begin", "problem", "after"),
    [
        pytest.param(b"", "^no answer within 70 s$", 70, id="status"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", "^no answer within 70 s$", 70, id="headers"),
        pytest.param(
            head(b"200 OK", _CBOR),
            "^the answer was not complete after 61.024 s$",
            61.174,
            id="body",
        ),
    ],
)
def test_slow_loris(begin: bytes, problem: str, after: float) -> None:
    """Sending a byte now and then does not keep a request alive."""
    drip = _Drip(begin)
    grid = HostileServer(drip)
    drip.reactor = grid.host.reactor

    with pytest.raises(SilentServerError, match=problem):
        grid.shares()
    assert grid.net.now == pytest.approx(after, abs=0.01)
    grid.net.advance(100)
    assert grid.connections[0].lost


def test_silence_within_an_answer() -> None:
    """The client gives up on an answer that stops in the middle."""
    grid = HostileServer(_send(part(b"0123456789", b"bytes 0-9/*")[:-1]))

    with pytest.raises(SilentServerError, match=r"^nothing more came for 60 s$"):
        grid.read(0, 10)
    grid.net.advance(1)
    assert grid.connections[0].lost


def test_compressed() -> None:
    """The client never decompresses, so a compression bomb has no effect."""
    grid = HostileServer(_send(listing(b"\x1f\x8b", b"Content-Encoding: gzip")))

    with pytest.raises(BadAnswerError, match=r"the list of shares is not"):
        grid.shares()


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00" * 100 + b"\r\n",
        b"HTTP/1.1 nonsense\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: zip\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_not_http(answer: bytes) -> None:
    """An answer that is not HTTP is refused with a short message, and nothing is logged."""
    grid = HostileServer(_send(answer))

    with pytest.raises(StorageServerError) as caught:
        grid.shares()
    assert 10 < len(str(caught.value)) < 300
    assert grid.net.logged == []
