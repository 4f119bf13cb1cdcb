"""A storage server that is reached over HTTP."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, NoReturn

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.web import http
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from firstk.downloader.cap import to_base32
from firstk.downloader.http.answer import read_body
from firstk.downloader.http.channel import PinnedEndpoint
from firstk.downloader.http.errors import BadAnswerError, SilentServerError, translated
from firstk.downloader.http.nurl import NURL, parse_nurl
from firstk.downloader.http.share_numbers import MAX_LIST, decode_share_numbers
from firstk.downloader.http.time_limits import TimeLimits
from firstk.downloader.interfaces import IBucket, IProgressBucket, IStorageServer
from firstk.downloader.text import one_line, shown

#: The maximum number of idle connections to a server that are kept for later requests. HTTP/1.1
#: allows one request at a time on each, and a downloader reads several parts of a share at once.
_MOST_IDLE = 6

_CONTENT_RANGE = re.compile(rb"bytes (\d{1,20})-(\d{1,20})/(?:\*|\d{1,20})")

#: The meanings of the status codes that the protocol defines.
_MEANINGS = {
    http.UNAUTHORIZED: "the server refuses the swissnum of its NURL",
    http.NOT_FOUND: "the server says that there is no such share",
    http.REQUESTED_RANGE_NOT_SATISFIABLE: "the server refuses the range",
}


@implementer(IStorageServer)
class HTTPStorageServer:
    """A storage server of a Tahoe-LAFS grid, reached over HTTP; for `firstk.download`.

    `reactor` is Twisted's reactor, or that of a host of a `firstk.Network`. `nurl` is a `NURL`,
    parsed or as text. `name` is used in errors and timelines (default: host and port). `limits`
    sets how long the server may take. Call `close` when no more downloads will read from it.

    It is not an `IReconnectingServer`, since it never has to be asked: a request that fails or is
    cancelled closes its connection, and a later request sets up a new one.

    Raises `BadNURLError` if the NURL is malformed.
    """

    def __init__(
        self,
        reactor: Any,
        nurl: NURL | str,
        *,
        name: str | None = None,
        limits: TimeLimits = TimeLimits(),  # noqa: B008 - it is frozen
    ) -> None:
        self.nurl = parse_nurl(nurl) if isinstance(nurl, str) else nurl
        self.name = name or self.nurl.place
        self._reactor: IReactorTime = reactor
        self._limits = limits
        # Each server has its own pool: another server may have the same address but another key.
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = _MOST_IDLE
        # Unlike treq, an Agent does not follow redirects, decompress bodies or keep cookies.
        # Storage servers need none of these.
        self._agent = Agent.usingEndpointFactory(
            reactor, _Endpoints(PinnedEndpoint(reactor, self.nurl, limits.connect)), self._pool
        )
        secret = b64encode(self.nurl.swissnum.encode("ascii"))
        self._headers = {b"Authorization": [b"Tahoe-LAFS " + secret]}

    def __repr__(self) -> str:
        return f"<HTTPStorageServer {self.name}>"

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Return the server's buckets for a file; see `IStorageServer`.

        The Deferred may fail with a `StorageServerError`. Cancelling it cancels the request.
        """
        return Deferred.fromCoroutine(self._get_buckets(storage_index))

    async def _get_buckets(self, storage_index: bytes) -> Mapping[int, IBucket]:
        path = f"{to_base32(storage_index)}/shares"
        response = await self._request(path, {b"Accept": [b"application/cbor"]})
        if response.code != http.OK:
            await self._refuse(response)
        kind = _header(response, b"Content-Type")
        if kind.partition(b";")[0].strip() != b"application/cbor":
            await self._refuse(response, f"the list of shares is {shown(kind)}, and not CBOR")
        data = await self._body(response, MAX_LIST)
        return {n: HTTPBucket(self, storage_index, n) for n in decode_share_numbers(data)}

    async def read_share(
        self,
        storage_index: bytes,
        number: int,
        offset: int,
        length: int,
        progress: Callable[[int], None] | None = None,
    ) -> bytes:
        """Return at most `length` bytes of a share, starting at `offset`."""
        wanted = {b"Range": [b"bytes=%d-%d" % (offset, offset + length - 1)]}
        response = await self._request(f"{to_base32(storage_index)}/{number}", wanted)
        if response.code == http.NO_CONTENT:  # the range begins at or past the end of the share
            await self._body(response, 0)
            return b""
        if response.code != http.PARTIAL_CONTENT:
            await self._refuse(response)
        header = _header(response, b"Content-Range")
        match = _CONTENT_RANGE.fullmatch(header)
        size = int(match[2]) - int(match[1]) + 1 if match else 0
        if match is None or int(match[1]) != offset or not 0 < size <= length:
            asked = f"{length} bytes at {offset} were asked for"
            await self._refuse(response, f"{asked}, and the answer is {shown(header)}")
        data = await self._body(response, size, progress)
        if len(data) != size:
            raise BadAnswerError(f"the answer has {len(data)} bytes instead of {size}")
        return data

    async def _request(self, path: str, headers: dict[bytes, list[bytes]]) -> IResponse:
        url = f"https://{self.nurl.place}/storage/v1/immutable/{path}".encode("ascii")
        asked = self._agent.request(b"GET", url, Headers({**self._headers, **headers}))
        silence = self._limits.silence
        if silence < inf:
            # A connection, which has a limit of its own, may have to be set up first.
            seconds = silence + (self._limits.connect if self._limits.connect < inf else 0)
            asked.addTimeout(seconds, self._reactor, _silent(seconds))
        try:
            response: IResponse = await asked
        except Exception as e:
            raise translated(e) from None
        return response

    async def _body(
        self, response: IResponse, most: int, progress: Callable[[int], None] | None = None
    ) -> bytes:
        try:
            return await read_body(self._reactor, response, most, self._limits, progress)
        except Exception as e:
            raise translated(e) from None

    async def _refuse(self, response: IResponse, why: str | None = None) -> NoReturn:
        """Raise an error that says what is wrong with an answer; its body is not read."""
        read_body(self._reactor, response, 0, self._limits).addErrback(lambda _: None).cancel()
        phrase = one_line(response.phrase.decode("ascii", "replace"), 80)
        said = f"the server answers {response.code} {phrase}".rstrip()
        raise BadAnswerError(why or _MEANINGS.get(response.code, said))

    def close(self) -> Deferred[None]:
        """Close all idle connections, and return a Deferred that fires when they are closed."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed


@implementer(IProgressBucket)
class HTTPBucket:
    """A share on a server that is reached over HTTP."""

    def __init__(self, server: HTTPStorageServer, storage_index: bytes, number: int) -> None:
        self._server = server
        self._storage_index = storage_index
        self._number = number

    def __repr__(self) -> str:
        return f"<HTTPBucket {self._number} on {self._server.name}>"

    def read(
        self, offset: int, length: int, progress: Callable[[int], None] | None = None
    ) -> Deferred[bytes]:
        """Read from the share; see `IProgressBucket`.

        The Deferred may fail with a `StorageServerError`. Cancelling it cancels the request. Raises
        `ValueError` if the offset or length is negative.
        """
        if offset < 0 or length < 0:
            raise ValueError(f"a read of {length} bytes at {offset} is impossible")
        if length == 0:
            return succeed(b"")
        share = self._storage_index, self._number
        reading = self._server.read_share(*share, offset, length, progress)
        return Deferred.fromCoroutine(reading)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """An endpoint factory that gives an Agent the endpoint of its only server."""

    def __init__(self, endpoint: PinnedEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
        """Return the endpoint, whatever the URI is."""
        return self._endpoint


def _silent(seconds: float) -> Callable[[Any, float], NoReturn]:
    def raise_it(_: Any, __: float) -> NoReturn:
        raise SilentServerError(f"no answer within {seconds:g} s")

    return raise_it


def _header(response: IResponse, name: bytes) -> bytes:
    """Return the first header with this name, or an empty value if there is none."""
    values = response.headers.getRawHeaders(name)
    return values[0] if values else b""
