"""Livelock: code that does one thing after another without virtual time advancing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import simpy
from simpy.events import Event

from firstk.harness.kernel.environment import Entry, Environment
from firstk.harness.kernel.raised import AbortedError

#: How many things one download may do at one virtual time, or without writing anything at it. The
#: most that were measured are 21,205: 10,000 servers and 256 shares, without any round-trip time.
#: Tahoe-LAFS takes 414.
MOST_AT_ONCE = 100_000

#: How many events of one reactor may happen at one virtual time. The most that were measured are
#: 70,000: 10,000 servers that answer at one time, with queues.
MOST_EVENTS = 500_000

#: How many of the last things are looked at, to say which of them repeats.
_LOOKED_AT = 1_000


class LivelockError(AbortedError):
    """Too much happens at one virtual time. The message says what repeats, and where."""

    __module__ = "firstk"  # as users import it


class AtOnce:
    """Counts what happens at one virtual time, or since the last progress at that time.

    More than `most` are an error. `looks` is True near the limit: `note` what happens then.
    """

    def __init__(self, env: Environment, most: float) -> None:
        self.looks = False
        self._env = env
        self.most = most
        self._time = env.now
        self._count = 0
        self._seen: Counter[str] = Counter()

    def count(self) -> LivelockError | None:
        """Count one more thing; return an error if it is one too many."""
        now = self._env.clock
        if now != self._time:
            self._time = now
            self.reset()
        self._count += 1
        if self._count <= self.most - _LOOKED_AT:
            return None
        self.looks = True
        return None if self._count <= self.most else self._error()

    def reset(self) -> None:
        """Begin to count anew: the code has made progress."""
        self._count, self.looks = 0, False
        self._seen.clear()

    def note(self, what: str) -> None:
        """Note what happens."""
        self._seen[what] += 1

    def _error(self) -> LivelockError:
        most = self._seen.most_common(1)
        repeats = f": what repeats is {most[0][0]}" if most else ""
        return LivelockError(
            f"{self.most:,.0f} timers, requests and calls happened at {self._time:.6g} s without"
            f" time advancing{repeats}"
        )


def name_of_call(function: Callable[..., Any]) -> str:
    """Return what a function, or another callable, is called; no address: equal in every run."""
    function = getattr(function, "func", function)  # of a functools.partial
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def described(event: Event | Entry) -> str:
    """Return what happens in an event of a reactor: which function is called, or which process."""
    callback: Any = next(iter(event.callbacks or ()), None)
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, simpy.Process):
        what, code = f"process {owner.name}", getattr(owner._generator, "gi_code", None)
    else:
        function = getattr(event, "_function", callback)
        what, code = name_of_call(function), getattr(function, "__code__", None)
    return f"{what} at {code.co_filename}:{code.co_firstlineno}" if code else what
