"""A file goes into a grid of whole Tahoe-LAFS nodes, and comes out with half of them frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import treq
from nodes import TahoeGrid
from twisted.internet.defer import Deferred

from firstk import ConditionNeverMetError, Network

RTT = 0.05

DATA = b"sixty thousand bytes" * 3_000


def put() -> Deferred[str]:
    """Upload a file by the client's web API; return a Deferred of its cap."""
    return treq.put("http://client:3456/uri", data=DATA).addCallback(treq.text_content)


def get(cap: str) -> Deferred[bytes]:
    """Download a file by the client's web API."""
    return treq.get(f"http://client:3456/uri/{cap}").addCallback(treq.content)


def timed(net: Network, asked: Deferred[Any]) -> tuple[Any, int]:
    """Return the result of a Deferred, and the number of round trips that it took."""
    before = net.now
    found = net.wait(asked)
    return found, round((net.now - before) / RTT)


def test_two_of_four_frozen(firstk: Any, tmp_path: Path) -> None:
    """Two of four storage nodes are enough, whatever the two others do."""
    net = firstk.network(rtt=RTT)
    grid = TahoeGrid(net, tmp_path)
    user = net.host("user")

    cap, upload = timed(net, user.run(put))
    whole, cold = timed(net, user.run(get, cap))
    for host in grid.storage_hosts[:2]:
        host.freeze()
    again, warm = timed(net, user.run(get, cap))

    assert whole == again == DATA
    # Each node makes its keys anew, and they decide which servers are asked first.
    assert max(upload, cold, warm) <= 6
    assert net.logged == []


def test_three_of_four_frozen(firstk: Any, tmp_path: Path) -> None:
    """With three frozen a download never comes back, for as long as the nodes' connections last."""
    net = firstk.network(rtt=RTT)
    grid = TahoeGrid(net, tmp_path)
    user = net.host("user")
    cap = net.wait(user.run(put))
    for host in grid.storage_hosts[:3]:
        host.freeze()

    with pytest.raises(ConditionNeverMetError) as caught:
        net.wait(user.run(get, cap), timeout=30)

    silent = [line for line in str(caught.value).splitlines() if "never answered" in line]
    assert any("host client, connection from user:" in line for line in silent)
    assert sum("is frozen since" in line for line in silent) >= 2
