"""The earliest times at which one server can have answered, if every draw is known in advance.

A server's requests take their draws in the order in which they are sent: first the query, then one
read after another. How early a read can be sent depends on how many may be outstanding: the first
reads as soon as the query is answered, each later one when another has been answered or has failed.
So these times are lower bounds for every order of reads.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush, merge
from itertools import chain, islice, pairwise
from math import inf, nextafter
from operator import attrgetter
from typing import NamedTuple

from firstk.harness.grid.build import ServerSpec, service_of, set_up_of
from firstk.harness.grid.link import CHUNK, Link
from firstk.harness.grid.timing import FaultDraws, RequestTiming, plan_request
from firstk.harness.kernel.environment import Environment
from firstk.scenarios.faults import Corrupt, Disconnect, Fault, Hung, Operation, Truncated

#: A function that returns whether a read that meets these faults provides the wanted data.
Brings = Callable[[Sequence[Fault]], bool]

#: After this many reads the next one counts as the luckiest possible.
_MOST_READS = 256

#: After this many reads beyond the first ones the way back of the next takes no time.
_MORE_READS = 32

#: So many queries of a server whose connections are lost are told apart: more than a download
#: sends before it gives up.
_MOST_QUERIES = 16

#: The highest number that a fault can draw.
_LUCKY = nextafter(1.0, 0.0)

#: A fault that comes again and again is foreseen so often; after that it does no harm.
_MOST_SPELLS = 4

#: What a sum of times may differ by, when its parts are added in another order.
_NEARLY = 1 + 1e-9


class _Request(NamedTuple):
    """The draws for one request. Times are in seconds."""

    rtt: float
    work: float
    chances: Sequence[float]


class _Read(NamedTuple):
    """A read that can be sent from `ready` on, and how it can go.

    `special` has how it can go for each share that has faults of its own, and `courses` how for
    any share at all.
    """

    ready: float
    work: float
    courses: Sequence[RequestTiming]
    special: Mapping[int | None, Sequence[RequestTiming]] = {}

    @property
    def over(self) -> float:
        """The earliest time at which it can be answered, or have failed."""
        if len(self.courses) == 1:
            return min(self.courses[0].ends(self.work), self.courses[0].lost)
        return min(min(c.ends(self.work), c.lost) for c in self.courses)

    def of(self, share: int | None) -> Sequence[RequestTiming]:
        """Return its possible courses if it reads this share; None means any share."""
        return self.special.get(share, self.courses)


class Wanted(NamedTuple):
    """What a read is to bring; any read will do by default.

    It `brings` that if it meets certain faults, its bytes pass the lines for `transfer` seconds at
    the least, and at least `size` of them are in one answer. `share` is the one that it is of; None
    is any.
    """

    brings: Brings | None = None
    transfer: float = 0.0
    size: int = 0
    share: int | None = None

    def passes(self, course: RequestTiming, ready: float) -> float:
        """Return the minimum time that the bytes take after the answer is `ready`."""
        takes = self.transfer
        for fault in course.faults:
            if fault.streams and self.size:
                takes = max(takes, fault.leaves(self.size - 1, ready) - ready)
        return takes


class Foreseen:
    """One server with its draws. Times are in virtual seconds; infinity means never.

    `at_once` is how many reads of one share may be outstanding. `answered` is the earliest time at
    which the answer to a query reports shares of the server, and `numbers` are the shares that can
    be reported. `alters` is True if reads of two shares may have different courses, or return data
    that differs from the shares. `queues` is True if a request may have to wait for others until
    the server works on it. With `reading_queries`, the query may return what one read would.
    """

    def __init__(
        self,
        plan: ServerSpec,
        seed: int,
        at_once: int,
        downlink: float | None,
        *,
        reading_queries: bool = False,
    ) -> None:
        self.faults = [_foreseen(fault) for fault in plan.faults]
        always = [f.rate(0.0) for f in self.faults if f.next_change(0.0) == inf]
        uplink = min(inf if plan.bandwidth is None else plan.bandwidth, *always, inf)
        self.bandwidths = [b for b in (uplink, inf if downlink is None else downlink) if b < inf]
        self._special = sorted({n for f in plan.faults for n in f.shares or ()} & {*plan.shares})
        altering = any(isinstance(fault, Corrupt | Truncated) for fault in plan.faults)
        self.alters = altering or bool(self._special)
        # Whether an answer may leave the server in smaller pieces than usual.
        self._splits = any(f.streams or f.begins_after() != (0, 0) for f in plan.faults)
        self._concurrency = plan.concurrency
        self.queues = plan.service is not None and plan.concurrency is not None
        # Whether all reads have the same draws, so that no later one can be the faster.
        self._alike = (
            (plan.rtt.law == "constant" or plan.rtt_per == "server")
            and (plan.service is None or plan.service.law == "constant")
            and not any(fault.stochastic for fault in plan.faults)
        )
        losing = [fault for fault in self.faults if isinstance(fault, Disconnect)]
        # Whether requests may end before the server has worked on them; when all do, forever.
        self._loses = bool(losing) or any(map(_refuses, plan.faults))
        whole = (f for f in losing if f.affects("read") and f.shares is None and f.end is None)
        self._lost = min((fault.lost(0.0) for fault in whole), default=inf)
        self._window = len(plan.shares) * (1 if self._alike else at_once)
        draws = _draws(plan, seed)
        queries = [next(draws)]
        if self._loses:  # a query that is lost may be sent again, and each uses up draws
            queries += islice(draws, _MOST_QUERIES - 1)
            self._window += _MOST_QUERIES
        self._draws = chain(queries[1:], draws)
        self._drawn: list[_Request] = []
        self._foreseen: dict[int, tuple[list[_Read], Iterator[_Read]]] = {}
        connected = _connected(plan, seed)
        answers = [
            (query, course, ends, shown)
            for query in queries
            for course in _courses(self.faults, "get_buckets", query, connected)
            if (ends := course.ends(query.work)) < course.lost
            and course.failure is None
            and (shown := _shown(course, plan.shares))
        ]
        self._with_query = sorted(
            (
                _Read(course.sent, query.work, [course])
                for query, course, _, _ in answers
                if reading_queries and not _hinders_reads(self.faults, course.taken_up)
            ),
            key=attrgetter("ready"),
        )
        self.answered = min((ends for _, _, ends, _ in answers), default=inf)
        shown_at_all = {number for *_, shown in answers for number in shown}
        self.numbers = [number for number in plan.shares if number in shown_at_all]

    @property
    def reads_with_query(self) -> bool:
        """Whether a query may return what one read would."""
        return bool(self._with_query)

    @property
    def limited(self) -> bool:
        """Whether bytes take time on the server's uplink, or on the client's downlink."""
        return bool(self.bandwidths)

    def transfer(self, size: float) -> float:
        """Return the minimum time for `size` bytes of one answer to pass the lines.

        A piece passes the downlink after it has passed the uplink.
        """
        if len(self.bandwidths) < 2 or self._splits:
            return self.stream(size)
        up, down = self.bandwidths
        return max(size / up, min(size, CHUNK) / up + size / down)

    def stream(self, size: float) -> float:
        """Return the minimum time for `size` bytes of any number of answers to pass the lines."""
        return size / min(self.bandwidths, default=inf)

    def earliest(self, wanted: Wanted, *, opening: bool = False) -> float:
        """Return the earliest time at which a read can have returned the wanted data.

        `opening` means that it is the first read of a share, or comes after it.
        """
        return next(iter(self._back(wanted, 1, opening)), inf)

    def in_turn(self, count: int) -> Sequence[float]:
        """Return when one, two, three, ... reads can have returned; infinity if never."""
        if self._alike and not self._with_query:
            return [self.earliest(Wanted())] * count  # they come together
        found = self._back(Wanted(), count, opening=False)
        if self._alike:  # those after the query come together
            ends = min((self._ends(Wanted(), r) for r in self._after_query(False)), default=inf)
            return sorted([*found, *[ends] * count])[:count]
        return found + [inf] * (count - len(found))

    def _back(self, wanted: Wanted, count: int, opening: bool) -> list[float]:
        """Return when reads can be back that bring something: the first `count`, or fewer."""
        found: list[float] = []
        for number, read in enumerate(self._reads(opening)):
            if len(found) >= count and read.ready >= found[count - 1]:
                break
            if number == _MOST_READS:
                lucky = self._luckiest(wanted, read.ready)
                return sorted([*found, *[lucky] * count])[:count]
            ends = self._ends(wanted, read)
            if ends < inf:
                insort(found, ends)
            elif self.faults and self._luckiest(wanted, read.ready) == inf:
                break  # and so it is for all later ones
        return found[:count]

    def through(self, seconds: Sequence[float], *, worked: bool = True) -> Sequence[float]:
        """Return when the last of some reads can be back that keep the server busy so long.

        That is from when it has worked on the first of them; if not `worked`, from when it
        takes up the first. `seconds` are several such times, none less than the one before.
        """
        begins = self._begins(worked)
        back = self.back(begins + seconds[-1] + self.back(begins)) if seconds else 0.0
        times = [begins + time + back for time in seconds]
        return [time if time <= self._lost * _NEARLY else inf for time in times]

    def begins(self) -> float:
        """Return when the first bytes of a read can be sent."""
        return self._begins(worked=True)

    def back(self, time: float) -> float:
        """Return how long the way back is of a read that is sent before a time, at the least."""
        back = inf
        for number, read in enumerate(self._reads(opening=False)):
            if read.ready > time:
                break
            if number == len(self._with_query) + self._window + _MORE_READS:
                return 0.0
            back = min([back, *(c.rtt / 2 for c in read.courses if c.failure is None)])
        return back

    def _begins(self, worked: bool) -> float:
        begins = inf
        for number, read in enumerate(self._reads(opening=False)):
            if read.ready >= begins or number == _MOST_READS:
                return min(begins, read.ready)
            work = read.work if worked else 0.0
            begins = min([begins, *(c.taken_up + work for c in read.courses if not c.failure)])
        return begins

    def work(self, count: int) -> float:
        """Return how long the server works on `count` reads."""
        if self._concurrency is None or not self.queues or self._loses:
            return 0.0
        self._draw(count - 1 + self._window)
        times = sorted(request.work for request in self._drawn[: count - 1 + self._window])
        each = sum(times[: -(-count // self._concurrency)])  # one place has at least this many
        return max(each, sum(times[:count]) / self._concurrency)

    def _reads(self, opening: bool) -> Iterator[_Read]:
        """Yield the reads, each as early as it can be sent, the earliest first.

        If the server has one share, the first read of that share is the first of all; the data
        that is read with the `opening` arrives with it, or with reads after it.
        """
        after_query = self._after_query(opening)
        if not self._with_query:
            return after_query
        return merge(self._with_query, after_query, key=attrgetter("ready"))

    def _after_query(self, opening: bool) -> Iterator[_Read]:
        """Yield the reads that can be sent when the query is answered, in order of their draws."""
        alone = opening and len(self.numbers) == 1 and not self._loses
        first = 1 if self._alike or alone else self._window
        if first not in self._foreseen:
            self._foreseen[first] = [], self._foresee(first)
        known, others = self._foreseen[first]
        yield from known
        for read in others:
            known.append(read)
            yield read

    def _foresee(self, first: int) -> Iterator[_Read]:
        """Yield the reads, of which a number can be sent at first."""
        over: list[float] = []
        ready, sent, ended = self.answered, 0, 0
        if ready == inf:
            return
        while True:
            while sent < (ended + self._window if ended else first):
                self._draw(sent + 1)
                request = self._drawn[sent]
                read = self._read(request, ready)
                yield read
                heappush(over, read.over)
                sent += 1
            if self._alike:
                return  # no other can be earlier
            ready, ended = heappop(over), ended + 1
            if ready == inf:
                return

    def _read(self, request: _Request, ready: float) -> _Read:
        """Return a read that can be sent from `ready` on, with all the ways that it can go."""
        courses = _courses(self.faults, "read", request, ready)
        if not self._special:
            return _Read(ready, request.work, courses)
        ways: dict[int | None, Sequence[RequestTiming]] = dict.fromkeys(self.numbers, courses)
        for share in self._special:
            ways[share] = _courses(self.faults, "read", request, ready, share)
        every = [course for way in ways.values() for course in way]
        return _Read(ready, request.work, every, ways)

    def _draw(self, count: int) -> None:
        """Draw for `count` reads, unless that has been done."""
        while len(self._drawn) < count:
            self._drawn.append(next(self._draws))

    def _ends(self, wanted: Wanted, read: _Read) -> float:
        """Return when a read can be back that brings something; infinity if it cannot."""
        if not self.faults:
            return read.courses[0].ends(read.work) + wanted.transfer
        best = inf
        for course in read.of(wanted.share):
            ends = course.ends(read.work)
            if course.failure is not None or ends >= course.lost:
                continue
            over = ends + wanted.passes(course, course.taken_up + read.work)
            if (
                over <= course.lost * _NEARLY
                and over < best
                and (wanted.brings is None or wanted.brings(course.faults))
            ):
                best = over
        return best

    def _luckiest(self, wanted: Wanted, ready: float) -> float:
        """Return when a read sent at `ready` or later would return with the best possible draws."""
        request = _Request(0.0, 0.0, [_LUCKY] * len(self.faults))
        return self._ends(wanted, self._read(request, ready)._replace(work=0.0))


def may_answer(plan: ServerSpec) -> bool:
    """Return whether a server may answer a query: it does not hang from the beginning, forever."""
    return not any(
        isinstance(fault, Hung)
        and fault.holds("get_buckets")
        and fault.next_change(0.0) == inf
        and fault.active(0.0)
        and fault.until is None
        for fault in plan.faults
    )


def _hinders_reads(faults: Sequence[Fault], time: float) -> bool:
    """Return whether a server has a fault that concerns reads: it answers a query without one."""
    return any(fault.active(time) and fault.affects("read") for fault in faults)


def _refuses(fault: Fault) -> bool:
    """Return whether a fault may make the set-up of a connection fail."""
    worst = fault.failure("connect", 0.0) is not None or fault.fails(0.0) < inf
    return worst and fault.concerns("connect")


def _draws(plan: ServerSpec, seed: int) -> Iterator[_Request]:
    """Yield the draws of a server's requests, in order."""
    link = Link(plan.rtt, plan.rtt_per, seed, plan.name)
    service = service_of(Environment(), plan, seed) if plan.service is not None else None
    chances = FaultDraws(plan.faults, seed, plan.name)
    while True:
        work = 0.0 if service is None else service.time()
        yield _Request(link.round_trip(), work, chances.draw())


def _foreseen(fault: Fault) -> Fault:
    """Return a fault as far as no download can evade it.

    One can reconnect, and leave open what a fault waits for.
    """
    if fault.until == "reconnect":
        return fault.over_at(0.0)
    return fault.begun_at(fault.start) if fault.begins_after() == (0, 0) else fault


def _connected(plan: ServerSpec, seed: int) -> float:
    """Return when a server can be asked at the earliest, with the first draw for its connection.

    With faults of the set-up another attempt may be better: then that takes no time here.
    """
    set_up = set_up_of(plan, seed)
    if set_up is None or any(fault.concerns("connect") for fault in plan.faults):
        return 0.0
    return set_up.draw()[0]


def _shown(course: RequestTiming, numbers: Sequence[int]) -> Sequence[int]:
    """Return the numbers of the shares that the answer to a query reports."""
    for fault in course.faults:
        numbers = fault.buckets(numbers)
    return numbers


def _courses(
    faults: Sequence[Fault],
    operation: Operation,
    request: _Request,
    ready: float,
    share: int | None = None,
) -> Sequence[RequestTiming]:
    """Return how a request can go that may be sent from `ready` on; a read is of one `share`.

    Between the beginnings and the ends of faults nothing changes, so it is sent at once,
    at one of these times, or such that it arrives then.
    """
    if not faults:
        return [plan_request(faults, operation, ready, request.rtt, request.chances)]

    def plan(sent: float) -> RequestTiming:
        return plan_request(faults, operation, sent, request.rtt, request.chances, share)

    courses = []
    edges, horizon = _edges(faults, ready)
    for begin, end in pairwise([ready, *edges, horizon]):
        course = plan(begin)
        courses.append(course)
        for edge in edges:
            time = edge - course.rtt / 2
            while time + course.rtt / 2 < edge:  # it was rounded down
                time = nextafter(time, inf)
            if begin < time < end:
                courses.append(plan(time))
    if horizon < inf:
        courses.append(_free(faults, horizon, request.rtt))
    return courses


def _edges(faults: Sequence[Fault], time: float) -> tuple[list[float], float]:
    """Return when faults begin and end after a time, and until when these are all such times."""
    edges: set[float] = set()
    horizon = inf
    for fault in faults:
        begin, over = fault.spell(time)
        for _ in range(_MOST_SPELLS):
            edges |= {begin, over}
            begin, over = fault.spell(over)
        if begin < inf:
            horizon = min(horizon, begin)
    return sorted(edge for edge in edges if time < edge < horizon), horizon


def _free(faults: Sequence[Fault], time: float, rtt: float) -> RequestTiming:
    """Return the course of a request that is sent at a time and that no fault does any harm."""
    for fault in faults:
        rtt = min(rtt, fault.round_trip(rtt))
    arrives = time + rtt / 2
    return RequestTiming(time, rtt, arrives, arrives, inf, (), None)
