"""Reading as Tahoe-LAFS does: what is requested in which round, and how bad shares are treated."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from firstk.downloader.encode import encode
from firstk.downloader.errors import NoSharesError
from firstk.downloader.layout import Header, parse_header
from firstk.downloader.trees import tree_size
from firstk.downloader.windowed_share import _MOST_REPEATS
from tests.doubles import MemoryConsumer, servers_of
from tests.downloader.scenery import (
    AnyBucket,
    AnyServer,
    Download,
    ManualServer,
    corrupt,
    delayed,
    flipped,
)

PLAINTEXT = bytes(range(200))
WHOLE = encode(PLAINTEXT, k=3, n=10)
FOUR = encode(PLAINTEXT, k=3, n=10, segment_size=60)
LARGE = encode(PLAINTEXT * 300, k=3, n=10, segment_size=1500)  # forty, far from all guesses


def windowed(servers: Any, file: Any, clock: Clock | None = None, **options: Any) -> Download:
    """Start a download."""
    return Download(servers, file.cap, strategy="windowed", clock=clock, **options)


def rounds(file: Any, **options: Any) -> list[list[tuple[int, int]]]:
    """Return which spans of share 0 are requested in each second of a download."""
    clock = Clock()
    servers = [delayed(clock, 1.0, {i: data}, f"s{i}") for i, data in file.shares.items()]
    run = windowed(servers, file, clock, **options)
    clock.pump([1, 0] * 60)
    assert run.done()
    asked: dict[float, list[tuple[int, int]]] = {}
    for request in run.requests("parts"):
        if request.share == 0:
            assert request.offset is not None
            assert request.length is not None
            asked.setdefault(request.sent, []).append((request.offset, request.length))
    return list(asked.values())


def header_of(file: Any) -> Header:
    """Return the header of a file's share 0."""
    return parse_header(file.shares[0][:100])


def with_header(file: Any, number: int, **changes: int) -> bytes:
    """Return a share with other fields in its header."""
    share: bytes = file.shares[number]
    fields = {name: getattr(parse_header(share[:100]), name) for name in Header.__slots__}
    return Header(**fields | changes).pack() + share[36:]


# What is asked for


def test_all_at_once() -> None:
    """A small share is read whole, with 2,048 bytes from the start of the UEB."""
    assert rounds(WHOLE) == [[(0, header_of(WHOLE).uri_extension + 2048)]]


def test_of_a_large_block() -> None:
    """Of a large block, one span covers header and block, another the hashes and the UEB."""
    file = encode(bytes(60_000), k=3, n=10)
    header = header_of(file)

    assert rounds(file) == [
        [
            (0, 36 + 20_000),
            (header.crypttext_hashes, header.uri_extension - header.crypttext_hashes + 2048),
        ]
    ]


def test_wrong_guess() -> None:
    """If the UEB is not at the guessed place, it is read next, and the hashes after it.

    How many segments there are, and so which hashes are needed, only the UEB says.
    """
    header = header_of(LARGE)
    first, second, third, *_ = rounds(LARGE)

    assert first[0] == (0, 36 + 20_000)
    assert (header.uri_extension, 2048) in [
        (offset + length - 2048, 2048) for offset, length in second
    ]
    assert all(length <= 4 * 32 for _, length in third)
    assert {(offset - header.block_hashes) % 32 for offset, _ in third} == {0}
    assert tree_size(40) == header.share_hashes - header.block_hashes


def test_needed_hashes_only() -> None:
    """Each segment reads only the nodes of both trees that are not known yet.

    A leaf is known as the sibling of the one before it, and the node above both from earlier.
    """
    hashes = [sum(length for _, length in asked) - 500 for asked in rounds(LARGE)[3:]]
    depths = [(segment & -segment).bit_length() for segment in range(1, 40)]

    assert hashes == [2 * 32 * depth if depth > 1 else 0 for depth in depths]


def test_range() -> None:
    """A range is guessed to be in the only segment, and read again if it is not."""
    clock = Clock()
    servers = [delayed(clock, 1.0, {i: data}, f"s{i}") for i, data in LARGE.shares.items()]
    run = windowed(servers, LARGE, clock, offset=4000, size=10)
    clock.pump([1, 0] * 20)
    asked = [(request.sent, request.offset, request.length) for request in run.requests("parts")]

    assert run.consumer.data == (PLAINTEXT * 300)[4000:4010]
    assert {(1.0, 0, 20_036), (4.0, 36 + 2 * 500, 500)} <= set(asked)
    assert run.done().phases[-1] == ("done", 5.0)


@pytest.mark.parametrize("segment_size", [60, 100, 200])
@pytest.mark.parametrize("offset", [0, 1, 59, 60, 150, 199])
def test_any_range(offset: int, segment_size: int) -> None:
    """Whatever is guessed, exactly the range is written."""
    file = encode(PLAINTEXT, k=3, n=10, segment_size=segment_size)
    run = windowed(servers_of(file.shares), file, offset=offset, size=70)

    assert run.done()
    assert run.consumer.data == PLAINTEXT[offset : offset + 70]


# What is not needed does no harm, to no strategy

both = pytest.mark.parametrize("strategy", ["windowed", "hedged"])


@both
def test_block_hashes_of_one_segment(strategy: str) -> None:
    """A single block is checked by the share hash chain; its block hashes are not needed."""
    shares = {i: corrupt(data, "block hashes") for i, data in WHOLE.shares.items()}
    run = Download(servers_of(shares), WHOLE.cap, strategy=strategy)

    assert run.done().shares_used == {0, 1, 2}


@both
@pytest.mark.parametrize("file", [WHOLE, FOUR], ids=["one segment", "four"])
def test_share_hashes_that_a_sibling_has_told(strategy: str, file: Any) -> None:
    """A corrupt share hash chain does no harm if a sibling's chain has its nodes."""
    shares = file.shares | {1: corrupt(file.shares[1], "share hashes")}
    run = Download(servers_of(shares, [0, 1, 2]), file.cap, strategy=strategy)

    assert run.done().shares_used == {0, 1, 2}


@pytest.mark.parametrize(("strategy", "used"), [("windowed", {0, 2, 3}), ("hedged", {0, 1, 2})])
def test_share_hashes_that_come_too_early(strategy: str, used: set[int]) -> None:
    """If the corrupt chain comes first, windowed drops the share; hedged waits for the sibling."""
    bad = ManualServer("bad", {1: corrupt(WHOLE.shares[1], "share hashes")})
    good = ManualServer("good", {0: WHOLE.shares[0]})
    others = servers_of(WHOLE.shares, [2, 3][: 1 if strategy == "hedged" else 2])
    run = Download([bad, good, *others], WHOLE.cap, strategy=strategy)
    for server in bad, good:
        server.answer_manual()
        run.clock.advance(0)
        for bucket in server.buckets.values():
            bucket.answer_all()
        run.clock.advance(0)

    assert run.done().shares_used == used


@both
@pytest.mark.parametrize("field", ["block_size", "data_size", "plaintext_hashes"])
def test_header_fields(strategy: str, field: str) -> None:
    """Three fields of the header are not needed."""
    shares = {i: with_header(FOUR, i, **{field: 2**31}) for i in range(3)}
    run = Download(servers_of(shares), FOUR.cap, strategy=strategy)

    assert run.done().shares_used == {0, 1, 2}
    assert run.consumer.data == PLAINTEXT


@both
def test_bad_block(strategy: str) -> None:
    """A share with a bad block is read again for the next segment."""
    bad = {i: flipped(FOUR.shares[i], 36 + 20 * i) for i in range(3)}  # in segments 0, 1, 2
    run = Download(servers_of(FOUR.shares | bad, [0, 1, 2, 3]), FOUR.cap, strategy=strategy)

    assert run.done().shares_used == {0, 1, 2, 3}
    assert run.consumer.data == PLAINTEXT


# What is needed and bad


@pytest.mark.parametrize("field", ["data", "crypttext_hashes", "share_hashes", "uri_extension"])
@pytest.mark.parametrize("value", [0, 40, 2**32 - 1])
def test_header_elsewhere(field: str, value: int) -> None:
    """A header that points elsewhere costs its share, and at most a few reads."""
    shares = FOUR.shares | {0: with_header(FOUR, 0, **{field: value})}
    run = windowed(servers_of(shares, range(4)), FOUR)

    assert run.done().shares_used == {1, 2, 3}
    assert sum(request.share == 0 for request in run.requests("parts")) < 8
    assert max(request.length or 0 for request in run.requests("parts")) <= 4096


@pytest.mark.parametrize("length", [0, 3, 35])
def test_cut_within_the_header(length: int) -> None:
    """Unlike Tahoe-LAFS, it drops a share that is truncated within the header."""
    shares = FOUR.shares | {0: FOUR.shares[0][:length]}
    run = windowed(servers_of(shares, range(4)), FOUR)

    assert run.done().shares_used == {1, 2, 3}


def test_shortage() -> None:
    """It fails as soon as it cannot succeed, and leaves nothing behind."""
    shares = {i: corrupt(FOUR.shares[i], "UEB") for i in range(3)}
    run = windowed([*servers_of(shares)], FOUR)

    assert "share 0: the UEB does not match the cap" in str(run.shortage())
    assert run.clock.getDelayedCalls() == []
    assert windowed([], FOUR).error(NoSharesError)


# Turns


def test_answers_of_one_instant() -> None:
    """All answers of one instant are processed before shares are chosen: the lowest numbers."""
    servers = [ManualServer(f"s{i}", {i: data}) for i, data in WHOLE.shares.items()]
    run = windowed(servers, WHOLE)
    for server in reversed(servers):
        server.answer()

    assert run.done().shares_used == {0, 1, 2}


def test_end_waits_for_the_consumer() -> None:
    """The download ends when the consumer resumes, even with nothing left to write."""
    run = windowed(servers_of(WHOLE.shares), WHOLE, consumer=Pausing())

    assert not run.fired
    run.consumer.producer.resumeProducing()

    assert run.done().phase == "done"


class Pausing(MemoryConsumer):
    """A consumer that pauses at each piece."""

    def write(self, data: bytes) -> None:
        super().write(data)
        self.producer.pauseProducing()


# What a share does not have


def test_repeats() -> None:
    """While the header is on its way, what the share does not have is requested up to 100 times."""
    clock = Clock()
    share = encode(bytes(60_000), k=1, n=1)
    header: Deferred[bytes] = Deferred()
    asked = []

    def read(offset: int, length: int) -> Deferred[bytes]:
        if offset == 0:
            return header
        asked.append(offset)
        answer: Deferred[bytes] = Deferred()
        clock.callLater(0.5, answer.callback, share.shares[0][offset : offset + length])
        return answer

    server = AnyServer(lambda _: succeed({0: AnyBucket(read)}))
    run = windowed([server], share, clock)
    clock.pump([0.5, 0] * 10)

    assert len(asked) == 2 + 10
    assert len(set(asked)) == 3
    clock.pump([0.5, 0] * 200)

    assert len(asked) == 2 + _MOST_REPEATS
    header.callback(share.shares[0][:60_036])

    assert run.done()
    assert run.consumer.data == bytes(60_000)


def test_repeats_of_one_instant() -> None:
    """A server that answers at once is not asked repeatedly at the same instant."""
    file = encode(bytes(60_000), k=1, n=1)
    asked = []

    def read(offset: int, length: int) -> Deferred[bytes]:
        asked.append(offset)
        return Deferred() if offset == 0 else succeed(file.shares[0][offset : offset + length])

    server = AnyServer(lambda _: succeed({0: AnyBucket(read)}))
    run = windowed([server], file)

    assert not run.fired
    assert len(asked) == 4
    run.deferred.cancel()
