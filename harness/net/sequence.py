"""A sequence diagram of packets, as text: a column for each host, a line for each packet."""

from __future__ import annotations

from collections.abc import Sequence

from firstk.harness.net.packet import Packet

#: How wide the gap between two hosts is, in characters: "-- 65536 bytes 32768>65535 -->" fits.
_GAP = 34

#: More lines than this are not shown: the first and the last are.
_MOST_LINES, _FIRST_LINES = 80, 20


def text_diagram(
    packets: Sequence[Packet], notes: Sequence[tuple[float, str]], acks: bool = False
) -> str:
    """Return packets as a sequence diagram, with notes (of a time in seconds each) among them.

    Acknowledgements that carry nothing are left out, unless `acks` is true.
    """
    shown = [packet for packet in packets if acks or packet.what != "ack"]
    hosts = list(dict.fromkeys(name for p in shown for name in (p.source, p.target)))
    if not hosts:
        return ""
    rows = [(p.sent, 1, _arrow(p, hosts), p.arrives) for p in shown]
    rows += [(time, 0, f"~ {text}", time) for time, text in notes]
    rows.sort(key=lambda row: row[:2])  # stable: those of equal times keep their order
    lines = [f"{_time(time)}  {text}{_end(time, arrives)}" for time, _, text, arrives in rows]
    if len(lines) > _MOST_LINES:
        left_out = len(lines) - _MOST_LINES
        last = lines[-(_MOST_LINES - _FIRST_LINES) :]
        lines = [*lines[:_FIRST_LINES], f"{'':12}... {left_out} lines left out ...", *last]
    head = f"{'sent at':>10}  " + "".join(f"{name:<{_GAP + 1}}" for name in hosts).rstrip()
    return "\n".join([head, *lines]) + "\n"


def _time(time: float) -> str:
    return f"{time:>10.6f}"


def _end(sent: float, arrives: float | None) -> str:
    if arrives is None:
        return " lost"
    return "" if arrives == sent else f" {arrives:.6f}"


def _arrow(packet: Packet, hosts: Sequence[str]) -> str:
    """Return the hosts' lines, with an arrow from the one to the other."""
    source, target = hosts.index(packet.source), hosts.index(packet.target)
    what = f" {packet.what} {packet.source_port}>{packet.target_port} "
    if source == target:
        cells = ["|" + " " * _GAP for _ in hosts]
        cells[source] = f"|{what}(itself)".ljust(_GAP + 1)
        return "".join(cells).rstrip()
    low, high = sorted((source, target))
    width = (high - low) * (_GAP + 1) - 1
    tip = "x" if packet.arrives is None else ">" if source < target else "<"
    body = what.center(width - 1, "-")
    arrow = f"{body}{tip}" if source < target else f"{tip}{body}"
    before = ("|" + " " * _GAP) * low
    after = ("|" + " " * _GAP) * (len(hosts) - 1 - high)
    return f"{before}|{arrow}|{' ' * _GAP if after else ''}{after}".rstrip()
