"""A SimPy environment with a queue of its own: exact times, places, and cancellable entries.

It overrides only public methods of `simpy.Environment`, so SimPy's processes, events and resources
run in it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Any

import simpy
from simpy.core import EmptySchedule, StopSimulation
from simpy.events import NORMAL, Event, EventPriority

#: Given-up entries are removed from the queue only if there are more than this.
_MOST_GIVEN_UP = 64

#: The priority of an event that precedes all others of its time.
_FIRST = -1


class Entry:
    """A queue entry that calls its callbacks with itself. Without callbacks it is given up."""

    __slots__ = ("callbacks",)

    def __init__(self, callback: Callable[[Any], None]) -> None:
        self.callbacks: list[Callable[[Any], None]] | None = [callback]

    def __lt__(self, other: object) -> bool:
        return False  # of two entries with the same time and place, one is given up


class Environment(simpy.Environment):
    """A SimPy environment in which entries can be scheduled at an exact time, and given up.

    `clock`, like `now`, is the virtual time in seconds. `queue` is a heap of entries and events,
    each with its time, its priority, and its place, which orders events at the same time and is
    drawn from the counter `places`.

    >>> env = Environment()
    >>> entry = env.at(0.3, lambda _: print(env.now))
    >>> env.run()
    0.3
    """

    def __init__(self, initial_time: float = 0) -> None:
        super().__init__(initial_time)
        self.clock = initial_time
        self.queue: list[tuple[float, int, int, Event | Entry]] = []
        self.given_up = 0  # entries in the queue without callbacks
        self.places = count()

    @property
    def now(self) -> float:
        """The virtual time, in seconds."""
        return self.clock

    def schedule(self, event: Event, priority: EventPriority = NORMAL, delay: float = 0) -> None:
        """Schedule an event to happen after `delay` seconds."""
        heappush(self.queue, (self.clock + delay, priority, next(self.places), event))

    def take_place(self) -> int:
        """Reserve a place: before all later entries for the same time."""
        return next(self.places)

    def at(self, time: float, callback: Callable[[Any], None], place: int | None = None) -> Entry:
        """Schedule `callback` for exactly this time, in seconds, and return the entry.

        SimPy accepts only a delay, and adding it to the current time may round. `place` is one
        that `take_place` returned; by default the entry is the last one for its time.
        """
        entry = Entry(callback)
        self.push(time, entry, place)
        return entry

    def push(self, time: float, entry: Entry, place: int | None = None) -> None:
        """Put an entry into the queue."""
        heappush(self.queue, (time, NORMAL, next(self.places) if place is None else place, entry))

    def give_up(self, entry: Entry) -> None:
        """Cancel an entry that is in the queue.

        Given-up entries are removed once they make up most of the queue. Otherwise, code that sets
        a timer for each request and cancels it when the answer arrives would fill the memory.
        """
        entry.callbacks = []
        self.given_up += 1
        if self.given_up > _MOST_GIVEN_UP and 2 * self.given_up > len(self.queue):
            self.queue[:] = [item for item in self.queue if not is_given_up(item[3])]
            heapify(self.queue)
            self.given_up = 0

    def peek(self) -> float:
        """Return the time of the next event in seconds, or infinity if there is none."""
        queue = self.queue
        while queue and is_given_up(queue[0][3]):
            heappop(queue)
            self.given_up -= 1
        return queue[0][0] if queue else inf

    def step(self) -> None:
        """Process the next event.

        Raises `simpy.core.EmptySchedule` if there is none, and the error of an event that failed
        and was not defused.
        """
        if self.peek() == inf and not self.queue:
            raise EmptySchedule
        self.clock, _, _, event = heappop(self.queue)
        callbacks, event.callbacks = event.callbacks, None
        assert callbacks is not None
        try:
            while callbacks:
                callbacks.pop(0)(event)
        except StopSimulation:
            # `run` ends here; the remaining callbacks are called when it is resumed.
            event.callbacks = callbacks
            heappush(self.queue, (self.clock, _FIRST, next(self.places), event))
            raise
        if isinstance(event, Event) and not event.ok and not event.defused:
            error: BaseException = event.value  # type: ignore[assignment]  # the event failed
            raised = type(error)(*error.args)
            raised.__cause__ = error
            raise raised


def is_given_up(event: Event | Entry) -> bool:
    """Return whether a queue entry was given up."""
    return isinstance(event, Entry) and not event.callbacks
