"""A simulated network of hosts that run unmodified Twisted clients and servers in virtual time.

    net = Network(rtt=0.05)
    server, client = net.host("server"), net.host("client")
    server.run(serve)                  # your code, which listens on port 80
    answers = client.run(fetch)        # your code, which connects to "server"
    server.freeze()
    net.advance(30)

See docs/network.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from firstk.downloader.text import message_of
from firstk.harness.kernel.condition import ConditionNeverMetError
from firstk.harness.kernel.environment import Entry
from firstk.harness.kernel.interrupt import interruptible
from firstk.harness.kernel.isolation import isolated, not_watched
from firstk.harness.kernel.livelock import LivelockError
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.harness.kernel.watchdog import watchdog
from firstk.harness.net.host import Host
from firstk.harness.net.host_reactor import HostReactor, Processor
from firstk.harness.net.housekeeping import Housekeeping
from firstk.harness.net.link import Way, checked_bandwidth, checked_loss, law_of
from firstk.harness.net.packet import Packet, digest_of
from firstk.harness.net.process import Processes
from firstk.harness.net.segment import Datagram, Segment, is_loopback
from firstk.harness.net.sequence import text_diagram
from firstk.harness.net.svg import svg_diagram
from firstk.harness.net.trace_events import trace_events
from firstk.harness.net.unanswered import Unanswered, shown_time, unanswered
from firstk.scenarios.laws import Law

T = TypeVar("T")

#: The maximum number of unanswered connections, and of errors, that a message lists.
_MOST_LISTED = 12


class Network:
    """A network of hosts in virtual time, each with its own Twisted reactor, and the links between.

    `rtt` is the round-trip time between two hosts in seconds, or the table of a latency law as in
    scenario files: each packet takes half of a drawn time. `bandwidth` is the bandwidth of each
    direction between two hosts, in bytes of data per second; None means unlimited. `seed` seeds all
    random draws. Raises `ValueError` if an argument is out of range.

    Attributes: `hosts`, a mapping by name. `packets`, all packets sent so far. `logged`, the errors
    that reached Twisted's log: the time, the host, the error. `housekeeping`, the qualified names
    of timers that do not count as progress: `until` and `wait` fail early if only these are left;
    names can be added. `timeout`, how much real time any call that advances virtual time may take,
    in seconds (default None: no limit).

    >>> net = Network(rtt=0.05)
    >>> host = net.host("a")
    >>> timer = host.run(host.reactor.callLater, 3600, print, "an hour has passed")
    >>> net.advance(3600)
    an hour has passed
    """

    def __init__(
        self,
        seed: int = 0,
        rtt: float | Mapping[str, Any] | Law = 0.05,
        bandwidth: float | None = None,
    ) -> None:
        self.hosts: dict[str, Host] = {}
        self.packets: list[Packet] = []
        self.logged: list[tuple[float, str, BaseException]] = []
        self.timeout: float | None = None
        self.world = SimReactor()
        self.env = self.world.env
        self.processor = Processor()
        self.seed = seed
        self._law = law_of(rtt)
        self._bandwidth = checked_bandwidth(bandwidth)
        self._ways: dict[tuple[str, str], Way] = {}
        self._by_address: dict[str, Host] = {}
        self._left = Housekeeping(self.env, self._by_address)
        self._notes: list[tuple[float, str]] = []
        self._processes = Processes(self.env, self.processor, seed)
        self._is_simulating = False
        self._failures: list[BaseException] = []
        self._waiting: list[Callable[[], bool]] = []  # conditions of `when` that are not true yet

    @property
    def housekeeping(self) -> set[str]:
        """The qualified names of timers that do not count as progress for `until` and `wait`."""
        return self._left.names

    def __repr__(self) -> str:
        return f"<Network of {len(self.hosts)} hosts at {self.now:.6g} s>"

    def host(self, name: str) -> Host:
        """Return the host with this name; it is created on the first call."""
        if name not in self.hosts:
            if not isinstance(name, str) or not name or set(name) & set(" :"):
                raise ValueError(
                    f"a host's name should be like 'server' or 'b.example', not {name!r}"
                )
            made = self.hosts[name] = Host(self, name, len(self.hosts) + 1)
            self._by_address[made.address] = self._by_address[made.address6] = made
        return self.hosts[name]

    def known(self, host: Host | str) -> Host:
        """Return an existing host. Raises `ValueError` if there is none with this name."""
        name = host if isinstance(host, str) else host.name
        if name not in self.hosts:
            there = ", ".join(self.hosts) or "none yet"
            raise ValueError(f"no host is named {name!r}; there are: {there}")
        return self.hosts[name]

    def resolve(self, name: str) -> list[str]:
        """Return the addresses of a host; an address resolves to itself."""
        if name == "localhost":
            return ["127.0.0.1", "::1"]
        if name in self.hosts:
            return [self.hosts[name].address, self.hosts[name].address6]
        return [name] if name in self._by_address or is_loopback(name) else []

    # Links

    def link(
        self,
        a: Host | str,
        b: Host | str,
        *,
        rtt: float | Mapping[str, Any] | Law | None = None,
        bandwidth: float | None = None,
        loss: float | None = None,
    ) -> None:
        """Change the link between two hosts from now on, in both directions.

        Arguments that are None stay unchanged. A `bandwidth` of `math.inf` is unlimited. `loss` is
        the probability that a packet is lost; TCP retransmits it, so that it arrives late.
        """
        for way in self.between(a, b):
            way.law = way.law if rtt is None else law_of(rtt)
            way.bandwidth = way.bandwidth if bandwidth is None else checked_bandwidth(bandwidth)
            way.loss = way.loss if loss is None else checked_loss(loss)

    def partition(self, a: Host | str, b: Host | str, *, one_way: bool = False) -> None:
        """Drop all packets between two hosts from now on.

        With `one_way`, only packets from `a` to `b` are dropped. Packets in transit still arrive.
        """
        a, b = self.known(a), self.known(b)
        for way in self.between(a, b)[: 1 if one_way else 2]:
            way.cut = True
        self.note(f"{a.name} {'cannot reach' if one_way else 'is cut off from'} {b.name}")

    def heal(self, a: Host | str | None = None, b: Host | str | None = None) -> None:
        """End the partition of two hosts; without arguments, end all partitions."""
        if (a is None) != (b is None):
            raise TypeError("heal() takes two hosts, or none")
        ways = list(self._ways.values()) if a is None or b is None else self.between(a, b)
        for way in ways:
            way.cut = False
        self.note("all partitions are healed" if a is None else f"{a} and {b} are healed")

    def between(self, a: Host | str, b: Host | str) -> list[Way]:
        """Return both directions of the link between two hosts."""
        first, second = self.known(a).name, self.known(b).name
        if first == second:
            raise ValueError(f"a link is between two hosts, not from {first!r} to itself")
        return [self._way(first, second), self._way(second, first)]

    def _way(self, source: str, target: str) -> Way:
        key = source, target
        if key not in self._ways:
            random = stream(self.seed, f"{source}>{target}", "packets")
            self._ways[key] = Way(self._law, self._bandwidth, 0.0, random)
        return self._ways[key]

    # Packets

    def send(self, source: Host, packet: Segment | Datagram) -> float:
        """Deliver a packet to its target; return when it has left the source."""
        address = packet.target.host
        target = self._by_address.get(address)
        if target is None and is_loopback(address):
            target = source
        now = leaves = self.env.clock
        arrives: float | None = None
        if target is source:
            arrives = now
        elif target is not None:
            way = self._way(source.name, target.name)
            leaves = way.leaves(now, len(packet.data))
            if not way.cut:
                if isinstance(packet, Datagram):
                    arrives = way.arrival_of_datagram(leaves)
                else:
                    arrives = way.arrival(leaves, (packet.source, packet.target))
        name = address if target is None else target.name
        ends = source.name, packet.source.port, name, packet.target.port
        self.packets.append(Packet(now, *ends, packet.kind, len(packet.data), arrives))
        if arrives is not None and target is not None:
            to = target
            self.env.at(arrives, lambda _: to.arrives(packet))
        return leaves

    def note(self, text: str) -> None:
        """Add a note about the current time to the diagram."""
        self._notes.append((self.now, text))

    def digest(self) -> str:
        """Return the SHA-256 of all packets so far: their times, sources, targets and sizes.

        The same program with the same seed always has the same digest, even if it uses TLS.
        """
        return digest_of(self.packets)

    def diagram(self, *, acks: bool = False) -> str:
        """Return all packets so far as a sequence diagram in text.

        Acknowledgements without data are omitted, unless `acks` is true.
        """
        return text_diagram(self.packets, self._notes, acks)

    def save(self, path: str | Path, *, acks: bool = False) -> None:
        """Write a trace of all packets so far to a file, in the format given by its suffix.

        `.txt` is `diagram()`, `.svg` the same as a picture, and `.json` Chrome trace events, which
        Perfetto shows. Raises `ValueError` for other suffixes, and `OSError` if the file cannot be
        written.
        """
        histories = {name: host.history for name, host in self.hosts.items()}
        what = self.packets, self._notes, histories
        match Path(path).suffix:
            case ".txt":
                text = self.diagram(acks=acks)
            case ".svg":
                text = svg_diagram(*what, self.now, acks)
            case ".json":
                text = trace_events(*what, self.outstanding, self.now)
            case _:
                raise ValueError(f"should end in .txt, .svg or .json, not {str(path)!r}")
        Path(path).write_text(text, encoding="utf-8")

    # Time

    @property
    def now(self) -> float:
        """The virtual time, in seconds."""
        return float(self.env.clock)

    def at(self, time: float, function: Callable[..., object], *args: Any) -> None:
        """Schedule a call of the test's own at a virtual time: `net.at(2.5, server.freeze)`."""
        if not self.now <= time < inf:
            raise ValueError(f"time should be now ({self.now:.6g} s) or later, not {time!r}")

        def call(_: Entry) -> None:
            function(*args)

        self.env.at(time, call)

    def when(
        self, condition: Callable[[], object], function: Callable[..., object], *args: Any
    ) -> None:
        """Call a function of the test once, as soon as `condition()` is true.

        For example `net.when(lambda: consumer.data, server.freeze)`. The condition is checked after
        each event.
        """

        def call() -> bool:
            with not_watched():  # it is the test's own
                is_met = condition()
            if is_met:
                function(*args)
            return bool(is_met)

        self._waiting.append(call)

    def _step(self) -> None:
        """Process one event, and then the calls of `when` whose conditions are now true."""
        self.world.step()
        if self._waiting:
            self._call_waiting()

    def _call_waiting(self) -> None:
        self._waiting[:] = [call for call in self._waiting[:] if not call()]

    def advance(self, seconds: float) -> None:
        """Advance virtual time by `seconds`, and process all events that are due by then.

        Raises the exception of a timer, or an `ExceptionGroup` if several timers failed.
        """
        if not 0 <= seconds < inf:
            raise ValueError(f"seconds should be 0 or more, not {seconds!r}")
        self._reach(self.now + seconds)

    def _reach(self, time: float) -> None:
        self._check_outside()
        with self.simulated():
            self._start_reactors()
            self.env.at(time, lambda _: None)
            self._call_waiting()
            while self.world.peek() <= time:
                self._step()

    def until(self, condition: Callable[[], object], timeout: float = 3600.0) -> None:
        """Process events until `condition()` is true.

        Raises `ConditionNeverMetError` if no events are left, or only housekeeping timers, or if
        the condition is not true within `timeout` virtual seconds. The message lists the
        connections that were not answered.
        """
        __tracebackhide__ = True  # pytest shows the test's own line

        def is_met() -> object:
            with not_watched():  # it is the test's own
                return condition()

        self._until(is_met, timeout, "the condition never became true")

    def wait(self, deferred: Deferred[T], timeout: float = 3600.0) -> T:
        """Process events until a Deferred has fired, and return its result.

        Raises the Deferred's exception if it failed, and `ConditionNeverMetError` as `until` does.
        """
        __tracebackhide__ = True
        results: list[T | Failure] = []
        deferred.addBoth(results.append)
        self._until(lambda: results, timeout, "the Deferred never fired")
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def _until(self, condition: Callable[[], object], timeout: float, failed: str) -> None:
        __tracebackhide__ = True
        if why := self.stalls(condition, self.now + timeout):
            said = f"{failed}: {why} at {shown_time(self.now)}"
            raise ConditionNeverMetError(f"{said}\n{self.report()}".rstrip())

    def stalls(self, condition: Callable[[], object], end: float) -> str:
        """Process events until `condition()` is true, or until the time `end`.

        Return why it never became true, or an empty string if it did.
        """
        self._check_outside()
        with self.simulated():
            self._start_reactors()
            self._call_waiting()
            while not condition():
                if self.world.peek() > end:
                    if self.world.peek() == inf:
                        return "nothing left to happen"
                    break
                if self._left.is_next() and (timers := self._left.only()):
                    return f"nothing left but housekeeping ({timers})"
                self._step()
                if self.world.errors or self._failures:
                    return ""
            else:
                return ""
        self._reach(end)
        if condition():
            return ""
        timers = self._left.timers()
        return f"time is up{f' (timers left: {timers})' if timers else ''}"

    def _check_outside(self) -> None:
        if self._is_simulating:
            raise RuntimeError("only the test lets time pass; code of hosts uses reactor.callLater")

    def _start_reactors(self) -> None:
        for host in self.hosts.values():
            host.start_reactor()

    @contextmanager
    def simulated(self) -> Iterator[None]:
        """Run code of hosts in this context; raise its exceptions that no Deferred reports."""
        if self._is_simulating:
            yield
            return
        self._is_simulating = True
        observer = _Errors(self)
        globalLogPublisher.addObserver(observer)
        try:
            with (
                watchdog(self.world, self.timeout, self._failures, HostReactor.enter.__code__),
                interruptible(self.world),
                isolated("", lambda: self._processes.random, self._failures, self._processes),
                self._processes.apart(),
            ):
                try:
                    yield
                except LivelockError as e:
                    self._failures.append(e)
        finally:
            globalLogPublisher.removeObserver(observer)
            self._is_simulating = False
        errors = list(dict.fromkeys([*self._failures, *self.world.errors]))
        self._failures.clear()
        self.world.errors.clear()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("several things failed", errors)

    # What was not answered

    @property
    def outstanding(self) -> list[Unanswered]:
        """The connections on which a client waits for a host, in the order of their creation.

        A client waits from when it connects or writes until data arrives from the host.
        """
        return [one for one in self._unanswered() if one.given_up is None]

    def _unanswered(self) -> list[Unanswered]:
        return unanswered(self.hosts.values(), self._by_address, self._is_partitioned)

    def _is_partitioned(self, a: Host, b: Host) -> bool:
        return any(way.cut for way in self.between(a, b))

    def report(self) -> str:
        """Return a report for a failed test.

        It lists the connections that were not answered, the hosts that are not running, and the
        errors that reached Twisted's log.
        """
        lines = _listed([str(one) for one in self._unanswered()])
        for host in self.hosts.values():
            if host.state != "running":
                lines.append(f"host {host.name} is {host.state} since {shown_time(host.since)}")
        lines += _listed(
            [
                f"logged at {shown_time(time)}{f' on {host}' if host else ''}:"
                f" {type(error).__name__}: {message_of(error)}"
                for time, host, error in self.logged
            ]
        )
        return "\n".join(lines)


@implementer(ILogObserver)
class _Errors:
    """Keeps the errors that reach Twisted's log."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, event: Mapping[str, Any]) -> None:
        # Events of the legacy `twisted.python.log.err` use a key of their own.
        failure = event.get("log_failure") or (event.get("isError") and event.get("failure"))
        if failure:
            running = self._network.processor.running
            name = running.name if running else ""
            self._network.logged.append((self._network.now, name, failure.value))


def _listed(lines: list[str]) -> list[str]:
    if len(lines) <= _MOST_LISTED:
        return lines
    return [*lines[:_MOST_LISTED], f"... and {len(lines) - _MOST_LISTED} more"]
