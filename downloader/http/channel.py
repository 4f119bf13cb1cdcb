"""Connections to one server: TLS, its time limit, and a size limit for the headers of answers."""

from __future__ import annotations

from math import inf
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from firstk.downloader.http.errors import BadAnswerError, SilentServerError
from firstk.downloader.http.nurl import NURL
from firstk.downloader.http.pin import PinnedTLS

#: The maximum size of the headers of an answer, in bytes. Twisted's client limits only lines.
MAX_HEAD = 2**14

#: The number of bytes at the end of a piece that may belong to an empty line continued in the next.
_OVERLAP = 3


@implementer(IHandshakeListener)
class Channel(ProtocolWrapper):
    """One connection, between TLS and HTTP."""

    def __init__(self, factory: _Channels, wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        self.ready: Deferred[None] = Deferred()
        self._head = 0
        self._in_head = True
        self._tail = b""
        self._problem: Exception | None = None

    def handshakeCompleted(self) -> None:
        """Report that the server has proved its key."""
        if not self.ready.called:
            self.ready.callback(None)

    def write(self, data: bytes) -> None:
        """Send a request, or a part of one."""
        self._expect_head()
        super().write(data)

    def writeSequence(self, data: Any) -> None:
        """Send a request, or a part of one."""
        self._expect_head()
        super().writeSequence(data)

    def _expect_head(self) -> None:
        self._head, self._in_head, self._tail = 0, True, b""

    def dataReceived(self, data: bytes) -> None:
        """Pass on the received data, unless the headers of the answer are too large."""
        if self._in_head:
            self._head += len(data)
            seen = self._tail + data
            if b"\n\r\n" in seen or b"\n\n" in seen:
                self._in_head = False
            elif self._head > MAX_HEAD:
                self._problem = BadAnswerError(
                    f"the head of the answer has more than {MAX_HEAD} bytes"
                )
                self.stopProducing()
                return
            self._tail = seen[-_OVERLAP:]
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass on why the connection ended."""
        if self._problem is not None:
            reason = Failure(self._problem)
        if not self.ready.called:
            self.ready.errback(reason)
        super().connectionLost(reason)

    # A hung server would keep a connection that is closed in order from ever ending.

    def loseConnection(self) -> None:
        """End the connection now."""
        self.disconnecting = True
        self.stopProducing()

    def stopProducing(self) -> None:
        """End the connection now."""
        transport: Any = self.transport
        transport.abortConnection()


class _Channels(WrappingFactory[Channel]):
    protocol = Channel
    noisy = False


@implementer(IStreamClientEndpoint)
class PinnedEndpoint:
    """An endpoint whose connections are complete when the TLS handshake has proved the key."""

    def __init__(self, reactor: IReactorTime, nurl: NURL, limit: float) -> None:
        self._reactor = reactor
        self._limit = limit
        # The limit for all of it is set below; the one of TCP is never what comes first.
        tcp = HostnameEndpoint(reactor, nurl.host, nurl.port, timeout=min(limit, 1e6) + 1)
        self._endpoint = wrapClientTLS(PinnedTLS(nurl.pin), tcp)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; the Deferred fails with one of the errors of this package, or of Twisted's."""
        connecting: Deferred[IProtocol] = Deferred.fromCoroutine(self._connect(protocolFactory))
        if self._limit < inf:
            connecting.addTimeout(self._limit, self._reactor, self._timed_out)
        return connecting

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        channel: Any = await self._endpoint.connect(_Channels(factory))
        try:
            await channel.ready
        except BaseException:
            channel.stopProducing()
            raise
        made: IProtocol = channel.wrappedProtocol
        return made

    def _timed_out(self, outcome: object, _: float) -> object:
        if isinstance(outcome, Failure):
            raise SilentServerError(f"no TLS connection within {self._limit:g} s")
        return outcome
