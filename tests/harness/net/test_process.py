"""Process-wide state: each host has its own, and it is restored afterwards."""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from twisted.internet import task, threads
from twisted.internet.task import cooperate

from firstk.harness.kernel.escapes import EscapeError
from firstk.harness.net.network import Network
from firstk.harness.net.process import EPOCH
from tests.harness.making import run_python
from tests.harness.net.programs import EXACT, RTT, get, outcome, serve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _global_reactor() -> Any:
    from twisted.internet import reactor

    return reactor


def test_global_reactor() -> None:
    """`twisted.internet.reactor` is that of the host whose code is running."""
    net = Network()
    fired: list[tuple[str, float]] = []

    def fire(name: str) -> None:
        fired.append((name, _global_reactor().seconds()))

    def begin(name: str, delay: float) -> None:
        _global_reactor().callLater(delay, fire, name)

    net.host("a").run(begin, "a", 2)
    net.host("b").run(begin, "b", 3)
    net.host("a").freeze()
    net.advance(10)
    net.host("a").thaw()
    net.advance(10)

    assert fired == [("b", 3), ("a", 10)]


def test_global_reactor_of_no_host() -> None:
    """Code of the test has no host, and the real reactor is unchanged."""
    net = Network()
    net.host("a").run(_global_reactor)
    real, timers = type(_global_reactor()), _global_reactor().getDelayedCalls()
    net.at(1, lambda: _global_reactor().callLater(1, print))

    with pytest.raises(EscapeError, match=r"no host's code is running; call host\.run"):
        net.advance(2)
    assert type(_global_reactor()) is real
    assert _global_reactor().getDelayedCalls() == timers


def test_clocks() -> None:
    """Clocks run in virtual time, even those that a module has bound to its own names."""
    module = ModuleType("bound")
    exec("from time import time, monotonic as now", vars(module))  # noqa: S102
    sys.modules["bound"] = module
    net = Network()
    host = net.host("a")
    read: list[float] = []

    def look() -> None:
        read.extend([time.time() - EPOCH, time.monotonic(), time.perf_counter()])
        read.extend([time.time_ns() / 1e9 - EPOCH, time.monotonic_ns() / 1e9])
        read.extend([vars(module)["time"]() - EPOCH, vars(module)["now"]()])

    try:
        host.run(host.reactor.callLater, 100, look)
        before = time.monotonic()
        net.advance(200)
        after = time.monotonic()
    finally:
        del sys.modules["bound"]

    assert read == pytest.approx([100] * 7, abs=1e-6)
    assert after - before < 10


def _draws() -> list[object]:
    return [os.urandom(4), uuid.uuid4(), random.random(), random.SystemRandom().random()]


def test_random_numbers() -> None:
    """Random numbers follow from the seed and the host, even `os.urandom`'s."""

    def drawn(seed: int, *names: str) -> list[list[object]]:
        net = Network(seed)
        return [net.host(name).run(_draws) for name in names]

    [a, b] = drawn(1, "a", "b")

    assert drawn(1, "a", "x", "b") == [a, drawn(1, "x")[0], b]
    assert not set(map(str, a)) & set(map(str, b))
    assert drawn(2, "a") != [a]
    assert _draws() != _draws()


def test_cooperator_lets_time_pass() -> None:
    """A Cooperator runs one step per turn, since its time limit never passes."""
    net = Network()
    steps: list[float] = []

    def work() -> Iterator[None]:
        while True:
            steps.append(net.now)
            yield

    slice_before, cooperator = task._Timer.MAX_SLICE, task._theCooperator
    net.host("a").run(cooperate, work())
    net.advance(0.01)

    assert 900 < len(steps) < 1100
    assert (task._Timer.MAX_SLICE, task._theCooperator) == (slice_before, cooperator)


def test_threads() -> None:
    """`deferToThread`, which uses the global reactor, runs at once."""
    net = Network()
    host = net.host("a")
    done = outcome(host, host.run(threads.deferToThread, lambda: threading.current_thread()))
    net.advance(1)

    assert done.value is threading.current_thread()
    assert done.at == pytest.approx(0, abs=EXACT)


def _sleep() -> None:
    time.sleep(1)


def _look_up() -> None:
    socket.getaddrinfo("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("way_out", "named"),
    [
        (_sleep, r"time\.sleep at .*test_process\.py:\d+ in _sleep"),
        (socket.socket, r"socket\.socket at .*test_process\.py"),
        (_look_up, r"socket\.getaddrinfo at .*test_process\.py:\d+ in _look_up"),
        (threading.Thread(target=print).start, r"a new thread at .*test_process\.py"),
    ],
)
@pytest.mark.parametrize("when", ["now", "later"])
def test_escapes(way_out: Callable[[], None], named: str, when: str) -> None:
    """Escapes are still reported, even if the code catches them."""
    net = Network()
    host = net.host("a")

    def catch() -> None:
        with suppress(EscapeError):
            way_out()

    def escape() -> None:
        if when == "now":
            host.run(catch)
        else:
            host.run(host.reactor.callLater, 1, catch)
            net.advance(2)

    with pytest.raises(EscapeError, match=named):
        escape()


def test_no_real_socket() -> None:
    """HTTPS between two hosts creates no real socket, thread or process."""
    pytest.importorskip("OpenSSL", reason="TLS needs pyOpenSSL")
    seen: list[str] = []
    watching = True

    def audit(event: str, args: object) -> None:
        if watching and event.startswith(("socket.", "_thread.", "subprocess.", "os.fork")):
            seen.append(event)

    net = Network(rtt=RTT)
    serve(net.host("server"), tls=True)
    sys.addaudithook(audit)
    got = get(net.host("client"), "https://server/")
    net.advance(10)
    watching = False

    assert got.value == b"hello"
    assert set(seen) <= {"socket.getaddrinfo"}  # of Twisted's `_resolveIPv6`, numeric


_HTTPS = """
import sys, warnings
warnings.simplefilter("ignore")  # Twisted uses what pyOpenSSL has deprecated
from firstk import Network
from tests.harness.net.programs import Hello, get, serve
for bandwidth in None, 1e6:
    net = Network(7, rtt={"law": "exponential", "mean": 0.1}, bandwidth=bandwidth)
    serve(net.host("server"), Hello(bytes(100_000)), tls=True)
    got = [get(net.host(name), "https://server/") for name in ("a", "b", "c")]
    net.at(0.2, net.host("server").freeze)
    net.at(1.5, net.host("server").thaw)
    net.advance(60)
    assert all(len(one.value) == 100_000 for one in got)
    print(net.digest())
"""


@pytest.mark.slow
def test_tls_digests() -> None:
    """Equal seeds have equal digests with TLS, in any process, with any hash seed."""
    pytest.importorskip("OpenSSL", reason="TLS needs pyOpenSSL")
    found = {run_python(_HTTPS, PYTHONHASHSEED=str(seed)) for seed in range(3)}

    assert len(found) == 1
    assert len(set(found.pop().split())) == 2
