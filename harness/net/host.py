"""A host of a simulated network: a kernel, and a process that can be frozen or killed."""

from __future__ import annotations

from collections.abc import Callable
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Any, TypeVar

from firstk.harness.kernel.environment import Entry
from firstk.harness.net.base_socket import BaseSocket
from firstk.harness.net.host_reactor import HostReactor
from firstk.harness.net.segment import Datagram, Segment
from firstk.harness.net.stack import Stack

if TYPE_CHECKING:
    from firstk.harness.net.network import Network

T = TypeVar("T")


class _Running(HostReactor):
    """The reactor of a process. It is not driven by `run`, so `stop` has to end it itself."""

    exits = False
    """Whether the process exits after the shutdown triggers."""

    def stop(self) -> None:
        """Fire the shutdown triggers in the next reactor iteration; see `IReactorCore`."""
        super().stop()
        self.callFromThread(self._shut_down)

    def _shut_down(self) -> None:
        if self._justStopped:  # otherwise a test has called `run`, which has done this
            self._justStopped, self.exits = False, True
            self.fireSystemEvent("shutdown")


class Host:
    """A host of a simulated network, created by `Network.host`.

    `reactor` is the host's reactor: pass it to code that does not import the global reactor, which
    is the same one while code of this host runs. `address` is the host's IPv4 address, `address6`
    its IPv6 address. All hosts can resolve `name`.
    """

    def __init__(self, network: Network, name: str, number: int) -> None:
        self.name = name
        self.address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.address6 = f"fd00::{number:x}"
        self.history = [(network.now, "running")]  # its states, each with its start time
        self.stack: Stack
        self._network = network
        self.reactor = self._boot()

    @property
    def state(self) -> str:
        """The state of the host: "running", "frozen", "killed", "exited" or "off"."""
        return self.history[-1][1]

    @property
    def since(self) -> float:
        """The virtual time at which the current state began, in seconds."""
        return self.history[-1][0]

    def _boot(self) -> _Running:
        network = self._network
        made = _Running(
            network.env, self._make_stack, network.resolve, network.processor, self.name
        )
        made.errors = network.world.errors
        made.addSystemEventTrigger("after", "shutdown", self._exited)
        return made

    def _make_stack(self, changed: Callable[[BaseSocket], None]) -> Stack:
        world = self._network.world

        def send(packet: Segment | Datagram) -> float:
            return self._network.send(self, packet)

        addresses = {int(AF_INET): self.address, int(AF_INET6): self.address6}
        self.stack = Stack(send, world.callLater, world.seconds, changed, addresses)
        return self.stack

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.address} {self.state}>"

    def arrives(self, packet: Segment | Datagram) -> None:
        """Receive a packet, unless the host is switched off."""
        if self.state != "off":
            self.stack.receive(packet)

    def run(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call a function as code of this host, and return what it returns.

        Everything that it starts (timers, connections, callbacks of Deferreds) belongs to this
        host. Raises `RuntimeError` unless the host is running.
        """
        if self.state != "running":
            raise RuntimeError(f"host {self.name} is {self.state}: it can run nothing")
        with self._network.simulated():
            self.start_reactor()
            return self.reactor.enter(function, *args, **kwargs)

    def start_reactor(self) -> None:
        """Start the host's reactor, and run its start-up triggers, unless it is running."""
        if self.state == "running" and not self.reactor.running:
            self.reactor.enter(self.reactor.startRunning, installSignalHandlers=False)

    def freeze(self) -> None:
        """Stop the host's process, as SIGSTOP does.

        Its kernel keeps running: it accepts connections, and receives data while its buffers have
        room. The timers of the process do not fire.
        """
        if self.state == "running":
            self.reactor.frozen = True
            self._become("frozen")

    def thaw(self) -> None:
        """Resume the host's process, as SIGCONT does. Overdue timers fire first."""
        if self.state == "frozen":
            self._become("running")
            self._network.env.at(self._network.now, self._go_on)

    def _go_on(self, _: Entry) -> None:
        if self.state == "running" and self.reactor.frozen:
            self.reactor.thaw()

    def kill(self) -> None:
        """Kill the host's process, as SIGKILL does.

        Its kernel closes all connections: with a reset if there is unread data, otherwise in an
        orderly way. It refuses later connections.
        """
        if self.state in ("running", "frozen"):
            self._end("killed")

    def power_off(self) -> None:
        """Switch the host off: it sends nothing more, and packets sent to it are lost."""
        if self.state != "off":
            self._become("off")
            self.reactor.die()
            self.stack.power_off()

    def start(self) -> None:
        """Restart the host after `kill`, `power_off` or an exit, with a new, empty reactor."""
        if self.state in ("killed", "off", "exited"):
            self._become("running")
            self.reactor = self._boot()

    def refuse(self) -> None:
        """Reset all connections, and refuse new ones until `accept`. The process keeps running."""
        self.reset()
        self.stack.refuses = True

    def accept(self) -> None:
        """Accept connections again after `refuse`."""
        self.stack.refuses = False
        self._network.note(f"{self.name} accepts connections again")

    def reset(self, other: Host | str | None = None) -> None:
        """Reset the host's connections (TCP RST): all of them, or those with one other host."""
        if other is not None:
            other = self._network.known(other)
        self._network.note(f"{self.name} resets {'all' if other is None else other.name}")
        for connection in list(self.stack.connections.values()):
            if other is None or connection.remote.host in (other.address, other.address6):
                connection.abort()

    def _exited(self) -> None:
        """Exit after `reactor.stop()`."""
        if self.state == "running" and self.reactor.exits:
            self._end("exited")

    def _end(self, state: str) -> None:
        self._become(state)
        self.reactor.die()
        self.stack.kill()

    def _become(self, state: str) -> None:
        self.history.append((self._network.now, state))
        self._network.note(f"{self.name} is {state}")
