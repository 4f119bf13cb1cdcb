"""Running until a condition is true, what ends that, and the message of a failure."""

from __future__ import annotations

import re

import pytest
from twisted.internet.task import LoopingCall
from twisted.python import log

from firstk.harness.kernel.condition import ConditionNeverMetError
from firstk.harness.kernel.watchdog import StuckError
from firstk.harness.net.network import Network
from tests.harness.net.programs import EXACT, RTT, Echo, Hello, connect, get, listen, serve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def net() -> Network:
    """Return a network without hosts."""
    return Network(rtt=RTT)


def test_until(net: Network) -> None:
    """The network stops as soon as a condition is true."""
    serve(net.host("b"))
    got = get(net.host("a"), "http://b/")
    net.until(lambda: got.at is not None)

    assert net.now == got.at
    assert net.now == pytest.approx(2 * RTT, abs=EXACT)


def test_proven_stall(net: Network) -> None:
    """If no event is left, `until` gives up at once."""
    listen(net.host("b"))
    here, _ = connect(net.host("a"), "b")

    with pytest.raises(ConditionNeverMetError, match=r"nothing left to happen at 0\.0\d+ s"):
        net.until(lambda: here.data)
    assert net.now < 1


def test_housekeeping(net: Network) -> None:
    """A Site's periodic timer does not keep `until` from giving up."""
    serve(net.host("b"), Hello(silent=True))
    net.host("b").run(net.host("b").reactor.callLater, 90, print)  # HTTP's own timeout is at 60 s
    got = get(net.host("a"), "http://b/")
    never = (
        r"nothing left but housekeeping"
        r" \(twisted\.web\.http\.HTTPFactory\._updateLogDateTime on b\) at 9\d"
    )

    with pytest.raises(ConditionNeverMetError, match=never):
        net.until(lambda: got.at is not None)


def _poll() -> None:
    """Do nothing, each second."""


def test_named_housekeeping(net: Network) -> None:
    """A program's own timer can be declared housekeeping, even that of a `LoopingCall`."""
    a = net.host("a")
    loop = LoopingCall(_poll)
    loop.clock = a.reactor
    a.run(loop.start, 1.0)
    with pytest.raises(ConditionNeverMetError, match=r"timers left: (\S+\._poll) on a") as caught:
        net.until(lambda: False, timeout=10)
    net.housekeeping.add(str(caught.value).split()[-6])

    with pytest.raises(ConditionNeverMetError, match=r"nothing left but housekeeping \(\S+\._poll"):
        net.until(lambda: False, timeout=10)
    assert net.now < 12


def test_when(net: Network) -> None:
    """A fault can begin when a condition becomes true, once."""
    server = net.host("b")
    serve(server)
    frozen: list[float] = []

    def freeze() -> None:
        frozen.append(net.now)
        server.freeze()

    got = get(net.host("a"), "http://b/")
    net.when(lambda: got.value, freeze)
    net.until(lambda: got.value)
    again = get(net.host("a"), "http://b/")
    net.advance(10)

    assert frozen == [got.at]
    assert server.state == "frozen"
    assert again.at is None


def test_when_it_is_true_already(net: Network) -> None:
    """A condition that is already true is met as soon as time passes."""
    done: list[float] = []
    net.when(lambda: True, lambda: done.append(net.now))
    net.advance(1)

    assert done == [0]


def test_frozen_timers_are_no_event(net: Network) -> None:
    """Timers of a frozen host do not keep `until` from giving up."""
    a = net.host("a")
    fired: list[float] = []
    a.run(a.reactor.callLater, 5, lambda: fired.append(net.now))
    a.freeze()

    with pytest.raises(ConditionNeverMetError, match=r"\(frozen timers on a\) at 0 s"):
        net.until(lambda: fired)
    net.at(7, a.thaw)
    net.until(lambda: fired)
    assert fired == [7]


def test_window_probes(net: Network) -> None:
    """Endless window probes of a writer to a frozen host do not keep `until` from giving up."""
    a, b = net.host("a"), net.host("b")
    accepted = listen(b)
    here, _ = connect(a, "b")
    net.advance(1)
    b.freeze()
    assert here.transport is not None
    a.run(here.transport.write, bytes(1_000_000))
    there = accepted.made[0]

    with pytest.raises(
        ConditionNeverMetError,
        match=r"\(frozen timers on b; window probes on a\)|\(window probes on a\)",
    ):
        net.until(lambda: there.data)
    b.thaw()
    net.until(lambda: len(there.data) == 1_000_000)


def test_window_probes_that_help(net: Network) -> None:
    """A probe after a heal counts as an event: the window update was lost in the partition."""
    a, b = net.host("a"), net.host("b")
    accepted = listen(b)
    here, _ = connect(a, "b")
    net.advance(1)
    b.freeze()
    assert here.transport is not None
    a.run(here.transport.write, bytes(1_000_000))
    net.advance(10)
    net.partition("a", "b")
    b.thaw()
    net.advance(0.01)
    net.heal()
    there = accepted.made[0]

    net.until(lambda: len(there.data) == 1_000_000)


def test_time_is_up(net: Network) -> None:
    """`until` gives up exactly at the timeout."""
    a = net.host("a")

    def again() -> None:
        a.reactor.callLater(1, again)

    a.run(again)
    why = r"time is up \(timers left: [\w.]*test_time_is_up\.<locals>\.again on a\) at 10 s"
    with pytest.raises(ConditionNeverMetError, match=why):
        net.until(lambda: False, timeout=10)
    assert net.now == 10


def test_never_answered(net: Network) -> None:
    """The message has the host that has not answered, the connection, and its last byte."""
    serve(net.host("b"), Hello(silent=True))
    net.advance(2.225)
    get(net.host("a"), "http://b/")
    net.at(2.25, net.host("b").freeze)

    with pytest.raises(ConditionNeverMetError) as caught:
        net.until(lambda: False, timeout=30)
    assert (
        "never answered: host b, connection from a:32768, last byte received at 2.3 s"
        " (never accepted; b is frozen since 2.25 s)"
    ) in str(caught.value)


def test_answered(net: Network) -> None:
    """A host that has answered or refused is not listed."""
    listen(net.host("b"), kind=Echo)
    a = net.host("a")
    here, _ = connect(a, "b")
    connect(a, "b", port=81)
    net.advance(1)
    before = net.outstanding
    assert here.transport is not None
    a.run(here.transport.write, b"hello")
    net.until(lambda: here.data)

    assert len(before) == 1  # nothing was asked, and nothing said
    assert net.outstanding == []
    assert net.report() == ""


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        ("partition", "a and b are partitioned"),
        ("freeze", "never accepted; b is frozen since 0 s"),
        ("power_off", "b is off since 0 s"),
    ],
)
def test_notes(net: Network, fault: str, note: str) -> None:
    """The message includes known reasons."""
    a, b = net.host("a"), net.host("b")
    listen(b)
    if fault == "partition":
        net.partition(a, b)
    else:
        getattr(b, fault)()
    connect(a, "b")
    net.advance(5)
    [waiting] = net.outstanding

    assert (waiting.host, waiting.client, waiting.note) == ("b", "a", note)
    assert waiting.received is None
    assert "no byte received since it was opened at 0 s" in str(waiting)


def test_gave_up(net: Network) -> None:
    """A client that gave up no longer waits, but the report still lists the silent host."""
    serve(net.host("b"), Hello(silent=True))
    a = net.host("a")
    here, _ = connect(a, "b")
    net.advance(1)
    assert here.transport is not None
    a.run(here.transport.write, b"GET / HTTP/1.1\r\nHost: b\r\n\r\n")
    net.advance(1)
    waiting = net.outstanding
    a.run(here.transport.loseConnection)
    net.advance(1)

    assert len(waiting) == 1
    assert net.outstanding == []
    assert re.search(r"never answered: host b, .* 1\.025 s \(a gave up at 2 s\)", net.report())


def test_raises(net: Network) -> None:
    """An exception in a timer is raised by `until` and `advance`; several are raised as a group."""
    a = net.host("a")

    def fail(error: Exception) -> None:
        raise error

    a.run(a.reactor.callLater, 1, fail, KeyError("one"))
    with pytest.raises(KeyError, match="one"):
        net.until(lambda: False, timeout=5)
    a.run(a.reactor.callLater, 1, fail, KeyError("two"))
    a.run(a.reactor.callLater, 2, fail, ValueError("three"))
    with pytest.raises(ExceptionGroup) as caught:
        net.advance(5)
    assert len(caught.value.exceptions) == 2


def test_logged(net: Network) -> None:
    """Errors in Twisted's log are in the report, with their host."""

    class Broken(Echo):
        def dataReceived(self, data: bytes) -> None:
            raise KeyError("lost")

    listen(net.host("b"), kind=Broken)
    a = net.host("a")
    here, _ = connect(a, "b")
    net.advance(1)
    assert here.transport is not None
    a.run(here.transport.write, b"hello")
    net.advance(1)

    assert [(host, type(error)) for _, host, error in net.logged] == [("b", KeyError)]
    assert re.search(r"logged at 1\.025 s on b: KeyError: 'lost'", net.report())


def test_logged_in_the_old_way(net: Network) -> None:
    """Errors of `twisted.python.log.err` are in the report too."""
    net.host("a").run(log.err, KeyError("old"))

    assert [(host, type(error)) for _, host, error in net.logged] == [("a", KeyError)]


def test_busy_loop(net: Network) -> None:
    """A timeout in real time ends code that never returns, and reports where it was."""
    net.timeout = 0.2

    def spin() -> None:
        while True:
            pass

    with pytest.raises(StuckError, match=r"no end after 0\.2 s of real time.* in spin"):
        net.host("a").run(spin)


def test_time_belongs_to_the_test(net: Network) -> None:
    """Code of a host cannot advance time."""
    with pytest.raises(RuntimeError, match=r"code of hosts uses reactor\.callLater"):
        net.host("a").run(net.advance, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net.advance(-1), "seconds should be 0 or more, not -1"),
        (lambda net: net.at(-1, print), r"time should be now \(0 s\) or later, not -1"),
        (lambda net: net.partition("a", "x"), r"no host is named 'x'; there are: a, b"),
        (lambda net: net.link("a", "a", loss=0.1), "not from 'a' to itself"),
        (lambda net: net.link("a", "b", loss=1), "loss should be a probability, .* not 1"),
        (lambda net: net.link("a", "b", bandwidth=0), "bandwidth should be more than 0"),
        (lambda net: net.link("a", "b", rtt=-1), "rtt: value: .*, not -1"),
        (lambda net: net.link("a", "b", rtt={"law": "none"}), "rtt: .*'none'"),
        (lambda net: net.host("a b"), "a host's name should be like 'server'"),
        (lambda net: Network(rtt={"law": "uniform", "low": 2, "high": 1}), "rtt: high: .*not 1"),
    ],
)
def test_mistakes(net: Network, call: object, message: str) -> None:
    """A value out of range is refused, with a hint."""
    net.host("a"), net.host("b")
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call(net)
