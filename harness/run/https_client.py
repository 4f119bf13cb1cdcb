"""Tahoe-LAFS's HTTP client as the `IStorageServer` of a download, with a trace of requests."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.python.failure import Failure
from zope.interface import implementer

from firstk.downloader.interfaces import IBucket, IStorageServer
from firstk.downloader.text import message_of, one_line
from firstk.harness.grid.connection import Client
from firstk.harness.grid.trace import Exchange
from firstk.harness.net.host import Host
from firstk.scenarios.faults import Operation

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the code that they import is old, and not ours to fix
    from allmydata.storage.http_client import StorageClientFactory
    from allmydata.storage_client import _HTTPStorageServer


class HTTPSClient:
    """Tahoe-LAFS's HTTP client, on a host. `nurls` are those of the servers, by name."""

    def __init__(self, host: Host, nurls: Mapping[str, Any]) -> None:
        self.host = host
        self.is_over = False
        self.outstanding: dict[Deferred[Any], None] = {}
        self._nurls = nurls

    def connect(self, client: Client, names: Iterable[str]) -> Sequence[HTTPSConnection]:
        """Return the servers as a client sees them; no connection is made yet."""
        return self.host.run(lambda: [self._connection(client, name) for name in names])

    def _connection(self, client: Client, name: str) -> HTTPSConnection:
        factory = StorageClientFactory({"tcp": "tcp"}, None)
        made: list[Any] = []
        creating = factory.create_storage_client(self._nurls[name], self.host.reactor)
        ensureDeferred(creating).addCallback(made.append)
        return HTTPSConnection(name, _HTTPStorageServer.from_http_client(made[0]), self, client)

    def end(self) -> None:
        """Cancel what is outstanding: coroutines that are dropped complain."""
        self.is_over = True
        for asked in list(self.outstanding):
            asked.cancel()


@implementer(IStorageServer)
class HTTPSConnection:
    """A server as a client sees it."""

    def __init__(self, name: str, http: Any, over: HTTPSClient, client: Client) -> None:
        self.name = name
        self._http = http
        self._over = over
        self._client = client

    def __repr__(self) -> str:
        return f"<HTTPSConnection to {self.name}>"

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Ask for the shares of a file; see `IStorageServer`."""

        def settle(exchange: Exchange, found: Mapping[int, Any]) -> Mapping[int, IBucket]:
            exchange.shares = sorted(found)
            self._client.known.update(found)
            return {n: _Bucket(self, n, found[n]) for n in exchange.shares}

        return self.ask(lambda: self._http.get_buckets(storage_index), settle, "get_buckets")

    def ask(
        self,
        send: Callable[[], Any],
        settle: Callable[[Exchange, Any], Any],
        operation: Operation,
        share: int | None = None,
        offset: int = 0,
        length: int = 0,
    ) -> Deferred[Any]:
        """Send a request; `settle` notes what the answer has, and returns what it becomes.

        The answer reaches the downloader as code of its own.
        """
        client, seconds = self._client, self._over.host.reactor.seconds
        client.note(operation, self.name)
        number = len(client.trace.exchanges)
        exchange = Exchange(number, self.name, operation, share, offset, length, seconds())
        if client.source is not None:
            exchange.source = client.source()
        client.trace.sent(exchange)
        asked = maybeDeferred(send)

        def cancel(_: Deferred[Any]) -> None:
            client.trace.cancelled(exchange, seconds())
            asked.cancel()

        answer: Deferred[Any] = Deferred(cancel)

        def end(outcome: Any) -> None:
            self._over.outstanding.pop(asked, None)
            if self._over.is_over or exchange.cancelled:
                return
            is_good = not isinstance(outcome, Failure)
            if is_good:
                outcome = settle(exchange, outcome)
            else:
                exchange.error = _why(outcome.value)
            client.trace.ended(exchange, seconds(), is_good)
            client.run(answer.callback if is_good else answer.errback, outcome)
            if client.heard is not None:
                client.heard()

        self._over.outstanding[asked] = None
        asked.addBoth(end)
        return answer


@implementer(IBucket)
class _Bucket:
    """One share on a server."""

    def __init__(self, connection: HTTPSConnection, number: int, remote: Any) -> None:
        self._connection = connection
        self._number = number
        self._remote = remote

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        """Read from the share; see `IBucket`."""

        def settle(exchange: Exchange, data: bytes) -> bytes:
            exchange.received = len(data)
            return data

        def send() -> Any:
            return self._remote.callRemote("read", offset, length)

        return self._connection.ask(send, settle, "read", self._number, offset, length)


def _why(error: BaseException) -> str:
    """Return what a request failed with, as text that is the same in each run."""
    reasons = [
        _why(r.value) for r in getattr(error, "reasons", ()) if isinstance(r, Failure) and r.value
    ]
    if reasons:
        return f"{type(error).__name__} ({', '.join(reasons)})"
    message = re.sub(r" at 0x[0-9a-f]+", "", one_line(message_of(error)))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
