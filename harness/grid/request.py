"""One request to a simulated server, from when it is sent to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import simpy
from twisted.internet.defer import Deferred

from firstk.harness.grid.pause import Pause
from firstk.harness.grid.timing import RequestTiming
from firstk.harness.grid.trace import Exchange
from firstk.harness.grid.wire import Wire
from firstk.harness.kernel.environment import Entry
from firstk.scenarios.faults import Fault

if TYPE_CHECKING:
    from firstk.harness.grid.connection import Client
    from firstk.harness.grid.server import SimServer

#: A callback that is called with the number of bytes of an answer that have arrived so far.
Progress = Callable[[int], None]


class Answer(NamedTuple):
    """A server's answer: the result, and its description in the trace."""

    result: Any
    shares: Sequence[int] = ()
    received: int = 0
    corrupt: bool = False
    changed_by: Sequence[int] = ()  # of the faults that it was made with, the places of these


#: A function that makes the answer to a request, or its error. It is called with the faults that
#: the request meets, and with the time at which it was taken up, in virtual seconds.
MakeAnswer = Callable[[Sequence[Fault], float], Answer | Exception]


@dataclass(eq=False)
class _Sent:
    """The part of a request that is known when it is sent; see `Request`."""

    server: SimServer
    client: Client
    exchange: Exchange
    number: int
    place: int
    deferred: Deferred[Any]
    answer: MakeAnswer
    rtt: float
    work: float
    chances: Sequence[float]
    queued: bool
    ready: float


class Request(_Sent):
    """A request that was sent to a server but not answered yet, and its planned course.

    `event` is its next event; `losing` is the loss of its connection, if that may happen while the
    server works on it. `taken_up` is True while the server works on it, or it waits for its turn,
    and `working` is the process that does the work. `number` counts the requests sent to the
    server, from 0. Events at the same time happen in the order in which their requests were sent,
    which is given by `place`.

    It leaves when its connection is `ready`, in virtual seconds. If the server has settings that
    depend on the connection, this is a `wire`; `refused` is the reason if it never will be. Bytes
    that were `fed` into the link count for the faults at the places `counting`, when they have
    passed.

    If its end is not known in advance, it is `queued`: it may have to wait for others, or its
    answer is a stream. It has `begun` when it has had its turn. `passed` is the number of the
    answer's bytes that have passed the link, the last ones at `passed_at`, and `arriving` are the
    pending calls of `progress`. `pause` is the waiting of the stream; if it is `stalled`, this
    never ends. The request is `over` when nothing more is done for it.
    """

    course: RequestTiming

    # Defaults of the class: few requests need all of these.
    progress: Progress | None = None
    wire: Wire | None = None
    refused: str | None = None
    event: Entry | None = None
    losing: Entry | None = None
    working: simpy.Process | None = None
    taken_up: bool = False
    outcome: Answer | Exception | None = None
    fed: int = 0
    counting: Sequence[int] = ()
    passed: int = 0
    passed_at: float = 0.0
    stalled: bool = False
    arriving: list[Entry] | None = None
    pause: Pause | None = None
    over: bool = False
    begun: bool = False

    def make_answer(self) -> Answer | Exception:
        """Return the answer to it, or its error."""
        return self.answer(self.course.faults, self.course.taken_up)

    def wanted(self) -> bool:
        """Return whether the server should continue with it."""
        return not self.over

    def begin(self) -> bool:
        """Begin the work on it, now that its turn has come; return False if it is not wanted."""
        if self.over:
            return False
        self.begun = True
        self.client.has_begun(self)
        return True

    @property
    def waits(self) -> bool:
        """Whether it will still have events: it is not held forever."""
        return self.event is not None or (self.taken_up and not self.stalled)
