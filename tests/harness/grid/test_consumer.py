"""The simulated consumer times the first byte, and checks every byte."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactor
from twisted.protocols.basic import FileSender
from zope.interface import implementer
from zope.interface.verify import verifyObject

from firstk.downloader import download
from firstk.harness.grid.consumer import BUFFER_SIZE, SimConsumer
from firstk.harness.grid.files import GridFile, file_of
from firstk.harness.grid.trace import Trace
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from firstk.harness.testing.simgrid import SimGrid
from tests.doubles import MemoryConsumer
from tests.harness.making import needs_tahoe, scenario

PLAINTEXT = b"plaintext"


@implementer(IPushProducer)
class Producer:
    """A producer that counts its stops."""

    def __init__(self) -> None:
        self.stopped = 0

    def pauseProducing(self) -> None:
        raise AssertionError("nobody should pause it")

    def resumeProducing(self) -> None:
        raise AssertionError("nobody should resume it")

    def stopProducing(self) -> None:
        self.stopped += 1


class Bench:
    """A consumer with its reactor, producer and trace."""

    def __init__(
        self, offset: int = 0, stop: bool = False, plaintext: bytes | None = PLAINTEXT
    ) -> None:
        self.reactor = SimReactor()
        self.trace = Trace()
        self.producer = Producer()
        file = GridFile(file_of(scenario()).cap, {}, plaintext)
        self.consumer = SimConsumer(self.reactor, file, offset, stop, self.trace)
        self.consumer.registerProducer(self.producer, True)

    def write(self, at: float, data: bytes) -> Bench:
        """Write at that time."""
        self.reactor.callLater(at, self.consumer.write, data)
        return self

    def run(self) -> SimConsumer:
        """Return the consumer after all writes."""
        self.reactor.run()
        self.consumer.unregisterProducer()
        return self.consumer


def test_interface() -> None:
    """It provides Twisted's consumer interface, and keeps its producer."""
    bench = Bench()

    assert verifyObject(IConsumer, bench.consumer)
    assert bench.producer is bench.consumer.producer


def test_nothing_written() -> None:
    """Without a write, there is no first byte, and no verdict on the content."""
    consumer = Bench().run()

    assert (consumer.first, consumer.content_ok) == (None, None)


def test_first() -> None:
    """The time of the first byte is kept, whatever comes later."""
    assert Bench().write(2, b"plain").write(3, b"text").run().first == 2


def test_content() -> None:
    """The content is right if the pieces are the file's bytes in order."""
    assert Bench().write(1, b"plain").write(2, b"te").write(3, b"xt").run().content_ok is True


def test_part_of_the_content() -> None:
    """Missing bytes do not make the content wrong."""
    assert Bench().write(1, b"plain").run().content_ok is True


def test_offset() -> None:
    """The first byte is expected at the offset."""
    assert Bench(offset=5).write(1, b"te").write(2, b"xt").run().content_ok is True
    assert Bench(offset=5).write(1, b"plain").run().content_ok is False


def test_wrong_piece() -> None:
    """One wrong byte is enough; later right ones do not repair it."""
    assert Bench().write(1, b"Plain").write(2, b"text").run().content_ok is False
    assert Bench().write(1, b"plain").write(2, b"texT").run().content_ok is False


def test_wrong_place() -> None:
    """Right bytes in the wrong place are wrong."""
    assert Bench().write(1, b"plain").write(2, b"plain").run().content_ok is False
    assert Bench().write(1, b"text").write(2, b"plain").run().content_ok is False


def test_too_much() -> None:
    """Bytes past the end of the file are wrong."""
    assert Bench().write(1, b"plaintext").write(2, b"s").run().content_ok is False


def test_unknown_plaintext() -> None:
    """If the plaintext is unknown, the content is not checked."""
    assert Bench(plaintext=None).write(1, b"plain").write(2, b"x").run().content_ok is None


def test_empty_write() -> None:
    """An empty write is neither a first byte nor a verdict on the content."""
    consumer = Bench().write(1, b"").run()

    assert (consumer.first, consumer.content_ok) == (None, None)
    assert Bench().write(1, b"").write(2, b"p").run().first == 2


def test_stop() -> None:
    """It stops its producer at the first byte, once."""
    bench = Bench(stop=True).write(1, b"").write(2, b"plain")
    bench.run()

    assert bench.producer.stopped == 1
    assert bench.consumer.first == 2


def test_no_stop() -> None:
    """By default, it accepts everything."""
    bench = Bench().write(1, b"plain").write(2, b"text")
    bench.run()

    assert bench.producer.stopped == 0


def test_trace() -> None:
    """Every write is in the trace, with its size and offset."""
    bench = Bench(offset=1).write(1, b"lain").write(2.5, b"wrong")
    bench.run()

    assert bench.trace.lines == ["1 wrote 4 bytes at 1 ", "2.5 wrote 5 bytes at 5 "]


# Producers, treated as Twisted's transports treat them


@implementer(IPushProducer)
class Recorder:
    """A producer that records the calls of its consumer, and when they come."""

    def __init__(self, clock: SimReactor) -> None:
        self.told: list[tuple[float, str]] = []
        self._clock = clock

    def pauseProducing(self) -> None:
        self.told.append((self._clock.seconds(), "pause"))

    def resumeProducing(self) -> None:
        self.told.append((self._clock.seconds(), "resume"))

    def stopProducing(self) -> None:
        self.told.append((self._clock.seconds(), "stop"))


class Slow:
    """A consumer that drains 1000 bytes a second, of a file of any size."""

    def __init__(self, bandwidth: float | None = 1000.0, stop: bool = False) -> None:
        self.reactor = SimReactor()
        self.producer = Recorder(self.reactor)
        self.trace = Trace()
        file = GridFile(file_of(scenario()).cap, {}, bytes(10**6))
        self.consumer = SimConsumer(self.reactor, file, 0, stop, self.trace, bandwidth)

    def write(self, at: float, size: int) -> Slow:
        """Write this many bytes at that time."""
        self.reactor.callLater(at, self.consumer.write, bytes(size))
        return self

    def told(self) -> list[tuple[float, str]]:
        """Run, and return the calls to the producer."""
        self.reactor.run()
        return self.producer.told


def test_pause() -> None:
    """A push producer is paused above 64 KiB, and resumed when the buffer is empty."""
    slow = Slow().write(1, BUFFER_SIZE).write(2, 1000).write(3, 1001)
    slow.consumer.registerProducer(slow.producer, True)

    empty = 1 + (BUFFER_SIZE + 2001) / 1000
    assert [(3, "pause"), (pytest.approx(empty), "resume")] == slow.told()
    assert [line.split()[1] for line in slow.trace.lines if "buffer" in line] == [
        "paused",
        "resumed",
    ]


def test_ignored_pause() -> None:
    """A push producer that ignores a pause is paused again, and resumed when all is drained."""
    slow = Slow().write(0, 70_000).write(10, 10_000).write(40, 1000)
    slow.consumer.registerProducer(slow.producer, True)

    assert slow.told() == [(0, "pause"), (10, "pause"), (81, "resume")]


def test_buffered() -> None:
    """The buffer drains at the bandwidth; without one, it is always empty."""
    slow = Slow()
    slow.consumer.write(bytes(5000))
    slow.reactor.callLater(2, lambda: None)
    slow.reactor.run()

    assert slow.consumer.buffered == 3000
    fast = Slow(bandwidth=None)
    fast.consumer.write(bytes(5000))
    assert fast.consumer.buffered == 0


def test_fast_consumer() -> None:
    """A consumer without a bandwidth never pauses its producer."""
    slow = Slow(bandwidth=None).write(0, 500_000).write(0, 500_000)
    slow.consumer.registerProducer(slow.producer, True)

    assert slow.told() == []


def test_pull() -> None:
    """A pull producer is resumed at once, and each time the buffer has drained."""
    slow = Slow().write(1, 500).write(1.25, 250).write(5, 0)
    slow.consumer.registerProducer(slow.producer, False)

    assert slow.told() == [(0, "resume"), (1.75, "resume")]


def test_unregistered() -> None:
    """An unregistered producer is not called any more."""
    slow = Slow().write(0, 70_000)
    slow.consumer.registerProducer(slow.producer, True)
    slow.reactor.callLater(1, slow.consumer.unregisterProducer)

    assert slow.told() == [(0, "pause")]
    assert slow.reactor.seconds() == 1


def test_stopped() -> None:
    """A stopped producer is not called any more; a producer that registers later is stopped too."""
    slow = Slow(stop=True).write(0, 70_000)
    slow.consumer.registerProducer(slow.producer, True)
    slow.reactor.callLater(1, slow.consumer.registerProducer, slow.producer, False)

    assert slow.told() == [(0, "stop"), (1, "stop")]


def test_second_producer() -> None:
    """A second producer is refused until the first is unregistered."""
    slow = Slow()
    slow.consumer.registerProducer(slow.producer, True)

    with pytest.raises(RuntimeError, match=r"^cannot register producer <.*Recorder object>: prod"):
        slow.consumer.registerProducer(Recorder(slow.reactor), True)
    assert slow.consumer.misconduct
    slow.consumer.unregisterProducer()
    slow.consumer.registerProducer(slow.producer, True)


@pytest.mark.parametrize("data", ["text", bytearray(b"x"), None])
def test_no_bytes(data: Any) -> None:
    """Anything but bytes is refused."""
    with pytest.raises(TypeError, match="data must be bytes"):
        Slow().consumer.write(data)


class Transport(FileDescriptor):
    """A Twisted transport whose peer accepts everything when asked."""

    connected = 1

    def __init__(self) -> None:
        super().__init__(MemoryReactor())  # type: ignore[no-untyped-call]

    def startWriting(self) -> None:
        """Wait to be drained."""

    stopWriting = startWriting

    def writeSomeData(self, data: bytes) -> int:
        return len(data)

    def drain(self) -> None:
        """Send the contents of the buffer."""
        if self.dataBuffer or self._tempDataLen:
            self.doWrite()  # type: ignore[no-untyped-call]


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["drain", "push", "pull", "unregister"]),
            st.sampled_from([0, 1, 1000, BUFFER_SIZE - 1, BUFFER_SIZE, BUFFER_SIZE + 1]),
        ),
        max_size=12,
    ),
    st.sampled_from([1.0, 7.3, 1e6]),
)
@settings(max_examples=200, deadline=None)
def test_like_a_transport(steps: list[str | int], bandwidth: float) -> None:
    """Whatever a producer does, it gets the same calls as from a Twisted transport."""
    slow = Slow(bandwidth)
    transport, other = Transport(), Recorder(slow.reactor)

    def both(ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
        refused = []
        for does in ours, theirs:
            try:
                does()
            except RuntimeError:
                refused.append(does)
        assert refused in ([], [ours, theirs])

    def drain() -> None:
        slow.reactor.callLater(slow.consumer.buffered / bandwidth, lambda: None)
        slow.reactor.iterate(1e9)
        transport.drain()

    for step in steps:
        if isinstance(step, int):
            data = bytes(step)
            both(partial(slow.consumer.write, data), partial(transport.write, data))
            continue
        drain()  # the buffer of a transport remembers that it paused the producer before
        if step == "unregister":
            both(slow.consumer.unregisterProducer, transport.unregisterProducer)
        elif step != "drain":
            push = step == "push"
            both(
                partial(slow.consumer.registerProducer, slow.producer, push),
                partial(transport.registerProducer, other, push),
            )
        assert [what for _, what in other.told] == [what for _, what in slow.producer.told]


# Downloaders under test


async def plaintext(reactor: Any, servers: Any, cap: str) -> bytes:
    """Return the file."""
    memory = MemoryConsumer()
    await download(reactor, servers, cap, memory, strategy="first-k")
    return memory.data


def sending(data: bytes, consumer: Any) -> Deferred[Any]:
    """Let Twisted's own pull producer write."""
    sent: Deferred[Any] = FileSender().beginFileTransfer(BytesIO(data), consumer)  # type: ignore[no-untyped-call]
    return sent


class Downloaders:
    """Downloaders that use their consumers in many ways."""

    @staticmethod
    async def pull(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        """Write with a pull producer."""
        data = await plaintext(reactor, servers, cap)
        await sending(data, consumer)

    @staticmethod
    async def by_segments(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        """Register one pull producer after another."""
        data = await plaintext(reactor, servers, cap)
        for begin in range(0, len(data), 20):
            await sending(data[begin : begin + 20], consumer)

    @staticmethod
    async def twice(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        data = await plaintext(reactor, servers, cap)
        consumer.registerProducer(Producer(), True)
        consumer.registerProducer(Producer(), True)
        consumer.write(data)
        consumer.unregisterProducer()

    @staticmethod
    async def twice_secretly(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        data = await plaintext(reactor, servers, cap)
        consumer.registerProducer(Producer(), True)
        with pytest.raises(RuntimeError):
            consumer.registerProducer(Producer(), True)
        consumer.write(data)
        consumer.unregisterProducer()

    @staticmethod
    async def leaves(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        data = await plaintext(reactor, servers, cap)
        consumer.registerProducer(Producer(), True)
        consumer.write(data)

    @staticmethod
    async def goes_on(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        data = await plaintext(reactor, servers, cap)
        consumer.registerProducer(Producer(), True)
        consumer.write(data[:20])
        consumer.unregisterProducer()
        consumer.write(data[20:])

    @staticmethod
    async def afterwards(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        consumer.write(await plaintext(reactor, servers, cap))
        reactor.callLater(0, lambda: None)
        deferLater(reactor, 1, consumer.write, b"").addErrback(lambda _: None)
        reactor.callLater(1, consumer.write, b"more")

    @staticmethod
    async def no_producer(reactor: Any, servers: Any, cap: str, consumer: Any) -> None:
        consumer.write(await plaintext(reactor, servers, cap))


def result(name: str, **changes: Any) -> Result:
    """Return the result of one of these downloaders."""
    return simulate(scenario(**changes), getattr(Downloaders, name)).result


@pytest.mark.parametrize("name", ["pull", "by_segments", "no_producer"])
@pytest.mark.parametrize("stop", ["complete", "first-block"])
def test_good_downloaders(name: str, stop: str) -> None:
    """A downloader that uses the interfaces correctly succeeds."""
    one = result(name, stop=stop)

    assert (one.outcome, one.content_ok, one.message) == ("ok", True, None)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("twice", "RuntimeError", "cannot register producer <"),
        ("twice_secretly", "MisconductError", "cannot register producer <"),
        ("leaves", "MisconductError", "left its producer registered"),
        ("goes_on", "MisconductError", "wrote after its producer was unregistered"),
        ("afterwards", "RuntimeError", "wrote after the end of the download"),
    ],
)
def test_bad_downloaders(name: str, error: str, message: str) -> None:
    """Misuse of the consumer is reported, even if all the bytes are there."""
    one = result(name)

    assert ("failed", error) == (one.outcome, one.error)
    assert message in (one.message or "")
    assert " at 0x" not in (one.message or "")


def test_left_when_it_is_stopped() -> None:
    """A producer that the consumer has stopped need not be unregistered."""
    assert result("leaves", stop="first-block").outcome == "ok"


STRATEGIES = ["wait-for-all", "first-k", "first-k-late", "windowed", "hedged", "hedged+2"]

SLOW: dict[str, Any] = {"size": 1_000_000, "segment_size": 40_000, "consumer_bandwidth": 1e5}


@pytest.mark.parametrize(
    "subject",
    [*STRATEGIES, pytest.param("tahoe", marks=needs_tahoe)],
)
def test_slow_download(subject: str) -> None:
    """With a slow consumer, downloads take as long as it does, whatever `give_up` is."""
    fast = SimGrid(**SLOW | {"consumer_bandwidth": None}).download(subject)
    with SimGrid(**SLOW) as grid:
        running = grid.start(subject)
        most = 0
        while not running.done:
            grid.advance(0.05)
            most = max(most, running.buffered)
        slow = running.finish()

    assert ("ok", fast.ttfb) == (slow.outcome, slow.ttfb)
    assert (fast.finished or 0) < 3
    # The last that is in the buffer is not waited for.
    assert 10 - 1 <= (slow.finished or 0) - (slow.ttfb or 0) <= 10 + 1.5
    assert BUFFER_SIZE < most < BUFFER_SIZE + 40_000


def test_slow_for_long() -> None:
    """A pause that is longer than `give_up` does not count as a server's silence."""
    with SimGrid(**SLOW | {"consumer_bandwidth": 800.0}) as grid:
        slow = grid.download("hedged")

    assert slow.outcome == "ok"
    assert (slow.finished or 0) > 1000


def test_slow_scenario() -> None:
    """A scenario may have a slow consumer; equal seeds give equal digests."""
    tables: dict[str, Any] = {"file": {"size": 300_000, "segment_size": 30_000}}
    fast = simulate(scenario(**tables), "windowed").result
    slow = [
        simulate(scenario(consumer={"bandwidth": 10_000}, **tables), "windowed").result
        for _ in "ab"
    ]

    assert slow[0] == slow[1]
    assert fast.ttfb == slow[0].ttfb
    assert 20 < (slow[0].finished or 0) < 31
    assert fast.digest != slow[0].digest


def test_slow_in_a_workload() -> None:
    """In a workload, each download has its own consumer, and waiting for it is not a stall."""
    workload = {"downloads": 4, "warmup": 0, "arrivals": {"kind": "fixed", "rate": 1}}
    made = scenario(
        workload=workload,
        consumer={"bandwidth": 10_000},
        file={"size": 300_000, "segment_size": 30_000},
    )
    loaded = simulate_workload(made, "windowed")

    assert loaded.outcomes == {"ok": 4}
    assert (loaded.in_system or 0) > 3
    assert simulate_workload(made, Downloaders.pull).outcomes == {"ok": 4}
