"""A client that learns from each download for the next."""

from collections.abc import Mapping
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from firstk.downloader.client import Client
from firstk.downloader.encode import encode
from firstk.downloader.memory import Memory, ReadSample
from tests.doubles import MemoryConsumer, result_of

PLAINTEXT = bytes(range(200))
FILE = encode(PLAINTEXT, k=3, n=10)


class Server:
    """A server that answers in a tenth of a second, and may hang on reads."""

    def __init__(self, clock: Clock, number: int, *, hangs: bool = False) -> None:
        self.name, self.hangs, self.reads = f"s{number}", hangs, 0
        self._clock, self._number = clock, number

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, Any]]:
        return deferLater(self._clock, 0.1, lambda: {self._number: self})

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        self.reads += 1
        data = FILE.shares[self._number][offset : offset + length]
        return Deferred() if self.hangs else deferLater(self._clock, 0.1, lambda: data)


def servers_of(clock: Clock, hung: int = 0) -> list[Any]:
    """Return ten servers; the first `hung` of them hang on reads."""
    return [Server(clock, i, hangs=i < hung) for i in range(10)]


def took(clock: Clock, client: Client) -> float:
    """Download the file, and return how long that took."""
    began, consumer = clock.seconds(), MemoryConsumer()
    done = client.download(FILE.cap, consumer)
    while not done.called:
        now = clock.seconds()
        clock.advance(max(0.0, min(call.getTime() for call in clock.getDelayedCalls()) - now))

    assert result_of(done).phase == "done"
    assert consumer.data == PLAINTEXT
    return clock.seconds() - began


def test_learns_which_servers_hang() -> None:
    """The second download does not read from the servers that hung in the first."""
    clock = Clock()
    servers = servers_of(clock, 3)
    client = Client(clock, servers)

    assert took(clock, client) > 0.3
    assert [server.reads for server in servers[:3]] == [1, 1, 1]
    assert pytest.approx(0.2) == took(clock, client)
    assert [server.reads for server in servers[:3]] == [1, 1, 1]


def test_forgets() -> None:
    """After `forget_after` it tries them again: they may have recovered."""
    clock = Clock()
    servers = servers_of(clock, 3)
    client = Client(clock, servers, forget_after=100.0)
    took(clock, client)
    clock.advance(101)
    for server in servers[:3]:
        server.hangs = False

    assert pytest.approx(0.2) == took(clock, client)
    assert [server.reads for server in servers[:4]] == [2, 2, 2, 1]


def test_each_download_alone_knows_nothing() -> None:
    """Downloads with separate clients share no knowledge."""
    clock = Clock()
    servers = servers_of(clock, 3)

    assert took(clock, Client(clock, servers)) == pytest.approx(took(clock, Client(clock, servers)))


@pytest.mark.parametrize("strategy", ["first-k", "windowed"])
def test_other_strategies(strategy: str) -> None:
    """Any strategy works with a client."""
    clock = Clock()
    client = Client(clock, servers_of(clock), strategy=strategy)

    assert took(clock, client) == pytest.approx(took(clock, client))


def test_refused() -> None:
    """Invalid arguments are refused at once."""
    with pytest.raises(ValueError, match="above 0"):
        Client(Clock(), [], forget_after=0.0)
    with pytest.raises(ValueError, match="no strategy"):
        Client(Clock(), [], strategy="hasty")


def test_bounded() -> None:
    """The memory is bounded, however many downloads there were."""
    memory = Memory()
    for i in range(3000):
        memory.add_query(0.0, i)
        memory.add_read(0.0, ReadSample(i, 1, i))
        memory.add_server(0.0, f"s{i}", i)

    assert len(memory.queries(0.0)) == len(memory.reads(0.0)) == 30
    assert memory.server(0.0, "s2999") == 2999
    assert memory.server(0.0, "s1") == 0.0
    assert len(memory._servers) == 1000
