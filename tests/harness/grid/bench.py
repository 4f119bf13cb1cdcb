"""A test bench for one simulated server: a schedule of requests, and the answers."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

from pydantic import TypeAdapter
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.python.failure import Failure

from firstk.downloader.encode import encode
from firstk.harness.grid.connection import Client, Connection
from firstk.harness.grid.link import Link, SharedChannel
from firstk.harness.grid.server import ServerError, SimServer
from firstk.harness.grid.service import Service
from firstk.harness.grid.timing import FaultDraws
from firstk.harness.grid.trace import Trace
from firstk.harness.grid.wire import SetUp
from firstk.harness.kernel.reactor import SimReactor
from firstk.scenarios.faults import Fault
from firstk.scenarios.laws import Law
from tests.harness.making import constant

#: A file of three segments, in both layouts.
SHARES = {
    version: encode(Random(1).randbytes(250), k=3, n=10, segment_size=100, version=version).shares
    for version in (1, 2)
}
SHARE = SHARES[1][4]

INDEX = bytes(range(16))

#: The round-trip time to these servers, in seconds; half of it is an exact float.
RTT = 0.5

#: The translation table that a corrupt server applies to bytes.
WRONG = bytes((byte + 1) % 256 for byte in range(256))

#: The text of a failure due to a lost connection.
LOST = "connection lost"

#: The text of a failure due to cancellation.
CANCELLED = "cancelled"

FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)
LAW: TypeAdapter[Law] = TypeAdapter(Law)


class Bench:
    """One server with faults; it follows a schedule of requests, and keeps the answers."""

    def __init__(
        self,
        *faults: dict[str, Any],
        law: dict[str, Any] | None = None,
        per: Literal["request", "server"] = "request",
        version: int = 1,
        seed: int = 0,
        service: dict[str, Any] | None = None,
        concurrency: int | None = None,
        bandwidth: float | None = None,
        name: str = "s0",
        connect: dict[str, Any] | None = None,
    ) -> None:
        self.reactor = SimReactor()
        self.trace = Trace()
        self.answers: list[tuple[float, Any]] = []
        self.progress: list[tuple[float, int]] = []
        made = [FAULT.validate_python(fault) for fault in faults]
        env = self.reactor.env
        works = None
        if service is not None:
            works = Service(env, LAW.validate_python(service), concurrency, seed, "s0")
        uplink = None if bandwidth is None else SharedChannel(env, bandwidth)
        self.shares = {number: SHARES[version][number] for number in (4, 7)}
        self.server = SimServer(
            reactor=self.reactor,
            name=name,
            shares={INDEX: self.shares},
            link=Link(LAW.validate_python(law or constant(RTT)), per, seed, "s0", uplink),
            service=works,
            faults=made,
            chances=FaultDraws(made, seed, "s0"),
            set_up=SetUp(LAW.validate_python(connect), made, seed, "s0") if connect else None,
        )
        self.connection = Connection(self.server, Client(self.trace))

    def query(self, at: float = 0.0, index: bytes = INDEX) -> Bench:
        """Query at a time; the recorded answer is the list of share numbers."""

        def ask() -> None:
            self.connection.get_buckets(index).addCallback(list).addBoth(self._keep)

        self.reactor.callLater(at, ask)
        return self

    def read(
        self,
        at: float = 0.0,
        offset: int = 0,
        length: int = 9999,
        share: int = 4,
        cancel: float | None = None,
    ) -> Bench:
        """Read from a share at a time, and cancel the read at another."""

        def ask() -> None:
            asked = self.connection.read(INDEX, share, offset, length, self._progress)
            asked.addBoth(self._keep)
            if cancel is not None:
                self._cancel(cancel, asked)

        self.reactor.callLater(at, ask)
        return self

    def reconnect(self, at: float) -> Bench:
        """Reconnect at a time; the recorded answer is None."""
        self.reactor.callLater(at, lambda: self.connection.reconnect().addBoth(self._keep))
        return self

    def _cancel(self, at: float, asked: Deferred[Any]) -> None:
        self.reactor.callLater(at - self.reactor.seconds(), asked.cancel)

    def _progress(self, arrived: int) -> None:
        self.progress.append((self.reactor.seconds(), arrived))

    def _keep(self, answer: Any) -> None:
        if isinstance(answer, Failure):
            named: dict[type[BaseException], str] = {
                ConnectionLost: LOST,
                CancelledError: CANCELLED,
            }
            assert answer.type in (ServerError, ConnectError, *named)
            text = str(answer.value).removeprefix("An error occurred while connecting: ")
            answer = named.get(answer.type, text.rstrip("."))
        self.answers.append((self.reactor.seconds(), answer))

    def run(self) -> list[tuple[float, Any]]:
        """Return the answers, each with its time, in order of arrival."""
        self.reactor.run()
        return self.answers
