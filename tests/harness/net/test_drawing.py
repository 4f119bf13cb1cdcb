"""Drawings of a network's history: a sequence diagram as text and SVG, and a Perfetto trace."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from firstk.harness.net.network import Network
from tests.harness.net.programs import Hello, get, serve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def net() -> Network:
    """Return a network with a late page, a frozen server, and lost packets."""
    net = Network(rtt=0.05)
    serve(net.host("a"))
    serve(net.host("b"), Hello(silent=True))
    client = net.host("client")
    net.partition("client", "a")
    net.at(0.5, net.heal)
    get(client, "http://a/")
    get(client, "http://b/")
    net.at(0.2, net.host("b").freeze)
    net.at(5, net.host("b").thaw)
    net.advance(10)
    return net


def _texts(root: ElementTree.Element, kind: str) -> list[str]:
    return [str(t.text) for t in root.iter(f"{_SVG}text") if t.get("class") == kind]


def test_svg(net: Network, tmp_path: Path) -> None:
    """The picture has a line for each host, arrows for all packets, and the hosts' faults."""
    net.save(tmp_path / "it.svg")
    root = ElementTree.parse(tmp_path / "it.svg").getroot()  # noqa: S314 - it is ours
    packets = [p for p in net.packets if p.what != "ack"]
    titles = "\n".join(str(t.text) for t in root.iter(f"{_SVG}title"))
    lost = [line for line in root.iter(f"{_SVG}line") if line.get("stroke-dasharray") == "4 3"]

    assert _texts(root, "host") == ["a", "b", "client"]
    assert [p for p in packets if str(p) not in titles] == []
    assert len(lost) == sum(p.arrives is None for p in packets) == 1
    assert "b is frozen from 0.2 s to 5 s" in titles
    assert any(text.startswith("~ b is frozen") for text in _texts(root, "note"))
    assert _texts(root, "idle") == ["… 3.875 s", "… 5 s"]


def test_svg_places(net: Network, tmp_path: Path) -> None:
    """Later is lower: every arrow runs down, from one host's line to another's."""
    net.save(tmp_path / "it.svg", acks=True)
    root = ElementTree.parse(tmp_path / "it.svg").getroot()  # noqa: S314
    lines = [{k: float(v) for k, v in e.items() if k[1:] in "12"} for e in root.iter(f"{_SVG}line")]
    hosts = {line["x1"] for line in lines if line["x1"] == line["x2"]}
    arrows = [line for line in lines if line["x1"] != line["x2"]]
    times = [float(text.split()[0]) for text in _texts(root, "time")]

    assert len(hosts) == 3
    assert all(line["y2"] > line["y1"] and line["x1"] in hosts for line in arrows)
    assert times == sorted(set(times))


def _events(net: Network, path: Path) -> list[dict[str, Any]]:
    net.save(path)
    found: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    return found


def test_trace_events(net: Network, tmp_path: Path) -> None:
    """Each packet lasts from sending to arrival, in the process of its sender."""
    events = _events(net, tmp_path / "it.json")
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    lasting = [(names[e["pid"]], e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"]
    arrived = [p for p in net.packets if p.arrives is not None]

    for p in arrived:
        assert p.arrives is not None
        start, dur = round(p.sent * 1e6, 3), round((p.arrives - p.sent) * 1e6, 3)
        assert (p.source, p.what, start, pytest.approx(dur, abs=0.002)) in lasting
    assert ("b", "frozen", 200_000, 4_800_000) in lasting
    assert sum(name.endswith(", lost") for _, name, _, _ in lasting) == 1


def test_trace_events_do_not_overlap(tmp_path: Path) -> None:
    """Overlapping packets are on different tracks: Perfetto drops events that do not nest."""
    net = Network(rtt={"law": "uniform", "low": 0.0, "high": 0.4})
    serve(net.host("a"), Hello(bytes(2_000_000)))
    got = get(net.host("client"), "http://a/")
    net.until(lambda: got.value)
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for e in _events(net, tmp_path / "it.json"):
        if e["ph"] == "X":
            tracks.setdefault((e["pid"], e["tid"]), []).append((e["ts"], e["ts"] + e["dur"]))

    assert len(tracks) > 3
    for spans in tracks.values():
        assert all(end <= start + 0.002 for (_, end), (start, _) in pairwise(spans))


def test_never_answered(net: Network, tmp_path: Path) -> None:
    """A client's unanswered wait has a beginning and no end."""
    [waits] = [e for e in _events(net, tmp_path / "it.json") if e["ph"] == "B"]

    assert waits["name"] == "waits for b"
    assert waits["args"]["why"].startswith("never answered: host b, connection from client:")


def test_text(net: Network, tmp_path: Path) -> None:
    """`.txt` saves the text diagram; an unknown suffix is refused, with the known ones."""
    net.save(tmp_path / "it.txt")

    assert (tmp_path / "it.txt").read_text() == net.diagram()
    with pytest.raises(ValueError, match=r"should end in \.txt, \.svg or \.json, not '.*it\.png'"):
        net.save(tmp_path / "it.png")


def test_nothing(tmp_path: Path) -> None:
    """A network without hosts can be drawn too."""
    net = Network()
    for suffix in ("txt", "svg", "json"):
        net.save(tmp_path / f"it.{suffix}")

    ElementTree.parse(tmp_path / "it.svg")  # noqa: S314
    assert json.loads((tmp_path / "it.json").read_text())["traceEvents"] == []
