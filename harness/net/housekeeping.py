"""Detection that only housekeeping timers are left in a network.

Programs have timers that repeat forever, so their queue of events is never empty. If only such
timers are left, it is almost certain that nothing else will ever happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from twisted.internet.task import LoopingCall

from firstk.harness.kernel.environment import Entry, Environment, is_given_up
from firstk.harness.net.connection import Connection
from firstk.harness.net.host import Host
from firstk.harness.net.host_reactor import HostTimer

#: Timers that repeat forever and have no other effects.
HOUSEKEEPING = ("twisted.web.http.HTTPFactory._updateLogDateTime",)

#: The most timers that a message lists.
_MOST_LISTED = 8


class Housekeeping:
    """Inspects the event queue of a network. `names` are those of housekeeping timers."""

    def __init__(self, env: Environment, by_address: Mapping[str, Host]) -> None:
        self.names = set(HOUSEKEEPING)
        self._env = env
        self._by_address = by_address

    def is_next(self) -> bool:
        """Return whether what happens next is housekeeping."""
        queue = self._env.queue
        if not queue or type(queue[0][3]) is Entry:  # a packet, or a turn of a reactor
            return False
        return self._idles(queue[0][3]) is not None

    def only(self) -> str:
        """Describe the events that are left if all are housekeeping; otherwise an empty string."""
        found = []
        for entry in self._entries():
            idle = self._idles(entry)
            if idle is None:
                return ""
            found.append(idle)
        return _listed(found)

    def timers(self) -> str:
        """Return the timers that are left, each with its hosts."""
        timers = (entry for entry in self._entries() if isinstance(entry, HostTimer))
        return _listed([(name_of(timer.function), timer.reactor.name) for timer in timers])

    def _entries(self) -> Iterator[object]:
        return (item[3] for item in self._env.queue if not is_given_up(item[3]))

    def _idles(self, entry: object) -> tuple[str, str] | None:
        """Return what housekeeping something in the queue is, and on which host; None if none."""
        function: Any = getattr(entry, "_function", None)
        if function is None:
            return None
        owner = getattr(function, "__self__", None)
        if isinstance(owner, Connection) and self._probes_in_vain(owner):
            return "window probes", self._by_address[owner.local.host].name
        if not isinstance(entry, HostTimer):
            return None
        reactor = entry.reactor
        if reactor.frozen:
            return "frozen timers", reactor.name
        name = name_of(function)
        return (name, reactor.name) if name in self.names else None

    def _probes_in_vain(self, connection: Connection) -> bool:
        """Return whether a probe will find that the peer has no more room than it had."""
        host = self._by_address.get(connection.remote.host)
        key = connection.remote, connection.local
        peer = host.stack.connections.get(key) if host else None
        return peer is not None and connection.waits_for_room and peer.promised <= connection.limit


def name_of(function: Callable[..., Any]) -> str:
    """Return the qualified name of what a timer calls: of a `LoopingCall`, what that calls."""
    while True:
        if isinstance(function, LoopingCall):
            function = function.f
        elif isinstance(function, partial):
            function = function.func
        else:
            break
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _listed(found: list[tuple[str, str]]) -> str:
    """Return what is left, each with the hosts that it is left on."""
    hosts: dict[str, set[str]] = {}
    for what, host in found:
        hosts.setdefault(what, set()).add(host)
    shown = [f"{what} on {', '.join(sorted(hosts[what]))}" for what in sorted(hosts)]
    more = len(shown) - _MOST_LISTED
    return "; ".join([*shown[:_MOST_LISTED], *([f"and {more} more"] if more > 0 else [])])
