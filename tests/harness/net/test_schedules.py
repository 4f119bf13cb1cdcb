"""Random schedules of writes, freezes, partitions and losses: TCP keeps its guarantees."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone

from firstk.harness.net.network import Network
from tests.harness.making import run_python
from tests.harness.net.programs import Recorder, connect, listen
from tests.marks import few

_LAWS: list[Any] = [
    0.0,
    0.001,
    0.05,
    0.3,
    {"law": "exponential", "mean": 0.01},
    {"law": "exponential", "mean": 0.2},
    {"law": "uniform", "low": 0.0, "high": 0.5},
]


class _Trial:
    """Two hosts with one connection, and a random schedule."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        choice = self.random.choice
        self.net = Network(seed, rtt=choice(_LAWS), bandwidth=choice([None, None, 1e4, 1e6]))
        self.hosts = {name: self.net.host(name) for name in "ab"}
        self.net.link("a", "b", loss=choice([0, 0, 0.1]))
        self.sent = {"a": b"", "b": b""}
        self.accepting = listen(self.hosts["b"])
        self.connecting, self.connect = connect(self.hosts["a"], "b", timeout=1000)

    @property
    def ends(self) -> dict[str, Recorder]:
        """Both ends of the connection, once they are there."""
        found = dict(zip("b", self.accepting.made, strict=False))
        return found if self.connecting.made_at is None else {"a": self.connecting, **found}

    def step(self) -> None:
        """Let some time pass, and do one random thing."""
        random = self.random
        self.net.advance(random.expovariate(1 / random.choice([0.01, 0.1, 1, 5])))
        name, what = random.choice("ab"), random.random()
        if what < 0.6:
            if name in self.ends and self.hosts[name].state == "running":
                data = random.randbytes(random.choice([1, 100, 5_000, 200_000]))
                self.sent[name] += data
                self.write(name, data)
        elif what < 0.7:
            self.net.partition("a", "b", one_way=random.random() < 0.3)
        elif what < 0.8:
            self.net.heal()
        elif what < 0.9:
            self.hosts[name].freeze()
        else:
            self.hosts[name].thaw()
        self.check_prefix()

    def write(self, name: str, data: bytes) -> None:
        """Write at one end."""
        transport = self.ends[name].transport
        assert transport is not None
        self.hosts[name].run(transport.write, data)

    def check_prefix(self) -> None:
        """Check that the received data is a prefix of the sent data."""
        for name, other in (("a", "b"), ("b", "a")):
            if name in self.ends:
                assert self.sent[other].startswith(self.ends[name].data)

    def heal(self) -> None:
        """End all faults, and wait."""
        self.net.heal()
        for host in self.hosts.values():
            host.thaw()
        self.net.advance(500)


def _run(seed: int) -> str:
    """Run a schedule, check TCP's guarantees, and return its digest."""
    trial = _Trial(seed)
    for _ in range(trial.random.randint(5, 40)):
        trial.step()
    trial.heal()
    if isinstance(trial.connect.value, Exception):  # it had no chance for 127 s
        return trial.net.digest()

    assert trial.ends.keys() == {"a", "b"}
    assert trial.ends["a"].data == trial.sent["b"]
    assert trial.ends["b"].data == trial.sent["a"]
    assert [end.lost for end in trial.ends.values()] == [None, None]

    transport = trial.connecting.transport
    assert transport is not None
    trial.hosts["a"].run(transport.loseConnection)
    trial.net.advance(500)
    whys = [end.lost[1] for end in trial.ends.values() if end.lost is not None]
    assert [type(why) for why in whys] == [ConnectionDone, ConnectionDone]
    assert [list(host.stack.connections) for host in trial.hosts.values()] == [[], []]
    return trial.net.digest()


@pytest.mark.parametrize("first", few(1, range(0, 400, 100)))
def test_schedules(first: int) -> None:
    """Received data is always a prefix of the sent data, and complete after everything heals."""
    digests = [_run(seed) for seed in range(first, first + 100)]

    assert len(set(digests)) == 100


@pytest.mark.parametrize("hash_seed", few(1, ["1", "2"]))
@pytest.mark.slow
def test_digests(hash_seed: str) -> None:
    """Equal seeds have equal digests in another process, with another hash seed."""
    code = "from tests.harness.net.test_schedules import _run; print(*map(_run, range(20)))"
    there = run_python(code, PYTHONHASHSEED=hash_seed).split()

    assert there == [_run(seed) for seed in range(20)]
