"""Downloads from Tahoe-LAFS's own storage servers, on hosts of a simulated network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firstk import STRATEGIES, NotEnoughSharesError, download, encode
from firstk.downloader.http import HTTPStorageServer
from tests.harness.making import needs_tahoe

# Tahoe-LAFS uses what is deprecated, and leaves files open.
pytestmark = [needs_tahoe, pytest.mark.filterwarnings("ignore")]

_PLAINTEXT = bytes(range(256)) * 512 + b"xy"  # two segments


class _Grid:
    """Ten of Tahoe's servers, and our client."""

    def __init__(self, folder: Path) -> None:
        from tests.harness.net.tahoe_grid import Consumer, TahoeGrid

        self.file = encode(_PLAINTEXT, k=3, n=10, segment_size=131_072)
        self.grid = TahoeGrid(folder, self.file, rtt=0.05)
        self.net, self.hosts = self.grid.net, self.grid.servers
        self.start = self.net.now
        self.consumer = Consumer(self.grid.client)

    def download(self, strategy: str) -> Any:
        """Begin a download."""
        reactor = self.grid.client.reactor

        def begin() -> Any:
            servers = [
                HTTPStorageServer(reactor, str(nurl.to_text()), name=host.name)
                for nurl, host in zip(self.grid.nurls, self.hosts, strict=True)
            ]
            return download(reactor, servers, self.file.cap, self.consumer, strategy=strategy)

        return self.grid.client.run(begin)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_good_servers(tmp_path: Path, strategy: str) -> None:
    """Every strategy downloads a file."""
    grid = _Grid(tmp_path)
    status = grid.net.wait(grid.download(strategy))

    assert grid.consumer.data == _PLAINTEXT
    assert status.phase == "done"
    assert grid.net.logged == []


@pytest.mark.parametrize(
    ("strategy", "least", "most"),
    [("wait-for-all", 10, 11), ("first-k", 0, 1), ("hedged", 0, 1)],
)
def test_hung_servers(tmp_path: Path, strategy: str, least: float, most: float) -> None:
    """Wait-for-all waits for hung servers until its client times out; first-k does not wait."""
    grid = _Grid(tmp_path)
    for host in grid.hosts[3:]:
        host.freeze()
    grid.net.wait(grid.download(strategy))

    assert grid.consumer.data == _PLAINTEXT
    assert grid.consumer.first is not None
    assert least <= grid.consumer.first - grid.start < most


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """Other servers replace servers that are killed during a read."""
    grid = _Grid(tmp_path)
    for host in grid.hosts[:3]:
        grid.net.at(grid.start + 0.31, host.kill)
    grid.net.wait(grid.download("hedged"))

    assert grid.consumer.data == _PLAINTEXT


def test_too_few(tmp_path: Path) -> None:
    """The error reports what happened to each server."""
    grid = _Grid(tmp_path)
    for host in grid.hosts[2:]:
        host.kill()
    with pytest.raises(NotEnoughSharesError) as caught:
        grid.net.wait(grid.download("hedged"))

    assert "have 2, need 3" in str(caught.value)
    assert "s9: failed: UnreachableServerError: cannot connect: Connection was refused" in str(
        caught.value
    )
