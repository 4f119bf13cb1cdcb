"""One store of six fails in every way: the object comes, and soon."""

import pytest
from reader import ReadError, get
from store import Store, shards_of
from twisted.web.server import Site

from firstk import ConditionNeverMetError

RTT = 0.05
DATA = b"forty thousand bytes" * 2_000
STORES = [f"store{number}" for number in range(6)]


class Grid:
    """Six hosts with a store each, and a client; any four shards are enough."""

    def __init__(self, net):
        self.net = net
        self.stores = [Store(cat=shard) for shard in shards_of(DATA, k=4, n=6)]
        self.hosts = [net.host(name) for name in STORES]
        for host, store in zip(self.hosts, self.stores, strict=True):
            host.run(host.reactor.listenTCP, 80, Site(store))

    def read(self, key="cat", late=None):
        client = self.net.host("client")
        return self.net.wait(client.run(get, client.reactor, STORES, key, 4, late))


@pytest.fixture
def grid(firstk):
    return Grid(firstk.network(rtt=RTT))


def test_all_good(grid):
    """A round trip to connect, one to read."""
    assert grid.read() == DATA
    assert grid.net.now == pytest.approx(2 * RTT, abs=0.001)


def test_a_frozen_store_hangs_a_patient_reader(grid):
    """Without a limit the read never ends, and the error names the store."""
    grid.hosts[1].freeze()

    with pytest.raises(ConditionNeverMetError, match="never answered: host store1"):
        grid.read()


def test_a_frozen_store(grid):
    """With a limit of 0.2 s, a fifth store takes the place of the late one."""
    grid.hosts[1].freeze()

    assert grid.read(late=0.2) == DATA
    assert grid.net.now == pytest.approx(0.2 + 2 * RTT, abs=0.001)


def test_a_dead_store(grid):
    """Twisted's Agent reports a refused connection only after 0.3 s (see README.md)."""
    grid.hosts[1].kill()

    assert grid.read() == DATA
    assert grid.net.now == pytest.approx(0.3 + 2 * RTT, abs=0.001)


def test_a_store_that_lies(grid):
    """A damaged shard is not decoded."""
    grid.stores[1].shards["cat"].body = b"lies"

    assert grid.read() == DATA


def test_too_few_good_shards(grid):
    """With three of six good, the error says what was wrong with the others."""
    for store in grid.stores[:3]:
        del store.shards["cat"]

    with pytest.raises(ReadError, match=r"store0: status 404; .*store1.*store2"):
        grid.read()
