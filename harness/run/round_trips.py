"""The sequence of round trips that the first byte waited for, and the reasons for them.

They are found backwards. What the first byte came with was the answer on some connection, or to
some request; before that was opened, or sent, another answer had come; and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firstk.harness.grid.trace import Trace
from firstk.harness.net.packet import Packet
from firstk.harness.net.unanswered import shown_time

if TYPE_CHECKING:
    from firstk.harness.run.finish import Run

#: The host on which a downloader runs.
CLIENT = "client"

#: Why a connection was opened where there was one already.
_BUSY = ", since the one there was had a request under way and HTTP/1.1 takes one at a time"

#: What happens within so many seconds is a cause and its effect: turns of reactors lie between.
_NEXT = 1e-3


@dataclass(frozen=True)
class Leg:
    """Some round trips on one connection, or one request to an object."""

    text: str
    trips: int


def of_objects(trace: Trace, first: float) -> list[Leg]:
    """Return the successive requests that the first byte, at a time in seconds, waited for."""
    legs: list[Leg] = []
    time = first
    answered = [e for e in trace.exchanges if e.ended is not None]
    while found := [e for e in answered if e.ended is not None and e.ended <= time and e.ok]:
        last = max(found, key=lambda e: (e.ended, e.number))
        what = "a query to" if last.operation == "get_buckets" else "a read from"
        legs.insert(0, Leg(f"{what} {last.server}", 1))
        time = last.sent
        answered = found
        if time <= 0:
            break
    return legs


def of_packets(packets: Sequence[Packet], first: float) -> list[Leg]:
    """Return the successive connections that the first byte, at a time in seconds, waited for."""
    connections: dict[tuple[str, int], list[Packet]] = {}
    for packet in packets:
        if packet.what != "ack" and CLIENT in (packet.source, packet.target):
            here = packet.source == CLIENT
            server = packet.target if here else packet.source
            port = packet.source_port if here else packet.target_port
            connections.setdefault((server, port), []).append(packet)
    legs: list[Leg] = []
    time = first
    while connections:
        answers = {
            key: max(arrivals)
            for key, those in connections.items()
            if (arrivals := list(_answers(those, time)))
        }
        if not answers:
            break
        key = max(answers, key=lambda one: (answers[one], one))
        opened = connections[key][0].sent
        busy = any(
            other[0] == key[0] and other != key and any(_asks(p, opened) for p in those)
            for other, those in connections.items()
        )
        legs.insert(0, _leg(key[0], connections[key], time, opened, busy))
        time = opened
        if time < _NEXT:
            break
    return legs


def _answers(packets: Sequence[Packet], until: float) -> Iterator[float]:
    """Yield when packets of a server reached the client, up to a time."""
    for packet in packets:
        if packet.target == CLIENT and packet.arrives is not None and packet.arrives <= until:
            yield packet.arrives


def _asks(packet: Packet, time: float) -> bool:
    """Return whether the client sent data at a time."""
    return packet.source == CLIENT and packet.size > 0 and abs(packet.sent - time) <= _NEXT


def _leg(server: str, packets: Sequence[Packet], until: float, opened: float, busy: bool) -> Leg:
    """Return the round trips on one connection up to a time."""
    trips, ours = 0, False
    for packet in packets:
        if packet.sent > until:
            break
        trips += packet.source == CLIENT and not ours
        ours = packet.source == CLIENT
    parts = ["TCP", "TLS"][:trips]
    if (requests := trips - len(parts)) > 0:
        parts.append("1 request" if requests == 1 else f"{requests} requests in turn")
    where = f"a connection to {server} opened at {shown_time(opened)}"
    return Leg(f"{trips} on {where} ({', '.join(parts)}){_BUSY if busy else ''}", trips)


def in_words(objects: Run, https: Run) -> str:
    """Return in words which round trips the first byte took over each of the two transports."""
    result = https.result
    lines = [f"{result.scenario}, {result.strategy}, seed {result.seed}: round trips to first byte"]
    if https.network is not None and result.ttfb is not None:
        lines.append(_sentence("tahoe-https", of_packets(https.network.packets, result.ttfb)))
    if objects.result.ttfb is not None:
        lines.append(_sentence("objects", of_objects(objects.trace, objects.result.ttfb)))
    return "\n".join(lines if len(lines) > 1 else [f"{lines[0]}: there was none"])


def _sentence(over: str, legs: Sequence[Leg]) -> str:
    trips = sum(leg.trips for leg in legs)
    return f"  {over}: {trips}: {'; then '.join(leg.text for leg in legs)}"
