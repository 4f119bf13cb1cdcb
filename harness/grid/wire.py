"""One client's connection to a server: its set-up, and what it has carried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from math import inf
from random import Random
from typing import NamedTuple

from firstk.harness.grid.timing import FaultDraws, RequestTiming, plan_request
from firstk.harness.kernel.rng import stream
from firstk.scenarios.faults import Fault, Operation
from firstk.scenarios.laws import Law


class SetUp:
    """The set-up of connections to a server: its duration, and whether it fails.

    It is modelled as a request whose round-trip time has the law `connect`; None means no time.
    """

    def __init__(self, law: Law | None, faults: Sequence[Fault], seed: int, server: str) -> None:
        self.law = law
        self._seed = seed
        self._server = server
        self._chances = FaultDraws(faults, seed, f"{server} connect")

    @cached_property
    def _random(self) -> Random:
        return stream(self._seed, self._server, "connect")

    def add(self, fault: Fault) -> None:
        """Draw for one more fault from now on."""
        self._chances.add(fault)

    def draw(self) -> tuple[float, Sequence[float]]:
        """Return the duration of the next set-up, and the draw for each fault."""
        time = 0.0 if self.law is None else self.law.sample(self._random)
        return time, self._chances.draw()


class Attempt(NamedTuple):
    """One set-up of a connection: its course, and when it is up or has failed.

    `time` and `chances` were drawn for it.
    """

    course: RequestTiming
    time: float
    chances: Sequence[float]

    @property
    def up(self) -> float:
        """When the connection is up, in virtual seconds; infinity if it never is."""
        ends = self.course.ends()
        return inf if self.course.failure or self.course.lost <= ends else ends

    def without(self, sent: float, rtt: float) -> RequestTiming:
        """Return the course of a request that waits for this connection, which is never up."""
        return RequestTiming(sent, rtt, sent, inf, self.fails, (), None)

    @property
    def fails(self) -> float:
        """When the set-up fails; infinity if it does not."""
        if self.course.failure and self.course.ends() < self.course.lost:
            return self.course.ends()
        return self.course.lost if self.course.lost <= self.course.ends() else inf


class Wire:
    """The connection of one client to one server, over which its requests go.

    `faults` are the server's faults as they apply to this connection: some begin after a number of
    requests or bytes, and some end when the client reconnects. `made_for` are the server's own
    faults, from which they were derived.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.made_for = faults
        self.attempt: Attempt | None = None
        self._begun: dict[int, float] = {}  # when faults began that wait for requests or bytes
        self._over: dict[int, float] = {}  # when faults ended that lasted until a reconnect
        self._requests: Counter[int] = Counter()  # that count for the fault at a place
        self._bytes: Counter[int] = Counter()
        self._in_flight: Counter[int] = Counter()
        self.stopped: set[int] = set()  # faults that began with a byte: no other one leaves then
        self.faults = self._as_here()

    def update(self, faults: Sequence[Fault]) -> None:
        """Adopt the server's current faults."""
        if faults is not self.made_for:
            self.made_for = faults
            self.faults = self._as_here()

    def _as_here(self) -> list[Fault]:
        found = []
        for i, fault in enumerate(self.made_for):
            here = fault
            if fault.begins_after() == (0, 0):
                here = fault.begun_at(fault.start)
            elif i in self._begun:
                here = fault.begun_at(self._begun[i])
            found.append(here.over_at(self._over[i]) if i in self._over else here)
        return found

    def _begin(self, place: int, time: float) -> bool:
        if place in self._begun:
            return False
        self._begun[place] = max(time, self.made_for[place].start)
        self.faults = self._as_here()
        return True

    def _waiting(self, operation: Operation, share: int | None, now: float) -> list[int]:
        """Return the places of faults that wait for the bytes or number of such requests."""
        return [
            i
            for i, fault in enumerate(self.made_for)
            if fault.begins_after() != (0, 0)
            and i not in self._begun
            and fault.concerns(operation, share)
            and fault.spell(now)[0] <= now
        ]

    def took_up(self, operation: Operation, share: int | None, now: float) -> bool:
        """Count a request that is taken up; return whether a fault begins with it."""
        return self._count(operation, share, now, answered=False)

    def answered(self, operation: Operation, share: int | None, now: float) -> bool:
        """Count a request that is answered; return whether a fault begins with it."""
        return self._count(operation, share, now, answered=True)

    def _count(
        self, operation: Operation, share: int | None, now: float, *, answered: bool
    ) -> bool:
        began = False
        for i in self._waiting(operation, share, now):
            fault = self.made_for[i]
            if (fault.kind == "disconnect") == answered:
                self._requests[i] += 1
                if self._requests[i] >= fault.begins_after()[0]:
                    began = self._begin(i, now) or began
        return began

    def room(self, operation: Operation, share: int | None, now: float) -> float:
        """Return how many bytes may be sent before a fault begins; infinity if unlimited."""
        left = inf
        for i in self._waiting(operation, share, now):
            carried = self._bytes[i] + self._in_flight[i]
            left = min(left, self.made_for[i].begins_after()[1] - carried)
        return left

    def sets_out(self, operation: Operation, share: int | None, now: float, size: int) -> list[int]:
        """Count bytes that are sent; return the faults for which they count."""
        places = self._waiting(operation, share, now)
        for i in places:
            self._in_flight[i] += size
        return places

    def carried(self, places: Sequence[int], size: int, now: float, rtt: float) -> bool:
        """Count sent bytes that have passed the link; return whether a fault begins with them.

        A hang begins when the last byte has left the server, and a connection is lost when it has
        arrived.
        """
        began = False
        for i in places:
            fault = self.made_for[i]
            self._in_flight[i] -= size
            self._bytes[i] += size
            if self._bytes[i] >= fault.begins_after()[1]:
                time = now + rtt / 2 if fault.kind == "disconnect" else now
                self.stopped.add(i)
                began = self._begin(i, time) or began
        return began

    def dropped(self, places: Sequence[int], size: int) -> None:
        """Count sent bytes that will never pass the link."""
        for i in places:
            self._in_flight[i] -= size

    def connect(self, set_up: SetUp, now: float) -> Attempt:
        """Return the set-up of the connection; a new one if there is none, or if it was lost."""
        attempt = self.attempt
        if attempt is None or attempt.fails <= now or self._lost(attempt) <= now:
            attempt = self.attempt = self.plan(set_up, now)
        return attempt

    def plan_again(self, now: float) -> None:
        """Plan a set-up in progress again, since the faults have changed."""
        attempt = self.attempt
        if attempt is not None and now < attempt.up and now < attempt.fails:
            chances = [*attempt.chances, *[1.0] * (len(self.faults) - len(attempt.chances))]
            course = plan_request(
                self.faults, "connect", attempt.course.sent, attempt.time, chances
            )
            self.attempt = Attempt(course, attempt.time, chances)

    def plan(self, set_up: SetUp, now: float) -> Attempt:
        """Return a new set-up that begins now."""
        time, chances = set_up.draw()
        course = plan_request(self.faults, "connect", now, time, chances)
        return Attempt(course, time, chances)

    def _lost(self, attempt: Attempt) -> float:
        """Return when an established connection is lost."""
        if attempt.up == inf:
            return inf
        concerning = (fault for fault in self.faults if fault.concerns("connect"))
        return min((fault.lost(attempt.up) for fault in concerning), default=inf)

    def reconnect(self, set_up: SetUp, now: float) -> Attempt:
        """Close the connection, and return the set-up of a new one."""
        for i, fault in enumerate(self.made_for):
            if fault.until != "reconnect":
                continue
            if fault.begins_after() != (0, 0):  # counts only the new connection
                self._begun.pop(i, None)
                self.stopped.discard(i)
                self._requests[i] = self._bytes[i] = self._in_flight[i] = 0
            elif fault.start <= now:
                self._over[i] = now
        self.faults = self._as_here()
        self.attempt = self.plan(set_up, now)
        return self.attempt
