"""A sequence diagram of packets, as SVG: a line down for each host, an arrow for each packet.

Time runs down. It is not to scale: each moment at which something happens has a row of its own,
and idle times are short; those of a second and more are marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from firstk.harness.net.packet import Packet

#: States of hosts, by the time at which each began; the first is the one at the beginning.
History = Sequence[tuple[float, str]]

_LEFT, _TOP, _COLUMN, _ROW, _IDLE = 96, 48, 250, 18, 14

#: How far a label reaches along its arrow, and how many packets it lists.
_LABEL, _MOST_LISTED = 120, 2

#: Idle times from this on are marked, in seconds. Moments closer than `_SAME` share a row.
_MARKED, _SAME = 1.0, 2e-5

#: Of each kind of packet: how its arrow is drawn.
_COLOURS = {"data": "#0b5fa5", "control": "#666666", "lost": "#c62828"}

#: Of each state but "running": the colour of the bar on the host's line.
_STATES = {"frozen": "#8ecae6", "killed": "#f4a582", "exited": "#d9d9d9", "off": "#555555"}

_STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#222;paint-order:stroke;stroke:#fff;stroke-width:2px}"
    ".host{font-weight:bold;font-size:13px}"
    ".time{fill:#666;font-size:10px}.note{fill:#6a3d9a}.idle{fill:#999;font-style:italic}"
)


def svg_diagram(
    packets: Sequence[Packet],
    notes: Sequence[tuple[float, str]],
    histories: Mapping[str, History],
    end: float,
    acks: bool = False,
) -> str:
    """Return packets as a sequence diagram up to the time `end`, with notes among them.

    `histories` has the states of each host. Acknowledgements that carry nothing are left out,
    unless `acks` is true.
    """
    shown = [packet for packet in packets if acks or packet.what != "ack"]
    names = dict.fromkeys([*histories, *(p.source for p in shown), *(p.target for p in shown)])
    return _Drawing(list(names), shown, notes, histories, end).text()


class _Drawing:
    def __init__(
        self,
        names: list[str],
        packets: Sequence[Packet],
        notes: Sequence[tuple[float, str]],
        histories: Mapping[str, History],
        end: float,
    ) -> None:
        self._x = {name: _LEFT + _COLUMN // 2 + i * _COLUMN for i, name in enumerate(names)}
        arrivals = [p.arrives for p in packets if p.arrives is not None]
        states = [time for history in histories.values() for time, _ in history]
        times = [p.sent for p in packets] + arrivals + [time for time, _ in notes] + states
        self._rows: list[tuple[float, float, float]] = []  # time, place, idle time before it
        self._y: dict[float, float] = {}
        self._place(sorted({*times, end}))
        self._height = self._rows[-1][1] + _ROW if self._rows else _TOP + _ROW
        self._root = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg")
        self._draw(packets, notes, histories, end)

    def _place(self, times: Sequence[float]) -> None:
        """Give each moment its row."""
        y, before = float(_TOP), None
        for time in times:
            if before is None or time - before > _SAME:
                idle = 0.0 if before is None else time - before
                y += _ROW + (_IDLE if idle >= _MARKED else 0)
                self._rows.append((time, y, idle))
                before = time
            self._y[time] = y

    def _draw(
        self,
        packets: Sequence[Packet],
        notes: Sequence[tuple[float, str]],
        histories: Mapping[str, History],
        end: float,
    ) -> None:
        width = _LEFT + _COLUMN * max(1, len(self._x))
        self._root.set("viewBox", f"0 0 {width} {self._height:g}")
        self._root.set("width", str(width))
        self._root.set("height", f"{self._height:g}")
        ElementTree.SubElement(self._root, "title").text = "Packets between hosts"
        ElementTree.SubElement(self._root, "style").text = _STYLE
        self._add("rect", width="100%", height="100%", fill="white")
        for name, x in self._x.items():
            self._line(x, _TOP, x, self._height, "#bbbbbb", "none")
            self._text(name, x, _TOP - 20, "host", "middle")
            self._states(x, name, histories.get(name, ()), end)
        for time, y, idle in self._rows:
            self._text(f"{time:.6f} s", _LEFT - 8, y + 4, "time", "end")
            if idle >= _MARKED:
                self._text(f"… {idle:.4g} s", _LEFT - 8, y + 4 - _ROW, "idle", "end")
        self._arrows(packets)
        for time, text in notes:
            self._text(f"~ {text}", _LEFT + 4, self._y[time] - 4, "note", "start")

    def _states(self, x: float, name: str, history: History, end: float) -> None:
        """Draw a bar where a host is not running."""
        ends = [time for time, _ in history[1:]] + [end]
        for (start, state), until in zip(history, ends, strict=True):
            if state in _STATES and until > start:
                y = self._y[start]
                bar = self._add(
                    *("rect",),
                    x=f"{x - 6:g}",
                    y=f"{y:g}",
                    width="12",
                    height=f"{self._y[until] - y:g}",
                    fill=_STATES[state],
                )
                title = f"{name} is {state} from {start:.6g} s to {until:.6g} s"
                ElementTree.SubElement(bar, "title").text = title

    def _arrows(self, packets: Sequence[Packet]) -> None:
        """Draw packets; those that leave and arrive together have one arrow."""
        together: dict[tuple[str, str, float, float | None], list[Packet]] = {}
        for packet in packets:
            arrives = None if packet.arrives is None else self._y[packet.arrives]
            key = packet.source, packet.target, self._y[packet.sent], arrives
            together.setdefault(key, []).append(packet)
        for (source, target, y1, y2), those in together.items():
            self._arrow(self._x[source], self._x[target], y1, y2, those)

    def _arrow(
        self, x1: float, x2: float, y1: float, y2: float | None, packets: Sequence[Packet]
    ) -> None:
        """Draw an arrow from the sender to the receiver, or half the way if `y2` is None."""
        colour = _COLOURS["data" if any(p.size for p in packets) else "control"]
        group = self._add("g")
        ElementTree.SubElement(group, "title").text = "\n".join(map(str, packets))
        step = 6 if x2 > x1 else -6
        if x1 == x2:  # to itself
            x2, step = x1 + 24, 6
        if y2 is None:
            x2, y2, colour = round((x1 + x2) / 2), y1 + _ROW / 2, _COLOURS["lost"]
            self._line(x1, y1, x2, y2, colour, "4 3", group)
            self._text("×", x2, y2 + 4, "", "middle", group).set("fill", colour)
        else:
            self._line(x1, y1, x2, y2, colour, "none", group)
            head = f"{x2:g},{y2:g} {x2 - step:g},{y2 - 3:g} {x2 - step:g},{y2 + 3:g}"
            ElementTree.SubElement(group, "polygon", points=head, fill=colour)
        if colour == _COLOURS["lost"]:
            self._text(_label(packets), x1 + 2 * step, y1 - 3, "", _anchor(step > 0), group)
        else:  # near the receiver, where arrows to other hosts are not
            along = max(0.0, 1 - _LABEL / abs(x2 - x1))
            y = y1 + (y2 - y1) * along - 3
            self._text(_label(packets), x2 - 2 * step, y, "", _anchor(step < 0), group)

    def _line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        colour: str,
        dashes: str,
        parent: ElementTree.Element | None = None,
    ) -> None:
        ends = {"x1": f"{x1:g}", "y1": f"{y1:g}", "x2": f"{x2:g}", "y2": f"{y2:g}"}
        line = self._add("line", parent, **ends, stroke=colour)
        line.set("stroke-dasharray", dashes)

    def _text(
        self,
        text: str,
        x: float,
        y: float,
        kind: str,
        anchor: str,
        parent: ElementTree.Element | None = None,
    ) -> ElementTree.Element:
        made = self._add("text", parent, x=f"{x:g}", y=f"{y:g}")
        made.set("text-anchor", anchor)
        if kind:
            made.set("class", kind)
        made.text = text
        return made

    def _add(
        self, tag: str, parent: ElementTree.Element | None = None, **attributes: str
    ) -> ElementTree.Element:
        parent = self._root if parent is None else parent
        return ElementTree.SubElement(parent, tag, attributes)

    def text(self) -> str:
        """Return the file."""
        ElementTree.indent(self._root, " ")
        return ElementTree.tostring(self._root, encoding="unicode") + "\n"


def _anchor(begins: bool) -> str:
    """Return where a text is held: at its begin or at its end."""
    return "start" if begins else "end"


def _label(packets: Sequence[Packet]) -> str:
    """Return what is written at the arrow of packets: equal ones are counted."""
    counts = Counter(f"{p.what} {p.source_port}>{p.target_port}" for p in packets)
    shown = [what if n == 1 else f"{n} × {what}" for what, n in counts.items()]
    more = len(shown) - _MOST_LISTED
    return ", ".join([*shown[:_MOST_LISTED], *([f"and {more} more"] if more > 0 else [])])
