"""The public interface: whole files, ranges, flow control, how downloads end, the status."""

from collections.abc import Callable
from dataclasses import asdict
from itertools import combinations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from firstk import downloader
from firstk.downloader import BadCapError, DownloadStatus, NotEnoughSharesError
from firstk.downloader.cap import CHKCap, LITCap, parse_cap
from firstk.downloader.encode import encode
from firstk.downloader.strategy import STRATEGIES
from tests.doubles import MemoryBucket, MemoryConsumer, MemoryServer, servers_of
from tests.downloader.scenery import (
    AnyBucket,
    AnyServer,
    BoomError,
    Download,
    ManualBucket,
    ManualServer,
    answering,
    boom,
    corrupt,
    delayed,
    manual_servers,
    reading,
)
from tests.tahoe import CHK_FILES, LIT_FILES, RealFile

PLAINTEXT = bytes(range(200))
FILE = encode(PLAINTEXT, k=2, n=4, segment_size=60)  # four segments, the last of 20 bytes
PIECES = [PLAINTEXT[:60], PLAINTEXT[60:120], PLAINTEXT[120:180], PLAINTEXT[180:]]
LITERAL = LITCap(b"a small file")

strategies = pytest.mark.parametrize("strategy", STRATEGIES)


def fetched(shares: list[Any], cap: Any, **options: Any) -> bytes:
    """Download a file successfully, and return what was written."""
    run = Download(shares, cap, **options)
    status = run.done()

    assert status.phase == "done"
    assert len(run.consumer.data) == status.bytes_written
    assert (run.consumer.registered, run.consumer.unregistered) == (1, 1)
    return run.consumer.data


# Whole files


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_real(file: RealFile, strategy: str) -> None:
    """A real file is restored from all its shares."""
    assert file.plaintext == fetched(servers_of(file.shares), file.uri, strategy=strategy)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("file", [f for f in CHK_FILES if len(f.plaintext) < 2000], ids=str)
def test_real_any_k(file: RealFile, strategy: str) -> None:
    """A real file is restored from any K of its shares."""
    assert file.k is not None
    for numbers in combinations(file.shares, file.k):
        servers = servers_of(file.shares, numbers)

        assert file.plaintext == fetched(servers, file.uri, strategy=strategy), numbers


@pytest.mark.parametrize("file", [f for f in CHK_FILES if len(f.plaintext) > 2000], ids=str)
def test_real_segments_any_k(file: RealFile) -> None:
    """A real file of several segments is restored from any K of its shares."""
    assert file.k is not None
    for numbers in combinations(file.shares, file.k):
        assert file.plaintext == fetched(servers_of(file.shares, numbers), file.uri), numbers


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("file", LIT_FILES, ids=str)
def test_real_literal(file: RealFile, strategy: str) -> None:
    """A small file is restored from its cap; no server is queried."""
    server = AnyServer(boom)
    run = Download([server], file.uri, strategy=strategy)

    assert file.plaintext == run.consumer.data
    assert run.done().requests == []
    assert [phase for phase, _ in run.done().phases] == ["starting", "done"]
    assert (run.consumer.registered, run.consumer.unregistered) == (1, 1)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("version", [1, 2])
def test_versions(version: int, strategy: str) -> None:
    """Shares of both layouts are read, any K of them."""
    for segment_size in 60, 1000:
        file = encode(PLAINTEXT, k=3, n=6, segment_size=segment_size, version=version)
        for numbers in combinations(file.shares, 3):
            servers = servers_of(file.shares, numbers)

            assert fetched(servers, file.cap, strategy=strategy) == PLAINTEXT


def test_versions_mixed() -> None:
    """Shares of both layouts can be mixed in one download."""
    old, new = (encode(PLAINTEXT, k=3, n=4, segment_size=60, version=v) for v in (1, 2))

    assert old.cap == new.cap
    mixed = {0: old.shares[0], 1: new.shares[1], 2: old.shares[2], 3: new.shares[3]}
    for numbers in combinations(mixed, 3):
        assert fetched(servers_of(mixed, numbers), old.cap) == PLAINTEXT


@pytest.mark.parametrize(
    ("k", "n"),
    [(1, 1), (1, 2), (1, 256), (2, 2), (3, 3), (7, 25), (16, 17), (255, 256), (256, 256)],
)
@pytest.mark.parametrize("version", [1, 2])
def test_any_k_of_any_n(k: int, n: int, version: int) -> None:
    """Any valid K and N can be decoded: from the first, the last, and random K shares."""
    plaintext = bytes(range(256)) * 3
    file = encode(plaintext, k=k, n=n, segment_size=300, version=version)
    for numbers in range(k), range(n - k, n), Random(n).sample(range(n), k):
        assert plaintext == fetched(servers_of(file.shares, numbers), file.cap)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (3, 10), (256, 256)])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 255, 256, 257])
def test_small(size: int, k: int, n: int) -> None:
    """Files of a few bytes, even fewer than K, are restored."""
    plaintext = bytes(range(1, 256)) + b"ab"
    file = encode(plaintext[:size], k=k, n=n)

    assert plaintext[:size] == fetched(servers_of(file.shares, range(n - k, n)), file.cap)


def test_many_segments() -> None:
    """A file of thousands of segments, one byte each, needs no deep stack."""
    plaintext = bytes(range(256)) * 12
    file = encode(plaintext, k=1, n=1, segment_size=1)
    run = Download(servers_of(file.shares), file.cap)

    assert len(plaintext) == len(run.consumer.pieces)
    assert plaintext == run.consumer.data


@given(
    plaintext=st.binary(min_size=1, max_size=200),
    numbers=st.lists(st.integers(1, 12), min_size=2, max_size=2).map(sorted),
    segment_size=st.integers(1, 220),
    version=st.sampled_from([1, 2]),
    strategy=st.sampled_from(list(STRATEGIES)),
    random=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=50)
def test_any_file(
    plaintext: bytes,
    numbers: list[int],
    segment_size: int,
    version: int,
    strategy: str,
    random: Random,
) -> None:
    """Any file in any encoding is restored from K or more of its shares."""
    k, n = numbers
    file = encode(plaintext, k=k, n=n, segment_size=segment_size, version=version)
    some = random.sample(range(n), random.randint(k, n))

    assert plaintext == fetched(servers_of(file.shares, some), file.cap, strategy=strategy)


# Parts of files


@given(
    offset=st.integers(0, 220),
    size=st.none() | st.integers(0, 220),
    strategy=st.sampled_from(list(STRATEGIES)),
    some=st.permutations(range(4)),
)
@settings(deadline=None, max_examples=50)
def test_range(offset: int, size: int | None, strategy: str, some: list[int]) -> None:
    """Any range is returned exactly, even if it reaches past the end of the file."""
    expected = PLAINTEXT[offset:] if size is None else PLAINTEXT[offset : offset + size]
    servers = servers_of(FILE.shares, some[:3])

    assert expected == fetched(servers, FILE.cap, strategy=strategy, offset=offset, size=size)


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
@pytest.mark.parametrize("end", [1, 2, 17])
def test_range_of_real(file: RealFile, end: int) -> None:
    """The last bytes of a real file are restored from its last segment."""
    size = len(file.plaintext)
    servers = servers_of(file.shares, [9, 8, 7] if file.n == 10 else [4, 3])

    assert file.plaintext[-end:] == fetched(servers, file.uri, offset=size - end)


@pytest.mark.parametrize(
    ("offset", "size", "segments"),
    [
        (0, 1, [0]),
        (0, 60, [0]),
        (59, 2, [0, 1]),
        (60, 60, [1]),
        (61, 119, [1, 2]),
        (179, 2, [2, 3]),
        (199, None, [3]),
        (0, None, [0, 1, 2, 3]),
    ],
)
def test_range_reads_no_more(offset: int, size: int | None, segments: list[int]) -> None:
    """Only the segments that a range touches are read, and each is written as one piece."""
    run = Download(servers_of(FILE.shares), FILE.cap, offset=offset, size=size)
    blocks = {r.what for r in run.done().requests if r.what.startswith("block ")}

    assert {f"block {segment}" for segment in segments} == blocks - {"block hashes"}
    assert len(segments) == len(run.consumer.pieces)


@strategies
@pytest.mark.parametrize(
    ("offset", "size"), [(0, 0), (100, 0), (200, None), (200, 5), (201, None), (2**70, 2**70)]
)
def test_empty_range(offset: int, size: int | None, strategy: str) -> None:
    """An empty range writes nothing and queries no server."""
    run = Download([AnyServer(boom)], FILE.cap, strategy=strategy, offset=offset, size=size)

    assert run.done().requests == []
    assert run.consumer.pieces == []
    assert (run.consumer.registered, run.consumer.unregistered) == (1, 1)


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [
        (0, None, b"a small file"),
        (2, None, b"small file"),
        (2, 5, b"small"),
        (8, 99, b"file"),
        (12, None, b""),
        (99, 99, b""),
        (0, 0, b""),
    ],
)
def test_range_of_literal(offset: int, size: int | None, expected: bytes) -> None:
    """Ranges also work on a file that its cap holds."""
    run = Download([], LITERAL, offset=offset, size=size)

    assert expected == run.consumer.data
    assert [expected] * bool(expected) == run.consumer.pieces
    assert run.done().phase == "done"


def test_empty_file() -> None:
    """For a CHK cap of an empty file, nothing is fetched."""
    cap = CHKCap(bytes(16), bytes(32), 3, 10, 0)

    assert fetched([AnyServer(boom)], cap) == b""


# Arguments


def test_defaults() -> None:
    """By default, first-k downloads the whole file."""
    servers = manual_servers(FILE.shares)
    run = Download(servers, FILE.cap)
    servers[3].answer()
    servers[1].answer()

    assert run.consumer.data == PLAINTEXT


def test_cap_or_text() -> None:
    """A cap may be given as text or already parsed."""
    for cap in str(FILE.cap), parse_cap(str(FILE.cap)), FILE.cap:
        assert fetched(servers_of(FILE.shares), cap) == PLAINTEXT


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"cap": "URI:CHK:no"}, BadCapError),
        ({"cap": ""}, BadCapError),
        ({"strategy": "fastest"}, ValueError),
        ({"offset": -1}, ValueError),
        ({"size": -1}, ValueError),
        ({"cap": "URI:LIT:hu", "offset": -1}, ValueError),
        ({"cap": "URI:LIT:hu", "strategy": "fastest"}, ValueError),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: type[Exception]) -> None:
    """A bad argument raises at once; no server and no consumer is called."""
    consumer = MemoryConsumer()
    server = ManualServer("s", FILE.shares)
    arguments: dict[str, Any] = {"cap": FILE.cap, "servers": [server], "consumer": consumer}
    with pytest.raises(error):
        downloader.download(Clock(), **(arguments | change))

    assert (consumer.registered, consumer.unregistered) == (0, 0)
    assert server.asked == []


# Flow control


class Consumer(MemoryConsumer):
    """A consumer that runs a function when one of its methods is called."""

    def __init__(self, **does: Callable[[Any], Any]) -> None:
        super().__init__()
        self.does = does

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        self.does.get("register", bool)(producer)

    def unregisterProducer(self) -> None:
        super().unregisterProducer()
        self.does.get("unregister", bool)(self.producer)

    def write(self, data: bytes) -> None:
        super().write(data)
        self.does.get("write", bool)(self.producer)


def pause(producer: Any) -> None:
    """Pause the producer."""
    producer.pauseProducing()


def stop(producer: Any) -> None:
    """Stop the producer."""
    producer.stopProducing()


def slow_download(**does: Callable[[Any], Any]) -> tuple[Download, list[ManualBucket]]:
    """Return a download from two located shares, and their buckets, whose reads are pending."""
    servers = manual_servers({0: FILE.shares[0], 3: FILE.shares[3]})
    run = Download(servers, FILE.cap, consumer=Consumer(**does))
    for server in servers:
        server.answer_manual()
    return run, [bucket for server in servers for bucket in server.buckets.values()]


def serve(buckets: list[ManualBucket]) -> None:
    """Answer reads until none is pending."""
    while any(bucket.waiting for bucket in buckets):
        for bucket in buckets:
            bucket.answer_all()


def test_producer() -> None:
    """The consumer gets a push producer."""
    run = Download(servers_of(FILE.shares), FILE.cap)

    assert verifyObject(IPushProducer, run.consumer.producer)


def test_pieces() -> None:
    """Each segment is written as soon as it is decoded."""
    run = Download(servers_of(FILE.shares), FILE.cap)

    assert run.consumer.pieces == PIECES


@strategies
def test_pause_between_segments(strategy: str) -> None:
    """A consumer that pauses inside `write` gets no more, and no further segment is read."""
    consumer = Consumer(write=pause)
    run = Download(servers_of(FILE.shares), FILE.cap, consumer=consumer, strategy=strategy)
    for written in range(1, 4):
        assert PIECES[:written] == consumer.pieces
        assert not run.requests(f"block {written}")
        run.clock.advance(1000)

        assert PIECES[:written] == consumer.pieces
        consumer.producer.resumeProducing()
        run.clock.advance(0)

    assert consumer.pieces == PIECES
    consumer.producer.resumeProducing()

    assert run.done().phase == "done"
    assert consumer.unregistered == 1


@pytest.mark.parametrize("cap", [FILE.cap, LITERAL])
def test_pause_when_registered(cap: Any) -> None:
    """A consumer that pauses inside `registerProducer` gets nothing until it resumes."""
    consumer = Consumer(register=pause)
    run = Download(servers_of(FILE.shares), cap, consumer=consumer)

    assert consumer.pieces == []
    assert not run.fired
    consumer.producer.resumeProducing()

    assert (PLAINTEXT if cap is FILE.cap else LITERAL.data) == consumer.data
    assert run.done().phase == "done"


def test_pause_while_reading() -> None:
    """Blocks that arrive during a pause are kept until the consumer resumes."""
    run, buckets = slow_download()
    pause(run.consumer.producer)
    serve(buckets)

    assert run.consumer.pieces == []
    assert not run.requests("block 1")
    run.consumer.producer.resumeProducing()

    assert run.consumer.pieces == PIECES[:1]
    serve(buckets)

    assert run.consumer.pieces == PIECES
    assert run.done()


def test_pause_while_locating() -> None:
    """The same holds for a pause that begins while locating."""
    servers = manual_servers(FILE.shares)
    run = Download(servers, FILE.cap)
    pause(run.consumer.producer)
    for server in servers:
        server.answer()

    assert run.consumer.pieces == []
    run.consumer.producer.resumeProducing()

    assert run.consumer.pieces == PIECES


def test_pause_and_resume_at_will() -> None:
    """Pauses do not add up, and resuming without a pause does nothing."""
    run, buckets = slow_download()
    producer = run.consumer.producer
    producer.resumeProducing()
    pause(producer)
    pause(producer)
    producer.resumeProducing()
    producer.resumeProducing()
    pause(producer)
    serve(buckets)

    assert run.consumer.pieces == []
    producer.resumeProducing()
    serve(buckets)
    producer.resumeProducing()

    assert run.consumer.pieces == PIECES
    assert run.done()
    pause(producer)
    producer.resumeProducing()

    assert run.consumer.pieces == PIECES
    assert run.consumer.unregistered == 1


def test_resume_inside_write() -> None:
    """A consumer may pause and resume inside `write`."""

    def blink(producer: Any) -> None:
        pause(producer)
        producer.resumeProducing()

    consumer = Consumer(register=blink, write=blink)
    run = Download(servers_of(FILE.shares), FILE.cap, consumer=consumer)

    assert consumer.pieces == PIECES
    assert run.done()


@given(st.lists(st.booleans(), max_size=30), st.lists(st.integers(0, 1), max_size=30))
@settings(deadline=None, max_examples=50)
def test_flow(pauses: list[bool], answers: list[int]) -> None:
    """However pauses and answers interleave, pieces arrive in order, and none during a pause."""
    paused = False
    answers = [*answers]

    def check(_: Any) -> None:
        assert not paused

    run, buckets = slow_download(write=check)
    for paused in [*pauses, False]:
        if paused:
            run.consumer.producer.pauseProducing()
        else:
            run.consumer.producer.resumeProducing()
        if answers and buckets[number := answers.pop()].waiting:
            buckets[number].answer()

        assert PIECES[: len(run.consumer.pieces)] == run.consumer.pieces
    serve(buckets)

    assert run.consumer.pieces == PIECES
    assert run.done()


def test_slow_consumer() -> None:
    """A consumer that takes a second per piece gets one piece per second."""
    clock = Clock()
    times = []

    def write(producer: Any) -> None:
        times.append(clock.seconds())
        pause(producer)
        clock.callLater(1, producer.resumeProducing)

    consumer = Consumer(write=write)
    run = Download(servers_of(FILE.shares), FILE.cap, consumer=consumer, clock=clock)
    clock.pump([0.5] * 20)

    assert times == [0, 1, 2, 3]
    assert run.done().phases[-1] == ("done", 3.0)


@pytest.mark.parametrize(("cap", "size"), [(FILE.cap, 60), (FILE.cap, 1), (LITERAL, None)])
def test_pause_at_the_end(cap: Any, size: int | None) -> None:
    """A consumer that pauses after the last byte need not resume: the download is done."""
    consumer = Consumer(write=pause)
    run = Download(servers_of(FILE.shares), cap, consumer=consumer, size=size)

    assert run.done().phase == "done"
    assert (len(consumer.pieces), consumer.unregistered) == (1, 1)


# Stopping


def stopped(run: Download, pieces: int = 0) -> None:
    """Check that a download was stopped cleanly, after this many pieces."""
    assert run.done().phase == "stopped"
    assert PIECES[:pieces] == run.consumer.pieces
    assert (run.consumer.registered, run.consumer.unregistered) == (1, 1)
    requests = len(run.status.requests)
    run.consumer.producer.resumeProducing()
    run.consumer.producer.stopProducing()
    run.deferred.cancel()
    run.clock.advance(1000)

    assert len(run.results) == 1
    assert requests == len(run.status.requests)
    assert PIECES[:pieces] == run.consumer.pieces
    assert run.consumer.unregistered == 1


@strategies
def test_stop_when_registered(strategy: str) -> None:
    """A consumer that stops its producer at once gets nothing, and no server is queried."""
    run = Download(
        servers_of(FILE.shares), FILE.cap, consumer=Consumer(register=stop), strategy=strategy
    )

    assert run.status.requests == []
    stopped(run)


def test_stop_literal() -> None:
    """Stopping works if the cap holds the file, at once or after a pause."""
    stopped(Download([], LITERAL, consumer=Consumer(register=stop)))
    run = Download([], LITERAL, consumer=Consumer(register=pause))
    stop(run.consumer.producer)

    stopped(run)


@pytest.mark.parametrize("segments", [1, 2, 3, 4])
def test_stop_inside_write(segments: int) -> None:
    """A consumer that stops inside `write` gets no more, and no more is read."""
    consumer = Consumer(write=lambda p: stop(p) if len(consumer.pieces) == segments else None)
    run = Download(servers_of(FILE.shares), FILE.cap, consumer=consumer)

    assert not run.requests(f"block {segments}")
    stopped(run, segments)


@pytest.mark.parametrize("late", ["answer", "fail"])
@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("answers", range(3))
def test_stop_while_locating(answers: int, how: str, late: str) -> None:
    """A download stopped while locating ends at once; later answers are ignored."""
    servers = [ManualServer(f"s{i}", {0: FILE.shares[0]}) for i in range(5)]
    run = Download(servers, FILE.cap)
    for server in servers[:answers]:
        server.answer()
    end(run, how)

    assert run.status.phases[-2][0] == "locating"
    for server in servers[answers:]:
        getattr(server, late)()
    stopped(run)


def end(run: Download, how: str) -> None:
    """End a download from outside, in one of two ways."""
    if how == "cancel":
        run.deferred.cancel()
    else:
        run.consumer.producer.stopProducing()


@pytest.mark.parametrize("late", ["answer", "fail"])
@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("answers", range(14))
def test_stop_anywhere(answers: int, how: str, late: str) -> None:
    """A download stopped while reading ends at once, whichever reads are outstanding."""
    run, buckets = slow_download()
    for _ in range(answers):
        bucket = next(bucket for bucket in buckets if bucket.waiting)
        bucket.answer()
    pieces = len(run.consumer.pieces)

    assert not run.fired
    end(run, how)

    assert run.fired
    for bucket in buckets:
        while bucket.waiting:
            getattr(bucket, late)()
    stopped(run, pieces)


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_stop_while_paused(how: str) -> None:
    """A paused consumer may stop."""
    run = Download(servers_of(FILE.shares), FILE.cap, consumer=Consumer(write=pause))

    assert not run.fired
    end(run, how)

    stopped(run, 1)


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_stop_while_paused_before_the_first_byte(how: str) -> None:
    """Even if nothing has been written to it yet."""
    run = Download(servers_of(FILE.shares), FILE.cap, consumer=Consumer(register=pause))
    end(run, how)

    stopped(run)


@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("part", ["UEB", "block"])
def test_stop_while_waiting_for_late_answers(how: str, part: str) -> None:
    """A consumer may stop while its download waits for a late answer."""
    bad = {number: corrupt(FILE.shares[number], part) for number in (0, 1)}
    late = ManualServer("late", {2: FILE.shares[2]})
    run = Download([*servers_of(bad), late], FILE.cap, strategy="first-k-late")

    assert not run.fired
    end(run, how)
    late.answer()

    stopped(run)


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_stop_after_the_end(how: str) -> None:
    """After all is written, stopping changes nothing."""
    run = Download(servers_of(FILE.shares), FILE.cap)
    end(run, how)

    assert run.done().phase == "done"
    assert run.consumer.unregistered == 1


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_stop_after_an_error(how: str) -> None:
    """Stopping after a failure changes nothing."""
    run = Download([], FILE.cap)
    end(run, how)

    assert run.status.phase == "failed"
    assert len(run.results) == 1
    assert run.consumer.unregistered == 1


def test_stop_inside_unregister() -> None:
    """Stopping inside `unregisterProducer` changes nothing."""
    run = Download(servers_of(FILE.shares), FILE.cap, consumer=Consumer(unregister=stop))

    assert run.done().phase == "done"
    assert run.consumer.pieces == PIECES


@pytest.mark.parametrize("late", ["answer", "fail"])
@strategies
def test_answer_inside_write(strategy: str, late: str) -> None:
    """A late answer may arrive inside `write`."""
    bad = {1: FILE.shares[1][:70] + b"?" + FILE.shares[1][71:]}  # in its second block
    server = ManualServer("late", {2: FILE.shares[2]})
    consumer = Consumer(write=lambda _: getattr(server, late)() if not server.done else None)
    servers = [*servers_of({0: FILE.shares[0]} | bad), server]
    run = Download(servers, FILE.cap, consumer=consumer, strategy=strategy)
    if strategy == "wait-for-all":
        assert not run.fired
        server.answer()

    if strategy == "first-k" or (strategy != "wait-for-all" and late == "fail"):
        assert run.error(NotEnoughSharesError).have == 1
        assert consumer.pieces == PIECES[:1]
    else:
        assert run.done().shares_used == {0, 1, 2}
        assert consumer.pieces == PIECES


@pytest.mark.parametrize("when", ["write", "unregister"])
def test_cancel_inside_consumer(when: str) -> None:
    """If a consumer cancels the Deferred in a callback, it fires once, and the download ends."""
    server = ManualServer("s", FILE.shares)
    runs: list[Download] = []
    consumer = Consumer(**{when: lambda _: runs[0].deferred.cancel()})
    runs.append(Download([server], FILE.cap, consumer=consumer))
    server.answer()

    assert len(runs[0].results) == 1
    assert PIECES[: 1 if when == "write" else 4] == consumer.pieces
    assert consumer.unregistered == 1


@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("answers", [True, False])
def test_end_inside_read(answers: bool, how: str) -> None:
    """After a stop inside a bucket's `read`, nothing is written.

    The download ends at once, whether the server answers that read or not.
    """

    def read(offset: int, length: int) -> Any:
        end(run, how)
        return MemoryBucket(FILE.shares[0]).read(offset, length) if answers else Deferred()

    server = ManualServer("s", {})
    run = Download([server, *servers_of(FILE.shares, [1])], FILE.cap)
    server.answer_with({0: AnyBucket(read)})

    assert len(run.results) == 1
    assert run.consumer.pieces == []
    assert run.status.phase == "stopped"
    assert run.consumer.unregistered == 1


def test_stop_inside_get_buckets() -> None:
    """After a stop inside a server's `get_buckets`, nothing is written."""
    consumer = MemoryConsumer()

    def get_buckets(_: bytes) -> Any:
        stop(consumer.producer)
        return {}

    run = Download([AnyServer(get_buckets), *servers_of(FILE.shares)], FILE.cap, consumer=consumer)

    stopped(run)


@pytest.mark.parametrize("late", ["answer", "fail"])
def test_nothing_is_asked_after_an_error(late: str) -> None:
    """After a download has failed, pending reads cause no further requests."""
    servers = manual_servers({0: FILE.shares[0], 1: FILE.shares[1]})
    run = Download(servers, FILE.cap)
    for server in servers:
        server.answer_manual()
    first, second = (bucket for server in servers for bucket in server.buckets.values())
    while not run.fired:  # the other's header is still to come
        if len(run.status.requests) < 8:
            first.answer()
        else:
            first.fail()
    requests = len(run.status.requests)

    assert run.error(NotEnoughSharesError)
    assert [r.what for r in run.status.requests if r.share == 1] == ["header"]
    getattr(second, late)()

    assert second.waiting == []
    assert requests == len(run.status.requests)


@pytest.mark.parametrize("when", ["query", "read"])
@pytest.mark.parametrize("later", [True, False])
def test_control_c(when: str, later: bool) -> None:
    """Control-C in a server's code is not the server's failure: it ends the download."""
    answer: Deferred[Any] = Deferred()

    def interrupt(*_: Any) -> Any:
        if later:
            return answer
        raise KeyboardInterrupt

    server = AnyServer(interrupt) if when == "query" else reading(interrupt)
    run = Download([server, *servers_of(FILE.shares, [1, 2])], FILE.cap, strategy="wait-for-all")
    if later:
        answer.errback(KeyboardInterrupt())
    run.error(KeyboardInterrupt)

    assert run.consumer.pieces == []
    assert (run.status.phase, run.consumer.unregistered) == ("failed", 1)


# A consumer that fails


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_write_fails(segments: int) -> None:
    """An exception in the consumer ends the download, and is the Deferred's failure."""
    consumer = Consumer(write=lambda _: boom() if len(consumer.pieces) == segments else None)
    run = Download(servers_of(FILE.shares), FILE.cap, consumer=consumer)

    assert str(run.error(BoomError)) == "boom"
    assert PIECES[:segments] == consumer.pieces
    assert (run.status.phase, consumer.unregistered) == ("failed", 1)


def test_write_of_literal_fails() -> None:
    """Even if the cap holds the file."""
    run = Download([], LITERAL, consumer=Consumer(write=boom))

    assert run.error(BoomError)
    assert run.consumer.unregistered == 1


@pytest.mark.parametrize("cap", [FILE.cap, LITERAL])
def test_unregister_fails(cap: Any) -> None:
    """An exception in `unregisterProducer` is reported too, once."""
    run = Download(servers_of(FILE.shares), cap, consumer=Consumer(unregister=boom))

    assert run.error(BoomError)
    assert run.consumer.unregistered == 1


@pytest.mark.parametrize("cap", [FILE.cap, LITERAL])
def test_register_fails(cap: Any) -> None:
    """A consumer that refuses the producer is not asked to unregister another one."""
    run = Download(servers_of(FILE.shares), cap, consumer=Consumer(register=boom))

    assert run.error(BoomError)
    assert run.consumer.pieces == []
    assert run.consumer.unregistered == 0


# The status


def test_request_times() -> None:
    """Each request has the reactor's times at which it was sent and answered."""
    clock = Clock()
    clock.advance(100)
    servers = [
        delayed(clock, 1.0, {0: FILE.shares[0]}, "fast"),
        delayed(clock, 2.0, {1: FILE.shares[1]}, "slow"),
    ]
    run = Download(servers, FILE.cap, clock=clock, size=1)
    clock.pump([0.5] * 30)
    requests = run.done().requests

    assert [r.sent for r in requests if r.is_query] == [100.0, 100.0]
    assert [r.answered for r in requests if r.is_query] == [101.0, 102.0]
    assert {(r.server, (r.answered or 0) - r.sent) for r in requests} == {
        ("fast", 1.0),
        ("slow", 2.0),
    }
    assert run.status.phases == [
        ("starting", 100.0),
        ("locating", 100.0),
        ("uri-extension", 102.0),
        ("crypttext-hashes", 104.0),
        ("blocks", 105.0),
        ("done", 107.0),
    ]
    assert run.status.located == 102.0


def test_requests() -> None:
    """The status separates queries from reads; a read has its share, offset and length."""
    run = Download(servers_of(FILE.shares, [0, 1]), FILE.cap, size=1)
    status = run.done()

    assert (status.queries_sent, status.queries_answered, status.queries_failed) == (2, 2, 0)
    assert len(status.requests) - 2 == status.reads == 2 + 1 + 1 + 4
    for request in status.requests:
        assert request.is_query == (request.what == "get_buckets")
        assert request.is_query == (request.share is None)
        assert request.is_query == (request.offset is None) == (request.length is None)
        assert (request.failed, request.error) == (None, None)
    (block,) = [r for r in run.requests("block 0") if r.share == 0]

    assert (block.server, block.offset, block.length) == ("m0", 36, 30)


def test_failed_requests() -> None:
    """A failed request has the time of its failure, and the server's error."""
    clock = Clock()
    servers = [*manual_servers(FILE.shares)]
    run = Download(servers, FILE.cap, clock=clock)
    clock.advance(3)
    servers[1].fail()
    request = run.status.requests[1]

    assert (request.answered, request.failed, request.error) == (None, 3.0, "BoomError: query")
    assert (
        run.status.queries_sent,
        run.status.queries_answered,
        run.status.queries_failed,
    ) == (4, 0, 1)
    run.deferred.cancel()


def test_failed_reads_are_no_queries() -> None:
    """Reads that fail are not counted among the queries."""
    run = Download([reading(boom), *servers_of(FILE.shares, [1])], FILE.cap)
    assert run.error(NotEnoughSharesError)

    assert (
        run.status.queries_sent,
        run.status.queries_answered,
        run.status.queries_failed,
    ) == (2, 2, 0)
    assert [r.error for r in run.requests("header") if r.share == 0] == ["BoomError: boom"]


def test_bytes() -> None:
    """The bytes received from servers and those written to the consumer are counted."""
    received = 0

    def bucket(data: bytes) -> Any:
        def read(offset: int, length: int) -> Any:
            nonlocal received
            answer = data[offset : offset + length]
            received += len(answer)
            return answer

        return AnyBucket(read)

    servers = [answering({number: bucket(data)}) for number, data in FILE.shares.items()]
    run = Download(servers, FILE.cap, offset=10, size=100)

    assert received == run.done().bytes_received > 100
    assert run.status.bytes_written == 100


@pytest.mark.parametrize(
    ("numbers", "needed"), [((0, 1), False), ((0, 2), True), ((1, 3), True), ((2, 3), True)]
)
def test_decode_needed(numbers: tuple[int, ...], needed: bool) -> None:
    """Decoding is needed unless all shares are primary."""
    status = Download(servers_of(FILE.shares, numbers), FILE.cap).done()

    assert set(numbers) == status.shares_used
    assert needed == status.decode_needed


def test_shares_used_of_several_segments() -> None:
    """A share that was replaced counts as used, and so does its replacement."""
    bad = {1: FILE.shares[1][:70] + b"?" + FILE.shares[1][71:]}  # in its second block
    servers = servers_of({0: FILE.shares[0], 3: FILE.shares[3]} | bad)
    status = Download(servers, FILE.cap, strategy="wait-for-all").done()

    assert status.shares_used == {0, 1, 3}
    assert status.decode_needed


def test_decode_was_needed() -> None:
    """Decoding was needed even if a primary share replaced the secondary one later."""
    bad = {3: FILE.shares[3][:70] + b"?" + FILE.shares[3][71:]}  # in its second block
    late = ManualServer("late", {1: FILE.shares[1]})
    servers = [*servers_of({0: FILE.shares[0]} | bad), late]
    run = Download(servers, FILE.cap, strategy="first-k-late")

    assert run.consumer.pieces == PIECES[:1]
    late.answer()

    assert run.done().shares_used == {0, 1, 3}
    assert run.done().decode_needed


def test_nothing_used() -> None:
    """A download that fails before its first block used no shares."""
    bad = {number: corrupt(FILE.shares[number], "block") for number in (0, 1)}
    run = Download(servers_of(bad), FILE.cap)
    assert run.error(downloader.NoSharesError)

    assert set() == run.status.shares_used
    assert not run.status.decode_needed
    assert (run.status.bytes_written, run.status.phase) == (0, "failed")


def test_status_while_it_runs() -> None:
    """The status is there from the beginning, and the Deferred fires with the same object."""
    seen: list[tuple[str, int]] = []
    statuses: list[DownloadStatus] = []

    def write(producer: Any) -> None:
        statuses.append(producer.status)
        seen.append((producer.status.phase, producer.status.bytes_written))

    run = Download(servers_of(FILE.shares), FILE.cap, consumer=Consumer(write=write))

    assert seen == [("blocks", 60), ("blocks", 120), ("blocks", 180), ("blocks", 200)]
    assert all(status is run.done() for status in statuses)


@pytest.mark.parametrize("seed", range(5))
@strategies
def test_random_choices(strategy: str, seed: int) -> None:
    """Random choices do not change the file, and equal choices make equal downloads."""
    one, other = (
        Download(
            [MemoryServer({i: FILE.shares[i], 3: FILE.shares[3]}, f"s{i}") for i in (3, 2, 2, 1)],
            FILE.cap,
            strategy=strategy,
            random=Random(seed),
        )
        for _ in range(2)
    )

    assert one.consumer.data == PLAINTEXT
    assert asdict(one.done()) == asdict(other.done())
