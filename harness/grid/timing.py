"""The course of a request: its times and outcome, as far as they are known when it is sent.

This is the only implementation of the rules for the times of requests. The simulated servers use
it, and so does the bound, which predicts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from random import Random
from typing import NamedTuple

from firstk.harness.kernel.rng import stream
from firstk.scenarios.faults import Fault, Operation


class RequestTiming(NamedTuple):
    """The planned course of one request. Times are in virtual seconds; infinity means never.

    It arrives after half its round-trip time (`rtt`, including the delay of a slow server), and is
    taken up then, or when a hang ends. `lost` is when the connection is lost, if the answer has not
    arrived by then. `faults` are those that the answer meets, at `places` among the server's, and
    `failure` is why it fails, or None.
    """

    sent: float
    rtt: float
    arrives: float
    taken_up: float
    lost: float
    faults: Sequence[Fault]
    failure: str | None
    places: Sequence[int] = ()

    @property
    def times(self) -> tuple[float, float, float]:
        """All times of its events."""
        return self.rtt, self.taken_up, self.lost

    def ends(self, work: float = 0.0) -> float:
        """Return when the answer arrives, if it takes `work` seconds besides the round trip."""
        if self.taken_up == self.arrives and not work:
            return self.sent + self.rtt  # in one step: the halves may not add up to the last bit
        return self.taken_up + work + self.rtt / 2


def plan_request(
    faults: Sequence[Fault],
    operation: Operation,
    sent: float,
    rtt: float,
    chances: Sequence[float],
    share: int | None = None,
) -> RequestTiming:
    """Return the course of a request that is sent at `sent` to a server with these faults.

    `rtt` is the round-trip time that was drawn for it, in seconds, and `chances` what was
    drawn for each fault. A read is of the share with the number `share`.
    """
    if not faults:  # most servers have no faults
        arrives = sent + rtt / 2
        return RequestTiming(sent, rtt, arrives, arrives, inf, (), None)
    concerning = [(i, fault) for i, fault in enumerate(faults) if fault.concerns(operation, share)]
    lost = inf
    for _, fault in concerning:
        if fault.active(sent):
            rtt = fault.round_trip(rtt)
        lost = min(lost, fault.lost(sent))
    arrives = sent + rtt / 2
    taken_up, fails = _taken_up(concerning, operation, sent, arrives)
    if fails < taken_up:
        lost = min(lost, fails)
    met, places, failure = [], [], None
    for i, fault in concerning:
        if fault.active(taken_up):
            met.append(fault)
            places.append(i)
            failure = failure or fault.failure(operation, chances[i])
    return RequestTiming(sent, rtt, arrives, taken_up, lost, met, failure, places)


def connection_lost(
    faults: Sequence[Fault], operation: Operation, share: int | None, sent: float
) -> float:
    """Return when the connection of a request sent at `sent` is lost; infinity if never."""
    return min((f.lost(sent) for f in faults if f.concerns(operation, share)), default=inf)


def delaying(
    faults: Sequence[Fault],
    operation: Operation,
    rtt: float,
    course: RequestTiming,
    now: float,
    share: int | None = None,
) -> Iterator[int]:
    """Yield the places of the faults that have slowed or held a request by `now`.

    `rtt` is its round-trip time without faults.
    """
    concerning = [(i, fault) for i, fault in enumerate(faults) if fault.concerns(operation, share)]
    for i, fault in concerning:
        if fault.active(course.sent) and fault.round_trip(rtt) != rtt:
            yield i
    for time, holding in _held(concerning, operation, course.arrives):
        if time > now:
            break
        yield from (i for i, _ in holding)


def failing(operation: Operation, course: RequestTiming, chances: Sequence[float]) -> Iterator[int]:
    """Yield the places of the faults that failed a request, or could have by chance."""
    for i, fault in zip(course.places, course.faults, strict=True):
        if fault.failure(operation, 0.0) is not None:  # the worst possible draw
            yield i
            if fault.failure(operation, chances[i]) is not None:
                return


def _taken_up(
    faults: Sequence[tuple[int, Fault]], operation: Operation, sent: float, arrives: float
) -> tuple[float, float]:
    """Return when a request is taken up, and when it fails if it is held until then.

    Both are infinity if that never happens.
    """
    fails = inf
    for time, holding in _held(faults, operation, arrives):
        if not holding:
            return time, fails
        fails = min(fails, *(fault.fails(sent) for _, fault in holding))
    return inf, fails


#: A request that is held this often, each time until a hang ends, is considered held forever.
_MOST_HELD = 100


def _held(
    faults: Sequence[tuple[int, Fault]], operation: Operation, time: float
) -> Iterator[tuple[float, list[tuple[int, Fault]]]]:
    """Yield when a request that arrives at `time` could be taken up, and which faults hold it then.

    At the last of these times no fault holds it, unless it is held forever.
    """
    for _ in range(_MOST_HELD):
        holding = [(i, f) for i, f in faults if f.active(time) and f.holds(operation)]
        yield time, holding
        if not holding:
            return
        time = holding[0][1].spell(time)[1]
        if time == inf:
            return


class FaultDraws:
    """The random draws for the faults of one server, request by request.

    Each stochastic fault has a stream of its own, and one draw per request, whether it is active
    or not, so that its start and end times do not change any draws.
    """

    def __init__(self, faults: Sequence[Fault], seed: int, server: str) -> None:
        self.seed = seed
        self._server = server
        self._streams: Sequence[Random | None] = ()
        self.requests = 0  # the number of requests so far
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> list[float]:
        """Add a fault; return its draws for the requests so far."""
        before = sum(random is not None for random in self._streams)
        drawn = stream(self.seed, self._server, f"fault {before}") if fault.stochastic else None
        self._streams = [*self._streams, drawn]
        return [_next(drawn) for _ in range(self.requests)]

    def draw(self) -> Sequence[float]:
        """Return a number from 0 up to 1 for each fault; 1 for faults that are not stochastic."""
        self.requests += 1
        return [_next(random) for random in self._streams] if self._streams else ()


def _next(random: Random | None) -> float:
    return 1.0 if random is None else random.random()
