"""The simulated consumer times the first byte and checks every one."""

from __future__ import annotations

from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from harness.consumer import SimConsumer
from harness.files import GridFile, file_of
from harness.reactor import SimReactor
from harness.trace import Trace
from tests.harness.making import scenario

PLAINTEXT = b"plaintext"


@implementer(IPushProducer)
class Producer:
    """A producer that counts how often it was stopped."""

    def __init__(self) -> None:
        self.stopped = 0

    def pauseProducing(self) -> None:
        raise AssertionError("nobody should pause it")

    def resumeProducing(self) -> None:
        raise AssertionError("nobody should resume it")

    def stopProducing(self) -> None:
        self.stopped += 1


class Bench:
    """A consumer, and what is around it."""

    def __init__(
        self, offset: int = 0, stop: bool = False, plaintext: bytes | None = PLAINTEXT
    ) -> None:
        self.reactor = SimReactor()
        self.trace = Trace()
        self.producer = Producer()
        file = GridFile(file_of(scenario(), 0).cap, {}, plaintext)
        self.consumer = SimConsumer(self.reactor, file, offset, stop, self.trace)
        self.consumer.registerProducer(self.producer, True)

    def write(self, at: float, data: bytes) -> Bench:
        """Write at that time."""
        self.reactor.callLater(at, self.consumer.write, data)
        return self

    def run(self) -> SimConsumer:
        """Return the consumer when all is written."""
        self.reactor.run()
        self.consumer.unregisterProducer()
        return self.consumer


def test_interface() -> None:
    """It is a consumer as Twisted means it, and keeps its producer."""
    bench = Bench()

    assert verifyObject(IConsumer, bench.consumer)
    assert bench.producer is bench.consumer.producer


def test_nothing_written() -> None:
    """Where nothing is written there is no first byte, and nothing right or wrong."""
    consumer = Bench().run()

    assert (None, None) == (consumer.first, consumer.content_ok)


def test_first() -> None:
    """The time of the first byte is kept, whatever comes later."""
    assert 2 == Bench().write(2, b"plain").write(3, b"text").run().first


def test_content() -> None:
    """The bytes are those of the file, piece after piece."""
    assert Bench().write(1, b"plain").write(2, b"te").write(3, b"xt").run().content_ok is True


def test_part_of_the_content() -> None:
    """The bytes that were written count, those that are missing do not."""
    assert Bench().write(1, b"plain").run().content_ok is True


def test_offset() -> None:
    """The first byte is the one at the offset."""
    assert Bench(offset=5).write(1, b"te").write(2, b"xt").run().content_ok is True
    assert Bench(offset=5).write(1, b"plain").run().content_ok is False


def test_wrong_piece() -> None:
    """One wrong byte is enough, first or last; what comes right later mends nothing."""
    assert Bench().write(1, b"Plain").write(2, b"text").run().content_ok is False
    assert Bench().write(1, b"plain").write(2, b"texT").run().content_ok is False


def test_wrong_place() -> None:
    """Right bytes twice, or out of order, are wrong."""
    assert Bench().write(1, b"plain").write(2, b"plain").run().content_ok is False
    assert Bench().write(1, b"text").write(2, b"plain").run().content_ok is False


def test_too_much() -> None:
    """Bytes behind the end of the file are wrong."""
    assert Bench().write(1, b"plaintext").write(2, b"s").run().content_ok is False


def test_unknown_plaintext() -> None:
    """Where the plaintext is unknown nothing is right or wrong: it is not checked."""
    assert Bench(plaintext=None).write(1, b"plain").write(2, b"x").run().content_ok is None


def test_empty_write() -> None:
    """An empty write brings no first byte, and is neither right nor wrong."""
    consumer = Bench().write(1, b"").run()

    assert (None, None) == (consumer.first, consumer.content_ok)
    assert 2 == Bench().write(1, b"").write(2, b"p").run().first


def test_stop() -> None:
    """It stops its producer at the first byte, once."""
    bench = Bench(stop=True).write(1, b"").write(2, b"plain")
    bench.run()

    assert 1 == bench.producer.stopped
    assert 2 == bench.consumer.first


def test_no_stop() -> None:
    """Unless it is told to, it takes everything."""
    bench = Bench().write(1, b"plain").write(2, b"text")
    bench.run()

    assert 0 == bench.producer.stopped


def test_trace() -> None:
    """Every write is in the trace, with its place, before its bytes are judged."""
    bench = Bench(offset=1).write(1, b"lain").write(2.5, b"wrong")
    bench.run()

    assert ["1 wrote 4 bytes at 1 ", "2.5 wrote 5 bytes at 5 "] == bench.trace.lines
