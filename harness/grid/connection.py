"""The client side of a simulated grid: its connections to servers, and their buckets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import overload

from twisted.internet.defer import Deferred
from zope.interface import implementer

from firstk.downloader.interfaces import (
    IBucket,
    IProgressBucket,
    IReadingServer,
    IReconnectingServer,
)
from firstk.harness.grid.client_machine import Processor
from firstk.harness.grid.request import Answer, Progress, Request
from firstk.harness.grid.server import ServerError, SimServer
from firstk.harness.grid.trace import Trace
from firstk.harness.grid.wire import Wire
from firstk.harness.kernel.raised import Place
from firstk.scenarios.faults import Fault, Operation
from firstk.scenarios.model import UnopenedShare

_WAITS = attrgetter("waits")


class Client:
    """A client of the servers. It keeps a trace of requests and answers.

    `heard` is called after the client has processed an answer or a failure. `run` is used to call
    the functions that process them, with their arguments. `note` is called with the operation and
    the server's name of each request, and may raise an error instead of sending it.
    Requests for an operation in `holds` stay with the client: they are never sent, and never
    answered. `source`, if given, returns the line of code that sends a request. `known` has the
    share numbers that answers to queries have named so far, and `wires` the connections. Answers
    and failures wait for the client's `processor`, if there is one. Its queries are `tied` if that
    is a number: once servers have begun to work on so many, the others are withdrawn.
    """

    def __init__(
        self,
        trace: Trace,
        heard: Callable[[], None] | None = None,
        run: Callable[..., None] = lambda function, *args: function(*args),
        holds: Sequence[Operation] = (),
        note: Callable[[str, str], None] = lambda operation, server: None,
        source: Callable[[], Place | None] | None = None,
        processor: Processor | None = None,
        tied: int | None = None,
    ) -> None:
        self._tied = tied
        self._begun = 0
        self.processor = processor
        self.note = note
        self.trace = trace
        self.heard = heard
        self.run = run
        self.holds = holds
        self.source = source
        self.known: set[int] = set()
        self.wires: dict[SimServer, Wire] = {}
        self.outstanding: dict[Request, None] = {}  # in the order in which they were sent

    @property
    def waits(self) -> bool:
        """Whether an answer or a failure is still to come, as not all requests are held."""
        return any(map(_WAITS, self.outstanding))

    def has_begun(self, request: Request) -> None:
        """Count a query that a server begins to work on; withdraw the others that are tied to it.

        Call it once for each request, when the work begins.
        """
        if self._tied is None or request.exchange.operation != "get_buckets":
            return
        self._begun += 1
        if self._begun < self._tied:
            return
        for other in list(self.outstanding):
            if not other.begun and not other.over and other.exchange.operation == "get_buckets":
                other.server.turn_away(other)

    def withdraw(self, *, held: bool = False) -> None:
        """Cancel all outstanding requests, or with `held` only those that are held forever."""
        for request in list(self.outstanding):
            if not held or not request.waits:
                request.server.withdraw(request)


@implementer(IReconnectingServer)
class Connection:
    """A server as a client sees it."""

    def __init__(self, server: SimServer, client: Client) -> None:
        self.name = server.name
        self._server = server
        self._client = client

    def __repr__(self) -> str:
        return f"<Connection to {self.name}>"

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Return the buckets of a file; see `IStorageServer`."""
        return self._server.send(self._client, partial(self._buckets, storage_index), "get_buckets")

    def _buckets(
        self, storage_index: bytes, faults: Sequence[Fault], taken_up: float
    ) -> Answer | Exception:
        held = self._server.shares.get(storage_index, {})
        for share in held.values():
            if isinstance(share, UnopenedShare):
                return ServerError(share.reason)
        shown: Sequence[int] = list(held)
        changed_by: list[int] = []
        for i, fault in enumerate(faults):
            before, shown = shown, fault.buckets(shown)
            if len(shown) != len(before):
                changed_by.append(i)
        buckets = {number: SimBucket(self, storage_index, number) for number in shown}
        return Answer(buckets, shown, changed_by=changed_by)

    def reconnect(self) -> Deferred[None]:
        """Set up a new connection; see `IReconnectingServer`."""
        return self._server.reconnect(self._client)

    def read(
        self,
        storage_index: bytes,
        number: int,
        offset: int,
        length: int,
        progress: Progress | None = None,
    ) -> Deferred[bytes]:
        """Read bytes of the share with this number; see `IProgressBucket.read`.

        The Deferred fails with `ServerError` if the server no longer holds the share. Raises
        `ValueError` for a negative offset or length, as a real server's protocol does.
        """
        if offset < 0 or length < 0:
            raise ValueError(f"a read of {length} bytes at {offset} is impossible")

        def answer(faults: Sequence[Fault], taken_up: float) -> Answer | Exception:
            data = self._server.shares.get(storage_index, {}).get(number)
            if data is None:
                return ServerError(f"share {number} is gone")
            right = read = data[offset : offset + length]
            changed_by = []
            for i, fault in enumerate(faults):
                before, read = read, fault.alter(data, offset, read)
                if read != before:
                    changed_by.append(i)
            return Answer(read, (), len(read), read != right, changed_by)

        return self._server.send(self._client, answer, "read", number, offset, length, progress)


@implementer(IReadingServer)
class ReadingConnection(Connection):
    """A connection to a server that can read a share in the round trip of a query."""

    def get_and_read(
        self, storage_index: bytes, number: int, spans: Sequence[tuple[int, int]]
    ) -> Deferred[tuple[Mapping[int, IBucket], Mapping[int, Sequence[bytes]]]]:
        """Return the buckets of a file, and bytes of one of them; see `IReadingServer`.

        If the server, or this connection, has a fault that concerns reads when it takes the query
        up, the query is only answered.
        """

        def answer(faults: Sequence[Fault], taken_up: float) -> Answer | Exception:
            made = self._buckets(storage_index, faults, taken_up)
            if isinstance(made, Exception):
                return made
            pieces: dict[int, Sequence[bytes]] = {}
            if made.shares and not self._server.hinders_reads(self._client, taken_up):
                chosen = min(made.shares, key=lambda share: (share < number, share))
                data = self._server.shares[storage_index][chosen]
                pieces[chosen] = [data[offset : offset + length] for offset, length in spans]
            received = sum(len(piece) for each in pieces.values() for piece in each)
            return made._replace(result=(made.result, pieces), received=received)

        return self._server.send(self._client, answer, "get_buckets")


class Connections(Sequence[Connection]):
    """A sequence of a client's connections to servers, each created when it is accessed.

    A download queries only a few servers of a large grid. With `reading`, the connections are
    `ReadingConnection`s.
    """

    def __init__(
        self, servers: Sequence[SimServer], client: Client, *, reading: bool = False
    ) -> None:
        self._servers = servers
        self._client = client
        self._reading = reading

    def __len__(self) -> int:
        return len(self._servers)

    @overload
    def __getitem__(self, place: int) -> Connection: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Connection]: ...

    def __getitem__(self, place: int | slice) -> Connection | Sequence[Connection]:
        if isinstance(place, slice):
            return Connections(self._servers[place], self._client, reading=self._reading)
        kind = ReadingConnection if self._reading else Connection
        return kind(self._servers[place], self._client)


@implementer(IProgressBucket)
class SimBucket:
    """One share on a simulated server."""

    def __init__(self, connection: Connection, storage_index: bytes, number: int) -> None:
        self._connection = connection
        self._storage_index = storage_index
        self._number = number

    def __repr__(self) -> str:
        return f"<SimBucket of share {self._number} on {self._connection.name}>"

    def read(self, offset: int, length: int, progress: Progress | None = None) -> Deferred[bytes]:
        """Read from the share; see `IProgressBucket`."""
        return self._connection.read(self._storage_index, self._number, offset, length, progress)
