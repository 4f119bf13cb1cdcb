"""What a host was asked over a connection, and has not answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from firstk.harness.net.connection import Connection
from firstk.harness.net.host import Host
from firstk.harness.net.segment import is_loopback


@dataclass(frozen=True)
class Unanswered:
    """A connection on which the host that was connected to owes an answer.

    It was sent bytes after the last that it sent itself, or has sent nothing at all. `received` is
    when its last byte arrived there, in seconds; None if there was none. `opened` is when the
    connection was asked for, and `given_up` when the client closed it, None if it still waits.
    `note` says what else is known: that the host is frozen, or that the connection was never
    accepted.
    """

    host: str
    port: int
    client: str
    client_port: int
    opened: float
    received: float | None
    note: str = ""
    given_up: float | None = None

    def __str__(self) -> str:
        if self.received is None:
            last = f"no byte received since it was opened at {shown_time(self.opened)}"
        else:
            last = f"last byte received at {shown_time(self.received)}"
        note = f" ({self.note})" if self.note else ""
        return (
            f"never answered: host {self.host}, connection from"
            f" {self.client}:{self.client_port}, {last}{note}"
        )


def shown_time(time: float) -> str:
    """Return a virtual time as text, without the microseconds that turns of reactors take."""
    return f"{round(time, 4):g} s" if time < 10 else f"{time:.6g} s"


def unanswered(
    hosts: Iterable[Host],
    by_address: Mapping[str, Host],
    is_partitioned: Callable[[Host, Host], bool],
) -> list[Unanswered]:
    """Return the connections on which clients wait, or did in vain, in the order of making."""
    found = [
        _described(host, connection, by_address, is_partitioned)
        for host in hosts
        for connection in [
            *host.stack.given_up,
            *(c for c in host.stack.connections.values() if c.waits and c.closed is None),
        ]
    ]
    return sorted(found, key=lambda one: one.opened)


def _described(
    client: Host,
    connection: Connection,
    by_address: Mapping[str, Host],
    is_partitioned: Callable[[Host, Host], bool],
) -> Unanswered:
    address = connection.remote.host
    host = client if is_loopback(address) else by_address.get(address)
    key = connection.remote, connection.local
    notes, received = [], None
    if host is None:
        notes.append("no such host")
    else:
        peer = host.stack.connections.get(key)
        received = peer.received if peer else host.stack.last_received.get(key)
        if peer is not None and peer.socket is None and peer.closed is None:
            notes.append("never accepted")
        if host.state != "running":
            notes.append(f"{host.name} is {host.state} since {shown_time(host.since)}")
        if host is not client and is_partitioned(client, host):
            notes.append(f"{client.name} and {host.name} are partitioned")
    if connection.closed is not None:
        notes.append(f"{client.name} gave up at {shown_time(connection.closed)}")
    return Unanswered(
        address if host is None else host.name,
        connection.remote.port,
        client.name,
        connection.local.port,
        connection.opened,
        received,
        "; ".join(notes),
        connection.closed,
    )
