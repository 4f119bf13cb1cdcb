"""Helpers for the tests of the downloader: servers that obey, fail, or answer nonsense."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from firstk.downloader.api import start
from firstk.downloader.cap import Cap
from firstk.downloader.errors import NotEnoughSharesError
from firstk.downloader.interfaces import IBucket, IStorageServer
from firstk.downloader.layout import HEADER_SIZE, parse_header
from firstk.downloader.status import DownloadStatus, Request
from tests.doubles import MemoryBucket, MemoryConsumer, result_of

E = TypeVar("E", bound=BaseException)

#: The strategies that have four phases.
FOUR_PHASES = ("wait-for-all", "first-k", "first-k-late")

#: The parts of a share on which a download depends, by the name of the read.
PARTS = ("header", "UEB", "crypttext hashes", "block hashes", "share hashes", "block")


class BoomError(Exception):
    """The error that the servers and consumers of these tests raise."""


class Download:
    """A download that has been started, with its clock, its consumer and its result."""

    def __init__(
        self,
        servers: Iterable[Any],
        cap: Cap | str,
        *,
        consumer: MemoryConsumer | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.consumer = consumer or MemoryConsumer()
        self.results: list[Any] = []
        self.running = start(self.clock, servers, cap, self.consumer, **options)
        self.deferred = self.running.done
        self.deferred.addBoth(self._fired)
        self.clock.advance(0)  # windowed acts on answers in a later turn

    def _fired(self, result: Any) -> None:
        self.results.append(result)

    @property
    def fired(self) -> bool:
        """Whether the Deferred has fired."""
        self.clock.advance(0)
        return bool(self.results)

    @property
    def status(self) -> DownloadStatus:
        """The status, during the download and after it."""
        return self.running.status

    def done(self) -> DownloadStatus:
        """Return the status with which the Deferred fired; raise the error if it failed."""
        self.clock.advance(0)
        assert len(self.results) == 1, "the Deferred has not fired"
        status: DownloadStatus = result_of(succeed(self.results[0]))
        return status

    def error(self, kind: type[E]) -> E:
        """Return the error of the Deferred, which must be of exactly this class."""
        self.clock.advance(0)
        assert len(self.results) == 1, "the Deferred has not fired"
        error = self.results[0].value
        assert type(error) is kind, f"{type(error).__name__}: {error}"
        return error

    def shortage(self) -> NotEnoughSharesError:
        """Return the error of a Deferred that failed because too few shares were good."""
        assert self.fired, "the Deferred has not fired"
        error = self.results[0].value
        assert isinstance(error, NotEnoughSharesError), f"{type(error).__name__}: {error}"
        return error

    def requests(self, what: str) -> list[Request]:
        """Return the requests of this name, oldest first."""
        return [request for request in self.status.requests if request.what == what]


@implementer(IBucket)
class ManualBucket:
    """A bucket whose reads wait until the test answers them, oldest first."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.waiting: list[tuple[int, int, Deferred[bytes]]] = []

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        answer: Deferred[bytes] = Deferred()
        self.waiting.append((offset, length, answer))
        return answer

    def answer(self) -> None:
        """Answer the oldest outstanding read."""
        offset, length, answer = self.waiting.pop(0)
        answer.callback(self.data[offset : offset + length])

    def answer_all(self) -> None:
        """Answer reads until none is outstanding."""
        while self.waiting:
            self.answer()

    def fail(self) -> None:
        """Fail the oldest outstanding read."""
        self.waiting.pop(0)[2].errback(BoomError("read"))


@implementer(IStorageServer)
class ManualServer:
    """A server that is queried once, and answers when the test says so."""

    def __init__(self, name: str, shares: Mapping[int, bytes]) -> None:
        self.name = name
        self.asked: list[bytes] = []
        self.buckets = {number: ManualBucket(data) for number, data in shares.items()}
        self._shares = shares
        self._answer: Deferred[Mapping[int, IBucket]] = Deferred()

    def get_buckets(self, storage_index: bytes) -> Deferred[Mapping[int, IBucket]]:
        self.asked.append(storage_index)
        return self._answer

    @property
    def done(self) -> bool:
        """Whether it has answered or failed."""
        return self._answer.called

    def answer(self) -> None:
        """Answer with buckets whose reads are answered at once."""
        self._answer.callback({number: MemoryBucket(data) for number, data in self._shares.items()})

    def answer_manual(self) -> None:
        """Answer with buckets whose reads the test answers."""
        self._answer.callback(self.buckets)

    def answer_with(self, anything: Any) -> None:
        """Answer with anything at all."""
        self._answer.callback(anything)

    def fail(self) -> None:
        """Fail the query."""
        self._answer.errback(BoomError("query"))


def manual_servers(shares: Mapping[int, bytes]) -> list[ManualServer]:
    """Return a manual server for each share, named s0, s1, ..."""
    return [ManualServer(f"s{number}", {number: data}) for number, data in shares.items()]


class AnyServer:
    """A server with a given function: it returns the result of the call, whatever it is."""

    def __init__(self, get_buckets: Callable[[bytes], Any], name: str = "any") -> None:
        self.name = name
        self.get_buckets = get_buckets


class AnyBucket:
    """A bucket with a given function: it returns the result of the call, whatever it is."""

    def __init__(self, read: Callable[[int, int], Any]) -> None:
        self.read = read


def answering(answer: Any, name: str = "any") -> AnyServer:
    """Return a server that answers at once, with any value."""
    return AnyServer(lambda _: succeed(answer), name)


def reading(read: Callable[[int, int], Any], number: int = 0, name: str = "any") -> AnyServer:
    """Return a server that answers at once with one bucket, which is read by `read`."""
    return answering({number: AnyBucket(read)}, name)


def delayed(clock: Clock, delay: float, shares: Mapping[int, bytes], name: str) -> AnyServer:
    """Return a server that takes `delay` seconds for each request."""

    def bucket(data: bytes) -> AnyBucket:
        return AnyBucket(lambda o, n: deferLater(clock, delay, lambda: data[o : o + n]))

    buckets = {number: bucket(data) for number, data in shares.items()}
    return AnyServer(lambda _: deferLater(clock, delay, lambda: buckets), name)


def boom(*_: Any) -> Any:
    """Raise an error, as a careless server does."""
    raise BoomError("boom")


def part_offset(share: bytes, part: str) -> int:
    """Return the offset of the first byte of a part in a share's data."""
    header = parse_header(share[:HEADER_SIZE])
    leaves = (header.block_hashes - header.crypttext_hashes) // 64 * 32  # after the inner nodes
    return {
        "header": 0,
        "block": header.data,
        "crypttext hashes": header.crypttext_hashes + leaves,
        "block hashes": header.block_hashes + leaves,
        "share hashes": header.share_hashes + 2,
        "UEB": header.uri_extension + 8,
    }[part]


def flipped(share: bytes, offset: int, mask: int = 0xFF) -> bytes:
    """Return the share with some bits of one byte flipped."""
    return share[:offset] + bytes([share[offset] ^ mask]) + share[offset + 1 :]


def corrupt(share: bytes, part: str) -> bytes:
    """Return the share with a part that does not match its hashes."""
    return flipped(share, part_offset(share, part))
