"""Connections on which a host has not answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from firstk.harness.net.connection import Connection
from firstk.harness.net.host import Host
from firstk.harness.net.segment import is_loopback


@dataclass(frozen=True)
class Unanswered:
    """A connection on which the server host has not answered the client.

    The client has sent bytes since the host last sent any, or the host has never sent anything.
    `received` is when the last byte arrived at the host, in seconds; None if none did. `opened` is
    when the client started to connect, and `given_up` when it closed the connection; None if it
    still waits. `note` has further details, for example that the host is frozen, or that the
    connection was never accepted.
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
    """Return a virtual time as text, without the microseconds that reactor iterations take."""
    return f"{round(time, 4):g} s" if time < 10 else f"{time:.6g} s"


def unanswered(
    hosts: Iterable[Host],
    by_address: Mapping[str, Host],
    is_partitioned: Callable[[Host, Host], bool],
) -> list[Unanswered]:
    """Return connections on which clients wait, or gave up waiting, in the order of creation."""
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
