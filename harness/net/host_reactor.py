"""The Twisted reactor of one simulated host: TCP, TLS and UDP over a simulated kernel.

Transports, ports and connectors are Twisted's own; the sockets below them are simulated.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet import tcp, udp
from twisted.internet.interfaces import (
    IReactorFDSet,
    IReactorPluggableNameResolver,
    IReactorSSL,
    IReactorTCP,
    IReactorUDP,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.posixbase import _NO_FILEDESC, _DisconnectSelectableMixin
from twisted.logger import Logger
from twisted.python import log
from zope.interface import implementer

from firstk.harness.kernel.environment import Entry, Environment
from firstk.harness.kernel.reactor import SimReactor, SimTimer, checked
from firstk.harness.net.base_socket import BaseSocket
from firstk.harness.net.names import Names
from firstk.harness.net.stack import Stack
from firstk.harness.net.transports import Connector, Port, UDPPort

T = TypeVar("T")

#: The delay before a process notices a change in its kernel, in seconds.
POLL = 1e-6

#: The least time that one turn of a host's reactor takes, in seconds. Without it, code that sets
#: the shortest of timers again and again (a Cooperator does) would let no time pass. The simulator
#: Shadow has the same rule, for the same reason (its issues 1794 and 2161).
TICK = 1e-5


class Processor:
    """The processor shared by the hosts of a network: at most one of them runs at a time."""

    running: HostReactor | None = None


class HostTimer(SimTimer):
    """A timer of a host. While the host is frozen it waits for the thaw."""

    _reactor: HostReactor

    @property
    def reactor(self) -> HostReactor:
        """The reactor of its host."""
        return self._reactor

    @property
    def function(self) -> Callable[..., Any]:
        """What it calls."""
        return self._function

    def _fire(self, entry: Entry) -> None:
        self._reactor.happens(self, lambda: super(HostTimer, self)._fire(entry))

    def cancel(self) -> None:
        """Cancel this call; see `SimTimer.cancel`."""
        self._check()
        self._back_into_the_queue()
        super().cancel()

    def _move(self, time: float) -> None:
        self._back_into_the_queue()
        super()._move(time)

    def _back_into_the_queue(self) -> None:
        """Be in the queue, from which one that is due while its host is frozen has gone."""
        if self._reactor.let_go(self):
            env = self._reactor.env
            self._moved = env.at(env.clock, self._fire)


@implementer(IReactorTCP, IReactorSSL, IReactorUDP, IReactorFDSet, IReactorPluggableNameResolver)
class HostReactor(_DisconnectSelectableMixin, SimReactor):
    """The reactor of one host, in the environment that all hosts of a network share.

    `make_stack` makes the host's kernel, given a function to be called when a socket has changed.
    `resolve` returns the addresses of a name. `processor` knows whose code runs, and `name` is what
    the host is called. What a timer raises is kept in `errors`, as in every `SimReactor`.
    """

    _log = Logger()

    def __init__(
        self,
        env: Environment,
        make_stack: Callable[[Callable[[BaseSocket], None]], Stack],
        resolve: Callable[[str], Sequence[str]],
        processor: Processor | None = None,
        name: str = "localhost",
    ) -> None:
        super().__init__(env)
        self.stack = make_stack(self._changed)
        self.name = name
        self.frozen = False
        self.dead = False
        self.singletons: dict[str, Any] = {}  # what each process has one of, by name
        self._processor = processor or Processor()
        self._held: dict[Any, Callable[[], None]] = {}  # what is due since the host is frozen
        self._readers: dict[Any, int] = {}
        self._writers: dict[Any, int] = {}
        self._watched: dict[int, tuple[Any, Any]] = {}  # reader and writer of a descriptor
        self._candidates: dict[int, None] = {}  # descriptors that may be ready
        self._next_turn: Entry | None = None
        self._last_turn = -TICK
        names = Names(resolve)
        self.installNameResolver(names)
        self.installResolver(names)

    def __repr__(self) -> str:
        return f"<HostReactor of {self.name} at {self.env.now:.6g} s>"

    # The process

    def enter(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function as code of this host, and return what it returns."""
        processor = self._processor
        outer, processor.running = processor.running, self
        try:
            return function(*args, **kwargs)
        finally:
            processor.running = outer

    def happens(self, key: object, function: Callable[[], None]) -> None:
        """Call a function as code of this host: now, or at the thaw if the host is frozen."""
        if self.dead:
            return
        if self.frozen:
            self._held[key] = function
        else:
            self.enter(function)

    def let_go(self, key: object) -> bool:
        """Drop the call that waits for the thaw under this key; return whether there was one."""
        return self._held.pop(key, None) is not None

    def thaw(self) -> None:
        """Run the calls that became due while the host was frozen, in order; then handle I/O."""
        self.frozen = False
        while self._held and not self.frozen and not self.dead:
            function = self._held.pop(next(iter(self._held)))
            self.enter(self._collecting, function)
        self._schedule_turn()

    def die(self) -> None:
        """Stop running any code."""
        self.dead = True
        self._held.clear()
        self.removeAll()
        for timer in list(self._timers):
            timer.cancel()

    def callLater(  # type: ignore[override]  # the base promises Twisted's own DelayedCall
        self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> HostTimer:
        """Call `callable` after `delay` seconds, but not before the next turn of this reactor."""
        time = self.env.clock + max(checked(delay), TICK)
        return HostTimer(self, time, callable, args, kwargs)

    def callFromThread(  # type: ignore[override]
        self, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """Call `callable` in the next turn of this reactor.

        For work of its thread pool it is called at once: there is no other thread, and the work may
        wait until it is done (`threads.blockingCallFromThread`).
        """
        if self._pool.in_work:
            self._pool.in_work = False
            try:
                self._collecting(callable, *args, **kwargs)
            finally:
                self._pool.in_work = True
            return
        key = object()
        self.env.at(
            self.env.clock + TICK,
            lambda _: self.happens(key, lambda: callable(*args, **kwargs)),
        )

    # IReactorFDSet

    def addReader(self, reader: IReadDescriptor) -> None:
        """Call `reader.doRead` whenever its socket is readable."""
        self._add(self._readers, reader)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        """Call `writer.doWrite` whenever its socket is writable."""
        self._add(self._writers, writer)

    def _add(self, those: dict[Any, int], selectable: Any) -> None:
        if selectable in those or self.dead:
            return
        descriptor = selectable.fileno()
        if descriptor not in self.stack.sockets:
            raise ValueError(
                f"{selectable!r} has no simulated socket; a simulated host has no access to real"
                " files and sockets"
            )
        those[selectable] = descriptor
        reader, writer = self._watched.get(descriptor, (None, None))
        pair = (selectable, writer) if those is self._readers else (reader, selectable)
        self._watched[descriptor] = pair
        self._may_be_ready(descriptor)

    def removeReader(self, reader: IReadDescriptor) -> None:
        """Stop calling `reader.doRead`."""
        descriptor = self._readers.pop(reader, None)
        if descriptor is not None:
            self._watch(descriptor, None, self._watched[descriptor][1])

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        """Stop calling `writer.doWrite`."""
        descriptor = self._writers.pop(writer, None)
        if descriptor is not None:
            self._watch(descriptor, self._watched[descriptor][0], None)

    def _watch(self, descriptor: int, reader: Any, writer: Any) -> None:
        if reader is None and writer is None:
            del self._watched[descriptor]
        else:
            self._watched[descriptor] = reader, writer

    def getReaders(self) -> list[IReadDescriptor]:
        """Return the registered readers."""
        return list(self._readers)

    def getWriters(self) -> list[IWriteDescriptor]:
        """Return the registered writers."""
        return list(self._writers)

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:
        """Remove all readers and writers, and return them."""
        found = list(dict.fromkeys([*self._readers, *self._writers]))
        for one in found:
            self.removeReader(one)
            self.removeWriter(one)
        return found

    # Readiness: a descriptor is served when its socket has become ready, and as long as it is

    def _changed(self, socket: BaseSocket) -> None:
        self._may_be_ready(socket.fileno())

    def _may_be_ready(self, descriptor: int) -> None:
        if descriptor in self._watched and self._ready(descriptor):
            self._candidates[descriptor] = None
            self._schedule_turn()

    def _schedule_turn(self) -> None:
        if self._next_turn is None and self._candidates and not self.frozen and not self.dead:
            time = max(self.env.clock, self._last_turn + TICK) + POLL
            self._next_turn = self.env.at(time, self._turn)

    def _turn(self, _: Entry) -> None:
        self._next_turn, self._last_turn = None, self.env.clock
        candidates, self._candidates = self._candidates, {}
        for descriptor, ready in [(one, self._ready(one)) for one in candidates]:
            if ready is None:
                continue
            for one in dict.fromkeys(self._watched.get(descriptor, ())):
                if one is not None and not self.frozen and not self.dead:
                    self.enter(log.callWithLogger, one, self._serve, one, *ready)
        for descriptor in candidates:
            if self._ready(descriptor):
                self._candidates[descriptor] = None
        self._schedule_turn()

    def _ready(self, descriptor: int) -> tuple[bool, bool, bool] | None:
        """Return whether a descriptor has something to read, room to write, or is broken.

        None if it is none of them, or nobody watches it.
        """
        watched = self._watched.get(descriptor)
        if watched is None:
            return None
        socket = self.stack.sockets.get(descriptor)
        if socket is None:
            return False, False, True
        reads = watched[0] is not None and socket.readable
        writes = watched[1] is not None and socket.writable
        broken = not reads and socket.broken
        return (reads, writes, broken) if reads or writes or broken else None

    def _serve(self, selectable: Any, reads: bool, writes: bool, broken: bool) -> None:
        """Let a descriptor read and write, as Twisted's reactors do."""
        why: Any = None
        in_read = False
        try:
            if selectable.fileno() == -1:
                why = _NO_FILEDESC
            elif broken:
                why = CONNECTION_LOST
            else:
                if reads and selectable in self._readers:
                    in_read = True
                    why = selectable.doRead()
                if not why and writes and selectable in self._writers:
                    in_read = False
                    why = selectable.doWrite()
        except Exception:
            self._log.failure("a descriptor failed")
            why = sys.exc_info()[1]
        if why:
            self._disconnectSelectable(selectable, why, in_read)  # type: ignore[no-untyped-call]

    # IReactorTCP, IReactorSSL, IReactorUDP

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> tcp.Port:
        """Listen on a port of this host; see `IReactorTCP`."""
        made = Port(port, factory, backlog, interface, self)
        made.startListening()
        return made

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> tcp.Connector:
        """Connect to a port of a host; see `IReactorTCP`."""
        made = Connector(host, port, factory, timeout, bindAddress, self)
        made.connect()
        return made

    def listenSSL(
        self,
        port: int,
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> tcp.Port:
        """Listen for TLS connections; see `IReactorSSL`."""
        made = self.listenTCP(
            port, self._over_tls(contextFactory, False, factory), backlog, interface
        )
        made._type = "TLS"
        return made

    def connectSSL(
        self,
        host: str,
        port: int,
        factory: Any,
        contextFactory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> tcp.Connector:
        """Connect with TLS; see `IReactorSSL`."""
        over_tls = self._over_tls(contextFactory, True, factory)
        return self.connectTCP(host, port, over_tls, timeout, bindAddress)

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> udp.Port:
        """Send and receive datagrams on a port of this host; see `IReactorUDP`."""
        made = UDPPort(port, protocol, interface, maxPacketSize, self)  # type: ignore[no-untyped-call]
        made.startListening()  # type: ignore[no-untyped-call]
        return made

    def _over_tls(self, context_factory: Any, is_client: bool, factory: Any) -> Any:
        from twisted.protocols.tls import TLSMemoryBIOFactory  # it needs pyOpenSSL

        return TLSMemoryBIOFactory(context_factory, is_client, factory, clock=self)
