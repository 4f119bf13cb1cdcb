"""Simulated storage servers, and a client's connections to them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from random import Random
from typing import Any, NamedTuple, overload

import simpy
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from zope.interface import implementer

from firstk.downloader.interfaces import IBucket, IStorageServer
from firstk.harness.grid.client_machine import Processor
from firstk.harness.grid.link import Link, Process
from firstk.harness.grid.timing import FaultDraws, RequestTiming, delaying, failing, plan_request
from firstk.harness.grid.trace import Exchange, Trace
from firstk.harness.kernel.environment import Entry, Environment
from firstk.harness.kernel.raised import Place
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.harness.kernel.time_average import TimeAverage
from firstk.scenarios.faults import Fault, Operation
from firstk.scenarios.laws import Law
from firstk.scenarios.model import UnopenedShare


class ServerError(Exception):
    """What the requests to a server fail with that has such a fault."""


class Service:
    """What a server does with a request when it has taken it up: it works on it for a time.

    It works on `concurrency` requests at once (None: on all), and the others wait for
    their turn, in the order in which they were taken up. They wait for one another's requests too
    if it works on the same machine as the one that is `beside` it.
    """

    def __init__(
        self,
        env: Environment,
        law: Law,
        concurrency: int | None,
        seed: int,
        server: str,
        beside: Service | None = None,
    ) -> None:
        self.law = law
        self.concurrency = concurrency
        self.busy: TimeAverage = TimeAverage(env) if beside is None else beside.busy
        self._beside = beside
        self._env = env
        self._seed = seed
        self._server = server

    @cached_property
    def _random(self) -> Random:
        return stream(self._seed, self._server, "service")

    @cached_property
    def _places(self) -> simpy.Resource:
        if self._beside is not None:
            return self._beside._places
        return simpy.Resource(self._env, self.concurrency or sys.maxsize)

    def time(self) -> float:
        """Return for how long the next request will be worked on, in seconds."""
        return self.law.sample(self._random)

    def work(self, time: float, wanted: Callable[[], bool]) -> Process:
        """Work on a request for `time` seconds, if it is still `wanted` when its turn comes."""
        with self._places.request() as place:
            yield place
            if wanted():
                self.busy.change(+1)
                try:
                    yield self._env.timeout(time)
                finally:
                    self.busy.change(-1)


class _Answer(NamedTuple):
    """What a server answers: the result, and what the trace says of it."""

    result: Any
    shares: Sequence[int] = ()
    received: int = 0
    corrupt: bool = False
    changed_by: Sequence[int] = ()  # of the faults that it was made with, the places of these


@dataclass(eq=False, slots=True)
class _Request:
    """A request that a server was sent and has not answered yet, and its planned course.

    `event` is the next thing that is to happen to it; `losing` is the loss of its connection,
    where that may come while the server works on it. `taken_up` is True while it does, or waits
    for its turn to, and `working` is the process that does. `number` counts the requests that
    the server was sent, from 0. Of what is to happen at the same time that goes first whose
    request was sent first: `place` says which was.
    """

    server: SimServer
    client: Client
    exchange: Exchange
    number: int
    place: int
    deferred: Deferred[Any]
    answer: Callable[[Sequence[Fault]], _Answer | Exception]
    rtt: float
    work: float
    chances: list[float]
    course: RequestTiming
    event: Entry | None = None
    losing: Entry | None = None
    working: simpy.Process | None = None
    taken_up: bool = False


class SimServer:
    """A storage server in virtual time, with its shares of some files and its faults.

    A request reaches the server after half the round trip, and the answer takes the other
    half. Which faults a request meets is decided when the server takes it up: on arrival,
    or when a hang is over; a slow server's round trip is settled when it begins. A lost
    connection fails a request wherever it is.

    What is taken up waits for its turn to be worked on, where that takes a `service`, and then
    the bytes of the answer pass the link. A server that begins to hang does go on with what it
    has taken up; only what arrives from then on is held. Where a connection is lost the work
    and the piece that are under way are still finished, and nothing more is done for that
    request.

    `entry` is the number of the entry in `[[servers]]` that the faults come from, and `met` has
    the places of those that met a request, at any server with this entry.
    """

    def __init__(
        self,
        reactor: SimReactor,
        name: str,
        shares: Mapping[bytes, Mapping[int, bytes]],
        link: Link,
        service: Service | None,
        faults: Sequence[Fault],
        chances: FaultDraws,
        entry: int | None = None,
        met: set[int] | None = None,
    ) -> None:
        self.name = name
        self.entry = entry
        self.shares = shares  # by storage index and share number
        self.faults = faults
        self._reactor = reactor
        self._env = reactor.env
        self._link = link
        self._service = service
        self._chances = chances
        # Whether a request may have to wait for others, so that its end is not known.
        self._queues = service is not None or bool(link.lines)
        self._outstanding: dict[_Request, None] = {}  # in the order in which they were sent
        self._met: set[int] = set() if met is None else met

    def __repr__(self) -> str:
        return f"<SimServer {self.name}>"

    @property
    def limits(self) -> dict[TimeAverage, int]:
        """The use and the capacity of each limited resource: slots to work in, and channels."""
        limits = {line.busy: 1 for line in self._link.lines}
        if self._service is not None and self._service.concurrency is not None:
            limits[self._service.busy] = self._service.concurrency
        return limits

    @property
    def outstanding(self) -> list[Exchange]:
        """The requests that are not answered yet, in the order in which they were sent."""
        return [request.exchange for request in self._outstanding]

    def met_faults(self) -> set[int]:
        """Return the places of the faults that have met a request."""
        # Where nothing is left to happen, what was sent arrives all the same.
        now = inf if self._env.peek() == inf else self._env.now
        for request in self._outstanding:
            self._note_faults(request, now)
        return self._met

    def _note_faults(
        self, request: _Request, now: float, outcome: _Answer | Exception | None = None
    ) -> None:
        """Note which faults have met a request by `now`; `outcome` is how it ended, if it has."""
        met, course = self._met, request.course
        if len(met) == len(self.faults):
            return
        operation, share = request.exchange.operation, request.exchange.share
        if course.rtt != request.rtt or course.taken_up != course.arrives:
            met.update(delaying(self.faults, operation, request.rtt, course, now, share))
        if isinstance(outcome, ConnectionLost):
            met.update(
                i
                for i, fault in enumerate(self.faults)
                if fault.concerns(operation, share) and fault.lost(course.sent) == course.lost
            )
        elif outcome is not None:
            if course.failure or any(fault.stochastic for fault in course.faults):
                met.update(failing(operation, course, request.chances))
            if isinstance(outcome, _Answer):
                met.update(course.places[i] for i in outcome.changed_by)

    def add_fault(self, fault: Fault) -> None:
        """Have one more fault from now on."""
        self.faults = [*self.faults, fault]
        self._met = set(self._met)  # other servers do not have this one there
        drawn = self._chances.add(fault)
        for request in self._outstanding:
            request.chances.append(drawn[request.number])
        self._settle_again()

    def heal(self, at: float | None = None) -> None:
        """Have none of its faults from then on, default now; what was held is taken up then."""
        time = self._env.now if at is None else max(at, self._env.now)
        self.faults = [fault.over_at(time) for fault in self.faults]
        self._settle_again()

    def _outcome(self, request: _Request) -> _Answer | Exception:
        course = request.course
        return ServerError(course.failure) if course.failure else request.answer(course.faults)

    def hold(self, storage_index: bytes, shares: Mapping[int, bytes]) -> None:
        """Hold these shares of one file and nothing else from now on.

        A read of another share fails, also from a bucket that was found before. What the server
        has taken up is answered with what it held then.
        """
        for request in self._outstanding:
            # Without queues an answer is only made when it reaches the client.
            if not request.taken_up and request.course.taken_up < self._env.now:
                request.answer = partial(_made, request.answer(request.course.faults))
        self.shares = {storage_index: shares}

    def send(
        self,
        client: Client,
        answer: Callable[[Sequence[Fault]], _Answer | Exception],
        operation: Operation,
        share: int | None = None,
        offset: int = 0,
        length: int = 0,
    ) -> Deferred[Any]:
        """Send the server a request; when its time has come, it is answered or fails.

        What the client holds is never sent or answered, and is in no trace.
        """
        client.note(operation, self.name)
        if operation in client.holds:
            return Deferred()
        sent = self._env.clock
        number = len(client.trace.exchanges)
        exchange = Exchange(number, self.name, operation, share, offset, length, sent)
        if client.source is not None:
            exchange.source = client.source()
        client.trace.sent(exchange)
        work = 0.0 if self._service is None else self._service.time()
        rtt, turn = self._link.round_trip(), self._chances.requests
        chances, place = self._chances.draw(), self._env.take_place()
        course = plan_request(self.faults, operation, sent, rtt, chances, share)
        request = _Request(
            self, client, exchange, turn, place, Deferred(), answer, rtt, work, chances, course
        )
        self._outstanding[request] = client.outstanding[request] = None
        self._settle(request)
        return request.deferred

    def withdraw(self, request: _Request) -> None:
        """Forget a request: it is not answered, and takes no more of the server's time."""
        if request in self._outstanding:  # else it is answered, and the client is busy
            if self.faults:
                self._note_faults(request, self._env.now)
            del self._outstanding[request]
        del request.client.outstanding[request]
        if request.working is not None and request.working.is_alive:
            request.working.interrupt()
        for event in request.event, request.losing:
            if event is not None:
                self._env.give_up(event)

    def _settle(self, request: _Request) -> None:
        """Schedule the next event of a request, as planned."""
        env, course, place = self._env, request.course, request.place
        known = course.taken_up if self._queues else course.ends()
        if known == course.lost == inf:
            request.event = None  # held forever
        elif course.lost <= known:
            request.event = env.at(course.lost, lambda _: self._lose(request), place)
        elif not self._queues:
            request.event = env.at(
                known, lambda _: self._end(request, self._outcome(request)), place
            )
        elif course.arrives >= env.now:
            request.event = env.at(course.arrives, lambda _: self._arrive(request), place)
        else:
            self._arrive(request)

    def _settle_again(self) -> None:
        """Plan the outstanding requests anew, since the faults have changed.

        What the server took up before goes on, if its connection is not lost.
        """
        now = self._env.now
        # What was held is taken up in the order in which it arrived.
        for request in sorted(self._outstanding, key=lambda request: request.course.arrives):
            exchange = request.exchange
            course = plan_request(
                self.faults,
                exchange.operation,
                exchange.sent,
                request.rtt,
                request.chances,
                exchange.share,
            )
            if request.taken_up or request.course.taken_up < now:
                course = request.course._replace(lost=course.lost)
            before, request.course = request.course, course
            if course.times == before.times:
                continue  # its events keep their places
            if request.taken_up:
                self._settle_loss(request)
                continue
            if request.event is not None:
                self._env.give_up(request.event)
            self._settle(request)

    def _arrive(self, request: _Request) -> None:
        request.event = self._env.at(request.course.taken_up, lambda _: self._take_up(request))

    def _take_up(self, request: _Request) -> None:
        request.taken_up, request.event = True, None
        request.working = self._env.process(self._serve(request, self._outcome(request)))

    def _settle_loss(self, request: _Request) -> None:
        """Schedule the loss of the connection, while the server works on a request."""
        if request.losing is not None:
            self._env.give_up(request.losing)
        lost = request.course.lost
        request.losing = None
        if lost < inf:
            lose = self._env.at(lost, lambda _: self._lose(request), request.place)
            request.losing = lose

    def _serve(self, request: _Request, outcome: _Answer | Exception) -> Process:
        """Work on a request and send the answer: a SimPy process from when it is taken up."""
        self._settle_loss(request)

        def wanted() -> bool:
            return request in self._outstanding

        try:
            if self._service is not None:
                yield from self._service.work(request.work, wanted)
            if isinstance(outcome, _Answer):
                yield from self._link.carry(outcome.received, wanted)
        except simpy.Interrupt:  # it is withdrawn
            return
        if wanted():
            ends = self._env.now + request.course.rtt / 2
            request.event = self._env.at(ends, lambda _: self._end(request, outcome))

    def _lose(self, request: _Request) -> None:
        """Fail a request whose connection is lost, whatever was still to come of it."""
        if request.taken_up and request.event is not None:
            self._env.give_up(request.event)
        request.losing = None
        self._end(request, ConnectionLost())

    def _end(self, request: _Request, outcome: _Answer | Exception) -> None:
        """Let a request's answer, or its failure, reach the client."""
        client, now = request.client, self._env.clock
        if self.faults:
            self._note_faults(request, now, outcome)
        del self._outstanding[request]
        if request.losing is not None:
            self._env.give_up(request.losing)
            request.losing = None
        if client.processor is not None:
            size = outcome.received if isinstance(outcome, _Answer) else 0
            if (heard := client.processor.after_answer(size)) > now:
                request.event = self._env.at(heard, lambda _: self._hear(request, outcome))
                return
        self._hear(request, outcome)

    def _hear(self, request: _Request, outcome: _Answer | Exception) -> None:
        """Let the downloader hear an answer, or a failure, that has reached the client."""
        exchange, client, now = request.exchange, request.client, self._env.clock
        del client.outstanding[request]
        if isinstance(outcome, Exception):
            exchange.error = str(outcome)
            client.trace.ended(exchange, now, False)
            client.run(request.deferred.errback, outcome)
        else:
            _, exchange.shares, exchange.received, exchange.corrupt, _ = outcome
            if exchange.operation == "get_buckets":
                client.known.update(outcome.result)
            client.trace.ended(exchange, now, True)
            client.run(request.deferred.callback, outcome.result)
        if client.heard is not None:
            client.heard()


class Client:
    """A client of the servers. It keeps a trace of requests and answers.

    `heard` is called after each answer, and each failure, when the client has dealt with it.
    `run` calls what deals with them: a function, with its arguments. `note` is called with the
    operation and the server's name of each request, and may raise an error in place of it.
    Requests for an operation in `holds` stay with the client: they are never sent, and never
    answered. `source` returns the line that sends one, if it is to be known. `known` has the
    share numbers that answers to queries have named so far. What reaches the client waits for its
    `processor`, if there is one.
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
    ) -> None:
        self.processor = processor
        self.note = note
        self.trace = trace
        self.heard = heard
        self.run = run
        self.holds = holds
        self.source = source
        self.known: set[int] = set()
        self.outstanding: dict[_Request, None] = {}  # in the order in which they were sent

    @property
    def waits(self) -> bool:
        """Whether an answer, or a failure, is to come: not all that is outstanding is held."""
        return any(request.event or request.taken_up for request in self.outstanding)

    def withdraw(self, *, held: bool = False) -> None:
        """Withdraw all outstanding requests, or with `held` only those that wait forever."""
        for request in list(self.outstanding):
            if not held or not (request.event or request.taken_up):
                request.server.withdraw(request)


@implementer(IStorageServer)
class Connection:
    """A server as a client sees it."""

    def __init__(self, server: SimServer, client: Client) -> None:
        self.name = server.name
        self._server = server
        self._client = client

    def __repr__(self) -> str:
        return f"<Connection to {self.name}>"

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        """Answer with the buckets of a file; see `IStorageServer`."""

        def answer(faults: Sequence[Fault]) -> _Answer | Exception:
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
            return _Answer(buckets, shown, changed_by=changed_by)

        return self._server.send(self._client, answer, "get_buckets")

    def read(self, storage_index: bytes, number: int, offset: int, length: int) -> Deferred[bytes]:
        """Answer with bytes of the share with this number; see `IBucket.read`.

        It fails with `ServerError` if the server does not hold that share any more. Raises
        `ValueError` for a negative offset or length, as a real server's protocol does.
        """
        if offset < 0 or length < 0:
            raise ValueError(f"a read of {length} bytes at {offset} is impossible")

        def answer(faults: Sequence[Fault]) -> _Answer | Exception:
            data = self._server.shares.get(storage_index, {}).get(number)
            if data is None:
                return ServerError(f"share {number} is gone")
            right = read = data[offset : offset + length]
            changed_by = []
            for i, fault in enumerate(faults):
                before, read = read, fault.alter(data, offset, read)
                if read != before:
                    changed_by.append(i)
            return _Answer(read, (), len(read), read != right, changed_by)

        return self._server.send(self._client, answer, "read", number, offset, length)


class Connections(Sequence[Connection]):
    """A client's connections to servers, in their order, each made when it is looked at.

    A download asks a few servers of a large grid.
    """

    def __init__(self, servers: Sequence[SimServer], client: Client) -> None:
        self._servers = servers
        self._client = client

    def __len__(self) -> int:
        return len(self._servers)

    @overload
    def __getitem__(self, place: int) -> Connection: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Connection]: ...

    def __getitem__(self, place: int | slice) -> Connection | Sequence[Connection]:
        if isinstance(place, slice):
            return Connections(self._servers[place], self._client)
        return Connection(self._servers[place], self._client)


@implementer(IBucket)
class SimBucket:
    """One share on a simulated server."""

    def __init__(self, connection: Connection, storage_index: bytes, number: int) -> None:
        self._connection = connection
        self._storage_index = storage_index
        self._number = number

    def __repr__(self) -> str:
        return f"<SimBucket of share {self._number} on {self._connection.name}>"

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        """Read from the share; see `IBucket`."""
        return self._connection.read(self._storage_index, self._number, offset, length)


def _made(answer: _Answer | Exception, _: Sequence[Fault]) -> _Answer | Exception:
    """Answer what was made before, whatever the faults are by now."""
    return answer
