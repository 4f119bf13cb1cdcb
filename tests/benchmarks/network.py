"""The simulated network, compared with real sockets on loopback: HTTP on one connection."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from firstk.harness.net.network import Network
from tests.benchmarks.measure import Figure, in_turn

#: The number of requests in each measurement.
_REQUESTS = 1_000


class _Hello(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return b"hello"


def _site() -> Any:
    site = Site(_Hello())
    site.noisy = False
    return site


@inlineCallbacks
def _requests(reactor: Any, url: bytes, count: int) -> Any:
    """Make requests one after another, with a pool that keeps the connection."""
    pool: Any = HTTPConnectionPool(reactor)
    agent: Any = Agent(reactor, pool=pool)
    for _ in range(count):
        response = yield agent.request(b"GET", url)
        yield readBody(response)
    yield pool.closeCachedConnections()


def simulated(count: int) -> Callable[[], None]:
    """Return a function that makes `count` requests between two hosts."""

    def work() -> None:
        net = Network(rtt=0.05)
        server, client = net.host("server"), net.host("client")
        server.run(server.reactor.listenTCP, 80, _site())
        net.wait(client.run(_requests, client.reactor, b"http://server/", count))

    return work


def loopback(count: int) -> Callable[[], None]:
    """Return a function that makes `count` requests to a real port of this process."""
    from twisted.internet import reactor as found

    reactor: Any = found

    def work() -> None:
        def begin() -> None:
            port = reactor.listenTCP(0, _site(), interface="127.0.0.1")
            url = b"http://127.0.0.1:%d/" % port.getHost().port
            made: Any = _requests(reactor, url, count)
            made.addBoth(lambda _: port.stopListening())
            made.addBoth(lambda _: reactor.crash())  # it will run again

        reactor.callWhenRunning(begin)
        reactor.run(installSignalHandlers=False)

    return work


def figures(rounds: int) -> Iterator[Figure]:
    """Yield the CPU time of a simulated request over that of a real one."""
    warnings.simplefilter("ignore", DeprecationWarning)  # from `readBody`, in Twisted itself
    times = in_turn(simulated(_REQUESTS), loopback(_REQUESTS), rounds)
    yield Figure(
        "simulated network, warm HTTP request",
        [own / peer for own, peer in times],
        1.5,
        at_least=False,
        note="processor time over that of one on the loopback, kernel included",
    )
