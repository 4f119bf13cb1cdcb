"""Detection of livelock: code that keeps running while virtual time does not advance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import simpy
from simpy.events import Event

from firstk.harness.kernel.environment import Entry, Environment
from firstk.harness.kernel.raised import AbortedError

#: How many actions one download may take at one virtual time without writing anything. The maximum
#: measured is 21,205: 10,000 servers and 256 shares, with a round-trip time of 0. Tahoe-LAFS
#: takes 414.
MOST_AT_ONCE = 100_000

#: How many events of one reactor may happen at one virtual time. The maximum measured is 70,000:
#: 10,000 servers with queues that answer at the same time.
MOST_EVENTS = 500_000

#: How many of the last actions are examined to find the one that repeats.
_LOOKED_AT = 1_000


class LivelockError(AbortedError):
    """Too much happened at one virtual time. The message says what repeats, and where."""

    __module__ = "firstk"  # as users import it


class AtOnce:
    """Counts the actions at one virtual time, or since the last progress at that time.

    More than `most` are an error. `looks` is True near the limit; then call `note` for each action.
    """

    def __init__(self, env: Environment, most: float) -> None:
        self.looks = False
        self._env = env
        self.most = most
        self._unobserved = most - _LOOKED_AT
        self._time = env.now
        self._count = 0
        self._seen: Counter[str] = Counter()

    def count(self) -> LivelockError | None:
        """Count one more action; return an error if there are too many."""
        if (now := self._env.clock) != self._time:
            self._time = now
            self.reset()
        self._count = count = self._count + 1
        if count <= self._unobserved:
            return None
        self.looks = True
        return None if count <= self.most else self._error()

    def reset(self) -> None:
        """Restart the count: the code has made progress."""
        self._count = 0
        if self.looks:
            self.looks = False
            self._seen.clear()

    def note(self, what: str) -> None:
        """Record a description of what happens."""
        self._seen[what] += 1

    def _error(self) -> LivelockError:
        most = self._seen.most_common(1)
        repeats = f": what repeats is {most[0][0]}" if most else ""
        return LivelockError(
            f"{self.most:,.0f} timers, requests and calls happened at {self._time:.6g} s without"
            f" time advancing{repeats}"
        )


def name_of_call(function: Callable[..., Any]) -> str:
    """Return the name of a callable, without an address, so that it is equal in every run."""
    function = getattr(function, "func", function)  # of a functools.partial
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def described(event: Event | Entry) -> str:
    """Describe an event of a reactor: the function that it calls, or the process it resumes."""
    callback: Any = next(iter(event.callbacks or ()), None)
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, simpy.Process):
        what, code = f"process {owner.name}", getattr(owner._generator, "gi_code", None)
    else:
        function = getattr(event, "_function", callback)
        what, code = name_of_call(function), getattr(function, "__code__", None)
    return f"{what} at {code.co_filename}:{code.co_firstlineno}" if code else what
