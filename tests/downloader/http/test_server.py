"""What the client requests from a server, and how it handles every allowed answer."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import cbor2
import pytest
from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyObject

from firstk.downloader.http import (
    BadAnswerError,
    HTTPBucket,
    SilentServerError,
    TimeLimits,
    UnreachableServerError,
)
from firstk.downloader.interfaces import IProgressBucket, IStorageServer
from tests.downloader.http.hostile import (
    SWISSNUM,
    HostileServer,
    Scripted,
    answer,
    head,
    listing,
    part,
)


def _always(data: bytes) -> Any:
    return lambda connection, request: connection.send(data)


def test_list() -> None:
    """A list of shares becomes buckets; the request follows the protocol."""
    grid = HostileServer(_always(listing(cbor2.dumps({7, 1}))))
    buckets = grid.shares()

    assert list(buckets) == [1, 7]
    request, *headers = grid.heard[0].split(b"\r\n")
    assert request == b"GET /storage/v1/immutable/aaaqeayeaudaocajbifqydiob4/shares HTTP/1.1"
    assert b"Authorization: Tahoe-LAFS " + b64encode(SWISSNUM.encode()) in headers
    assert b"Accept: application/cbor" in headers
    assert grid.net.now == pytest.approx(0.15, abs=1e-3)  # TCP, TLS 1.3 and the request
    assert grid.net.logged == []


def test_none() -> None:
    """A server without shares of the file lists none."""
    grid = HostileServer(_always(listing(bytes.fromhex("d9010280"))))

    assert grid.shares() == {}


def test_read() -> None:
    """A read requests a range and returns it; a second read reuses the connection."""
    grid = HostileServer(_always(part(b"0123456789", b"bytes 5-14/*")))

    assert grid.read(5, 10) == b"0123456789"
    assert grid.heard[0].startswith(
        b"GET /storage/v1/immutable/aaaqeayeaudaocajbifqydiob4/7 HTTP/1.1\r\n"
    )
    assert b"\r\nRange: bytes=5-14" in grid.heard[0]
    start = grid.net.now
    assert grid.read(5, 10) == b"0123456789"
    assert grid.net.now - start == pytest.approx(0.05, abs=1e-3)
    assert len(grid.connections) == 1
    grid.close()
    assert grid.connections[0].lost
    assert grid.net.logged == []


def test_read_at_the_end() -> None:
    """A read past the end of a share is short, or empty."""
    grid = HostileServer(_always(part(b"012", b"bytes 5-7/8")))
    assert grid.read(5, 10) == b"012"

    grid = HostileServer(_always(head(b"204 No Content")))
    assert grid.read(8, 10) == b""
    assert grid.read(9, 10) == b""
    assert len(grid.connections) == 1


def test_impossible_reads() -> None:
    """A negative offset or length is refused, as by any bucket."""
    grid = HostileServer(_always(b""))

    for offset, length in ((-1, 5), (5, -1)):
        with pytest.raises(ValueError, match=r"is impossible"):
            grid.reading(offset, length)


def test_interfaces() -> None:
    """Servers and buckets provide their interfaces."""
    grid = HostileServer(_always(b""))
    bucket = HTTPBucket(grid.server, bytes(16), 0)

    assert verifyObject(IStorageServer, grid.server)
    assert verifyObject(IProgressBucket, bucket)


def test_read_nothing() -> None:
    """Reading zero bytes sends no request."""
    grid = HostileServer(_always(b""))

    assert grid.read(0, 0) == b""
    assert grid.connections == []


def test_chunked() -> None:
    """Tahoe-LAFS sends bodies in chunks."""
    chunks = b"4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"
    start = head(
        b"206 Partial Content", b"Transfer-Encoding: chunked", b"Content-Range: bytes 0-9/*"
    )
    grid = HostileServer(_always(start + chunks))

    assert grid.read() == b"0123456789"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (b"401 Unauthorized", "the server refuses the swissnum of its NURL"),
        (b"404 Not Found", "the server says that there is no such share"),
        (b"416 Requested Range not satisfiable", "the server refuses the range"),
        (b"500 Internal Server Error", "the server answers 500 Internal Server Error"),
        (b"200 OK", "the server answers 200 OK"),  # all of the share, and not the range
        (b"302 Found", "the server answers 302 Found"),
    ],
)
def test_refusals(code: bytes, problem: str) -> None:
    """A refusal raises an error with its status; redirects are not followed."""
    there = b"Location: https://server/elsewhere"
    grid = HostileServer(_always(answer(b"0123456789", code, there)))

    with pytest.raises(BadAnswerError, match=rf"^{problem}$"):
        grid.read()
    assert len(grid.heard) == 1
    assert grid.net.logged == []


def test_refused_connection() -> None:
    """A closed port raises an error: the connection was refused."""
    grid = HostileServer(_always(b""))
    grid.host.kill()

    with pytest.raises(UnreachableServerError, match=r"cannot connect: Connection was refused"):
        grid.shares()


def test_unknown_host() -> None:
    """An unknown host name raises an error, too."""
    grid = HostileServer(_always(b""))
    object.__setattr__(grid.server.nurl, "host", "nowhere")
    from firstk.downloader.http import HTTPStorageServer

    grid.server = grid.client.run(HTTPStorageServer, grid.client.reactor, grid.server.nurl)

    with pytest.raises(UnreachableServerError, match=r"cannot connect: .*nowhere"):
        grid.shares()


def test_frozen() -> None:
    """A server that hangs before TLS is up fails at the limit for connecting."""
    grid = HostileServer(_always(b""))
    grid.host.freeze()

    with pytest.raises(SilentServerError, match=r"^no TLS connection within 10 s$"):
        grid.shares()
    assert grid.net.now == pytest.approx(10, abs=1e-3)


def test_switched_off() -> None:
    """A server that is switched off fails at the limit for connecting."""
    grid = HostileServer(_always(b""))
    grid.host.power_off()

    with pytest.raises(SilentServerError, match=r"^no TLS connection within 10 s$"):
        grid.shares()


def test_frozen_when_warm() -> None:
    """On an open connection, a request to a hung server fails at the limit for silence."""
    grid = HostileServer(_always(part(b"0123456789", b"bytes 0-9/*")))
    grid.read()
    grid.host.freeze()

    with pytest.raises(SilentServerError, match=r"^no answer within 70 s$"):
        grid.read()


def test_unlimited() -> None:
    """Without limits, a request to a hung server waits forever, but can be cancelled."""
    from firstk.downloader.http.time_limits import UNLIMITED

    grid = HostileServer(_always(b""), limits=UNLIMITED)
    grid.host.freeze()
    failures: list[Any] = []
    reading = grid.reading()
    reading.addErrback(failures.append)
    grid.net.advance(1e5)
    assert failures == []

    grid.client.run(reading.cancel)

    assert failures[0].check(CancelledError)
    grid.net.advance(1)
    assert grid.client.stack.connections == {}


def test_cancelled_while_connecting() -> None:
    """A request that is cancelled while connecting leaves no connection behind."""
    for after in (0.01, 0.06, 0.11, 0.14):
        grid = HostileServer(_always(listing(b"\xd9\x01\x02\x80")))
        failures: list[Any] = []
        reading = grid.reading()
        reading.addErrback(failures.append)
        grid.net.advance(after)
        assert failures == []
        grid.client.run(reading.cancel)
        grid.net.advance(1)

        assert failures[0].check(CancelledError)
        assert grid.client.stack.connections == {}
        assert grid.net.logged == []


def test_lost_connection() -> None:
    """A read fails if its connection is lost in the middle of the answer."""

    def script(connection: Scripted, request: bytes) -> None:
        connection.send(part(b"0123456789", b"bytes 0-9/*")[:-5])
        connection.transport.loseConnection()  # type: ignore[union-attr]

    grid = HostileServer(script)

    with pytest.raises(UnreachableServerError, match=r"lost before the answer was complete"):
        grid.read()


def test_closed_when_idle() -> None:
    """The client reconnects if the server closed an idle connection."""
    grid = HostileServer(_always(part(b"0123456789", b"bytes 0-9/*")))
    grid.read()
    grid.host.reset()
    grid.net.advance(1)

    assert grid.read() == b"0123456789"
    assert len(grid.connections) == 2


def test_progress() -> None:
    """Progress is reported as bytes arrive, except for the last ones."""

    def script(connection: Scripted, request: bytes) -> None:
        data = part(b"0123456789", b"bytes 0-9/*")
        connection.send(data[:-7])
        reactor = grid.host.reactor
        reactor.callLater(1, connection.send, data[-7:-2])
        reactor.callLater(2, connection.send, data[-2:])

    grid = HostileServer(script)
    arrived: list[int] = []
    reading = grid.reading(0, 10, arrived.append)

    assert grid.net.wait(reading) == b"0123456789"
    assert arrived == [3, 8]


def test_progress_that_fails() -> None:
    """An exception in the progress callback does not count against the server."""

    def script(connection: Scripted, request: bytes) -> None:
        data = part(b"0123456789", b"bytes 0-9/*")
        connection.send(data[:-7])
        grid.host.reactor.callLater(1, connection.send, data[-7:])

    def fail(_: int) -> None:
        raise ZeroDivisionError

    grid = HostileServer(script)
    answers: list[bytes] = []
    grid.reading(0, 10, fail).addCallback(answers.append)
    with pytest.raises(ZeroDivisionError):
        grid.net.advance(0.5)
    grid.net.advance(1)

    assert answers == [b"0123456789"]


def test_cancelled_by_progress() -> None:
    """Cancelling a read while its answer arrives closes the connection."""

    def script(connection: Scripted, request: bytes) -> None:
        connection.send(part(b"0123456789", b"bytes 0-9/*")[:-7])

    grid = HostileServer(script)
    failures: list[Any] = []
    reading: Any = grid.reading(0, 10, lambda _: reading.cancel())
    reading.addErrback(failures.append)
    grid.net.advance(1)

    assert failures[0].check(CancelledError)
    assert grid.connections[0].lost
    assert grid.net.logged == []


def test_limits() -> None:
    """Each answer has the limits of its server."""
    grid = HostileServer(_always(head(b"206 Partial Content")), limits=TimeLimits(1, 2, 0))
    grid.host.freeze()

    with pytest.raises(SilentServerError, match=r"within 1 s"):
        grid.read()
