"""Simulated storage servers in virtual time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from math import inf
from typing import TYPE_CHECKING, Any

import simpy
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost

from firstk.harness.grid.link import Link, Process
from firstk.harness.grid.request import Answer, MakeAnswer, Progress, Request
from firstk.harness.grid.sender import Sender
from firstk.harness.grid.service import Service
from firstk.harness.grid.timing import (
    FaultDraws,
    RequestTiming,
    connection_lost,
    delaying,
    failing,
    plan_request,
)
from firstk.harness.grid.trace import Exchange
from firstk.harness.grid.wire import Attempt, SetUp, Wire
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.time_average import TimeAverage
from firstk.scenarios.faults import Fault, Operation

if TYPE_CHECKING:
    from firstk.harness.grid.connection import Client


class ServerError(Exception):
    """The error of a request that a simulated server fails because of a fault."""


class SimServer:
    """A storage server in virtual time, with its shares of some files and its faults.

    A request reaches the server after half the round trip, and the answer takes the other half.
    Which faults a request meets is decided when the server takes it up: on arrival, or when a hang
    ends. A slow server's round-trip time is determined when the request is sent. A lost connection
    fails a request at any stage.

    If there is a `service`, a request that was taken up waits for its turn, and then the bytes of
    the answer pass the link. A server that begins to hang continues with requests that it has taken
    up; only requests that arrive later are held. If a connection is lost, the work and the piece in
    progress are still finished, and nothing more is done for that request.

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
        set_up: SetUp | None = None,
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
        self._set_up = set_up
        # Whether a request may have to wait for others, or its answer for faults: see `Request`.
        self._queues = service is not None or bool(link.lines)
        self._has_wires = self._connects = False
        if set_up is not None or (faults and any(fault.is_special for fault in faults)):
            self._look_at(faults)
        self._outstanding: dict[Request, None] = {}  # in the order in which they were sent
        self._met: set[int] = set() if met is None else met

    def __repr__(self) -> str:
        return f"<SimServer {self.name}>"

    def _look_at(self, faults: Sequence[Fault]) -> None:
        """Record what these faults require."""
        self._link.throttle(self._env, faults)
        waiting = any(fault.begins_after() != (0, 0) for fault in faults)
        streams = waiting or any(fault.streams for fault in faults)
        self._queues = self._queues or streams or bool(self._link.lines)
        connect = any("connect" in (fault.on or ()) for fault in faults)
        if connect and self._set_up is None:
            self._set_up = SetUp(None, faults, self._chances.seed, self.name)
        has_law = self._set_up is not None and self._set_up.law is not None
        self._connects = self._connects or connect or has_law
        of_connection = any(fault.of_connection for fault in faults)
        self._has_wires = self._has_wires or self._connects or of_connection

    def _wire(self, client: Client) -> Wire:
        """Return the client's connection, whether it is up or not."""
        wire = client.wires.get(self)
        if wire is None:
            wire = client.wires[self] = Wire(self.faults)
        wire.update(self.faults)
        return wire

    def faults_of(self, request: Request) -> Sequence[Fault]:
        """Return the faults that a request can meet: those of the server, or of the connection."""
        return self.faults if request.wire is None else request.wire.faults

    @cached_property
    def _sender(self) -> Sender:
        return Sender(self, self._env, self._link)

    @property
    def limits(self) -> dict[TimeAverage, int]:
        """The utilisation and capacity of each limited resource: work slots and channels."""
        limits = {line.busy: 1 for line in self._link.lines}
        if self._service is not None and self._service.concurrency is not None:
            limits[self._service.busy] = self._service.concurrency
        return limits

    @property
    def outstanding(self) -> list[Exchange]:
        """The unanswered requests, in the order in which they were sent."""
        return [request.exchange for request in self._outstanding]

    def hinders_reads(self, client: Client, time: float) -> bool:
        """Return whether a fault of the server, or of this connection, concerned reads then."""
        faults = self._wire(client).faults if self._has_wires else self.faults
        return any(f.active(time) and f.affects("read") for f in faults)

    def met_faults(self) -> set[int]:
        """Return the places of the faults that have met a request."""
        # If no events are left, requests that were sent have nevertheless arrived.
        now = inf if self._env.peek() == inf else self._env.now
        for request in self._outstanding:
            self._note_faults(request, now)
        return self._met

    def _note_faults(
        self, request: Request, now: float, outcome: Answer | Exception | None = None
    ) -> None:
        """Record which faults have met a request by `now`; `outcome` is its outcome, if any."""
        met, course, faults = self._met, request.course, self.faults_of(request)
        if len(met) == len(faults):
            return
        operation, share = request.exchange.operation, request.exchange.share
        if course.rtt != request.rtt or course.taken_up != course.arrives:
            met.update(delaying(faults, operation, request.rtt, course, now, share))
        if isinstance(outcome, ConnectionLost):
            met.update(_losing(faults, operation, share, course))
        elif outcome is not None:
            if course.failure or any(fault.stochastic for fault in course.faults):
                met.update(failing(operation, course, request.chances))
            if isinstance(outcome, Answer):
                met.update(course.places[i] for i in outcome.changed_by)

    def meets(self, place: int) -> None:
        """Record that the fault at a place meets a request."""
        self._met.add(place)

    def add_fault(self, fault: Fault) -> None:
        """Add a fault, which applies from now on."""
        self.faults = [*self.faults, fault]
        self._met = set(self._met)  # other servers do not have this one there
        drawn = self._chances.add(fault)
        for request in self._outstanding:
            if request.exchange.operation != "connect":
                request.chances = [*request.chances, drawn[request.number]]
        if self._set_up is not None:
            self._set_up.add(fault)
        self._look_at(self.faults)
        self.settle_again()

    def heal(self, at: float | None = None) -> None:
        """End all current faults at a time (default: now); held requests are taken up then."""
        time = self._env.now if at is None else max(at, self._env.now)
        self.faults = [fault.over_at(time) for fault in self.faults]
        self.settle_again()

    def _outcome(self, request: Request) -> Answer | Exception:
        failure = request.course.failure
        if failure is None:
            return request.make_answer()
        if request.exchange.operation == "connect":
            return _refusal(failure)
        return ServerError(failure)

    def hold(self, storage_index: bytes, shares: Mapping[int, bytes]) -> None:
        """Replace the server's shares by these shares of one file.

        A read of another share fails, even from a bucket that was obtained before. Requests that
        the server has already taken up are answered from the previous shares.
        """
        for request in self._outstanding:
            # Without queues, an answer is made only when it reaches the client.
            if not request.taken_up and request.course.taken_up < self._env.now:
                request.answer = partial(_made, request.make_answer())
        self.shares = {storage_index: shares}

    def send(
        self,
        client: Client,
        answer: MakeAnswer,
        operation: Operation,
        share: int | None = None,
        offset: int = 0,
        length: int = 0,
        progress: Progress | None = None,
    ) -> Deferred[Any]:
        """Send the server a request, which is answered or fails later.

        Requests that the client holds are never sent or answered, and do not appear in the trace.
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
        deferred: Deferred[Any] = Deferred(lambda _: self._cancel(request))
        request = Request(
            self,
            client,
            exchange,
            turn,
            place,
            deferred,
            answer,
            rtt,
            work,
            chances,
            self._queues,
            sent,
        )
        if progress is not None:
            request.progress = progress
        if self._has_wires:
            self._route(request)
            request.course = self._planned(request)
        else:
            request.course = plan_request(self.faults, operation, sent, rtt, chances, share)
        self._outstanding[request] = client.outstanding[request] = None
        self._settle(request)
        return deferred

    def _route(self, request: Request) -> None:
        """Send a request over the client's connection, which is set up for it if necessary."""
        request.wire = self._wire(request.client)
        if self._connects:
            self._connect(request.wire)
            request.ready = inf  # until it is planned

    def _connect(self, wire: Wire) -> Attempt:
        """Return the set-up of a connection that requests are sent over."""
        assert self._set_up is not None
        before = wire.attempt
        attempt = wire.connect(self._set_up, self._env.now)
        if attempt is not before:
            self._note_set_up(wire, attempt)
        return attempt

    def _note_set_up(self, wire: Wire, attempt: Attempt) -> None:
        """Record which faults a set-up meets."""
        course = attempt.course
        self._met.update(delaying(wire.faults, "connect", attempt.time, course, inf))
        self._met.update(failing("connect", course, attempt.chances))
        if attempt.fails == course.lost:
            self._met.update(_losing(wire.faults, "connect", None, course))

    def reconnect(self, client: Client) -> Deferred[None]:
        """Close a client's connection, and set up a new one; see `IReconnectingServer`."""
        client.note("reconnect to", self.name)
        if client.holds:
            return Deferred()
        now = self._env.clock
        exchange = Exchange(len(client.trace.exchanges), self.name, "connect", None, 0, 0, now)
        if client.source is not None:
            exchange.source = client.source()
        client.trace.sent(exchange)
        for request in list(client.outstanding):
            if request in self._outstanding:
                self._cut(request)
        if self._set_up is None:
            self._set_up = SetUp(None, self.faults, self._chances.seed, self.name)
        wire = self._wire(client)
        attempt = wire.reconnect(self._set_up, now)
        self._note_set_up(wire, attempt)
        request = Request(
            server=self,
            client=client,
            exchange=exchange,
            number=0,
            place=self._env.take_place(),
            deferred=Deferred(lambda _: self._cancel(request)),
            answer=partial(_made, Answer(None)),
            rtt=attempt.time,
            work=0.0,
            chances=attempt.chances,
            queued=False,
            ready=now,
        )
        request.course, request.wire = attempt.course, wire
        self._outstanding[request] = client.outstanding[request] = None
        self._settle(request)
        return request.deferred

    def _cut(self, request: Request) -> None:
        """Fail a request now, since the client has closed its connection."""
        self._abandon(request)
        if request.losing is not None:
            self._env.give_up(request.losing)
            request.losing = None
        request.taken_up, request.refused = False, None
        request.course = request.course._replace(lost=self._env.now)
        request.event = self._env.at(self._env.now, lambda _: self.lose(request), request.place)

    def withdraw(self, request: Request) -> None:
        """Drop a request: it is not answered, and takes no more of the server's time."""
        self._forget(request)
        self._abandon(request)

    def turn_away(self, request: Request) -> None:
        """Drop a tied query, which others have made unnecessary: it fails.

        A server that hangs does not hear of it, and begins the query when the hang ends.
        """
        course, heard = request.course, max(self._env.now, request.course.arrives)
        if course.taken_up > heard:
            return
        self._abandon(request)
        if request.losing is not None:
            self._env.give_up(request.losing)
            request.losing = None
        failed = ServerError("withdrawn: servers have begun enough of the queries tied to it")
        ends = heard + course.rtt / 2
        if course.lost <= ends:
            request.event = self._env.at(course.lost, lambda _: self.lose(request), request.place)
        else:
            request.event = self._env.at(ends, lambda _: self._end(request, failed), request.place)

    def _cancel(self, request: Request) -> None:
        """Drop a request that the client cancels; the server learns of this later.

        The cancellation takes half a round trip; bytes that the server sends until then are wasted.
        """
        if request.client.trace.closed:  # a coroutine that waited is discarded after the run
            request.deferred.addErrback(lambda _: None)
            return
        if request not in request.client.outstanding:
            return  # it is over
        exchange, now = request.exchange, self._env.clock
        self._forget(request)
        exchange.received = request.passed
        request.client.trace.cancelled(exchange, now)
        course, learns = request.course, now + request.course.rtt / 2
        sent = request.working is not None and not request.working.is_alive
        if request.queued and request.waits and not sent and course.taken_up < course.lost:
            exchange.saved = self._unsent(request)  # it will be less
            self._env.at(learns, lambda _: self._abandon_cancelled(request))
        else:
            if learns < course.taken_up < inf:
                exchange.saved = self._unsent(request)
            elif not request.queued and course.taken_up < course.lost:  # all of it is wasted
                exchange.received = self._unsent(request)
            self._abandon(request)

    def _abandon_cancelled(self, request: Request) -> None:
        request.exchange.received = request.passed
        request.exchange.saved = self._unsent(request)
        self._abandon(request)

    def _unsent(self, request: Request) -> int:
        """Return how many bytes of a request's answer have not been sent."""
        outcome = request.outcome or self._outcome(request)
        return outcome.received - request.passed if isinstance(outcome, Answer) else 0

    def _forget(self, request: Request) -> None:
        """Make a request no longer outstanding: nothing of it reaches the client from now on."""
        if request in self._outstanding:  # else it is answered, and the client is busy
            if self.faults:
                self._note_faults(request, self._env.now)
            del self._outstanding[request]
        del request.client.outstanding[request]
        self._drop_progress(request)
        if request.losing is not None:
            self._env.give_up(request.losing)
            request.losing = None

    def _abandon(self, request: Request) -> None:
        """Stop the server's work on a request."""
        request.over = True
        self._land(request)
        if request.working is not None and request.working.is_alive:
            request.working.interrupt()
        if request.event is not None and request.event.callbacks:
            self._env.give_up(request.event)
        request.event = None

    def _land(self, request: Request) -> None:
        """Stop counting bytes that were in the link: they have passed, or never will."""
        if request.wire is not None and request.fed > request.passed:
            request.wire.dropped(request.counting, request.fed - request.passed)
            request.fed = request.passed
            for other in self._outstanding:
                if other.wire is request.wire and other.pause is not None:
                    other.pause.end()

    def _drop_progress(self, request: Request) -> None:
        for entry in request.arriving or ():
            if entry.callbacks:
                self._env.give_up(entry)
        request.progress = request.arriving = None

    def _settle(self, request: Request) -> None:
        """Schedule the next event of a request, as planned."""
        env, course, place = self._env, request.course, request.place
        known = course.taken_up if request.queued else course.ends()
        if known == course.lost == inf:
            request.event = None  # held forever
        elif course.lost <= known:
            request.event = env.at(course.lost, lambda _: self.lose(request), place)
        elif not request.queued:
            request.event = env.at(
                known, lambda _: self._end(request, self._outcome(request)), place
            )
        elif course.arrives >= env.now:
            request.event = env.at(course.arrives, lambda _: self._arrive(request), place)
        else:
            self._arrive(request)

    def settle_again(self) -> None:
        """Plan the outstanding requests again, since the faults have changed.

        Requests that the server has taken up continue, if their connections are not lost.
        """
        now = self._env.now
        self._link.throttle(self._env, self.faults)
        for wire in {id(r.wire): r.wire for r in self._outstanding if r.wire is not None}.values():
            wire.update(self.faults)
            wire.plan_again(now)
        # Held requests are taken up in the order in which they arrived.
        for request in sorted(self._outstanding, key=lambda request: request.course.arrives):
            if request.over:
                continue
            if request.taken_up or request.course.taken_up < now:
                of, faults = request.exchange, self.faults_of(request)
                lost = connection_lost(faults, of.operation, of.share, request.course.sent)
                course = request.course._replace(lost=lost)
            else:
                course = self._planned(request)
                request.queued = request.queued or self._queues
            if request.pause is not None:
                request.pause.end()
            before, request.course = request.course, course
            if course.times == before.times:
                continue  # its events keep their places
            if request.taken_up:
                self._settle_loss(request)
                continue
            if request.event is not None:
                self._env.give_up(request.event)
            self._settle(request)

    def _planned(self, request: Request) -> RequestTiming:
        """Return the course of a request, given the current faults and its connection."""
        exchange, wire = request.exchange, request.wire
        if wire is not None and wire.attempt is not None and request.ready > self._env.now:
            request.ready = max(exchange.sent, wire.attempt.up)
            request.refused = wire.attempt.course.failure
            if request.ready == inf:
                return wire.attempt.without(exchange.sent, request.rtt)
        if exchange.operation == "connect":
            assert wire is not None
            assert wire.attempt is not None
            return wire.attempt.course
        return plan_request(
            self.faults_of(request),
            exchange.operation,
            request.ready,
            request.rtt,
            request.chances,
            exchange.share,
        )

    def _arrive(self, request: Request) -> None:
        request.event = self._env.at(request.course.taken_up, lambda _: self._take_up(request))

    def _take_up(self, request: Request) -> None:
        request.taken_up, request.event = True, None
        request.outcome = outcome = self._outcome(request)
        request.working = self._env.process(self._serve(request, outcome))
        of = request.exchange
        if request.wire and request.wire.took_up(of.operation, of.share, self._env.now):
            self.settle_again()

    def _settle_loss(self, request: Request) -> None:
        """Schedule the loss of the connection, while the server works on a request."""
        if request.losing is not None:
            self._env.give_up(request.losing)
        lost = request.course.lost
        request.losing = None
        if lost < inf and request in self._outstanding:  # else the client has cancelled it
            lose = self._env.at(lost, lambda _: self.lose(request), request.place)
            request.losing = lose

    def _serve(self, request: Request, outcome: Answer | Exception) -> Process:
        """Work on a request and send the answer: a SimPy process from when it is taken up."""
        self._settle_loss(request)
        try:
            if self._service is not None:
                yield from self._service.work(request.work, request.begin)
            if isinstance(outcome, Answer):
                yield from self._sender.send(request, outcome.received)
        except simpy.Interrupt:  # it is cancelled
            return
        if request in self._outstanding:
            ends = self._env.now + request.course.rtt / 2
            request.event = self._env.at(ends, lambda _: self._end(request, outcome))

    def lose(self, request: Request) -> None:
        """Fail a request whose connection is lost, whatever its stage."""
        if request not in self._outstanding:
            return  # the client has cancelled it, and the server does not know yet
        if request.taken_up and request.event is not None:
            self._env.give_up(request.event)
        request.losing = None
        refused = request.refused
        self._end(request, ConnectionLost() if refused is None else _refusal(refused))

    def _end(self, request: Request, outcome: Answer | Exception) -> None:
        """Deliver a request's answer, or its failure, to the client."""
        client, now = request.client, self._env.clock
        if self.faults:
            self._note_faults(request, now, outcome)
        del self._outstanding[request]
        request.over = True
        if request.losing is not None:
            self._env.give_up(request.losing)
            request.losing = None
        if request.wire is not None:
            self._land(request)
            of, lost = request.exchange, isinstance(outcome, ConnectError | ConnectionLost)
            if not lost and request.wire.answered(of.operation, of.share, now):
                self.settle_again()
        if client.processor is not None:
            size = outcome.received if isinstance(outcome, Answer) else 0
            if (heard := client.processor.after_answer(size)) > now:
                request.event = self._env.at(heard, lambda _: self._hear(request, outcome))
                return
        self._hear(request, outcome)

    def _hear(self, request: Request, outcome: Answer | Exception) -> None:
        """Pass an answer, or a failure, that has reached the client to the downloader."""
        exchange, client, now = request.exchange, request.client, self._env.clock
        del client.outstanding[request]
        if request.progress is not None:
            self._drop_progress(request)
        if isinstance(outcome, Exception):
            exchange.error, exchange.received = str(outcome), request.passed
            client.trace.ended(exchange, now, False)
            client.run(request.deferred.errback, outcome)
        else:
            _, exchange.shares, exchange.received, exchange.corrupt, _ = outcome
            if exchange.operation == "get_buckets":
                client.known.update(outcome.shares)
            client.trace.ended(exchange, now, True)
            client.run(request.deferred.callback, outcome.result)
        if client.heard is not None:
            client.heard()


def _losing(
    faults: Sequence[Fault], operation: Operation, share: int | None, course: RequestTiming
) -> Iterator[int]:
    """Yield the places of the faults that have lost the connection of a request."""
    for i, fault in enumerate(faults):
        if fault.concerns(operation, share) and fault.lost(course.sent) == course.lost < inf:
            yield i


def _refusal(reason: str) -> ConnectError:
    return ConnectError(string=reason)  # type: ignore[no-untyped-call]  # Twisted's


def _made(answer: Answer | Exception, *_: object) -> Answer | Exception:
    """Return the answer that was made before, whatever the current faults are."""
    return answer
