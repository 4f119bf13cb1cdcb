"""Whole Tahoe-LAFS nodes on the hosts of a simulated network, as `tahoe run` would start them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from firstk import Network

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Tahoe-LAFS imports what is deprecated
    from allmydata.client import create_client
    from allmydata.introducer.server import create_introducer

_INTRODUCER = """
[node]
nickname = introducer
tub.port = tcp:3456
tub.location = tcp:introducer:3456
"""

_STORAGE_NODE = """
[node]
nickname = {name}
tub.port = tcp:3457
tub.location = tcp:{name}:3457
web.port =
[storage]
enabled = true
"""

_CLIENT = """
[node]
nickname = {name}
tub.port = tcp:3457
tub.location = tcp:{name}:3457
web.port = tcp:3456
[client]
shares.needed = 2
shares.happy = 3
shares.total = 4
[storage]
enabled = false
"""


class TahoeGrid:
    """An introducer, storage nodes s0, s1, ..., and a client whose web API is on port 3456."""

    def __init__(self, net: Network, folder: Path, storage_nodes: int = 4) -> None:
        self._net = net
        self._folder = folder
        self._furl = ""
        self._start("introducer", _INTRODUCER, create_introducer)
        self._furl = (folder / "introducer" / "private" / "introducer.furl").read_text().strip()
        self.storage_hosts = [net.host(f"s{number}") for number in range(storage_nodes)]
        for host in self.storage_hosts:
            self._start(host.name, _STORAGE_NODE, create_client)
        client = self._start("client", _CLIENT, create_client)
        net.until(lambda: len(client.storage_broker.get_connected_servers()) == storage_nodes)

    def _start(self, name: str, config: str, create: Callable[[str], Deferred[Any]]) -> Any:
        """Start a node on the host of that name, and return it."""
        folder = self._folder / name
        (folder / "private").mkdir(parents=True)
        (folder / "tahoe.cfg").write_text(config.format(name=name))
        if self._furl:
            introducers = f"introducers:\n  one:\n    furl: {self._furl}\n"
            (folder / "private" / "introducers.yaml").write_text(introducers)

        def start() -> Deferred[Any]:
            return create(str(folder)).addCallback(started)

        def started(node: Any) -> Any:
            node.startService()
            return node

        return self._net.wait(self._net.host(name).run(start))
